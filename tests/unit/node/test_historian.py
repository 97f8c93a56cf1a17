"""The history in a node's memory: all that the carrier keeps, once each, whatever happens while it is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from structlog.testing import capture_logs

from broadcaster.domain.errors import StoreUnavailable
from broadcaster.domain.model import Entry, EventKind, PlanKind, Snapshot, Status
from broadcaster.node.pages import historian as module
from broadcaster.node.pages.historian import Historian
from broadcaster.store.memory import MemoryStore
from tests.support.managers import World, running_world, until


class SlowStore:
    """The world's store, of which ``history`` fails and waits as a test wants, and then tells what there was when it
    was asked (``early``) or what there is when it answers."""

    def __init__(self, store: MemoryStore, *, early: bool = True) -> None:
        self._store = store
        self._early = early
        self.failures = 0
        self.error: Exception = StoreUnavailable("away")
        self.limits: list[int] = []
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def history(self, limit: int = 1000) -> list[Entry]:
        self.limits.append(limit)
        if self.failures:
            self.failures -= 1
            raise self.error
        before = await self._store.history(limit)
        self.asked.set()
        await self.may_answer.wait()
        return before if self._early else await self._store.history(limit)


@asynccontextmanager
async def running(world: World, store: object = None) -> AsyncIterator[Historian]:
    made = Historian(world.manager, store or world.store, clock=lambda: world.now)  # type: ignore[arg-type]
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.wait([task])


def kinds(made: Historian) -> list[EventKind]:
    return [update.kind for incident in made.history.incidents(["auth"]) for update in incident.updates]


async def told(world: World, status: Status) -> None:
    await until(lambda: world.manager.status("auth") is status)


async def outage(world: World) -> None:
    for status in (Status.DOWN, Status.UP):
        world.now += 10
        await world.commit("auth", status)
        await told(world, status)


async def test_it_reads_what_was_and_hears_what_comes() -> None:
    """An outage before it began, and one after, are one incident each."""
    async with running_world() as world:
        await outage(world)
        async with running(world) as made:
            await until(lambda: made.is_read)
            assert kinds(made) == [EventKind.DOWN, EventKind.RECOVERED]
            await outage(world)
            assert kinds(made) == [EventKind.DOWN, EventKind.RECOVERED] * 2
            assert made.history.uptime("auth", world.now + 5).outages == 2


@pytest.mark.parametrize("early", [True, False])
async def test_what_happens_while_it_reads_is_neither_lost_nor_doubled(early: bool) -> None:
    """Whether it is in what is read or not."""
    async with running_world() as world:
        store = SlowStore(world.store, early=early)
        store.may_answer.clear()
        async with running(world, store) as made:
            await store.asked.wait()
            await outage(world)
            assert not made.is_read
            store.may_answer.set()
            await until(lambda: made.is_read)
            assert kinds(made) == [EventKind.DOWN, EventKind.RECOVERED]
            assert made.history.uptime("auth", world.now).outages == 1


async def test_a_carrier_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it answers, for less each time, as it may be far away; what happened meanwhile is there."""
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    async with running_world() as world:
        store = SlowStore(world.store)
        store.failures = 5
        await outage(world)
        async with running(world, store) as made:
            await until(lambda: made.is_read)
            assert store.limits == [10_000, 5000, 2500, 1250, 1000, 1000]
            assert kinds(made) == [EventKind.DOWN, EventKind.RECOVERED]


async def test_an_error_that_nobody_foresaw_is_logged_and_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The history is read all the same, later."""
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    async with running_world() as world:
        store = SlowStore(world.store)
        store.failures, store.error = 2, RuntimeError("a fault of ours")
        await outage(world)
        with capture_logs() as logged:
            async with running(world, store) as made:
                await until(lambda: made.is_read)
                assert kinds(made) == [EventKind.DOWN, EventKind.RECOVERED]
        assert [each["event"] for each in logged if each["log_level"] == "error"] == ["history_failed"] * 2


async def test_a_service_that_was_taken_out_is_not_well_meanwhile() -> None:
    """The carrier keeps it as it was; what nobody looked at counts as unknown when it is there again."""
    async with running_world() as world, running(world) as made:
        await until(lambda: made.is_read)
        settings = world.settings
        services = {name: each for name, each in settings.services.items() if name != "auth"}
        world.now += 10
        world.manager.use(msgspec.structs.replace(settings, services=services, features={}))
        before = made.history.uptime("auth", world.now).days[-1]
        world.now += 500
        await world.store.heartbeat("w", world.now, {"auth": world.now}, (await world.store.snapshot()).position)
        await until(lambda: world.manager.observed("auth").observed_at == world.now)
        world.manager.use(settings)
        assert world.manager.status("auth") is Status.UP
        after = made.history.uptime("auth", world.now + 20).days[-1]
        assert before is not None
        assert after == msgspec.structs.replace(before, unknown=500, up=before.up + 20)


async def test_a_new_epoch_takes_nothing_away() -> None:
    """The carrier forgot what was; the node did not."""
    async with running_world() as world, running(world) as made:
        await until(lambda: made.is_read)
        await outage(world)
        snapshot = await world.store.snapshot()
        await world.store.seed(
            Snapshot(services=snapshot.services),
            epoch="e2",
            worker="w",
            now=world.now,
            reason="test",
            replaces=snapshot.position,
        )
        await until(lambda: made.history.position.epoch == "e2")
        await until(lambda: made.is_read)
        await outage(world)
        assert kinds(made) == [EventKind.DOWN, EventKind.RECOVERED] * 2


async def test_an_override_is_heard_like_an_outage() -> None:
    """What is told in place of what is observed is what happened to users; the end comes with the end of it."""
    async with running_world() as world, running(world) as made:
        await until(lambda: made.is_read)
        await world.plan(PlanKind.OVERRIDE, Status.DOWN)
        await told(world, Status.DOWN)
        assert kinds(made) == [EventKind.DOWN]
        [incident] = made.history.incidents(["auth"])
        assert incident.is_open
