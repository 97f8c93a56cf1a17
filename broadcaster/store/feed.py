"""The reader's side of the carrier: one replica, kept current without a gap, that knows how fresh it is.

Joining (invariant 2): subscribe first, read the snapshot second, drop what is older than it, apply what is newer. The
other way round loses what is committed between the two.

Silence (invariant 3): workers announce heartbeats on the same channel as the news. After a quarter more than one
interval without any, the carrier itself is asked on another connection: no answer means it is lost; a heartbeat that
it had and we did not means that our subscription is mute; neither means that no worker is alive.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import AsyncGenerator, Mapping

import msgspec
import structlog

from broadcaster.config.settings import FeedSettings
from broadcaster.domain.errors import StoreError, StoreUnavailable
from broadcaster.domain.model import Entry, FeedState, PlanChange, Position, Snapshot, Transition
from broadcaster.domain.replica import Applied, Replica
from broadcaster.protocol.records import AnyRecord, HeartbeatRecord, PlanRecord, SeedRecord, TransitionRecord
from broadcaster.store.base import Reading, Store, Subscription

log = structlog.get_logger()

SILENCE = 1.25
"""Heartbeat intervals without a heartbeat after which the carrier is asked."""

BACKOFF = (0.1, 1.0)
"""Seconds before the first and, at most, before a later attempt to reach a lost carrier (full jitter)."""


RAPID = 2.0
"""Seconds: a connection that lasted longer is tried again at once."""


class Transitioned(msgspec.Struct, frozen=True, kw_only=True):
    """The next transition in the order: each comes exactly once."""

    transition: Transition
    before: Snapshot
    after: Snapshot


class Replanned(msgspec.Struct, frozen=True, kw_only=True):
    """The next change of plans in the order: each comes exactly once."""

    change: PlanChange
    before: Snapshot
    after: Snapshot


class Replaced(msgspec.Struct, frozen=True, kw_only=True):
    """The replica was loaded anew: the first time, for a new epoch, or over a gap that could not be replayed.

    ``previous`` has an empty epoch on the first load.
    """

    snapshot: Snapshot
    previous: Snapshot
    reason: str


class StateChanged(msgspec.Struct, frozen=True, kw_only=True):
    """The feed's freshness changed."""

    state: FeedState
    reason: str


Update = Transitioned | Replanned | Replaced | StateChanged


