"""What a snapshot is worth now: observations expire, and a reader that lost the carrier has evidence of its own."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from broadcaster.domain.model import Category, ServiceState, Snapshot, Status


def effective(
    snapshot: Snapshot, *, now: float, expires_after: Mapping[str, float], lost_carrier: str = "", lost_at: float = 0.0
) -> Snapshot:
    """The snapshot as it may be told (invariants 4 and 5).

    A service whose last observation is older than its ``expires_after`` seconds is ``unknown``; so is one that was
    never observed. ``lost_carrier`` names the service that stands for the carrier while the reader cannot reach it
    ('' while it can): that one is down since ``lost_at``. Returns ``snapshot`` itself where nothing differs.
    """
    changed: dict[str, ServiceState] = {}
    for name, state in snapshot.services.items():
        limit = expires_after.get(name)
        if state.status is not Status.UNKNOWN and limit is not None and _has_expired(state, now, limit):
            since = now if state.observed_at is None else state.observed_at + limit
            changed[name] = msgspec.structs.replace(
                state, status=Status.UNKNOWN, since=since, category=None, detail="", latency=None
            )
    if lost_carrier:
        changed[lost_carrier] = msgspec.structs.replace(
            snapshot.state(lost_carrier),
            status=Status.DOWN,
            since=lost_at,
            category=Category.UNREACHABLE,
            detail="this node does not reach the carrier",
            latency=None,
        )
    if not changed:
        return snapshot
    return Snapshot(position=snapshot.position, services={**snapshot.services, **changed})


def _has_expired(state: ServiceState, now: float, limit: float) -> bool:
    return state.observed_at is None or now - state.observed_at > limit
