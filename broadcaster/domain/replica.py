"""A reader's copy of the snapshot, kept current by what was committed, in the order of its positions."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from broadcaster.domain.model import Entry, Position, Snapshot


class Applied(StrEnum):
    """What became of an entry of the order that was offered to a replica."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"  # known already; dropped
    GAP = "gap"  # something before it is missing: replay or load a snapshot
    NEW_EPOCH = "new_epoch"  # another order began: load a snapshot


class Replica:
    """Holds one snapshot. It starts at no position at all; ``load`` gives it one, ``apply`` moves it on.

    Snapshots handed out are immutable and stay what they were.
    """

    __slots__ = ("_snapshot",)

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self._snapshot = snapshot or Snapshot()

    def __repr__(self) -> str:
        return f"Replica({self.position}, {len(self._snapshot.services)} services)"

    @property
    def snapshot(self) -> Snapshot:
        return self._snapshot

    @property
    def position(self) -> Position:
        return self._snapshot.position

    def load(self, snapshot: Snapshot) -> None:
        """Replaces everything, whatever the position: what the carrier holds is the truth."""
        self._snapshot = snapshot

    def apply(self, entry: Entry) -> Applied:
        """Moves on by one entry of the order if it is the next one; otherwise changes nothing and says why."""
        mine, its = self.position, entry.position
        if its.epoch != mine.epoch:
            return Applied.NEW_EPOCH
        if its.revision <= mine.revision:
            return Applied.DUPLICATE
        if its.revision > mine.revision + 1:
            return Applied.GAP
        state = entry.state(self._snapshot.state(entry.service))
        self._snapshot = Snapshot(position=its, services={**self._snapshot.services, entry.service: state})
        return Applied.APPLIED

    def observe(self, observed: Mapping[str, float]) -> None:
        """Notes when services were last observed; time never runs backwards for a service."""
        services = self._snapshot.services
        newer = {}
        for service, at in observed.items():
            state = self._snapshot.state(service)
            if state.observed_at is None or at > state.observed_at:
                newer[service] = msgspec.structs.replace(state, observed_at=at)
        if newer:
            self._snapshot = msgspec.structs.replace(self._snapshot, services={**services, **newer})

    def is_behind(self, position: Position) -> bool:
        """Whether a heartbeat at ``position`` shows that this replica is not where the carrier is."""
        return position != self.position
