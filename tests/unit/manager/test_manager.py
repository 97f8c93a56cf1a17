"""The manager over the memory twin: answers at hand, changes in order, first-hand evidence."""

from __future__ import annotations

import asyncio

import structlog

from broadcaster.domain.admission import Verdict
from broadcaster.domain.model import EventKind, FeedState, PlanKind, Status
from broadcaster.domain.plans import GRACE, end
from broadcaster.manager.changes import Change, FeedChanged, PlanChanged, ServiceChanged, SnapshotReplaced
from broadcaster.store.base import Presence
from broadcaster.store.planning import change_plans
from tests.support.managers import SETTINGS, World, until


async def test_before_the_first_load_nothing_is_known() -> None:
    """Unknown is neither up nor a reason to refuse."""
    manager = World().manager
    assert not manager.is_loaded
    assert manager.status("auth") is Status.UNKNOWN
    assert manager.admit().verdict is Verdict.ACCEPT
    assert not await manager.wait_loaded(0.01)


async def test_a_transition_changes_the_answers_and_is_told(world: World) -> None:
    """Status, admission and features follow, and the change carries the picture before and after."""
    await world.commit("auth", Status.DOWN)
    await until(lambda: world.manager.status("auth") is Status.DOWN)
    assert world.manager.admit().verdict is Verdict.REJECT
    assert world.manager.features()["chat"].because == ("auth",)
    [change] = world.told(ServiceChanged)
    assert isinstance(change, ServiceChanged)
    assert (change.kind, change.local) == (EventKind.DOWN, False)
    assert (change.before.status("auth"), change.after.status("auth")) == (Status.UP, Status.DOWN)
    await world.commit("auth", Status.UP)
    await until(lambda: world.manager.admit().verdict is Verdict.ACCEPT)


async def test_losing_the_carrier_is_evidence_of_its_own(world: World) -> None:
    """The service that stands for the carrier is down at once, locally, and recovers when the carrier answers."""
    world.store.fail()
    await until(lambda: world.manager.feed_state is FeedState.LOST)
    assert world.manager.status("redis") is Status.DOWN
    assert world.manager.status("auth") is Status.UP
    assert world.manager.admit().blocking == ("redis",)
    world.store.heal()
    await until(lambda: world.manager.feed_state is not FeedState.LOST)
    assert world.manager.status("redis") is Status.UP
    kinds = [(each.kind, each.local) for each in world.changes if isinstance(each, ServiceChanged)]
    assert kinds == [(EventKind.DOWN, True), (EventKind.RECOVERED, True)]
    assert next(each.state for each in world.changes if isinstance(each, FeedChanged)) is FeedState.LOST


async def test_observations_that_expire_are_told_as_unknown(world: World) -> None:
    """Nobody looked at the service for long: it is unknown, and listeners get the whole picture again."""
    world.now += SETTINGS.services["auth"].expires_after + 1
    await until(lambda: bool(world.told(SnapshotReplaced)))
    assert world.manager.status("auth") is Status.UNKNOWN
    assert world.manager.admit().verdict is Verdict.ACCEPT


async def test_what_expired_during_an_outage_is_told_as_known_again(world: World) -> None:
    """The carrier was away so long that everything became unknown; when it is back, listeners hear all of it."""
    world.store.fail()
    await until(lambda: world.manager.feed_state is FeedState.LOST)
    world.now += SETTINGS.services["auth"].expires_after + 1
    await until(lambda: world.manager.status("auth") is Status.UNKNOWN)
    world.store.heal()
    position = (await world.store.snapshot()).position
    await world.store.heartbeat("w", world.now, dict.fromkeys(SETTINGS.services, world.now), position)
    world.changes.clear()
    await until(lambda: world.manager.status("auth") is Status.UP)
    told = [each.after for each in world.changes if isinstance(each, SnapshotReplaced)]
    assert told
    assert told[-1].status("auth") is Status.UP


