"""What a writer hands to a store as JSON objects; the store adds the place (type, epoch, revision) in front."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from broadcaster.domain.detection import Decision
from broadcaster.domain.model import Position, ServiceState, Status
from broadcaster.domain.plans import PlanDecision
from broadcaster.protocol.records import HeartbeatRecord, PlanRecord, SeedRecord, StateRecord, TransitionRecord

_PLACE = ("type", "epoch", "revision")


def entry_record(
    decision: Decision | PlanDecision,
    position: Position = Position(),  # noqa: B008 - it is frozen
) -> TransitionRecord | PlanRecord:
    """What a decision is recorded and announced as."""
    if isinstance(decision, PlanDecision):
        return PlanRecord(
            epoch=position.epoch,
            revision=position.revision,
            service=decision.service,
            at=decision.at,
            action=decision.step.action,
            plan=decision.step.plan,
            by=decision.by,
            plans=decision.plans,
        )
    return TransitionRecord(
        epoch=position.epoch,
        revision=position.revision,
        service=decision.service,
        kind=decision.kind,
        previous=decision.previous,
        status=decision.status,
        at=decision.at,
        category=decision.category,
        detail=decision.detail,
        latency=decision.latency,
        caused_by=decision.caused_by,
        incident=decision.incident,
    )


def entry_body(decision: Decision | PlanDecision) -> tuple[str, bytes]:
    """The record's type, and the rest of it."""
    record = entry_record(decision)
    return str(record.__struct_config__.tag), _body(record)


def state_body(of: Decision | ServiceState, commit: str) -> bytes:
    return _body(
        StateRecord(
            revision=0,
            commit=commit,
            status=of.status,
            since=of.at if isinstance(of, Decision) else of.since,
            category=of.category,
            detail=of.detail,
            latency=of.latency,
            caused_by=of.caused_by,
            incident=of.incident if of.status in (Status.DOWN, Status.DEGRADED) else "",
            plans=of.plans,
        )
    )


def heartbeat_body(worker: str, now: float, observed: Mapping[str, float], latencies: Mapping[str, float]) -> bytes:
    rounded = {name: round(seconds, 6) for name, seconds in latencies.items()}
    return _body(HeartbeatRecord(epoch="", revision=0, worker=worker, at=now, observed=observed, latencies=rounded))


def seed_body(worker: str, now: float, reason: str) -> bytes:
    return _body(SeedRecord(epoch="", revision=0, worker=worker, at=now, reason=reason))


def _body(record: msgspec.Struct) -> bytes:
    fields = msgspec.to_builtins(record)
    return msgspec.json.encode({name: value for name, value in fields.items() if name not in _PLACE})
