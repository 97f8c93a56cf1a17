"""What a node says to its clients: typed, versioned JSON messages, one a WebSocket text frame.

Rules of change (source: msgspec's schema-evolution guide): a new field has a default, a type never changes, a
message that breaks old readers raises ``v``. Clients ignore fields and message types that they do not know.

What users get is public: titles, texts, states and times; no host, no error text, no latency (invariant 8). Operators
get ``internal`` beside it. Times are RFC 3339 in UTC, durations are milliseconds. Beside every ``text`` that is not
empty stands its ``lang``, the language that it is in (a tag of BCP 47); where that is absent, it is English.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from broadcaster.domain.features import FeatureStatus
from broadcaster.domain.model import Category, Criticality, EventKind, FeedState, PlanKind, Position, Status

Lang = str | msgspec.UnsetType

VERSION = 1
SUBPROTOCOL = "availability.v1"


class PlannedView(msgspec.Struct, frozen=True, kw_only=True):
    """Planned work on a service, which is on (``has_begun``) or to come. ``reason`` may be empty."""

    starts_at: datetime
    until: datetime
    reason: str = ""
    has_begun: bool = False


class PlanView(msgspec.Struct, frozen=True, kw_only=True):
    """A plan as operators see it: planned work, or an override with the ``status`` that is told for its time."""

    kind: PlanKind
    starts_at: datetime
    until: datetime
    by: str
    reason: str = ""
    status: Status | None = None
    has_begun: bool = False


class InternalView(msgspec.Struct, frozen=True, kw_only=True):
    """What only operators see of a service: why it is as it is, how fast it answered, whose it is and what to do.

    ``category``, ``detail`` and ``latency_ms`` are of the probe that led to this status.
    """

    category: Category | None = None
    detail: str = ""
    latency_ms: float | None = None
    observed_at: datetime | None = None
    owner: str = ""
    runbook: str = ""
    plans: tuple[PlanView, ...] = ()


class ServiceView(msgspec.Struct, frozen=True, kw_only=True):
    """A service as everybody may see it. ``since`` is None as long as nothing is known; ``caused_by`` names the
    services whose failure explains this one's; ``planned`` is the planned work that is on, or else the
    next, and absent without any; ``internal`` is for operators, and absent for everybody else."""

    name: str
    title: str
    status: Status
    criticality: Criticality
    since: datetime | None = None
    category: Category | None = None
    caused_by: tuple[str, ...] = ()
    planned: PlannedView | msgspec.UnsetType = msgspec.UNSET
    internal: InternalView | msgspec.UnsetType = msgspec.UNSET


class FeatureView(msgspec.Struct, frozen=True, kw_only=True):
    """A feature as everybody may see it; ``because`` names the services at the root of what is missing."""

    name: str
    title: str
    status: FeatureStatus
    text: str = ""
    lang: Lang = msgspec.UNSET
    because: tuple[str, ...] = ()


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of every message: ``type`` is its tag, ``v`` the version of the protocol."""

    v: int = VERSION


class View(Message, frozen=True, kw_only=True):
    """The whole truth as of ``position``. A client replaces everything it holds by it."""

    position: Position
    at: datetime
    feed: FeedState = FeedState.LIVE
    services: tuple[ServiceView, ...] = ()
    features: tuple[FeatureView, ...] = ()
    text: str = ""
    lang: Lang = msgspec.UNSET


class Welcome(View, frozen=True, kw_only=True, tag="welcome"):
    """First message of an accepted connection; ``text`` names reduced features, if any."""


class Waiting(View, frozen=True, kw_only=True, tag="waiting"):
    """First message of a connection that cannot be served yet: it is told what happens as everybody is, and a
    ``welcome`` comes when it is let in."""


class SnapshotMessage(View, frozen=True, kw_only=True, tag="snapshot"):
    """The whole truth again, after the node (or a slow client) lost the thread: replaces what was known."""


class Notice(Message, frozen=True, kw_only=True, tag="notice"):
    """One transition. ``features`` are those that it changes, in status or in cause, as they are now.

    ``local`` notices come from this node's own evidence (it lost the carrier, or has it back): they have no place
    in the order, ``position`` repeats the node's last one. Notices of one ``incident`` belong together. A ``quiet`` one
    moves the state on and is not to be shown: its cause was told, and it takes nothing more from anybody; or it is the
    first good observation of a service.
    """

    position: Position
    at: datetime
    kind: EventKind
    service: ServiceView
    features: tuple[FeatureView, ...] = ()
    text: str = ""
    lang: Lang = msgspec.UNSET
    local: bool = False
    incident: str = ""
    quiet: bool = False


class PlanNotice(Message, frozen=True, kw_only=True, tag="planned"):
    """Planned work on a service was announced, began, or is over; the service's state is what it was. A ``quiet`` one
    moves the state on and is not to be shown."""

    position: Position
    at: datetime
    service: ServiceView
    text: str = ""
    lang: Lang = msgspec.UNSET
    quiet: bool = False


class FeedNotice(Message, frozen=True, kw_only=True, tag="feed"):
    """The freshness of the node's knowledge changed."""

    at: datetime
    feed: FeedState
    text: str = ""
    lang: Lang = msgspec.UNSET


class Rejected(Message, frozen=True, kw_only=True, tag="rejected"):
    """Why this handshake is not served; close 1011 follows. ``services`` are the critical ones that are down,
    ``features`` what works and what does not. Come back after ``retry_after_ms`` (already jittered)."""

    position: Position
    at: datetime
    services: tuple[ServiceView, ...]
    features: tuple[FeatureView, ...] = ()
    text: str = ""
    lang: Lang = msgspec.UNSET
    retry_after_ms: int = 0


class Goodbye(Message, frozen=True, kw_only=True, tag="goodbye"):
    """The node sends this client away, as ``text`` says: it goes away on purpose, has too many connections, or does not
    have what was asked for. Reconnect, if the close code says so, after ``retry_after_ms`` (already jittered)."""

    at: datetime
    text: str = ""
    lang: Lang = msgspec.UNSET
    retry_after_ms: int = 0


AnyMessage = Welcome | Waiting | SnapshotMessage | Notice | PlanNotice | FeedNotice | Rejected | Goodbye


def timestamp(at: float) -> datetime:
    """Unix seconds as an aware UTC datetime of millisecond precision."""
    return datetime.fromtimestamp(round(at, 3), UTC)
