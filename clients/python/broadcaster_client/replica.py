"""The local copy of what the node knows, moved on by its messages in the order of their positions. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from types import MappingProxyType

import msgspec

from broadcaster_client.languages import Words, chosen
from broadcaster_client.messages import (
    AnyMessage,
    FeedMessage,
    Kind,
    NoticeMessage,
    PlannedMessage,
    Position,
    Service,
    Status,
    View,
)
from broadcaster_client.notices import FeedChanged, Notice, ServiceChanged, Snapshot, WorkPlanned
from broadcaster_client.texts import became_text, feed_text, planned_text

_UNWELL = (Status.DOWN, Status.DEGRADED)


class Applied(StrEnum):
    """What became of a message."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"  # known already; dropped
    GAP = "gap"  # the whole truth before it is missing: connect again
    NEW_EPOCH = "new_epoch"  # another order began, and its whole truth is missing: connect again
    IGNORED = "ignored"  # not about the state


class Replica:
    """Holds one snapshot: a view replaces it, news moves it on.

    A hole between revisions is no gap: not every service is announced, and the node keeps the order (docs/protocol.md,
    "How to follow it", 3). A gap is news without anything whole that it could be about.
    """

    __slots__ = ("snapshot",)

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self.snapshot = snapshot or Snapshot()

    def __repr__(self) -> str:
        return f"Replica({self.snapshot.position}, {len(self.snapshot.services)} services)"

    def apply(self, message: AnyMessage) -> tuple[Applied, tuple[Notice, ...]]:
        """Takes one message: what became of it, and what has happened by it, oldest first, quiet news included."""
        match message:
            case View():
                return Applied.APPLIED, tuple(self._replace(message))
            case NoticeMessage():
                outcome = self._place(message.position, is_local=message.local)
                return outcome, (self._move(message),) if outcome is Applied.APPLIED else ()
            case PlannedMessage():
                outcome = self._place(message.position)
                return outcome, (self._plan(message),) if outcome is Applied.APPLIED else ()
            case FeedMessage():
                return self._refresh(message)
        return Applied.IGNORED, ()

    def _place(self, its: Position, *, is_local: bool = False) -> Applied:
        """What news at this position is to us. What a node found out by itself has no place, and is always news."""
        mine = self.snapshot.position
        if not self.snapshot.is_loaded:
            return Applied.GAP
        if is_local:
            return Applied.APPLIED
        if its.epoch != mine.epoch:
            return Applied.NEW_EPOCH
        return Applied.APPLIED if its.revision > mine.revision else Applied.DUPLICATE

    def _replace(self, view: View) -> Iterable[Notice]:
        before = self.snapshot
        self.snapshot = msgspec.structs.replace(
            before,
            position=view.position,
            at=view.at,
            feed=view.feed,
            services=MappingProxyType({each.name: each for each in view.services}),
            features=MappingProxyType({each.name: each for each in view.features}),
        )
        changed = [each for each in view.services if _is_news(before, each)]
        changed.sort(key=lambda each: each.since or view.at)
        for each in changed:
            known = before.services.get(each.name)
            yield ServiceChanged(
                kind=_became(each.status, known),
                at=each.since or view.at,
                text=became_text(each),
                position=view.position,
                service=each,
                before=known.status if known else None,
                is_catch_up=True,
            )
        if before.is_loaded and before.feed is not view.feed:
            # The view's text says how things stand, not what became of the feed.
            yield FeedChanged(at=view.at, text=feed_text(view.feed), feed=view.feed)

    def _move(self, message: NoticeMessage) -> Notice:
        before, service = self.snapshot, message.service
        known = before.services.get(service.name)
        self.snapshot = msgspec.structs.replace(
            before,
            position=before.position if message.local else message.position,
            at=message.at,
            services=MappingProxyType({**before.services, service.name: service}),
            features=MappingProxyType({**before.features, **{each.name: each for each in message.features}}),
        )
        text, lang = chosen(Words(message.text, message.lang), became_text(service), locale=before.locale)
        return ServiceChanged(
            kind=message.kind,
            at=message.at,
            text=text,
            lang=lang,
            position=message.position,
            service=service,
            before=known.status if known else None,
            features=message.features,
            local=message.local,
            incident=message.incident,
            quiet=message.quiet,
        )

    def _plan(self, message: PlannedMessage) -> Notice:
        before, service = self.snapshot, message.service
        self.snapshot = msgspec.structs.replace(
            before,
            position=message.position,
            at=message.at,
            services=MappingProxyType({**before.services, service.name: service}),
        )
        # Without words there is nothing to show: other planned work goes on that users know of.
        quiet = message.quiet or not message.text
        own = planned_text(service) if message.text else ""
        text, lang = chosen(Words(message.text, message.lang), own, locale=before.locale)
        return WorkPlanned(at=message.at, text=text, lang=lang, position=message.position, service=service, quiet=quiet)

    def _refresh(self, message: FeedMessage) -> tuple[Applied, tuple[Notice, ...]]:
        if not self.snapshot.is_loaded:
            return Applied.GAP, ()
        if message.feed is self.snapshot.feed:
            return Applied.DUPLICATE, ()
        self.snapshot = msgspec.structs.replace(self.snapshot, feed=message.feed, at=message.at)
        said, own = Words(message.text, message.lang), feed_text(message.feed)
        text, lang = chosen(said, own, locale=self.snapshot.locale)
        return Applied.APPLIED, (FeedChanged(at=message.at, text=text, lang=lang, feed=message.feed),)


def _is_news(before: Snapshot, service: Service) -> bool:
    """Whether a view tells something of a service: at first what is unwell, later what differs."""
    if not before.is_loaded:
        return service.status in _UNWELL
    known = before.services.get(service.name)
    if known is None:
        return service.status is not Status.UP
    return known.status is not service.status


def _became(status: Status, known: Service | None) -> Kind:
    if status is Status.UP:
        return Kind.RECOVERED if known is not None and known.status in _UNWELL else Kind.UP
    return Kind(status.value)
