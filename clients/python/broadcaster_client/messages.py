"""What a node says, as values: the protocol's messages and their parts.

By the protocol's rules of change: fields that are not known are ignored, missing ones have their defaults. Times are
aware datetimes. ``lang`` is the language of the ``text`` beside it, as a tag of BCP 47.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from broadcaster_client.errors import OutOfDate, ProtocolError, UnknownType

VERSION = 1
SUBPROTOCOL = "availability.v1"


class Status(StrEnum):
    """What is known of a service."""

    UNKNOWN = "unknown"
    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"


class Criticality(StrEnum):
    CRITICAL = "critical"
    OPTIONAL = "optional"


class FeatureStatus(StrEnum):
    """What users have of a feature."""

    AVAILABLE = "available"
    LIMITED = "limited"
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown"


class FeedState(StrEnum):
    """How far the node knows what it tells: ``live``; ``unwatched``, nobody observes the services; ``lost``, the node
    does not reach its source."""

    LIVE = "live"
    UNWATCHED = "unwatched"
    LOST = "lost"


class Kind(StrEnum):
    """What became of a service. ``recovered`` is ``up`` after ``down`` or ``degraded``; ``unknown`` is never told by
    a notice, but found in a snapshot."""

    UP = "up"
    DOWN = "down"
    DEGRADED = "degraded"
    RECOVERED = "recovered"
    UNKNOWN = "unknown"


class Position(msgspec.Struct, frozen=True):
    """A place in the one order of changes. Revisions of different epochs cannot be compared."""

    epoch: str = ""
    revision: int = 0

    def __str__(self) -> str:
        return f"{self.epoch or '-'}:{self.revision}"


class PlannedWork(msgspec.Struct, frozen=True, kw_only=True):
    """Planned work on a service, which is on (``has_begun``) or to come. ``reason`` may be empty."""

    starts_at: datetime
    until: datetime
    reason: str = ""
    has_begun: bool = False


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan as operators see it: ``maintenance``, or an ``override`` with the ``status`` that is told for its time."""

    kind: str
    starts_at: datetime
    until: datetime
    by: str
    reason: str = ""
    status: Status | None = None
    has_begun: bool = False


class Internal(msgspec.Struct, frozen=True, kw_only=True):
    """What only operators see of a service. ``category`` and ``detail`` are as the probe has them."""

    category: str | None = None
    detail: str = ""
    latency_ms: float | None = None
    observed_at: datetime | None = None
    owner: str = ""
    runbook: str = ""
    plans: tuple[Plan, ...] = ()


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A service: ``name`` for programs, ``title`` for people. ``since`` is None while nothing is known of it;
    ``category`` says in one word why it is not well (a word that you do not know says nothing); ``caused_by`` names
    the services whose failure explains this one's; ``internal`` is UNSET but for operators."""

    name: str
    title: str
    status: Status
    criticality: Criticality
    since: datetime | None = None
    category: str | None = None
    caused_by: tuple[str, ...] = ()
    planned: PlannedWork | msgspec.UnsetType = msgspec.UNSET
    internal: Internal | msgspec.UnsetType = msgspec.UNSET


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """Something users have. ``text`` says in a sentence what is missing; ``because`` names the services at its root."""

    name: str
    title: str
    status: FeatureStatus
    text: str = ""
    lang: str = "en"
    because: tuple[str, ...] = ()


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of every message; ``v`` is the version of the protocol."""

    v: int = VERSION


class View(Message, frozen=True, kw_only=True):
    """The whole truth as of ``position``: replaces everything."""

    position: Position
    at: datetime
    feed: FeedState = FeedState.LIVE
    services: tuple[Service, ...] = ()
    features: tuple[Feature, ...] = ()
    text: str = ""
    lang: str = "en"


class Welcome(View, frozen=True, kw_only=True, tag="welcome"):
    """The first message of an accepted connection, or of one that waited."""


class Waiting(View, frozen=True, kw_only=True, tag="waiting"):
    """The first message of a connection that is kept, but not let in yet."""


class SnapshotMessage(View, frozen=True, kw_only=True, tag="snapshot"):
    """A welcome again, after the node, or we, lost the thread."""


class NoticeMessage(Message, frozen=True, kw_only=True, tag="notice"):
    """One change of one service, and of the features that it changes."""

    position: Position
    at: datetime
    kind: Kind
    service: Service
    features: tuple[Feature, ...] = ()
    text: str = ""
    lang: str = "en"
    local: bool = False
    incident: str = ""
    quiet: bool = False


class PlannedMessage(Message, frozen=True, kw_only=True, tag="planned"):
    """Planned work on a service was announced, began or is over."""

    position: Position
    at: datetime
    service: Service
    text: str = ""
    lang: str = "en"
    quiet: bool = False


class FeedMessage(Message, frozen=True, kw_only=True, tag="feed"):
    """The freshness of the node's knowledge changed."""

    at: datetime
    feed: FeedState
    text: str = ""
    lang: str = "en"


class Rejected(Message, frozen=True, kw_only=True, tag="rejected"):
    """Why this handshake is not served. Come back after ``retry_after_ms``, which is spread over clients already."""

    position: Position
    at: datetime
    services: tuple[Service, ...]
    features: tuple[Feature, ...] = ()
    text: str = ""
    lang: str = "en"
    retry_after_ms: int = 0


class Goodbye(Message, frozen=True, kw_only=True, tag="goodbye"):
    """The node sends this client away, as ``text`` says."""

    at: datetime
    text: str = ""
    lang: str = "en"
    retry_after_ms: int = 0


AnyMessage = Welcome | Waiting | SnapshotMessage | NoticeMessage | PlannedMessage | FeedMessage | Rejected | Goodbye


class _Header(msgspec.Struct):
    type: str
    v: int = VERSION


_header = msgspec.json.Decoder(_Header)
_message: msgspec.json.Decoder[AnyMessage] = msgspec.json.Decoder(AnyMessage)
_KNOWN = frozenset(
    str(kind.__struct_config__.tag)
    for kind in (
        Welcome, Waiting, SnapshotMessage, NoticeMessage, PlannedMessage, FeedMessage, Rejected, Goodbye,
    )
)  # fmt: skip


def decode(data: str | bytes) -> AnyMessage:
    """One text frame as a message.

    Raises OutOfDate for a version above ours, UnknownType for a type that we do not know, and ProtocolError, with the
    path of what does not fit, for anything else that is no message.
    """
    try:
        header = _header.decode(data)
        if header.v > VERSION:
            raise OutOfDate(header.v)
        if header.type not in _KNOWN:
            raise UnknownType(f"a message of the unknown type {header.type!r}")
        return _message.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ProtocolError(f"not a message of this protocol: {error}") from error
