"""The feed over the memory twin, whose carrier fails on command: what a reader sees of every failure."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Self

import pytest

from broadcaster.config.settings import Duration, FeedSettings
from broadcaster.domain.detection import Decision
from broadcaster.domain.model import EventKind, FeedState, Position, ServiceState, Snapshot, Status
from broadcaster.store.base import Outcome, Reading
from broadcaster.store.feed import Feed, Replaced, StateChanged, Transitioned, Update
from broadcaster.store.memory import MemoryStore

BEAT = 0.04
SETTINGS = FeedSettings(heartbeat_interval=Duration(BEAT), stale_after=Duration(0.3))


class Reader:
    """Collects a feed's updates, and waits for what a test expects of them."""

    def __init__(self, store: MemoryStore) -> None:
        self.feed = Feed(store, SETTINGS)
        self.updates: list[Update] = []
        self._more = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def run(self) -> None:
        async with aclosing(self.feed.updates()) as updates:
            async for update in updates:
                self.updates.append(update)
                self._more.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self._more.clear()
                await self._more.wait()

    @property
    def revisions(self) -> list[int]:
        return [each.transition.position.revision for each in self.updates if isinstance(each, Transitioned)]

    @property
    def states(self) -> list[FeedState]:
        return [each.state for each in self.updates if isinstance(each, StateChanged)]

    @property
    def reasons(self) -> list[str]:
        return [each.reason for each in self.updates if isinstance(each, Replaced)]


class Writer:
    """A worker's heartbeats and commits."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self._number = 0

    async def seed(self, epoch: str, *services: str) -> None:
        states = {each: ServiceState(service=each, status=Status.UP, since=1, revision=1) for each in services}
        written = await self.store.seed(
            Snapshot(services=states),
            epoch=epoch,
            worker="w",
            now=1,
            reason="test",
            replaces=(await self.store.snapshot()).position,
        )
        assert written.outcome is Outcome.DONE

    async def commit(self, service: str = "auth", status: Status = Status.DOWN) -> None:
        self._number += 1
        snapshot = await self.store.snapshot()
        decision = Decision(
            service=service, kind=EventKind.DOWN, previous=Status.UP, status=status, at=float(self._number)
        )
        written = await self.store.commit(
            decision,
            commit=f"c{self._number}",
            expected_revision=snapshot.state(service).revision,
            known=snapshot.position,
        )
        assert written.outcome is Outcome.DONE

    async def beat(self) -> None:
        await self.store.heartbeat("w", 1.0, {}, (await self.store.snapshot()).position)

    @asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        async def beats() -> None:
            while True:
                await self.beat()
                await asyncio.sleep(BEAT)

        task = asyncio.create_task(beats())
        try:
            yield
        finally:
            task.cancel()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def writer(store: MemoryStore) -> Writer:
    return Writer(store)


async def test_a_late_joiner_gets_the_snapshot_and_then_every_transition(store: MemoryStore, writer: Writer) -> None:
    """What was committed before comes as one snapshot, what comes after as transitions in order."""
    await writer.seed("e1", "auth")
    await writer.commit()
    async with Reader(store) as reader, writer.beating():
        await reader.until(lambda: reader.feed.position == Position("e1", 2))
        for _ in range(5):
            await writer.commit()
        await reader.until(lambda: len(reader.revisions) == 5)
    assert reader.revisions == [3, 4, 5, 6, 7]
    assert reader.reasons == ["first"]
    assert reader.feed.snapshot == await writer.store.snapshot()


async def test_what_is_committed_between_subscribing_and_reading_comes_once() -> None:
    """A transition that is on the channel and in the snapshot as well is applied once, and the next one too."""

    class Racing(MemoryStore):
        """Somebody commits after the reader subscribed, before it reads."""

        raced = False

        async def read(self) -> Reading:
            if not self.raced:
                self.raced = True
                await Writer(self).commit()
            return await super().read()

    store = Racing()
    writer = Writer(store)
    await store.seed(Snapshot(), epoch="e1", worker="w", now=1, reason="test", replaces=Position())
    async with Reader(store) as reader:
        await reader.until(lambda: reader.feed.position == Position("e1", 1))
        await writer.commit("chat")
        await reader.until(lambda: reader.feed.position == Position("e1", 2))
    assert reader.reasons == ["first"]
    assert reader.revisions == [2]


async def test_heartbeats_make_the_feed_live_and_silence_unwatched(store: MemoryStore, writer: Writer) -> None:
    """No worker: unwatched. A worker: live. The worker dies: unwatched again, without losing the carrier."""
    await writer.seed("e1", "auth")
    async with Reader(store) as reader:
        await reader.until(lambda: reader.states == [FeedState.UNWATCHED])
        async with writer.beating():
            await reader.until(lambda: reader.states[-1:] == [FeedState.LIVE])
        await reader.until(lambda: len(reader.states) == 3)
    assert reader.states == [FeedState.UNWATCHED, FeedState.LIVE, FeedState.UNWATCHED]
    assert reader.reasons == ["first"]


async def test_a_carrier_that_was_away_is_replayed(store: MemoryStore, writer: Writer) -> None:
    """Transitions that were committed while the reader was cut off come afterwards, each once and in order."""
    await writer.seed("e1", "auth")
    async with Reader(store) as reader:
        async with writer.beating():
            await reader.until(lambda: FeedState.LIVE in reader.states)
        store.fail()
        await reader.until(lambda: reader.states[-1] is FeedState.LOST)
        store.heal()
        for _ in range(3):
            await writer.commit()
        async with writer.beating():
            await reader.until(lambda: reader.states[-1] is FeedState.LIVE and len(reader.revisions) == 3)
    assert reader.revisions == [2, 3, 4]
    assert reader.reasons == ["first"]


async def test_an_interruption_that_heals_at_once_is_not_announced(store: MemoryStore, writer: Writer) -> None:
    """A broken subscription whose carrier answers is renewed silently, and nothing is missed."""
    await writer.seed("e1", "auth")
    async with Reader(store) as reader, writer.beating():
        await reader.until(lambda: FeedState.LIVE in reader.states)
        store.fail()
        store.heal()
        await writer.commit()
        await reader.until(lambda: reader.revisions == [2])
    assert FeedState.LOST not in reader.states


async def test_a_mute_subscription_is_found_and_renewed(store: MemoryStore, writer: Writer) -> None:
    """Connected but deaf: the heartbeat that the carrier had and the reader did not gives it away."""
    await writer.seed("e1", "auth")
    async with Reader(store) as reader, writer.beating():
        await reader.until(lambda: FeedState.LIVE in reader.states)
        store.mute()
        await writer.commit()
        store.heal()
        await reader.until(lambda: reader.revisions == [2])
    assert FeedState.LOST not in reader.states


async def test_a_loop_that_was_busy_elsewhere_is_no_evidence(writer: Writer) -> None:
    """Work that blocks the loop past the deadline must not make a healthy carrier look lost."""

    class Busy(MemoryStore):
        reads = 0

        async def read(self) -> Reading:
            self.reads += 1
            if self.reads == 2:
                time.sleep(0.5)  # what is tested: nothing else runs meanwhile
                await asyncio.sleep(0.001)
            return await super().read()

    store = writer.store = Busy()
    await store.seed(Snapshot(), epoch="e1", worker="w", now=1, reason="test", replaces=Position())
    async with Reader(store) as reader:
        await reader.until(lambda: FeedState.UNWATCHED in reader.states)
        async with asyncio.timeout(10):
            while store.reads < 4:
                await asyncio.sleep(0.01)
    assert FeedState.LOST not in reader.states


async def test_a_lost_message_is_noticed_by_the_next_heartbeat(store: MemoryStore, writer: Writer) -> None:
    """Tail loss: the last transition never arrived; the heartbeat's position says so, the stream has it."""
    await writer.seed("e1", "auth")
    async with Reader(store) as reader:
        await writer.beat()
        await reader.until(lambda: FeedState.UNWATCHED in reader.states or FeedState.LIVE in reader.states)
        with store.losing():
            await writer.commit()
        await writer.beat()
        await reader.until(lambda: reader.revisions == [2])
    assert reader.reasons == ["first"]


