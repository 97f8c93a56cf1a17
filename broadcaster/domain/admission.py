"""Whether a handshake can be served, judged by a snapshot and the dependency matrix alone; and whether that is enforced
yet."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from broadcaster.domain.features import FeatureState, FeatureStatus, feature_states, roots
from broadcaster.domain.model import Catalogue, Snapshot, Status


class Verdict(StrEnum):
    ACCEPT = "accept"
    ACCEPT_DEGRADED = "accept_degraded"
    REJECT = "reject"


class Enforcement(StrEnum):
    """What becomes of a rejection: it stands (``enforce``); it is counted and logged, and everybody is let in
    (``observe``); nobody judges (``off``)."""

    OFF = "off"
    OBSERVE = "observe"
    ENFORCE = "enforce"


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict with its grounds. ``is_enforced`` is off where the rules reject, and the verdict lets in all the same.

    ``blocking`` are the critical services that are down, or of which nothing is known where they do not fail open;
    ``causes`` the services at the root of that (the same ones where nothing explains them), ``features`` the state of
    every feature.

    It is as good as the oldest observation that it goes by: ``as_of`` (Unix seconds; None if a needed service was never
    observed, or none is needed) is when that was made. ``is_stale``: it was judged while the feed was not live.
    """

    verdict: Verdict
    is_enforced: bool = True
    as_of: float | None = None
    is_stale: bool = False
    blocking: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    features: tuple[FeatureState, ...] = ()

    def age(self, now: float) -> float:
        """Seconds since ``as_of``, how old the knowledge is by now; infinite if there is none."""
        return math.inf if self.as_of is None else max(0.0, now - self.as_of)

    @property
    def reduced(self) -> tuple[FeatureState, ...]:
        """The features that users have less of, or not at all."""
        return tuple(
            each for each in self.features if each.status in (FeatureStatus.LIMITED, FeatureStatus.UNAVAILABLE)
        )


def admit(
    catalogue: Catalogue, snapshot: Snapshot, requires: Sequence[str] | None = None, *, is_stale: bool = False
) -> Admission:
    """Rejects while a required service is down; accepts, degraded, while anything announced is not well.

    ``requires`` are the services without which there is nothing to serve, critical or not; None means all critical
    ones. One that is degraded does not block, and neither does an unknown one: gates fail open on what is not known,
    unless the service says otherwise. ``is_stale`` says that the snapshot may be old: it is noted, and changes nothing.
    """
    as_of = oldest_observation(catalogue, snapshot, requires)
    if requires is None:
        blocking = tuple(name for name, each in catalogue.services.items() if each.refuses(snapshot.status(name)))
    else:
        blocking = tuple(name for name in requires if catalogue.services[name].is_missing(snapshot.status(name)))
    features = tuple(feature_states(catalogue, snapshot).values())
    if blocking:
        return Admission(
            verdict=Verdict.REJECT,
            as_of=as_of,
            is_stale=is_stale,
            blocking=blocking,
            causes=roots(catalogue, snapshot, blocking),
            features=features,
        )
    unwell = any(
        snapshot.status(name) in (Status.DEGRADED, Status.DOWN)
        for name in catalogue.services
        if catalogue.is_announced(name)
    )
    return Admission(
        verdict=Verdict.ACCEPT_DEGRADED if unwell else Verdict.ACCEPT,
        as_of=as_of,
        is_stale=is_stale,
        features=features,
    )


def oldest_observation(catalogue: Catalogue, snapshot: Snapshot, requires: Sequence[str] | None) -> float | None:
    """When that service of ``requires`` (None: all critical ones) was last observed that nobody looked at for longest;
    None if one never was, or there is none."""
    if requires is None:
        requires = catalogue.critical
    least = math.inf
    for name in requires:
        state = snapshot.services.get(name)
        if state is None or state.observed_at is None:
            return None
        if state.observed_at < least:
            least = state.observed_at
    return least if requires else None


def without(snapshot: Snapshot, services: Sequence[str], now: float) -> Snapshot:
    """What ``snapshot`` would be if these services were down as of ``now``; those that are stay as they are."""
    lost = {
        name: msgspec.structs.replace(snapshot.state(name), status=Status.DOWN, since=now)
        for name in services
        if snapshot.status(name) is not Status.DOWN
    }
    return msgspec.structs.replace(snapshot, services={**snapshot.services, **lost})


def let_in(admission: Admission) -> Admission:
    """A rejection that is not enforced."""
    return msgspec.structs.replace(admission, verdict=Verdict.ACCEPT_DEGRADED, is_enforced=False)


def is_chosen(user: str, percent: float) -> bool:
    """Whether ``user`` is among the ``percent`` of all for whom something new is on already.

    Stable: the same user is chosen every time, everywhere, and still is when the share grows.
    """
    digest = hashlib.blake2b(user.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") < percent / 100 * 2**32
