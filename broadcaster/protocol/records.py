"""What workers, nodes and operators tell each other through the carrier: records of the feed, as JSON.

The Lua scripts write the place (epoch and revision) into a record, so the field order of the encoded text does not
matter, but its names do. The same rules of change hold as for messages: new fields have defaults, types never change.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from broadcaster.domain.model import (
    Category,
    EventKind,
    Plan,
    PlanAction,
    PlanChange,
    Position,
    ServiceState,
    Status,
    Transition,
)


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of everything that is published on the channel."""

    v: int = 1


class TransitionRecord(Record, frozen=True, kw_only=True, tag="transition"):
    """A committed transition, as published and as kept in the stream."""

    epoch: str
    revision: int
    service: str
    kind: EventKind
    previous: Status
    status: Status
    at: float
    category: Category | None = None
    detail: str = ""
    latency: float | None = None
    caused_by: tuple[str, ...] = ()
    incident: str = ""

    def entry(self) -> Transition:
        return Transition(
            position=Position(self.epoch, self.revision),
            service=self.service,
            kind=self.kind,
            previous=self.previous,
            status=self.status,
            at=self.at,
            category=self.category,
            detail=self.detail,
            latency=self.latency,
            caused_by=self.caused_by,
            incident=self.incident,
        )


class PlanRecord(Record, frozen=True, kw_only=True, tag="plan"):
    """A committed change of a service's plans, as published and as kept in the stream: what became of ``plan``, and
    all that the service has after it."""

    epoch: str
    revision: int
    service: str
    at: float
    action: PlanAction
    plan: Plan
    by: str
    plans: tuple[Plan, ...] = ()

    def entry(self) -> PlanChange:
        return PlanChange(
            position=Position(self.epoch, self.revision),
            service=self.service,
            at=self.at,
            action=self.action,
            plan=self.plan,
            by=self.by,
            plans=self.plans,
        )


class HeartbeatRecord(Record, frozen=True, kw_only=True, tag="heartbeat"):
    """A worker is alive and the carrier is at this position; ``observed`` are the probes that ended since the
    worker's last heartbeat (service -> Unix seconds), and ``latencies`` the seconds that these took."""

    epoch: str
    revision: int
    worker: str
    at: float
    observed: Mapping[str, float] = {}
    latencies: Mapping[str, float] = {}


class SeedRecord(Record, frozen=True, kw_only=True, tag="seed"):
    """A new epoch began: the carrier came back empty or older than what was known. Read the snapshot."""

    epoch: str
    revision: int
    worker: str
    at: float
    reason: str = ""


AnyRecord = TransitionRecord | PlanRecord | HeartbeatRecord | SeedRecord


class StateRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A service's committed state as kept in the snapshot hash. ``commit`` is the id of the commit that made it, so
    that a retry of a commit whose reply was lost is recognised."""

    revision: int
    commit: str
    status: Status
    since: float
    category: Category | None = None
    detail: str = ""
    latency: float | None = None
    caused_by: tuple[str, ...] = ()
    incident: str = ""
    plans: tuple[Plan, ...] = ()

    def state(self, service: str, observed_at: float | None) -> ServiceState:
        return ServiceState(
            service=service,
            status=self.status,
            since=self.since,
            revision=self.revision,
            observed_at=observed_at,
            category=self.category,
            detail=self.detail,
            latency=self.latency,
            caused_by=self.caused_by,
            incident=self.incident,
            plans=self.plans,
        )
