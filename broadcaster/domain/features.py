"""What users have left, given a snapshot: features from the services they stand on, and the root of a failure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from broadcaster.domain import incidents
from broadcaster.domain.model import Catalogue, Feature, Snapshot, Status


class FeatureStatus(StrEnum):
    AVAILABLE = "available"
    LIMITED = "limited"
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown"


class FeatureState(msgspec.Struct, frozen=True, kw_only=True):
    """A feature's status and, where it is not available, the services at the root of it."""

    feature: str
    status: FeatureStatus
    because: tuple[str, ...] = ()


MOST_CONCLUSIONS = 256
"""Catalogues, or parts of one, whose conclusions a snapshot keeps."""

_OF_STATUS = {
    Status.UP: FeatureStatus.AVAILABLE,
    Status.DEGRADED: FeatureStatus.LIMITED,
    Status.DOWN: FeatureStatus.UNAVAILABLE,
    Status.UNKNOWN: FeatureStatus.UNKNOWN,
}
_WORST_FIRST = (
    FeatureStatus.UNAVAILABLE,
    FeatureStatus.UNKNOWN,
    FeatureStatus.LIMITED,
    FeatureStatus.AVAILABLE,
)


def feature_states(
    catalogue: Catalogue, snapshot: Snapshot, *, since: Snapshot | None = None
) -> Mapping[str, FeatureState]:
    """Every feature's state, in the catalogue's order. See ``feature_state`` for the rule.

    Concluded once for a snapshot. Where what was concluded from an earlier one (``since``) is at hand, only what stands
    on a service that has another state by now is concluded anew.
    """
    states = _concluded(catalogue, snapshot)
    if states is None:
        known = _concluded(catalogue, since) if since is not None else None
        stale = changed(since, snapshot) if known is not None and since is not None else None
        states = {
            name: known[name]
            if known is not None and stale is not None and stale.isdisjoint(catalogue.stands_on[name])
            else feature_state(catalogue, snapshot, feature)
            for name, feature in catalogue.features.items()
        }
        if len(snapshot.conclusions) >= MOST_CONCLUSIONS:
            snapshot.conclusions.clear()
        snapshot.conclusions[id(catalogue)] = (catalogue, states)
    return states


def changed(before: Snapshot, after: Snapshot) -> set[str]:
    """The services whose state is another object; what was taken over from one snapshot to the next is the same."""
    return {
        name
        for name in before.services.keys() | after.services.keys()
        if before.services.get(name) is not after.services.get(name)
    }


def _concluded(catalogue: Catalogue, snapshot: Snapshot) -> Mapping[str, FeatureState] | None:
    known = snapshot.conclusions.get(id(catalogue))
    # An id lives only as long as its object.
    return known[1] if known is not None and known[0] is catalogue else None


def feature_state(catalogue: Catalogue, snapshot: Snapshot, feature: Feature) -> FeatureState:
    """The worst of what the feature requires, together with the best of its alternatives.

    An alternative that is not up beside one that is makes no difference to users. Services that are not announced
    (optional ones with degradation off) count as up.
    """
    required = [_seen(catalogue, snapshot, name) for name in feature.requires]
    alternatives = [_seen(catalogue, snapshot, name) for name in feature.any_of]
    parts = [*required]
    if alternatives:
        parts.append(max(alternatives, key=_WORST_FIRST.index))
    status = min(parts, key=_WORST_FIRST.index, default=FeatureStatus.AVAILABLE)
    if status is FeatureStatus.AVAILABLE:
        return FeatureState(feature=feature.name, status=status)
    lacking = [name for name, seen in zip(feature.requires, required, strict=True) if seen is status]
    if not lacking:
        lacking = [
            name for name, seen in zip(feature.any_of, alternatives, strict=True) if seen is not FeatureStatus.AVAILABLE
        ]
    return FeatureState(feature=feature.name, status=status, because=roots(catalogue, snapshot, lacking))


def roots(catalogue: Catalogue, snapshot: Snapshot, services: Iterable[str]) -> tuple[str, ...]:
    """The services at the root of the trouble of ``services``; see ``incidents.roots``."""
    return incidents.roots(services, snapshot, catalogue.depends_on)


def _seen(catalogue: Catalogue, snapshot: Snapshot, service: str) -> FeatureStatus:
    if service in catalogue.services and not catalogue.is_announced(service):
        return FeatureStatus.AVAILABLE
    return _OF_STATUS[snapshot.status(service)]
