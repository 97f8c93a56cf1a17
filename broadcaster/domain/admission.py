"""Whether a handshake can be served, judged by a snapshot and the dependency matrix alone."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from broadcaster.domain.features import FeatureState, FeatureStatus, feature_states, roots
from broadcaster.domain.model import Catalogue, Snapshot, Status


class Verdict(StrEnum):
    ACCEPT = "accept"
    ACCEPT_DEGRADED = "accept_degraded"
    REJECT = "reject"


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict with its grounds.

    ``blocking`` are the critical services that are down, or of which nothing is known where they do not fail open;
    ``causes`` the services at the root of that (the same ones where nothing explains them), ``features`` the state of
    every feature.
    """

    verdict: Verdict
    blocking: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    features: tuple[FeatureState, ...] = ()

    @property
    def reduced(self) -> tuple[FeatureState, ...]:
        """The features that users have less of, or not at all."""
        return tuple(
            each for each in self.features if each.status in (FeatureStatus.LIMITED, FeatureStatus.UNAVAILABLE)
        )


def admit(catalogue: Catalogue, snapshot: Snapshot) -> Admission:
    """Rejects while a critical service is down; accepts, degraded, while anything announced is not well.

    A critical service that is degraded does not block, and neither does an unknown one: gates fail open on what is not
    known, unless the service says otherwise.
    """
    blocking = tuple(name for name, service in catalogue.services.items() if service.refuses(snapshot.status(name)))
    features = tuple(feature_states(catalogue, snapshot).values())
    if blocking:
        return Admission(
            verdict=Verdict.REJECT,
            blocking=blocking,
            causes=roots(catalogue, snapshot, blocking),
            features=features,
        )
    unwell = any(
        snapshot.status(name) in (Status.DEGRADED, Status.DOWN)
        for name in catalogue.services
        if catalogue.is_announced(name)
    )
    return Admission(verdict=Verdict.ACCEPT_DEGRADED if unwell else Verdict.ACCEPT, features=features)
