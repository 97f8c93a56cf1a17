"""The words of the domain as frozen values: Service, Feature, Observation, Transition, Plan, Snapshot, Position.

Times are Unix seconds (float, UTC) that the caller passes in; durations are seconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import Any

import msgspec

from broadcaster.domain.dependencies import dependencies
from broadcaster.domain.languages import Language, Words


class Status(StrEnum):
    """What is known of a service. ``unknown`` is never shown as well (invariant 5)."""

    UNKNOWN = "unknown"
    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"


class EventKind(StrEnum):
    """What a transition announces. ``recovered`` is ``up`` after ``down`` or ``degraded``."""

    UP = "up"
    DOWN = "down"
    DEGRADED = "degraded"
    RECOVERED = "recovered"


class Criticality(StrEnum):
    CRITICAL = "critical"
    OPTIONAL = "optional"


class Outcome(StrEnum):
    """What one probe saw: the service served (``ok``), served badly (``impaired``), or did not (``failed``)."""

    OK = "ok"
    IMPAIRED = "impaired"
    FAILED = "failed"


class Category(StrEnum):
    """Why an observation is not ``ok``, in one word for operators. Users are told ``auth`` and ``misconfigured`` as
    ``internal``: see ``wording.public_category``.

    ``dns``: the name does not exist; a resolver that gives no answer is ``unreachable``. ``auth``: the service refuses
    us, and it may be either side that is wrong. ``misconfigured``: somebody else's service works, and what is wrong
    is on our side: a key, an account. ``quota``: so many requests came from us that it takes no more for now.
    """

    REFUSED = "refused"
    RESET = "reset"
    TIMEOUT = "timeout"
    DNS = "dns"
    TLS = "tls"
    UNREACHABLE = "unreachable"
    AUTH = "auth"
    MISCONFIGURED = "misconfigured"
    BAD_RESPONSE = "bad_response"
    SERVER_ERROR = "server_error"
    OVERLOADED = "overloaded"
    QUOTA = "quota"
    SLOW = "slow"
    LOADING = "loading"
    READ_ONLY = "read_only"
    REPLICATION = "replication"
    RECOVERING = "recovering"
    UNSTABLE = "unstable"
    INTERNAL = "internal"

    @property
    def is_definitive(self) -> bool:
        """Whether a failure of this category is certain at once: the same attempt a moment later would end the same.

        Somebody answered, and the answer was no: nobody listens, the name does not exist, the certificate does not
        hold, the credentials are refused. All else is ambiguous, as a lost packet, a restart or a moment of load looks
        the same (``timeout``, ``reset``, ``unreachable``, ``bad_response``, ``server_error``, ``overloaded`` ...), and
        is worth a second attempt.
        """
        return self in _DEFINITIVE


_DEFINITIVE = frozenset({Category.REFUSED, Category.DNS, Category.TLS, Category.AUTH, Category.MISCONFIGURED})


class FeedState(StrEnum):
    """How fresh a reader's knowledge is: ``live``; ``unwatched`` (no worker is heard, states may be old);
    ``lost`` (the reader does not reach the carrier)."""

    LIVE = "live"
    UNWATCHED = "unwatched"
    LOST = "lost"


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A thing the application stands on, as users and operators are told of it.

    ``title`` and ``texts`` are public: ``texts`` maps an event kind to the sentence a user reads; ``locales`` has both
    in further languages. ``runbook`` and ``owner`` are for operators only. A critical one that does not ``fails_open``
    refuses handshakes also while nothing is known of it.
    """

    name: str
    criticality: Criticality = Criticality.CRITICAL
    title: str = ""
    depends_on: tuple[str, ...] = ()
    texts: Mapping[str, str] = {}
    locales: Mapping[str, Words] = {}
    runbook: str = ""
    owner: str = ""
    fails_open: bool = True

    def refuses(self, status: Status) -> bool:
        """Whether nobody can be served while the service has this status."""
        return self.is_critical and self.is_missing(status)

    def is_missing(self, status: Status) -> bool:
        """Whether what needs the service cannot be served while it has this status."""
        return status is Status.DOWN or (status is Status.UNKNOWN and not self.fails_open)

    @property
    def is_critical(self) -> bool:
        return self.criticality is Criticality.CRITICAL


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """Something users have. It needs every service of ``requires`` and, if given, one of ``any_of``."""

    name: str
    title: str = ""
    requires: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    texts: Mapping[str, str] = {}
    locales: Mapping[str, Words] = {}


