"""A reader's copy of the snapshot, kept current by transitions in the order of their positions."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from broadcaster.domain.model import Position, Snapshot, Transition


class Applied(StrEnum):
    """What became of a transition offered to a replica."""

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

    def apply(self, transition: Transition) -> Applied:
        """Moves on by one transition if it is the next one; otherwise changes nothing and says why."""
        mine, its = self.position, transition.position
        if its.epoch != mine.epoch:
            return Applied.NEW_EPOCH
        if its.revision <= mine.revision:
            return Applied.DUPLICATE
        if its.revision > mine.revision + 1:
            return Applied.GAP
        known = self._snapshot.state(transition.service).observed_at
        state = transition.state()
        if known is not None and (state.observed_at is None or known > state.observed_at):
            state = msgspec.structs.replace(state, observed_at=known)
        self._snapshot = Snapshot(position=its, services={**self._snapshot.services, transition.service: state})
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
