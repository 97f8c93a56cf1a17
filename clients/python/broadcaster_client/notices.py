"""What an application is told: services, the node's feed, and our connection to the node are three different things.

Each has a ``kind`` (a word), ``at`` (an aware datetime) and a ``text`` for people, which may be shown as it is, in the
language ``lang``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar

import msgspec

from broadcaster_client.languages import Words, chosen, joined
from broadcaster_client.messages import Feature, FeatureStatus, FeedState, Kind, Position, Service, Status
from broadcaster_client.texts import OFFLINE, UNKNOWN, WELL, became_text, feed_text, lost_words


class Link(StrEnum):
    """Our connection to the node."""

    CONNECTING = "connecting"  # for the first time; nothing is known yet
    OPEN = "open"
    WAITING = "waiting"  # open and told everything, but the application does not let us in yet
    OFFLINE = "offline"  # this machine reaches no network, as far as its operating system says
    LOST = "lost"  # the network is there, the node is not; trying again
    REJECTED = "rejected"  # the node turned us away for now, and said why; trying again
    ENDED = "ended"  # for good

    @property
    def is_connected(self) -> bool:
        return self in (Link.OPEN, Link.WAITING)


class Knowledge(StrEnum):
    """How far to trust what a snapshot says of services."""

    CURRENT = "current"  # it is so
    PENDING = "pending"  # nothing was told yet
    FEED_LOST = "feed_lost"  # it was so: the node is not reached, or does not know any more itself
    OFFLINE = "offline"  # it was so: we are offline


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is known, as of ``position``. It never changes; the feed has a newer one.

    ``link`` is our connection, with the ``reason`` in words (of ``reason_lang``) where it is not open; ``feed`` is what
    the node last said of its own knowledge (None before it said anything); ``at`` is when it last said anything;
    ``locale`` is the reader's language, as asked for.
    """

    position: Position = Position()
    at: datetime | None = None
    link: Link = Link.CONNECTING
    reason: str = ""
    reason_lang: str = "en"
    locale: str | None = None
    feed: FeedState | None = None
    services: Mapping[str, Service] = MappingProxyType({})
    features: Mapping[str, Feature] = MappingProxyType({})

    @property
    def is_loaded(self) -> bool:
        """Whether the node has ever told how things stand."""
        return self.feed is not None

    @property
    def knowledge(self) -> Knowledge:
        """Whether services can be taken to be as they stand here, and if not, whose fault that is."""
        if self.link is Link.OFFLINE:
            return Knowledge.OFFLINE
        if self.link.is_connected and self.feed is FeedState.LIVE:
            return Knowledge.CURRENT
        return Knowledge.PENDING if self.link is Link.CONNECTING else Knowledge.FEED_LOST

    @property
    def text(self) -> str:
        """How things stand, for people. Never empty, and never well where that is not known."""
        return self._words().text

    @property
    def lang(self) -> str:
        """The language of ``text``: ``mul`` where it is of several, as the node does not have all of it in one."""
        return self._words().lang

    def status(self, service: str) -> Status:
        """What was last told of a service; ``unknown`` for one that is not told of."""
        found = self.services.get(service)
        return found.status if found else Status.UNKNOWN

    def _words(self) -> Words:
        troubles = self._troubles()
        return joined([*self._doubts(is_followed=bool(troubles)), *troubles] or [WELL])

    def _doubts(self, *, is_followed: bool) -> list[Words]:
        """Why what is known may be so no longer, if it may not, and whether troubles follow that were so before."""
        then = "What follows was so before." if is_followed else "What is known may be out of date."
        its = [Words(then)] if self.is_loaded else []
        match self.knowledge:
            case Knowledge.PENDING:
                return [UNKNOWN]
            case Knowledge.OFFLINE:
                return [OFFLINE, *its]
            case Knowledge.FEED_LOST if self.link is Link.REJECTED:
                return [Words(self.reason, self.reason_lang)]
            case Knowledge.FEED_LOST if not self.link.is_connected:
                return [lost_words(self.reason, self.reason_lang), *its]
            case Knowledge.FEED_LOST:
                return [Words(feed_text(self.feed or FeedState.LOST)), *its]
        return []

    def _troubles(self) -> list[Words]:
        """One sentence a feature that is reduced; services that are unwell where no feature tells of it."""
        reduced = [each for each in self.features.values() if each.status is not FeatureStatus.AVAILABLE]
        if reduced:
            return [
                chosen(Words(each.text, each.lang), f"{each.title}: {each.status.value}.", locale=self.locale)
                for each in reduced
            ]
        return [Words(became_text(each)) for each in self.services.values() if each.status is not Status.UP]


class ServiceChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A service changed, and ``features`` with it, as they are now.

    ``before`` is what was held of the service until now (None: nothing). A ``local`` one was found out by the node
    itself. An ``is_catch_up`` was not told as it happened, but found in a welcome or a snapshot, which has no features
    and no incident. A ``quiet`` one is not to be shown, and only yielded if asked for.
    """

    kind: Kind
    at: datetime
    text: str
    lang: str = "en"
    position: Position
    service: Service
    before: Status | None = None
    features: tuple[Feature, ...] = ()
    local: bool = False
    incident: str = ""
    quiet: bool = False
    is_catch_up: bool = False


class WorkPlanned(msgspec.Struct, frozen=True, kw_only=True):
    """Planned work on a service was announced, began or is over: ``service.planned`` has what is on, or next."""

    kind: ClassVar[str] = "planned"
    at: datetime
    text: str
    lang: str = "en"
    position: Position
    service: Service
    quiet: bool = False


class FeedChanged(msgspec.Struct, frozen=True, kw_only=True):
    """The node knows less, or again, of the services than it did. Nothing of a service changed."""

    kind: ClassVar[str] = "feed"
    at: datetime
    text: str
    lang: str = "en"
    feed: FeedState


class LinkChanged(msgspec.Struct, frozen=True, kw_only=True):
    """Our connection changed. Nothing of a service did.

    ``retry_in`` are seconds until the next attempt, where one is due. With ``rejected``, ``services`` are the
    critical ones that are down and ``features`` what works and what does not.
    """

    kind: ClassVar[str] = "link"
    at: datetime
    text: str
    lang: str = "en"
    link: Link
    retry_in: float | None = None
    services: tuple[Service, ...] = ()
    features: tuple[Feature, ...] = ()


class FellBehind(msgspec.Struct, frozen=True, kw_only=True):
    """More happened than was kept for this reader: in place of ``dropped`` notices, how things stand now."""

    kind: ClassVar[str] = "fell_behind"
    at: datetime
    text: str
    lang: str = "en"
    dropped: int
    snapshot: Snapshot


Notice = ServiceChanged | WorkPlanned | FeedChanged | LinkChanged | FellBehind
