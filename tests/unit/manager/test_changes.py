"""How an application hears of changes: streams, handlers, and waiting for a status."""

from __future__ import annotations

import asyncio
import gc
import itertools
from typing import Any

import pytest
import structlog

from broadcaster.domain.model import EventKind, FeedState, Snapshot, Status
from broadcaster.manager.changes import (
    MOST_PENDING,
    Change,
    ChangeStream,
    FeedChanged,
    Listeners,
    ServiceChanged,
    SnapshotReplaced,
)
from tests.support.managers import World, until


async def test_a_stream_has_all_that_came_since_it_was_made(world: World) -> None:
    """Also what happened before the first look, and in order."""
    async with world.manager.changes() as changes:
        await world.commit("auth", Status.DOWN)
        await until(lambda: world.manager.status("auth") is Status.DOWN)
        await world.commit("auth", Status.UP)
        async with asyncio.timeout(10):
            found = [await anext(changes), await anext(changes)]
    assert [each.kind for each in found if isinstance(each, ServiceChanged)] == [EventKind.DOWN, EventKind.RECOVERED]


async def test_a_stream_that_is_closed_ends_after_what_is_pending(world: World) -> None:
    changes = world.manager.changes()
    await world.commit("auth", Status.DOWN)
    await until(lambda: world.manager.status("auth") is Status.DOWN)
    await changes.aclose()
    await world.commit("auth", Status.UP)
    await until(lambda: world.manager.status("auth") is Status.UP)
    assert [type(each) async for each in changes] == [ServiceChanged]


async def test_whoever_waits_on_a_stream_is_woken_by_its_end(world: World) -> None:
    changes = world.manager.changes()
    waiting = asyncio.ensure_future(anext(changes, None))
    await asyncio.sleep(0)
    await changes.aclose()
    async with asyncio.timeout(10):
        assert await waiting is None


async def test_cancelling_an_iteration_loses_nothing(world: World) -> None:
    async with world.manager.changes() as changes:
        waiting = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        waiting.cancel()
        await world.commit("auth", Status.DOWN)
        async with asyncio.timeout(10):
            found = await anext(changes)
    assert isinstance(found, ServiceChanged)


async def test_a_consumer_that_falls_behind_gets_one_picture_in_place_of_all() -> None:
    """From before the first change that it did not take to the present."""
    listeners, present = Listeners(), Snapshot()
    stream = ChangeStream(listeners, lambda: present)
    snapshots = [Snapshot() for _ in range(MOST_PENDING + 5)]
    told: list[Change] = [FeedChanged(state=FeedState.LIVE, reason="")]
    told += [
        SnapshotReplaced(before=before, after=after, reason="test") for before, after in itertools.pairwise(snapshots)
    ]
    for each in told:
        listeners.tell(each)
    found = await anext(stream)
    assert isinstance(found, SnapshotReplaced)
    assert found.before is snapshots[0]
    assert found.after is present
    assert found.reason == "fell behind"
    listeners.tell(told[0])
    assert await anext(stream) is told[0]


async def test_waiting_for_a_status_that_is_there_takes_no_time(world: World) -> None:
    assert (await world.manager.wait_until("auth", "up", timeout=0)).status is Status.UP


async def test_waiting_for_a_status_ends_when_it_comes(world: World) -> None:
    """Any number may wait; one that is cancelled disturbs nobody."""
    waiting = [asyncio.ensure_future(world.manager.wait_until("auth", "down")) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await world.commit("auth", Status.DOWN)
    async with asyncio.timeout(10):
        states = await asyncio.gather(*waiting[1:])
    assert [state.status for state in states] == [Status.DOWN] * 2


async def test_waiting_has_an_end(world: World) -> None:
    with pytest.raises(TimeoutError):
        await world.manager.wait_until("auth", "down", timeout=0.01)


@pytest.mark.parametrize(("service", "status"), [("nobody", "up"), ("auth", "fine")])
async def test_waiting_for_what_there_is_not_is_refused(world: World, service: str, status: str) -> None:
    with pytest.raises(ValueError, match=service if service == "nobody" else status):
        await world.manager.wait_until(service, status)  # type: ignore[arg-type]


@pytest.mark.parametrize("requires", ["auth", [["auth"]]])
async def test_services_are_named_one_by_one(world: World, requires: Any) -> None:
    """A forgotten comma is found, whatever the service's letters are."""
    with pytest.raises(TypeError, match="auth"):
        world.manager.admit(requires=requires)


async def test_handlers_hear_what_they_asked_for(world: World) -> None:
    """By event and service; coroutines run as tasks of the manager."""
    heard: list[str] = []

    @world.manager.on(event="recovered", service="auth")
    async def recovered(change: ServiceChanged) -> None:
        heard.append(f"recovered {change.service}")

    @world.manager.on(event=EventKind.DOWN)
    def down(change: ServiceChanged) -> None:
        heard.append(f"down {change.service}")

    for service in ("auth", "redis"):
        await world.commit(service, Status.DOWN)
    await world.commit("redis", Status.UP)
    await world.commit("auth", Status.UP)
    await until(lambda: "recovered auth" in heard)
    assert heard == ["down auth", "down redis", "recovered auth"]


async def test_a_handler_that_fails_disturbs_nobody(world: World) -> None:
    """Its error is logged with its name."""

    @world.manager.on()
    async def broken(change: ServiceChanged) -> None:
        raise RuntimeError("mine")

    with structlog.testing.capture_logs() as logs:
        await world.commit("auth", Status.DOWN)
        await until(lambda: any(each["event"] == "handler_failed" for each in logs))
    [failed] = [each for each in logs if each["event"] == "handler_failed"]
    assert "broken" in failed["handler"]


async def test_handlers_end_with_the_manager() -> None:
    """One that is under way is cancelled, and waited for."""
    world = World()
    await world.seed()
    begun, ended = asyncio.Event(), asyncio.Event()
    async with world.manager:
        assert await world.manager.wait_loaded(5)

        @world.manager.on()
        async def slow(change: ServiceChanged) -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        await world.commit("auth", Status.DOWN)
        async with asyncio.timeout(10):
            await begun.wait()
    assert ended.is_set()


@pytest.mark.parametrize("wrong", [{"event": "gone"}, {"service": "nobody"}])
async def test_a_handler_for_what_there_is_not_is_refused(world: World, wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong.values()))):
        world.manager.on(**wrong)  # type: ignore[arg-type]


async def test_a_stream_that_nobody_holds_is_gone() -> None:
    """It takes nothing more, though it was never closed."""
    listeners = Listeners()
    stream = ChangeStream(listeners, Snapshot)
    assert repr(listeners) == "Listeners(1)"
    del stream
    gc.collect()
    assert repr(listeners) == "Listeners(0)"


async def test_streams_end_with_the_manager() -> None:
    """Whoever waits for a status then hears of it."""
    world = World()
    await world.seed()
    async with world.manager:
        assert await world.manager.wait_loaded(5)
        changes = world.manager.changes()
        waiting = asyncio.create_task(world.manager.wait_until("auth", "down"))
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        assert isinstance([each async for each in changes], list)
        with pytest.raises(RuntimeError, match="left"):
            await waiting


async def test_a_status_that_was_there_for_a_moment_is_not_missed(world: World) -> None:
    waiting = asyncio.create_task(world.manager.wait_until("auth", "down"))
    await asyncio.sleep(0)
    await world.commit("auth", Status.DOWN)
    await world.commit("auth", Status.UP)
    async with asyncio.timeout(10):
        assert (await waiting).status is Status.DOWN
