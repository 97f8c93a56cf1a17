"""The dependency matrix: what each service's failure costs, worked out by the same rules that judge handshakes."""

from __future__ import annotations

import msgspec

from broadcaster.domain.admission import Verdict, admit
from broadcaster.domain.dependencies import dependencies
from broadcaster.domain.features import FeatureStatus, feature_states
from broadcaster.domain.model import Catalogue, Criticality, ServiceState, Snapshot, Status


class Consequence(msgspec.Struct, frozen=True, kw_only=True):
    """What it means that ``service`` is down. ``takes`` are the services that stand on it, over whatever chain; the
    features, and the verdict on a handshake, are those with all of them down. ``degraded`` are the features that are
    limited while the service alone is degraded."""

    service: str
    criticality: Criticality
    takes: tuple[str, ...]
    verdict: Verdict
    unavailable: tuple[str, ...]
    degraded: tuple[str, ...]


def matrix(catalogue: Catalogue) -> tuple[Consequence, ...]:
    """One consequence a service, in the catalogue's order."""
    return tuple(_consequence(catalogue, name) for name in catalogue.services)


def _consequence(catalogue: Catalogue, name: str) -> Consequence:
    takes = tuple(
        each for each in catalogue.services if each != name and name in dependencies(each, catalogue.depends_on)
    )
    down = _snapshot(catalogue, dict.fromkeys((name, *takes), Status.DOWN))
    return Consequence(
        service=name,
        criticality=catalogue.services[name].criticality,
        takes=takes,
        verdict=admit(catalogue, down).verdict,
        unavailable=_features(catalogue, down, FeatureStatus.UNAVAILABLE),
        degraded=_features(catalogue, _snapshot(catalogue, {name: Status.DEGRADED}), FeatureStatus.LIMITED),
    )


def _snapshot(catalogue: Catalogue, changed: dict[str, Status]) -> Snapshot:
    """Everything up but what is said."""
    return Snapshot(
        services={name: ServiceState(service=name, status=changed.get(name, Status.UP)) for name in catalogue.services}
    )


def _features(catalogue: Catalogue, snapshot: Snapshot, status: FeatureStatus) -> tuple[str, ...]:
    return tuple(name for name, state in feature_states(catalogue, snapshot).items() if state.status is status)
