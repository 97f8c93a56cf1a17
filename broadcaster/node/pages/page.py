"""The status page, made on the server: complete without a script, and taken over by it where there is one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from broadcaster.domain.history import History
from broadcaster.domain.model import FeedState
from broadcaster.domain.scope import Scope
from broadcaster.manager.manager import ServiceAvailabilityManager
from broadcaster.node.pages import past, words
from broadcaster.node.pages.latencies import Latencies, Line, line
from broadcaster.node.pages.past import DayView
from broadcaster.node.pages.templating import Latest, Rendered, Same, render, rendered
from broadcaster.protocol import notices
from broadcaster.protocol.messages import FeatureView, InternalView, ServiceView, Welcome, timestamp

MOST_SHOWN = 12
"""Incidents on the page; the feed has more."""

HTML = "text/html; charset=utf-8"


class FeatureRow(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    title: str
    level: str
    word: str
    detail: str


class ServiceRow(msgspec.Struct, frozen=True, kw_only=True):
    """``held`` says how long it has been so; ``troubled`` are the days on which something was wrong, latest first."""

    name: str
    title: str
    level: str
    word: str
    detail: str
    since: datetime | None
    held: str
    days: tuple[DayView, ...]
    troubled: tuple[DayView, ...]
    summary: str
    internal: InternalView | None
    why: str
    line: Line | None


class StatusPage:
    """Renders at most once a second and state of things, for users and for operators."""

    def __init__(
        self,
        manager: ServiceAvailabilityManager,
        history: History,
        latencies: Latencies,
        clock: Callable[[], float],
    ) -> None:
        self._manager = manager
        self._history = history
        self._latencies = latencies
        self._clock = clock
        self._kept = {False: Latest(), True: Latest()}

    def __repr__(self) -> str:
        return f"StatusPage({self._history!r})"

    def get(self, *, internal: bool = False) -> Rendered:
        """The page as of this second. ``internal``: with what only operators may see."""
        now, manager = int(self._clock()), self._manager
        # Not their ids, which live no longer than they do.
        key = (now, Same(manager.snapshot), Same(manager.catalogue), manager.feed_state, self._history.revision)
        return self._kept[internal].get(key, lambda: rendered(self._render(now, internal=internal), HTML))

    def _render(self, now: float, *, internal: bool) -> str:
        catalogue = Scope(internal=internal).narrow(self._manager.catalogue)
        feed = self._manager.feed_state
        told = notices.welcome(catalogue, self._manager.snapshot, feed, now, internal=internal)
        incidents = [
            past.incident_view(catalogue, each)
            for each, _ in zip(self._history.incidents(_announced(told)), range(MOST_SHOWN), strict=False)
        ]
        return render(
            "page.html",
            internal=internal,
            made=timestamp(now),
            feed=feed.value,
            freshness=freshness(feed, told.at),
            overall=words.overall(told.services, told.features, feed),
            features=[feature_row(each, told) for each in told.features],
            services=[self._service_row(each, now) for each in told.services],
            incidents=incidents,
            no_incidents=past.no_incidents(self._history.uptime(each.name, now) for each in told.services),
        )

    def _service_row(self, service: ServiceView, now: float) -> ServiceRow:
        uptime = self._history.uptime(service.name, now)
        days = past.day_views(uptime, now)
        return ServiceRow(
            name=service.name,
            title=words.title(service),
            level=words.level_of(service.status),
            word=words.status_word(service.status),
            detail=words.service_detail(service),
            since=service.since,
            held=f"for {words.span(now - service.since.timestamp())}" if service.since else "",
            days=days,
            troubled=tuple(day for day in reversed(days) if day.is_troubled),
            summary=past.summary(uptime),
            internal=service.internal or None,
            why=_why(service.internal) if service.internal else "",
            line=line(self._latencies.of(service.name)) if service.internal else None,
        )


def feature_row(feature: FeatureView, told: Welcome) -> FeatureRow:
    return FeatureRow(
        name=feature.name,
        title=words.title(feature),
        level=words.level_of(feature.status),
        word=words.status_word(feature.status),
        detail=words.feature_detail(feature, told.services),
    )


def freshness(feed: FeedState, made: datetime) -> str:
    """What the page is worth, and when it was made: a page without a script grows old by itself."""
    as_of = f"As of {made.day} {words.MONTHS[made.month - 1]}, {made:%H:%M:%S} UTC"
    return as_of if feed is FeedState.LIVE else f"{words.FEED_WORDS[feed]} ({as_of[0].lower()}{as_of[1:]})"


def _why(internal: InternalView) -> str:
    """Why a service is as it is, for operators."""
    return ": ".join(filter(None, (internal.category.value if internal.category else "", internal.detail)))


def _announced(told: Welcome) -> frozenset[str]:
    return frozenset(each.name for each in told.services)
