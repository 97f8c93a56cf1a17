"""What a snapshot is worth now: observations expire, plans begin and end, and a reader that lost the carrier has
evidence of its own."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from broadcaster.domain import plans
from broadcaster.domain.model import Category, FeedState, ServiceState, Snapshot, Status


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    """What all that a reader knows is worth now. ``age``: seconds since a worker was last heard, by way of the carrier;
    infinite while none ever was."""

    feed: FeedState
    age: float

    @property
    def is_stale(self) -> bool:
        """Whether what is told may be old: the carrier is lost, or no worker is heard."""
        return self.feed is not FeedState.LIVE


class Carrier(msgspec.Struct, frozen=True, kw_only=True):
    """A reader's own evidence of the carrier: which service stands for it, and since when it is reached or lost."""

    service: str
    is_reached: bool
    since: float


def effective(
    snapshot: Snapshot, *, now: float, expires_after: Mapping[str, float], carrier: Carrier | None = None
) -> Snapshot:
    """The snapshot as it may be told (invariants 4 and 5).

    A service whose last observation is older than its ``expires_after`` seconds is ``unknown``; so is one that was
    never observed. The carrier's service is down while the reader cannot reach it, whatever was said before; while
    the reader reaches it, that is an observation where there is no other. An override is told instead of all that.
    Plans begin and end by the reader's own clock where no worker says so within ``plans.GRACE`` seconds. Returns
    ``snapshot`` itself where nothing differs.
    """
    changed: dict[str, ServiceState] = {}
    for name, state in snapshot.services.items():
        limit = expires_after.get(name)
        if state.status is not Status.UNKNOWN and limit is not None and _has_expired(state, now, limit):
            since = now if state.observed_at is None else state.observed_at + limit
            changed[name] = msgspec.structs.replace(
                state, status=Status.UNKNOWN, since=since, category=None, detail="", latency=None
            )
    if carrier is not None and carrier.service:
        state = changed.get(carrier.service) or snapshot.state(carrier.service)
        if not carrier.is_reached:
            changed[carrier.service] = msgspec.structs.replace(
                state,
                status=Status.DOWN,
                since=carrier.since,
                observed_at=now,
                category=Category.UNREACHABLE,
                detail="this node does not reach the carrier",
                latency=None,
            )
        elif state.status is Status.UNKNOWN:
            changed[carrier.service] = msgspec.structs.replace(
                state, status=Status.UP, since=carrier.since, observed_at=now
            )
    for name, state in snapshot.services.items():
        if state.plans:
            changed[name] = _as_planned(changed.get(name, state), now)
    if not changed:
        return snapshot
    return Snapshot(position=snapshot.position, services={**snapshot.services, **changed})


def expired(snapshot: Snapshot, *, now: float, expires_after: Mapping[str, float]) -> set[str]:
    """The services that were observed once, and whose last observation says nothing any more at ``now``."""
    return {
        name
        for name, limit in expires_after.items()
        if (state := snapshot.services.get(name)) is not None
        and state.observed_at is not None
        and _has_expired(state, now, limit)
    }


def _as_planned(state: ServiceState, now: float) -> ServiceState:
    state = msgspec.structs.replace(state, plans=plans.advanced(state.plans, now - plans.GRACE))
    override = state.override
    if override is None or override.status is None:
        return state
    return msgspec.structs.replace(
        state,
        status=override.status,
        since=override.starts_at,
        category=None,
        detail=f"said by {override.by}",
        latency=None,
        caused_by=(),
        incident="",
    )


def _has_expired(state: ServiceState, now: float, limit: float) -> bool:
    return state.observed_at is None or now - state.observed_at > limit