class Feed:
    """Follows a store. One consumer iterates ``updates()``; anybody may read the properties at any time.

    Without a heartbeat for ``settings.stale_after`` the feed is ``unwatched``.
    """

    def __init__(self, store: Store, settings: FeedSettings = FeedSettings()) -> None:  # noqa: B008 - it is frozen
        self._store = store
        self._interval = settings.heartbeat_interval
        self._stale_after = settings.stale_after
        self._loaded = False
        self._replica = Replica()
        self._state = FeedState.LOST
        self._announced = False
        self._heard_at = -math.inf  # monotonic time of the last heartbeat
        self._latencies: dict[str, tuple[float, float]] = {}

    def __repr__(self) -> str:
        return f"Feed({self._replica!r}, {self._state})"

    @property
    def snapshot(self) -> Snapshot:
        """The replica's snapshot, as far as it is known."""
        return self._replica.snapshot

    @property
    def position(self) -> Position:
        return self._replica.position

    @property
    def state(self) -> FeedState:
        """``lost`` until the first load."""
        return self._state

    @property
    def is_loaded(self) -> bool:
        """Whether the carrier has been read at least once (it may have been empty)."""
        return self._loaded

    @property
    def age(self) -> float:
        """Seconds since a worker was last heard, by way of the carrier; infinite while none ever was. Safe to be asked
        for from another thread."""
        return max(0.0, time.monotonic() - self._heard_at)

    @property
    def latencies(self) -> Mapping[str, tuple[float, float]]:
        """For each service the last probe that was heard of: when it ended (Unix seconds), and the seconds it took."""
        return self._latencies

    async def updates(self) -> AsyncGenerator[Update, None]:
        """Follows the feed without end, reconnecting by itself; close the generator to stop.

        Never raises StoreError. What a slow consumer has not taken yet waits in the connection: take updates promptly.
        """
        loop = asyncio.get_running_loop()
        attempt = 0
        while True:
            began = loop.time()
            try:
                async with self._store.subscribe() as subscription:
                    async for update in self._join():
                        yield update
                    async for update in self._follow(subscription):
                        yield update
            except StoreError as error:
                # A subscription that broke may be back at once, and then nobody need hear of it.
                lost_already = self._announced and self._state is FeedState.LOST
                if not isinstance(error, _Interrupted) and not lost_already:
                    yield self._become(FeedState.LOST, str(error))
                attempt = 0 if loop.time() - began > RAPID else min(attempt + 1, 10)
            if attempt:
                first, most = BACKOFF
                await asyncio.sleep(random.uniform(0, min(most, first * 2**attempt)))  # noqa: S311

    async def _join(self) -> AsyncGenerator[Update, None]:
        reading = await self._store.read()
        fresh = reading.heartbeat_age is not None and reading.heartbeat_age <= self._stale_after
        if reading.heartbeat_age is not None:
            self._heard_at = max(self._heard_at, time.monotonic() - reading.heartbeat_age)
        if self._loaded:
            async for update in self._catch_up(reading.snapshot):
                yield update
        else:
            previous = self._replica.snapshot
            self._replica.load(reading.snapshot)
            self._loaded = True
            yield Replaced(snapshot=reading.snapshot, previous=previous, reason="first")
        state = FeedState.LIVE if fresh else FeedState.UNWATCHED
        if state is not self._state:
            yield self._become(state, "connected" if fresh else "no worker is heard")

    async def _catch_up(self, snapshot: Snapshot) -> AsyncGenerator[Update, None]:
        """Brings the replica to ``snapshot`` or beyond: by replay where possible, so that no transition is skipped."""
        mine = self._replica.position
        if mine.epoch and not snapshot.position.epoch:
            return  # empty is not news: a worker is about to seed it with what is known
        if snapshot.position == mine:
            self._replica.load(snapshot)  # the same states, newer times of observation
            return
        if mine.epoch and mine.epoch == snapshot.position.epoch and mine.revision < snapshot.position.revision:
            missed = await self._store.replay(mine)
            if missed is not None:
                for entry in missed:
                    for update in self._apply(entry):
                        yield update
                self._replica.observe(
                    {n: s.observed_at for n, s in snapshot.services.items() if s.observed_at is not None}
                )
                return
        previous = self._replica.snapshot
        self._replica.load(snapshot)
        yield Replaced(snapshot=snapshot, previous=previous, reason=_why_replaced(mine, snapshot.position))

    async def _follow(self, subscription: Subscription) -> AsyncGenerator[Update, None]:
        asked_at = time.monotonic()
        while True:
            quiet_since = max(self._heard_at, asked_at)
            record = await _next(subscription, max(0.01, quiet_since + SILENCE * self._interval - time.monotonic()))
            if record is not None:
                async for update in self._take(record):
                    yield update
                continue
            # Nothing came; but records other than heartbeats may have kept us busy past the time: ask all the same.
            asked_at = time.monotonic()
            reading = await self._ask()
            age, its = reading.heartbeat_age, reading.snapshot.position
            if (age is not None and age < self._interval) or (its.epoch and its != self._replica.position):
                raise _Interrupted("the subscription is mute")
            if self._state is FeedState.LIVE and self.age >= self._stale_after:
                yield self._become(FeedState.UNWATCHED, "no worker is heard")

    async def _ask(self) -> Reading:
        """Reads within half an interval, or the carrier is lost.

        A loop that was busy elsewhere past the deadline did not give the answer a chance: then it asks once more.
        """
        loop, limit = asyncio.get_running_loop(), max(0.25, self._interval / 2)
        may_ask_again = True
        while True:
            started = loop.time()
            try:
                async with asyncio.timeout(limit):
                    return await self._store.read()
            except (TimeoutError, StoreUnavailable) as error:
                was_stalled = loop.time() - started > 1.5 * limit
                if not (was_stalled and may_ask_again):
                    raise StoreUnavailable(str(error) or "the carrier does not answer") from error
                may_ask_again = False

    async def _take(self, record: AnyRecord) -> AsyncGenerator[Update, None]:
        match record:
            case TransitionRecord() | PlanRecord():
                entry = record.entry()
                if entry.position.epoch == self._replica.position.epoch and (
                    entry.position.revision <= self._replica.position.revision + 1
                ):
                    for update in self._apply(entry):
                        yield update
                    return
                async for update in self._resync():
                    yield update
            case HeartbeatRecord():
                if self._replica.is_behind(Position(record.epoch, record.revision)):
                    async for update in self._resync():
                        yield update
                self._replica.observe(record.observed)
                for service, seconds in record.latencies.items():
                    self._latencies[service] = record.observed.get(service, record.at), seconds
                self._heard_at = time.monotonic()
                if self._state is not FeedState.LIVE:
                    yield self._become(FeedState.LIVE, "a worker is heard")
            case SeedRecord():
                async for update in self._resync():
                    yield update

    def _apply(self, entry: Entry) -> list[Update]:
        before = self._replica.snapshot
        if self._replica.apply(entry) is not Applied.APPLIED:
            return []
        after = self._replica.snapshot
        if isinstance(entry, PlanChange):
            return [Replanned(change=entry, before=before, after=after)]
        return [Transitioned(transition=entry, before=before, after=after)]

    async def _resync(self) -> AsyncGenerator[Update, None]:
        """A gap or a new epoch. What is read is at least as new as the record that showed it."""
        reading = await self._store.read()
        async for update in self._catch_up(reading.snapshot):
            yield update

    def _become(self, state: FeedState, reason: str) -> StateChanged:
        self._state = state
        self._announced = True
        log.info("feed_state", state=state.value, reason=reason, position=str(self._replica.position))
        return StateChanged(state=state, reason=reason)


class _Interrupted(StoreUnavailable):
    """A subscription that worked broke; the carrier may be fine."""


async def _next(subscription: Subscription, timeout: float) -> AnyRecord | None:
    try:
        return await subscription.next(timeout)
    except StoreUnavailable as error:
        raise _Interrupted(str(error)) from error


def _why_replaced(mine: Position, its: Position) -> str:
    if mine.epoch != its.epoch:
        return "new epoch"
    return "gap" if its.revision > mine.revision else "rewound"
