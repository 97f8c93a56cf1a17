"""The seam to the carrier: what a store promises. One contract suite runs over every implementation.

Order and atomicity: transitions and changes of plans have one order, their positions. A commit is visible in the
snapshot, in the history and on the channel together or not at all. Everything published while a subscription is open
and the carrier is healthy reaches it, in order; a subscription that lost anything raises instead of going on.

Errors: every method raises StoreUnavailable when the carrier does not answer in time, and StoreCorrupted when it
answers with something unreadable. Cancelling any of them leaves the store usable; a cancelled commit may or may
not have happened, and repeating it with the same ``commit`` id finds out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

import msgspec

from broadcaster.domain.detection import Decision, DetectorState
from broadcaster.domain.evidence import Report
from broadcaster.domain.model import Entry, Position, ServiceState, Snapshot
from broadcaster.domain.plans import PlanDecision
from broadcaster.domain.quorum import Vote
from broadcaster.protocol.records import AnyRecord


class Outcome(StrEnum):
    """What a write came to. Only the first two wrote, or had written, anything."""

    DONE = "done"
    REPEATED = "repeated"  # this very commit had happened already: a success
    CONFLICT = "conflict"  # the service changed meanwhile; its state comes with the result
    UNSEEDED = "unseeded"  # the carrier is empty: seed it
    REWOUND = "rewound"  # the carrier lost transitions that are known: seed it anew
    OTHER_EPOCH = "other_epoch"  # a new epoch began: read the snapshot
    UNLEASED = "unleased"  # the writer does not own the service (any more)


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A write's outcome and the carrier's position after it (empty when unseeded)."""

    outcome: Outcome
    position: Position = Position()
    state: ServiceState | None = None


class Fence(msgspec.Struct, frozen=True, kw_only=True):
    """What a writer commits by: its lease's ``token``, valid until ``ttl`` seconds after its last sign of life."""

    worker: str
    token: int
    ttl: float


class Presence(msgspec.Struct, frozen=True, kw_only=True):
    """What a process says of itself: where it is, which version of the settings it uses; and of a worker, whether it
    doubts its own network."""

    zone: str = ""
    shape: str = ""
    is_blind: bool = False


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a claim: a ``token``, or None where ``owner`` holds the service.

    ``owner`` is who held it before ('' for nobody); ``state`` what the last owner knew of it.
    """

    token: int | None
    owner: str
    state: DetectorState | None = None


class Leased(msgspec.Struct, frozen=True, kw_only=True):
    """Who else is alive, and what became of the claims. Without ``was_alive`` what is held may have been taken."""

    was_alive: bool
    peers: Mapping[str, Presence]
    grants: Mapping[str, Grant]


class Attendance(msgspec.Struct, frozen=True, kw_only=True):
    """Who gave a sign of life of late."""

    workers: Mapping[str, Presence] = {}
    readers: Mapping[str, Presence] = {}


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The snapshot, and the seconds since the last heartbeat by the carrier's own clock (None: never any)."""

    snapshot: Snapshot
    heartbeat_age: float | None = None


class Subscription(Protocol):
    async def next(self, timeout: float) -> AnyRecord | None:
        """The next record, or None after ``timeout`` seconds without one. One caller at a time.

        Cancelling loses nothing. A record that cannot be read (a newer version's) is logged and skipped.
        """
        ...


class Store(Protocol):
    async def read(self) -> Reading:
        """The whole state, atomically. An empty carrier reads as an empty snapshot at no position."""
        ...

    async def commit(
        self,
        decision: Decision | PlanDecision,
        *,
        commit: str,
        expected_revision: int,
        known: Position,
        fence: Fence | None = None,
    ) -> Written:
        """Records and announces one decision, if the service still stands at ``expected_revision``.

        ``commit`` identifies this commit across retries; ``known`` is the last position the writer saw. With a
        ``fence`` the writer must own the service at this moment.
        """
        ...

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
        """A sign of life of ``worker``: what it owns stays its own for ``ttl`` seconds more.

        ``keep`` is kept for a successor where the worker owns the service; what it owns of ``release`` becomes free;
        each of ``claim`` is granted if it is free or its owner is dead, and to its owner again with the same token.
        """
        ...

    async def leave(self, worker: str, held: Mapping[str, int], states: Mapping[str, DetectorState]) -> None:
        """The worker ends: what it holds (service -> token) is free at once, with what it knew."""
        ...

    async def attend(self, reader: str, presence: Presence | None, *, within: float) -> Attendance:
        """A sign of life of ``reader``, the last one where ``presence`` is None; who gave one within so many seconds.

        '' only asks.
        """
        ...

    async def heartbeat(
        self,
        worker: str,
        now: float,
        observed: Mapping[str, float],
        known: Position,
        latencies: Mapping[str, float] = MappingProxyType({}),
    ) -> Written:
        """Announces that ``worker`` is alive, when services were last observed, and how many seconds that took."""
        ...

    async def vote(self, worker: str, votes: Mapping[str, Vote | None]) -> None:
        """Casts votes on services, in place of the worker's earlier ones; None takes one back."""
        ...

    async def votes(self, services: Collection[str]) -> dict[str, tuple[Vote, ...]]:
        """All votes on each of these services, of whomever."""
        ...

    async def report(self, reports: Collection[Report]) -> None:
        """Adds what somebody saw fail to the evidence. The latest thousand or so are kept."""
        ...

    async def reports(self, after: str, timeout: float) -> tuple[str, tuple[Report, ...]]:
        """Evidence given ``after``, as soon as there is some or after ``timeout`` seconds, and how far it goes.

        '' asks how far it goes now. Evidence that cannot be read is logged and skipped.
        """
        ...

    async def seed(
        self, snapshot: Snapshot, *, epoch: str, worker: str, now: float, reason: str, replaces: Position
    ) -> Written:
        """Begins a new epoch that holds ``snapshot``, if the carrier still stands at ``replaces``.

        Services get the revisions 1..n of the new epoch. CONFLICT: somebody else was first.
        """
        ...

    async def replay(self, after: Position) -> list[Entry] | None:
        """What was committed after a position up to now, without a gap; None if they are not all there any more."""
        ...

    async def history(self, limit: int = 1000) -> list[Entry]:
        """The latest that was committed, as far as it is kept, oldest first."""
        ...

    def subscribe(self) -> AbstractAsyncContextManager[Subscription]:
        """Entered once the subscription is confirmed: what is committed from then on will come."""
        ...

    async def aclose(self) -> None:
        """Closes connections. Open subscriptions end by themselves."""
        ...
