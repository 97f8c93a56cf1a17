"""The status page, made on the server: complete without a script, and taken over by it where there is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache

import msgspec
from markupsafe import Markup

from broadcaster.domain.history import History
from broadcaster.domain.model import Catalogue, FeedState
from broadcaster.domain.scope import Scope
from broadcaster.domain.uptime import Uptime
from broadcaster.manager.manager import ServiceAvailabilityManager
from broadcaster.node.pages import past, words
from broadcaster.node.pages.latencies import Latencies, Line, line
from broadcaster.node.pages.past import DayView
from broadcaster.node.pages.templating import REST, Latest, Rendered, Same, render, rendered
from broadcaster.protocol import notices
from broadcaster.protocol.messages import FeatureView, InternalView, ServiceView, Welcome, timestamp

MOST_SHOWN = 12
"""Incidents on the page, those that go on first; the feed has more."""

PAST_SECONDS = 20

HTML = "text/html; charset=utf-8"


class FeatureRow(msgspec.Struct, frozen=True, kw_only=True):
    """``lang`` is the language of the detail where that is not English."""

    name: str
    title: str
    level: str
    word: str
    detail: str
    lang: str


class ServiceRow(msgspec.Struct, frozen=True, kw_only=True):
    """``held`` says how long it has been so; ``past`` are its days."""

    name: str
    title: str
    level: str
    word: str
    detail: str
    since: datetime | None
    held: str
    past: Markup
    internal: InternalView | None
    why: str
    line: Line | None


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """What happened, as it is on the page: each service's days, and the incidents."""

    days: Mapping[str, Markup]
    incidents: Markup


class StatusPage:
    """Renders at most once a second and state of things, for users and for operators; what happened, which is most of
    it, at most every ``PAST_SECONDS`` unless something happens. With very many services, which take long, less often:
    whoever asks again and again takes little from everybody else."""

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
        self._kept: dict[bool, Latest[Rendered]] = {each: Latest(rest=REST) for each in (False, True)}
        self._past: dict[bool, Latest[Past]] = {False: Latest(), True: Latest()}

    def __repr__(self) -> str:
        return f"StatusPage({self._history!r})"

    def get(self, *, internal: bool = False) -> Rendered:
        """The page as of this second. ``internal``: with what only operators may see."""
        now, manager = int(self._clock()), self._manager
        known = (Same(manager.catalogue), self._history.revision)
        key = (now, Same(manager.snapshot), manager.feed_state, known)

        def make() -> Rendered:
            catalogue = Scope(internal=internal).narrow(manager.catalogue)
            happened = self._past[internal].get(
                (now // PAST_SECONDS, known), lambda: render_past(catalogue, self._history, self._clock())
            )
            return rendered(self._render(catalogue, happened, now, internal=internal), HTML)

        return self._kept[internal].get(key, make)

    def _render(self, catalogue: Catalogue, happened: Past, now: float, *, internal: bool) -> str:
        feed = self._manager.feed_state
        told = notices.welcome(catalogue, self._manager.snapshot, feed, now, internal=internal)
        return render(
            "page.html",
            internal=internal,
            made=timestamp(now),
            feed=feed.value,
            freshness=freshness(feed, told.at),
            overall=words.overall(told.services, told.features, feed),
            features=[feature_row(each, told) for each in told.features],
            services=[self._service_row(each, happened.days[each.name], now) for each in told.services],
            incidents=happened.incidents,
        )

    def _service_row(self, service: ServiceView, days: Markup, now: float) -> ServiceRow:
        return ServiceRow(
            name=service.name,
            title=words.title(service),
            level=words.level_of(service.status),
            word=words.status_word(service.status),
            detail=words.service_detail(service),
            since=service.since,
            held=f"for {words.span(now - service.since.timestamp())}" if service.since else "",
            past=days,
            internal=service.internal or None,
            why=_why(service.internal) if service.internal else "",
            line=line(self._latencies.of(service.name)) if service.internal else None,
        )


def render_past(catalogue: Catalogue, history: History, now: float) -> Past:
    """What happened to the services of the catalogue that are announced."""
    announced = [name for name in catalogue.services if catalogue.is_announced(name)]
    uptimes = {name: history.uptime(name, now) for name in announced}
    shown = sorted(history.incidents(announced), key=lambda each: not each.is_open)  # of each kind the latest first
    return Past(
        days={name: _render_days(name, uptime, now) for name, uptime in uptimes.items()},
        incidents=render(
            "incidents.html",
            incidents=[past.incident_view(catalogue, each) for each in shown[:MOST_SHOWN]],
            no_incidents=past.no_incidents(uptimes.values()),
        ),
    )


def _render_days(name: str, uptime: Uptime, now: float) -> Markup:
    days = past.day_views(uptime, now)
    troubled = [day for day in reversed(days) if day.is_troubled]
    bars = Markup().join(map(_bar, days))
    return render("past.html", name=name, bars=bars, troubled=troubled, summary=past.summary(uptime))


@lru_cache(maxsize=10_000)
def _bar(day: DayView) -> Markup:
    return render("bar.html", day=day)


def feature_row(feature: FeatureView, told: Welcome) -> FeatureRow:
    return FeatureRow(
        name=feature.name,
        title=words.title(feature),
        level=words.level_of(feature.status),
        word=words.status_word(feature.status),
        detail=words.feature_detail(feature, told.services),
        lang=words.foreign(feature.lang) if feature.text else "",
    )


def freshness(feed: FeedState, made: datetime) -> str:
    """What the page is worth, and when it was made: a page without a script grows old by itself."""
    as_of = f"As of {made.day} {words.MONTHS[made.month - 1]}, {made:%H:%M:%S} UTC"
    return as_of if feed is FeedState.LIVE else f"{words.FEED_WORDS[feed]} ({as_of[0].lower()}{as_of[1:]})"


def _why(internal: InternalView) -> str:
    """Why a service is as it is, for operators."""
    return ": ".join(filter(None, (internal.category.value if internal.category else "", internal.detail)))