class Catalogue(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The dependency matrix: which services there are and which features stand on them.

    With ``degradation`` off (``GRACEFUL_DEGRADATION_ENABLED=false``) optional services are not announced
    to users; critical ones still gate. ``language`` is what it is told in.
    """

    services: Mapping[str, Service]
    features: Mapping[str, Feature] = {}
    degradation: bool = True
    language: Language = Language()

    @cached_property
    def depends_on(self) -> Mapping[str, tuple[str, ...]]:
        return {name: service.depends_on for name, service in self.services.items()}

    @cached_property
    def critical(self) -> tuple[str, ...]:
        """The critical services, in order."""
        return tuple(name for name, service in self.services.items() if service.is_critical)

    @cached_property
    def stands_on(self) -> Mapping[str, frozenset[str]]:
        """For each feature, every service that its state may depend on: what it needs, and what that depends on."""
        return {
            name: frozenset(
                found
                for needed in (*feature.requires, *feature.any_of)
                for found in (needed, *dependencies(needed, self.depends_on))
            )
            for name, feature in self.features.items()
        }

    @cached_property
    def languages(self) -> frozenset[str]:
        """The languages beside the default that there are words in for what users are told of."""
        told = [each.locales for name, each in self.services.items() if self.is_announced(name)]
        told += [each.locales for each in self.features.values()]
        return frozenset(tag for locales in told for tag in locales)

    def language_for(self, asked: str) -> Language:
        """What a reader of the language ``asked`` is told in; the same for all who are told the same words."""
        return self.language.toward(asked, self.languages)

    def told_in(self, language: Language) -> Catalogue:
        """The same matrix, told in this language."""
        return self if language == self.language else msgspec.structs.replace(self, language=language)

    def is_announced(self, service: str) -> bool:
        """Whether users hear of this service at all."""
        known = self.services.get(service)
        return known is not None and (self.degradation or known.is_critical)


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """What one probe of one service saw.

    ``at`` is when the probe ended, ``latency`` the seconds it took (the whole of it, connect included).
    ``detail`` is for operators: it may name hosts, it never holds a secret.
    """

    service: str
    at: float
    outcome: Outcome
    latency: float
    category: Category | None = None
    detail: str = ""


class Position(msgspec.Struct, frozen=True, order=True):
    """A place in the one order of transitions: contiguous ``revision`` numbers within an ``epoch``.

    Positions of different epochs have no order; compare revisions only where the epochs are equal.
    """

    epoch: str = ""
    revision: int = 0

    def __str__(self) -> str:
        return f"{self.epoch or '-'}:{self.revision}"


class PlanKind(StrEnum):
    """``maintenance`` explains what is observed meanwhile; an ``override`` is told in its place."""

    MAINTENANCE = "maintenance"
    OVERRIDE = "override"


class Plan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an operator said of a service for a time, from ``starts_at`` until ``until`` (Unix seconds).

    ``reason`` is public, ``by`` (who said it) is for operators. ``status`` is what an override says. ``has_begun``:
    its beginning was announced.
    """

    kind: PlanKind
    starts_at: float
    until: float
    by: str
    reason: str = ""
    status: Status | None = None
    has_begun: bool = False


class PlanAction(StrEnum):
    """What became of a plan. One that ends before it began was called off; ``expired`` is one that ran its time."""

    ADDED = "added"
    BEGUN = "begun"
    ENDED = "ended"
    EXPIRED = "expired"


class ServiceState(msgspec.Struct, frozen=True, kw_only=True):
    """The committed state of one service.

    ``since`` is when ``status`` began, ``revision`` the last change of the state (0: never committed),
    ``observed_at`` the end of the last probe known of, None if none is. While it is unwell, ``caused_by`` names the
    services whose failure explains it, and ``incident`` what it belongs to with them. ``plans`` are those that are not
    over, in the order of their beginning; at most one is an override.
    """

    service: str
    status: Status = Status.UNKNOWN
    since: float = 0.0
    revision: int = 0
    observed_at: float | None = None
    category: Category | None = None
    detail: str = ""
    latency: float | None = None
    caused_by: tuple[str, ...] = ()
    incident: str = ""
    plans: tuple[Plan, ...] = ()

    def age(self, now: float) -> float:
        """Seconds since the last observation; infinite if there is none."""
        return math.inf if self.observed_at is None else max(0.0, now - self.observed_at)

    @property
    def override(self) -> Plan | None:
        """What is told instead of what is observed."""
        if not self.plans:
            return None
        return next((plan for plan in self.plans if plan.has_begun and plan.kind is PlanKind.OVERRIDE), None)

    @property
    def maintenance(self) -> Plan | None:
        """The planned work that is on; of several the one that ends last."""
        if not self.plans:
            return None
        on = [plan for plan in self.plans if plan.has_begun and plan.kind is PlanKind.MAINTENANCE]
        return max(on, key=lambda plan: plan.until, default=None)

    @property
    def planned(self) -> Plan | None:
        """The planned work that is on, or else the next."""
        if not self.plans:
            return None
        ahead = (plan for plan in self.plans if not plan.has_begun and plan.kind is PlanKind.MAINTENANCE)
        return self.maintenance or next(ahead, None)


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """One committed change of one service, with its place in the order.

    ``incident`` is the one that the service is in by this change, or leaves by it.
    """

    position: Position
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

    def state(self, held: ServiceState | None = None) -> ServiceState:
        """The service's state right after this transition; plans go on as they were ``held``."""
        seen = held.observed_at if held and held.observed_at is not None else self.at
        return ServiceState(
            service=self.service,
            status=self.status,
            since=self.at,
            revision=self.position.revision,
            observed_at=max(seen, self.at),
            category=self.category,
            detail=self.detail,
            latency=self.latency,
            caused_by=self.caused_by,
            incident=self.incident if self.status in (Status.DOWN, Status.DEGRADED) else "",
            plans=held.plans if held else (),
        )


class PlanChange(msgspec.Struct, frozen=True, kw_only=True):
    """One committed change of a service's plans, with its place in the order: what became of ``plan``, by whom, and all
    that the service has after it."""

    position: Position
    service: str
    at: float
    action: PlanAction
    plan: Plan
    by: str
    plans: tuple[Plan, ...]

    def state(self, held: ServiceState) -> ServiceState:
        """The service's state right after this change, from the one before."""
        return msgspec.structs.replace(held, revision=self.position.revision, plans=self.plans)


Entry = Transition | PlanChange
"""What has a place in the one order."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Every service's state as of one position."""

    position: Position = Position()
    services: Mapping[str, ServiceState] = {}

    @cached_property
    def conclusions(self) -> dict[int, Any]:
        """What was concluded from this snapshot, kept as long as it is: for ``features.feature_states`` only."""
        return {}

    def state(self, service: str) -> ServiceState:
        """The service's state; ``unknown`` for one nobody has reported."""
        return self.services.get(service) or ServiceState(service=service)

    def status(self, service: str) -> Status:
        return self.state(service).status


def event_kind(previous: Status, status: Status) -> EventKind:
    """The kind of event a change from ``previous`` to ``status`` is announced as.

    ``status`` must be a conclusion; becoming ``unknown`` is judged by each reader from age and never committed.
    """
    match status:
        case Status.UP:
            return EventKind.UP if previous is Status.UNKNOWN else EventKind.RECOVERED
        case Status.DEGRADED:
            return EventKind.DEGRADED
        case Status.DOWN:
            return EventKind.DOWN
        case Status.UNKNOWN:
            raise ValueError("a change to 'unknown' is not an event")
