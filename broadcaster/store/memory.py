"""The store's twin in memory: the same promises within one process, and a carrier that fails on command.

For tests and single-process use. ``fail``, ``heal``, ``mute``, ``losing``, ``wipe`` and ``rewind`` do to it what
happens to a Redis.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import MappingProxyType

import msgspec

from broadcaster.domain.detection import Decision, DetectorState
from broadcaster.domain.errors import StoreUnavailable
from broadcaster.domain.evidence import Report
from broadcaster.domain.model import Entry, Position, ServiceState, Snapshot
from broadcaster.domain.plans import PlanDecision
from broadcaster.domain.quorum import Vote
from broadcaster.protocol.records import (
    AnyRecord,
    HeartbeatRecord,
    SeedRecord,
    StateRecord,
)
from broadcaster.store.base import Attendance, Fence, Grant, Leased, Outcome, Presence, Reading, Subscription, Written
from broadcaster.store.bodies import entry_record


class MemoryStore:
    """``clock`` is the carrier's own clock in Unix seconds."""

    def __init__(self, *, stream_length: int = 10_000, clock: Callable[[], float] = time.time) -> None:
        self._stream_length = stream_length
        self._clock = clock
        self._position = Position()
        self._states: dict[str, StateRecord] = {}
        self._observed: dict[str, float] = {}
        self._stream: list[Entry] = []
        self._heartbeat_at: float | None = None
        self._workers: dict[str, tuple[float, Presence]] = {}
        self._readers: dict[str, tuple[float, Presence]] = {}
        self._leases: dict[str, tuple[int, str]] = {}
        self._detection: dict[str, DetectorState] = {}
        self._votes: dict[str, dict[str, Vote]] = {}
        self._evidence: deque[tuple[int, Report]] = deque(maxlen=1000)
        self._last_report = 0
        self._reported = asyncio.Event()
        self._last_token = 0
        self._subscriptions: set[_MemorySubscription] = set()
        self._failing = False
        self._muted = False

    def __repr__(self) -> str:
        return f"MemoryStore({self._position})"

    # What happens to a carrier.

    def fail(self) -> None:
        """The carrier goes away: calls fail, subscriptions break."""
        self._failing = True
        for each in list(self._subscriptions):
            each.interrupt()

    def heal(self) -> None:
        """It is back, with everything it held; muted subscriptions stay mute."""
        self._failing = False
        self._muted = False

    def mute(self) -> None:
        """Subscriptions stay connected and hear nothing any more, as after a failover."""
        self._muted = True
        self._subscriptions.clear()

    @contextlib.contextmanager
    def losing(self) -> Iterator[None]:
        """What is published in this block reaches nobody, and nobody notices."""
        kept, self._subscriptions = self._subscriptions, set()
        yield
        self._subscriptions = kept

    def wipe(self) -> None:
        """It loses everything it held."""
        self._position = Position()
        self._states.clear()
        self._observed.clear()
        self._stream.clear()
        self._heartbeat_at = None
        self._workers.clear()
        self._readers.clear()
        self._leases.clear()
        self._detection.clear()
        self._votes.clear()
        self._evidence.clear()
        self._last_token = 0

    def rewind(self, transitions: int) -> None:
        """It loses its last transitions, as after a crash with an unwritten tail. At least one must be left."""
        kept = self._stream[:-transitions]
        self._states = {name: state for name, state in self._states.items() if state.revision <= len(kept)}
        self._stream = kept
        self._position = kept[-1].position

    # What a store promises.

    async def read(self) -> Reading:
        self._reach()
        names = [*self._states, *(name for name in self._observed if name not in self._states)]
        services = {
            name: (
                self._states[name].state(name, self._observed.get(name))
                if name in self._states
                else ServiceState(service=name, observed_at=self._observed[name])
            )
            for name in names
        }
        age = None if self._heartbeat_at is None else max(0.0, self._clock() - self._heartbeat_at)
        return Reading(snapshot=Snapshot(position=self._position, services=services), heartbeat_age=age)

    async def snapshot(self) -> Snapshot:
        """The snapshot alone; see ``read``."""
        return (await self.read()).snapshot

    async def commit(
        self,
        decision: Decision | PlanDecision,
        *,
        commit: str,
        expected_revision: int,
        known: Position,
        fence: Fence | None = None,
    ) -> Written:
        self._reach()
        held = self._states.get(decision.service)
        state = held.state(decision.service, None) if held else None
        if not self._position.epoch:
            return Written(outcome=Outcome.UNSEEDED)
        if held and held.commit == commit:
            there = Position(self._position.epoch, held.revision)
            return Written(outcome=Outcome.REPEATED, position=there, state=state)
        if self._position.epoch != known.epoch:
            return Written(outcome=Outcome.OTHER_EPOCH, position=self._position)
        if self._position.revision < known.revision:
            return Written(outcome=Outcome.REWOUND, position=self._position)
        if (held.revision if held else 0) != expected_revision:
            return Written(outcome=Outcome.CONFLICT, position=self._position, state=state)
        if fence is not None and not (
            self._is_alive(fence.worker, fence.ttl)
            and self._leases.get(decision.service) == (fence.token, fence.worker)
        ):
            return Written(outcome=Outcome.UNLEASED, position=self._position, state=state)
        self._position = Position(self._position.epoch, self._position.revision + 1)
        record = entry_record(decision, self._position)
        after = record.entry().state(state or ServiceState(service=decision.service))
        after = msgspec.structs.replace(after, plans=decision.plans)
        self._states[decision.service] = _held(after, self._position.revision, commit)
        if isinstance(decision, Decision):
            self._observed[decision.service] = decision.at
        self._stream = [*self._stream, record.entry()][-self._stream_length :]
        self._publish(record)
        return Written(outcome=Outcome.DONE, position=self._position)

    async def heartbeat(
        self,
        worker: str,
        now: float,
        observed: Mapping[str, float],
        known: Position,
        latencies: Mapping[str, float] = MappingProxyType({}),
    ) -> Written:
        self._reach()
        if not self._position.epoch:
            return Written(outcome=Outcome.UNSEEDED)
        same = self._position.epoch == known.epoch
        if same and self._position.revision < known.revision:
            return Written(outcome=Outcome.REWOUND, position=self._position)
        self._heartbeat_at = self._clock()
        self._observed.update(observed)
        self._publish(
            HeartbeatRecord(
                epoch=self._position.epoch,
                revision=self._position.revision,
                worker=worker,
                at=now,
                observed=dict(observed),
                latencies=dict(latencies),
            )
        )
        return Written(outcome=Outcome.DONE if same else Outcome.OTHER_EPOCH, position=self._position)

    async def lease(
        self,
        worker: str,
        presence: Presence,
        *,
        ttl: float,
        keep: Mapping[str, DetectorState],
        release: Collection[str],
        claim: Collection[str],
    ) -> Leased:
        self._reach()
        was_alive = self._is_alive(worker, ttl)
        self._workers[worker] = (self._clock(), presence)
        for service, state in keep.items():
            if self._owner(service) == worker:
                self._detection[service] = state
        for service in release:
            if self._owner(service) == worker:
                del self._leases[service]
        grants = {}
        for service in claim:
            owner = self._owner(service)
            if not owner or (owner != worker and not self._is_alive(owner, ttl)):
                self._last_token += 1
                self._leases[service] = (self._last_token, worker)
            token = self._leases[service][0] if self._owner(service) == worker else None
            grants[service] = Grant(token=token, owner=owner, state=self._detection.get(service))
        peers = {name: its for name, (_, its) in self._workers.items() if name != worker and self._is_alive(name, ttl)}
        return Leased(was_alive=was_alive, peers=peers, grants=grants)

    async def leave(self, worker: str, held: Mapping[str, int], states: Mapping[str, DetectorState]) -> None:
        self._reach()
        self._workers.pop(worker, None)
        for service, token in held.items():
            if self._leases.get(service) == (token, worker):
                del self._leases[service]
                if service in states:
                    self._detection[service] = states[service]

    async def attend(self, reader: str, presence: Presence | None, *, within: float) -> Attendance:
        self._reach()
        now = self._clock()
        if reader and presence is not None:
            self._readers[reader] = (now, presence)
        elif reader:
            self._readers.pop(reader, None)
        return Attendance(
            workers={name: its for name, (at, its) in self._workers.items() if now - at <= within},
            readers={name: its for name, (at, its) in self._readers.items() if now - at <= within},
        )

    async def vote(self, worker: str, votes: Mapping[str, Vote | None]) -> None:
        self._reach()
        for service, vote in votes.items():
            if vote is None:
                self._votes.get(service, {}).pop(worker, None)
            else:
                self._votes.setdefault(service, {})[worker] = vote

    async def votes(self, services: Collection[str]) -> dict[str, tuple[Vote, ...]]:
        self._reach()
        return {service: tuple(self._votes.get(service, {}).values()) for service in services}

    async def report(self, reports: Collection[Report]) -> None:
        self._reach()
        for each in reports:
            self._last_report += 1
            self._evidence.append((self._last_report, each))
        self._reported.set()
        self._reported = asyncio.Event()

    async def reports(self, after: str, timeout: float) -> tuple[str, tuple[Report, ...]]:
        self._reach()
        if not after:
            return str(self._last_report), ()
        if self._last_report <= int(after):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._reported.wait()
            self._reach()
        return str(self._last_report), tuple(each for number, each in self._evidence if number > int(after))

    async def seed(
        self, snapshot: Snapshot, *, epoch: str, worker: str, now: float, reason: str, replaces: Position
    ) -> Written:
        self._reach()
        if self._position != replaces:
            return Written(outcome=Outcome.CONFLICT, position=self._position)
        self._states.clear()
        self._observed.clear()
        self._stream.clear()
        self._heartbeat_at = None
        for revision, (name, state) in enumerate(snapshot.services.items(), start=1):
            self._states[name] = _held(state, revision, f"seed:{epoch}:{name}")
            if state.observed_at is not None:
                self._observed[name] = state.observed_at
        self._position = Position(epoch, len(self._states))
        self._publish(SeedRecord(epoch=epoch, revision=self._position.revision, worker=worker, at=now, reason=reason))
        return Written(outcome=Outcome.DONE, position=self._position)

    async def replay(self, after: Position) -> list[Entry] | None:
        self._reach()
        if after.epoch != self._position.epoch:
            return None
        found = [each for each in self._stream if each.position.revision > after.revision]
        revisions = [each.position.revision for each in found]
        complete = revisions == list(range(after.revision + 1, self._position.revision + 1))
        return found if complete else None

    async def history(self, limit: int = 1000) -> list[Entry]:
        self._reach()
        return self._stream[-limit:]

    def subscribe(self) -> AbstractAsyncContextManager[Subscription]:
        return self._subscribed()

    async def aclose(self) -> None:
        pass

    @asynccontextmanager
    async def _subscribed(self) -> AsyncIterator[Subscription]:
        self._reach()
        subscription = _MemorySubscription()
        if not self._muted:
            self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def _owner(self, service: str) -> str:
        return self._leases.get(service, (0, ""))[1]

    def _is_alive(self, worker: str, ttl: float) -> bool:
        return worker in self._workers and self._clock() - self._workers[worker][0] <= ttl

    def _reach(self) -> None:
        if self._failing:
            raise StoreUnavailable("the store is down")

    def _publish(self, record: AnyRecord) -> None:
        for each in self._subscriptions:
            each.put(record)


class _MemorySubscription:
    def __init__(self) -> None:
        self._records: asyncio.Queue[AnyRecord | None] = asyncio.Queue()

    def put(self, record: AnyRecord) -> None:
        self._records.put_nowait(record)

    def interrupt(self) -> None:
        self._records.put_nowait(None)

    async def next(self, timeout: float) -> AnyRecord | None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                record = await self._records.get()
                if record is None:
                    raise StoreUnavailable("the subscription was interrupted")
                return record
        return None


def _held(state: ServiceState, revision: int, commit: str) -> StateRecord:
    return msgspec.convert(
        {**msgspec.to_builtins(state), "revision": revision, "commit": commit}, StateRecord, strict=True
    )
