"""What a worker concluded reaches the carrier, once, whatever the carrier goes through."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from broadcaster.domain import model
from broadcaster.domain.detection import Decision
from broadcaster.domain.errors import StoreUnavailable
from broadcaster.domain.model import EventKind, Observation, Plan, PlanKind, Status, event_kind
from broadcaster.domain.plans import add
from broadcaster.protocol.records import HeartbeatRecord
from broadcaster.store.base import Outcome, Written
from broadcaster.store.memory import MemoryStore
from broadcaster.store.planning import change_plans
from broadcaster.worker.publisher import CAUSE_WAIT, Publisher
from tests.support.commits import transitions

BEAT = 0.02


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def concluded(service: str, status: Status, at: float, previous: Status = Status.UNKNOWN) -> Decision:
    return Decision(service=service, kind=event_kind(previous, status), previous=previous, status=status, at=at)


async def until(condition: Callable[[], Awaitable[bool]] | Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.002)


@asynccontextmanager
async def running(publisher: Publisher) -> AsyncIterator[None]:
    task = asyncio.create_task(publisher.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    return MemoryStore(clock=clock)


def make(store: MemoryStore, clock: Clock, worker: str = "w1", carrier: str = "", settle: float = 0.0) -> Publisher:
    return Publisher(store, worker=worker, interval=BEAT, carrier=carrier, settle=settle, clock=clock)


async def told(store: MemoryStore) -> list[tuple[str, EventKind]]:
    return [(each.service, each.kind) for each in await transitions(store)]


async def test_an_empty_carrier_is_seeded_and_conclusions_are_committed(store: MemoryStore, clock: Clock) -> None:
    """The first worker begins the first epoch by itself."""
    publisher = make(store, clock)
    async with running(publisher):
        publisher.publish(concluded("auth", Status.UP, 1.0))
        publisher.publish(concluded("chat", Status.DOWN, 2.0))
        await until(lambda: publisher.is_idle)
    assert await told(store) == [("auth", EventKind.UP), ("chat", EventKind.DOWN)]
    assert publisher.known.position == (await store.snapshot()).position


async def test_heartbeats_carry_what_was_observed(store: MemoryStore, clock: Clock) -> None:
    """The time of each observation reaches the carrier with the next heartbeat."""
    publisher = make(store, clock)
    async with running(publisher):
        publisher.observed(Observation(service="auth", at=999.0, outcome=model.Outcome.OK, latency=0.1))

        async def is_there() -> bool:
            return (await store.snapshot()).state("auth").observed_at == 999.0

        await until(is_there)


async def test_heartbeats_carry_how_long_it_took(store: MemoryStore, clock: Clock) -> None:
    """Also where a heartbeat failed, and each only once."""
    publisher = make(store, clock)
    await store.seed(
        (await store.snapshot()), epoch="e1", worker="w", now=1, reason="", replaces=(await store.snapshot()).position
    )
    store.fail()
    publisher.observed(Observation(service="auth", at=999.0, outcome=model.Outcome.OK, latency=0.125))
    heard: list[HeartbeatRecord] = []
    async with running(publisher):
        await asyncio.sleep(0)
        store.heal()
        async with store.subscribe() as subscription:
            while len(heard) < 2:
                record = await subscription.next(10)
                assert isinstance(record, HeartbeatRecord)
                heard.append(record)
    assert [dict(each.latencies) for each in heard] == [{"auth": 0.125}, {}]


async def test_observations_of_a_failed_heartbeat_come_with_the_next(store: MemoryStore, clock: Clock) -> None:
    """What could not be announced is announced later, unless something newer is known."""
    publisher = make(store, clock)
    await store.seed(
        (await store.snapshot()), epoch="e1", worker="w", now=1, reason="", replaces=(await store.snapshot()).position
    )
    store.fail()
    publisher.observed(Observation(service="auth", at=999.0, outcome=model.Outcome.OK, latency=0.1))
    async with running(publisher):
        await asyncio.sleep(0)
        store.heal()

        async def is_there() -> bool:
            return (await store.snapshot()).state("auth").observed_at == 999.0

        await until(is_there)


async def test_only_the_latest_conclusion_survives_an_outage(store: MemoryStore, clock: Clock) -> None:
    """A service that went down and came back while the carrier was away makes no event; one still down makes one."""
    publisher = make(store, clock)
    async with running(publisher):
        for service in ("auth", "chat"):
            publisher.publish(concluded(service, Status.UP, 1.0))
        await until(lambda: publisher.is_idle)
        store.fail()
        publisher.publish(concluded("auth", Status.DOWN, 2.0, Status.UP))
        publisher.publish(concluded("chat", Status.DOWN, 2.0, Status.UP))
        publisher.publish(concluded("auth", Status.UP, 3.0, Status.DOWN))
        store.heal()
        await until(lambda: publisher.is_idle)
    assert (await told(store))[2:] == [("chat", EventKind.DOWN)]


async def test_a_lost_reply_makes_no_second_event(clock: Clock) -> None:
    """The commit happened, its answer was lost: the retry finds it, and the worker goes on from there."""

    class LosesReplies(MemoryStore):
        has_lost = False

        async def commit(self, *args: Any, **kwargs: Any) -> Written:
            written = await super().commit(*args, **kwargs)
            if written.outcome is Outcome.DONE and not self.has_lost:
                self.has_lost = True
                raise StoreUnavailable("the reply was lost")
            return written

    store = LosesReplies(clock=clock)
    publisher = make(store, clock)
    async with running(publisher):
        publisher.publish(concluded("auth", Status.DOWN, 1.0))
        await until(lambda: publisher.is_idle and store.has_lost)
        publisher.publish(concluded("auth", Status.UP, 2.0, Status.DOWN))
        await until(lambda: publisher.is_idle)
    assert await told(store) == [("auth", EventKind.DOWN), ("auth", EventKind.RECOVERED)]


@pytest.mark.parametrize("damage", ["wipe", "rewind"])
async def test_a_carrier_that_forgot_is_seeded_under_a_new_epoch(store: MemoryStore, clock: Clock, damage: str) -> None:
    """Empty or without its last transitions: what the worker knows is there again, in a new order."""
    publisher = make(store, clock)
    async with running(publisher):
        for service in ("auth", "chat"):
            publisher.publish(concluded(service, Status.DOWN, 1.0))
        await until(lambda: publisher.is_idle)
        before = await store.snapshot()
        if damage == "wipe":
            store.wipe()
        else:
            store.rewind(1)

        async def is_back() -> bool:
            found = await store.snapshot()
            return found.position.epoch not in ("", before.position.epoch) and len(found.services) == 2

        await until(is_back)
        after = await store.snapshot()
    assert {name: state.status for name, state in after.services.items()} == {
        "auth": Status.DOWN,
        "chat": Status.DOWN,
    }
    assert all(after.state(name).since == before.state(name).since for name in after.services)
    assert await transitions(store) == []


async def test_two_workers_that_agree_make_one_event(store: MemoryStore, clock: Clock) -> None:
    """Compare-and-set: the second finds its conclusion there already."""
    first, second = make(store, clock, "w1"), make(store, clock, "w2")
    async with running(first), running(second):
        first.publish(concluded("auth", Status.DOWN, 1.0))
        second.publish(concluded("auth", Status.DOWN, 1.1))
        await until(lambda: first.is_idle and second.is_idle)
    assert await told(store) == [("auth", EventKind.DOWN)]


async def test_two_workers_that_disagree_do_not_overrule_each_other_forever(store: MemoryStore, clock: Clock) -> None:
    """The later conclusion stands; learning of it is no reason to repeat the older one."""
    adopted: list[tuple[str, Status]] = []
    first = Publisher(
        store,
        worker="w1",
        interval=BEAT,
        on_adopted=lambda service, status: adopted.append((service, status)),
        clock=clock,
    )
    second = make(store, clock, "w2")
    async with running(first), running(second):
        first.publish(concluded("auth", Status.UP, 1.0))
        await until(lambda: first.is_idle)
        second.publish(concluded("auth", Status.DOWN, 2.0, Status.UP))
        await until(lambda: second.is_idle)
        await until(lambda: first.known.position == second.known.position)
        first.publish(concluded("chat", Status.UP, 3.0))
        await until(lambda: first.is_idle)
    assert adopted[-1] == ("auth", Status.DOWN)
    assert await told(store) == [("auth", EventKind.UP), ("auth", EventKind.DOWN), ("chat", EventKind.UP)]


async def test_what_another_worker_concluded_is_adopted_without_a_conclusion_of_ones_own(
    store: MemoryStore, clock: Clock
) -> None:
    """A worker that only ever saw the service well learns that it is down, and can see it recover."""
    adopted: dict[str, Status] = {}
    watching = Publisher(store, worker="w1", interval=BEAT, on_adopted=adopted.__setitem__, clock=clock)
    other = make(store, clock, "w2")
    async with running(watching), running(other):
        await until(lambda: other.known.position.epoch != "")
        other.publish(concluded("auth", Status.UP, 1.0))
        watching.observed(Observation(service="auth", at=1.5, outcome=model.Outcome.OK, latency=0.1))
        await until(lambda: adopted.get("auth") is Status.UP)
        other.publish(concluded("auth", Status.DOWN, 2.0, Status.UP))
        await until(lambda: adopted.get("auth") is Status.DOWN)


async def test_a_conclusion_that_lost_the_race_is_counted_anew(store: MemoryStore, clock: Clock) -> None:
    """Drawn from a state that somebody else has changed meanwhile: what the carrier says stands and is adopted."""
    adopted: list[tuple[str, Status]] = []
    late = Publisher(
        store,
        worker="w1",
        interval=BEAT,
        on_adopted=lambda service, status: adopted.append((service, status)),
        clock=clock,
    )
    other = make(store, clock, "w2")
    async with running(other):
        other.publish(concluded("auth", Status.UP, 5.0))
        await until(lambda: other.is_idle)
        late.publish(concluded("auth", Status.DOWN, 6.0))
        async with running(late):
            await until(lambda: late.is_idle)
    assert await told(store) == [("auth", EventKind.UP)]
    assert adopted[-1] == ("auth", Status.UP)


async def test_the_carriers_own_outage_is_not_announced_by_those_who_reach_it(store: MemoryStore, clock: Clock) -> None:
    """Down was concluded while the carrier was away; once it answers, that is old news and is withheld."""
    publisher = make(store, clock, carrier="redis", settle=10.0)
    async with running(publisher):
        publisher.publish(concluded("redis", Status.UP, 1.0))
        await until(lambda: publisher.is_idle)
        store.fail()
        publisher.publish(concluded("redis", Status.DOWN, 1000.0, Status.UP))
        await until(lambda: not publisher.is_reachable)
        store.heal()
        publisher.publish(concluded("auth", Status.UP, 1001.0))

        async def is_committed() -> bool:
            return (await store.snapshot()).status("auth") is Status.UP

        await until(is_committed)
        assert not publisher.is_idle
        publisher.publish(concluded("redis", Status.UP, 1003.0, Status.DOWN))
        await until(lambda: publisher.is_idle)
    assert await told(store) == [("redis", EventKind.UP), ("auth", EventKind.UP)]


async def test_a_carrier_service_that_stays_down_beside_a_carrier_that_answers_is_announced(
    store: MemoryStore, clock: Clock
) -> None:
    """If it has stood for long enough while the carrier answers, something is wrong with the service after all."""
    publisher = make(store, clock, carrier="redis", settle=10.0)
    async with running(publisher):
        publisher.publish(concluded("redis", Status.DOWN, 1000.0))
        clock.now = 1011.0
        await until(lambda: publisher.is_idle)
    assert await told(store) == [("redis", EventKind.DOWN)]


BELOW: dict[str, tuple[str, ...]] = {"chat": ("db",), "db": ()}


async def test_a_cause_that_is_being_found_out_is_committed_before_its_effect(store: MemoryStore, clock: Clock) -> None:
    """The effect waits for the verdict on what it stands on, and is explained by it; recovery comes in order too."""
    finding_out = True
    publisher = Publisher(
        store,
        worker="w1",
        interval=BEAT,
        clock=clock,
        depends_on=BELOW,
        is_open=lambda service, since: finding_out and service == "db",
    )
    async with running(publisher):
        for name in BELOW:
            publisher.publish(concluded(name, Status.UP, clock.now))
        clock.now += CAUSE_WAIT
        await until(lambda: publisher.is_idle)
        publisher.publish(concluded("chat", Status.DOWN, clock.now, Status.UP))
        await asyncio.sleep(3 * BEAT)
        assert not publisher.is_idle, "it waits"
        finding_out = False
        publisher.publish(concluded("db", Status.DOWN, clock.now, Status.UP))
        await until(lambda: publisher.is_idle)
        finding_out = True
        publisher.publish(concluded("chat", Status.UP, clock.now, Status.DOWN))
        publisher.publish(concluded("db", Status.UP, clock.now, Status.DOWN))
        await until(lambda: publisher.is_idle)
    history = (await transitions(store))[2:]
    assert [(each.service, each.kind, each.caused_by) for each in history] == [
        ("db", EventKind.DOWN, ()),
        ("chat", EventKind.DOWN, ("db",)),
        ("db", EventKind.RECOVERED, ()),
        ("chat", EventKind.RECOVERED, ()),
    ]
    assert len({each.incident for each in history}) == 1


async def test_an_effect_does_not_wait_for_ever(store: MemoryStore, clock: Clock) -> None:
    """Without a verdict in time it is told for itself."""
    publisher = Publisher(
        store, worker="w1", interval=BEAT, clock=clock, depends_on=BELOW, is_open=lambda service, since: True
    )
    async with running(publisher):
        publisher.publish(concluded("chat", Status.DOWN, clock.now))
        await asyncio.sleep(3 * BEAT)
        assert not publisher.is_idle
        clock.now += CAUSE_WAIT
        await until(lambda: publisher.is_idle)
    assert await told(store) == [("chat", EventKind.DOWN)]


async def test_a_change_of_plans_takes_no_conclusion_away(store: MemoryStore, clock: Clock) -> None:
    """Planned work is announced while a conclusion waits: it is committed all the same, and the plan stays."""
    publisher = make(store, clock)
    plan = Plan(kind=PlanKind.MAINTENANCE, starts_at=900.0, until=2000.0, by="anna")
    async with running(publisher):
        publisher.publish(concluded("auth", Status.UP, 1.0))
        await until(lambda: publisher.is_idle)
    publisher.publish(concluded("auth", Status.DOWN, 2.0, Status.UP))
    await change_plans(store, "auth", lambda plans: add(plans, plan, 1000.0), at=1000.0, by="anna")
    async with running(publisher):
        await until(lambda: publisher.is_idle)
    assert await told(store) == [("auth", EventKind.UP), ("auth", EventKind.DOWN)]
    assert len((await store.snapshot()).state("auth").plans) == 1