async def test_one_listeners_bug_reaches_nobody_else(world: World) -> None:
    """An exception in a listener is logged; the others hear, and so does it next time."""
    heard: list[Change] = []

    def broken(change: Change) -> None:
        raise RuntimeError("a bug")

    world.manager.listen(broken)
    stop = world.manager.listen(heard.append)
    await world.commit("auth", Status.DOWN)
    await until(lambda: len(heard) == 1)
    stop()
    await world.commit("auth", Status.UP)
    await until(lambda: len(world.told(ServiceChanged)) == 2)
    assert len(heard) == 1


async def test_admission_is_judged_once_a_snapshot(world: World) -> None:
    """Asking a thousand times costs one judgement."""
    assert world.manager.admit() is world.manager.admit()


async def test_an_override_is_an_event_and_admits_or_refuses(world: World) -> None:
    """It is told as if the service had changed; what is observed meanwhile changes nothing of it; its end as well."""
    await world.plan(PlanKind.OVERRIDE, Status.DOWN)
    await until(lambda: world.manager.status("auth") is Status.DOWN)
    assert world.manager.admit().verdict is Verdict.REJECT
    assert world.manager.observed("auth").status is Status.UP
    await world.commit("auth", Status.DOWN)
    await world.commit("auth", Status.UP)
    await change_plans(world.store, "auth", lambda plans: end(plans, PlanKind.OVERRIDE), at=world.now, by="anna")
    await until(lambda: world.manager.status("auth") is Status.UP)
    assert world.manager.admit().verdict is Verdict.ACCEPT
    told = [each for each in world.changes if isinstance(each, ServiceChanged)]
    assert [each.kind for each in told] == [EventKind.DOWN, EventKind.DOWN, EventKind.RECOVERED, EventKind.RECOVERED]
    assert [each.after.status("auth") for each in told] == [Status.DOWN, Status.DOWN, Status.DOWN, Status.UP]


async def test_planned_work_is_news_and_no_event(world: World) -> None:
    await world.plan(PlanKind.MAINTENANCE)
    await until(lambda: bool(world.told(PlanChanged)))
    assert world.manager.state("auth").maintenance is not None
    assert world.told(ServiceChanged) == []


async def test_a_plan_that_no_worker_ends_ends_by_the_clock(world: World) -> None:
    """Listeners hear of it, and handshakes are admitted again."""
    await world.plan(PlanKind.OVERRIDE, Status.DOWN)
    await until(lambda: world.manager.status("auth") is Status.DOWN)
    world.now += 60 + GRACE + 0.1
    position = (await world.store.snapshot()).position
    await world.store.heartbeat("w", world.now, dict.fromkeys(SETTINGS.services, world.now), position)
    await until(lambda: world.manager.status("auth") is Status.UP)
    assert world.manager.admit().verdict is Verdict.ACCEPT
    assert world.told(SnapshotReplaced)


async def test_other_settings_are_known_and_told_once() -> None:
    """A worker and a node that use another file are named; agreement again ends it."""
    world = World()
    await world.seed()
    mine, other = Presence(shape=SETTINGS.shape), Presence(shape="another")
    await world.store.attend("alike", mine, within=60)
    await world.store.attend("node", other, within=60)
    await world.store.lease("worker", other, ttl=60, keep={}, release=[], claim=[])
    with structlog.testing.capture_logs() as logs:
        async with world.manager:
            await until(lambda: world.manager.differing == ("node", "worker"))
            for name in ("node", "worker"):
                await world.store.attend(name, None, within=60)
            await world.store.leave("worker", {}, {})
            world.manager.use(SETTINGS)
            await until(lambda: world.manager.differing == ())
    assert [each["event"] for each in logs if each["event"].startswith("settings_")] == [
        "settings_differ",
        "settings_agree",
    ]


async def test_the_end_takes_leave(world: World) -> None:
    await until_present(world, 1)
    await world.manager.__aexit__(None, None, None)
    await until_present(world, 0)


async def until_present(world: World, number: int) -> None:
    async with asyncio.timeout(10):
        while len((await world.store.attend("", None, within=60)).readers) != number:
            await asyncio.sleep(0.002)