async def test_a_gap_that_cannot_be_replayed_loads_the_snapshot() -> None:
    """With the stream trimmed beyond what was missed the replica is replaced, and says why."""
    store = MemoryStore(stream_length=1)
    writer = Writer(store)
    await writer.seed("e1", "auth")
    async with Reader(store) as reader:
        await reader.until(lambda: reader.reasons == ["first"])
        with store.losing():
            for _ in range(3):
                await writer.commit()
        await writer.beat()
        await reader.until(lambda: reader.reasons == ["first", "gap"])
    assert reader.feed.position == Position("e1", 4)


@pytest.mark.parametrize("announced", [True, False])
async def test_a_new_epoch_replaces_the_replica(store: MemoryStore, writer: Writer, announced: bool) -> None:
    """A carrier that came back empty and was seeded anew is a new order; also when its announcement was missed."""
    await writer.seed("e1", "auth")
    async with Reader(store) as reader:
        await reader.until(lambda: reader.reasons == ["first"])
        with contextlib.nullcontext() if announced else store.losing():
            store.wipe()
            await writer.seed("e2", "auth", "chat")
        await writer.beat()
        await reader.until(lambda: len(reader.reasons) == 2)
    assert reader.reasons == ["first", "new epoch"]
    assert reader.feed.position == Position("e2", 2)


async def test_an_empty_carrier_takes_nothing_away(store: MemoryStore, writer: Writer) -> None:
    """A carrier that came back empty says nothing new: what is known stays until it is seeded."""
    await writer.seed("e1", "auth")
    async with Reader(store) as reader:
        await reader.until(lambda: reader.reasons == ["first"])
        store.fail()
        await reader.until(lambda: reader.states[-1] is FeedState.LOST)
        store.wipe()
        store.heal()
        await reader.until(lambda: reader.states[-1] is FeedState.UNWATCHED)
        assert reader.feed.snapshot.status("auth") is Status.UP
        await writer.seed("e2", "auth", "chat")
        await reader.until(lambda: reader.reasons == ["first", "new epoch"])
    assert reader.feed.position == Position("e2", 2)


async def test_a_rewound_carrier_is_believed(store: MemoryStore, writer: Writer) -> None:
    """A carrier that lost its tail says less than the reader knew: what it holds is the truth."""
    await writer.seed("e1")
    for _ in range(3):
        await writer.commit()
    async with Reader(store) as reader:
        await reader.until(lambda: reader.feed.position == Position("e1", 3))
        store.rewind(1)
        await writer.beat()
        await reader.until(lambda: len(reader.reasons) == 2)
    assert reader.reasons == ["first", "rewound"]
    assert reader.feed.position == Position("e1", 2)


async def test_a_carrier_that_is_absent_from_the_start_is_announced(store: MemoryStore, writer: Writer) -> None:
    """A reader that never reached the carrier says lost, once, and loads when it comes."""
    store.fail()
    async with Reader(store) as reader:
        await reader.until(lambda: reader.states == [FeedState.LOST])
        assert not reader.feed.is_loaded
        store.heal()
        await writer.seed("e1", "auth")
        await reader.until(lambda: reader.feed.position == Position("e1", 1))
    assert reader.states.count(FeedState.LOST) == 1
