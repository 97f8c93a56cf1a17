"""What the page, its feed and its badges say of what happened: days, and incidents.

It is made here only, never by a script."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from broadcaster.domain.features import FeatureStatus, feature_states
from broadcaster.domain.history import Incident, Update
from broadcaster.domain.model import Catalogue, EventKind, ServiceState, Snapshot, Status
from broadcaster.domain.uptime import DAY_SECONDS, Day, Uptime
from broadcaster.node.pages.words import MONTHS, foreign, listed, span
from broadcaster.protocol import notices
from broadcaster.protocol.messages import timestamp

NOTICEABLE = 1.0
"""Seconds of planned work, or without an observation, from which on a day says so. Troubles it always says."""

GAP = 0.05
"""The part of a day that nobody observed from which on the day says so."""

KIND_WORDS = {
    EventKind.UP: "Up",
    EventKind.RECOVERED: "Recovered",
    EventKind.DEGRADED: "Degraded",
    EventKind.DOWN: "Down",
}
_KIND_LEVELS = {EventKind.DEGRADED: "degraded", EventKind.DOWN: "down"}


class DayView(msgspec.Struct, frozen=True, kw_only=True):
    """One day: ``level`` is the worst of it, or ``none`` where there is no data."""

    level: str
    date: str
    text: str

    @property
    def is_troubled(self) -> bool:
        return self.level not in ("up", "none")


class UpdateView(msgspec.Struct, frozen=True, kw_only=True):
    """``lang`` is the language of the text where that is not English."""

    at: datetime
    level: str
    title: str
    word: str
    text: str
    lang: str = ""


class IncidentView(msgspec.Struct, frozen=True, kw_only=True):
    """An incident in words; ``updates`` newest first. ``state`` says whether it goes on, or how long it went on."""

    name: str
    level: str
    title: str
    state: str
    began: datetime
    ended: datetime | None
    updated: datetime
    affected: str
    is_planned: bool
    updates: tuple[UpdateView, ...]


def day_views(uptime: Uptime, now: float) -> tuple[DayView, ...]:
    """Each day of an uptime, oldest first."""
    first = math.floor(now / DAY_SECONDS) - len(uptime.days) + 1
    return tuple(_day_view(day, first + index) for index, day in enumerate(uptime.days))


@lru_cache(maxsize=10_000)  # most days of most services are alike
def _day_view(day: Day | None, number: int) -> DayView:
    date = _date(number * DAY_SECONDS)
    if day is None:
        return DayView(level="none", date=date, text="no data")
    said = [
        f"{words} {span(max(1.0, seconds))}"
        for words, seconds, is_said in (
            ("down", day.down, day.down > 0 or day.outages),
            ("degraded", day.degraded, day.degraded > 0),
            ("planned work", day.planned, day.planned >= NOTICEABLE),
            ("not observed", day.unknown, day.unknown >= NOTICEABLE),
        )
        if is_said
    ]
    return DayView(level=_level(day), date=date, text=", ".join(said) or "no trouble")


def _level(day: Day) -> str:
    if day.down > 0 or day.outages:
        return "down"
    if day.degraded > 0:
        return "degraded"
    if day.unknown >= GAP * day.counted:
        return "unknown"
    return "planned" if day.planned >= NOTICEABLE else "up"


def summary(uptime: Uptime) -> str:
    """An uptime in one line: ``99.95 % over 90 days, 2 outages``."""
    availability = uptime.availability
    if availability is None:
        return "No data yet"
    outages = {0: "no outages", 1: "1 outage"}.get(uptime.outages, f"{uptime.outages} outages")
    return f"{percent(availability)} over {_length(uptime)}, {outages}"


def _length(uptime: Uptime) -> str:
    """How much there is data of: less than two days are not called days, as it may be minutes of each."""
    return span(uptime.told) if uptime.told < 2 * DAY_SECONDS else f"{uptime.span} days"


def percent(part: float) -> str:
    """Rounded down: what was not always there is never 100 %."""
    return "100\u00a0%" if part >= 1.0 else f"{math.floor(part * 10_000) / 100:.2f}\u00a0%"


def no_incidents(uptimes: Iterable[Uptime]) -> str:
    """What is said where there are none: only of the time of which there is data."""
    longest = max(uptimes, key=lambda each: each.told, default=None)
    if longest is None or not longest.told:
        return "Nothing is known of earlier days yet."
    rest = "" if longest.told >= 2 * DAY_SECONDS else " Nothing is known of the time before."
    return f"None in the last {_length(longest)}.{rest}"


def incident_view(catalogue: Catalogue, incident: Incident) -> IncidentView:
    """An incident as everybody may read it, of services of the catalogue that are announced."""
    is_down = Status.DOWN in incident.worst.values()
    roots = [_title(catalogue, name) for name in incident.roots] or [_title(catalogue, name) for name in incident.worst]
    return IncidentView(
        name=notices.incident_name(catalogue, incident.name),
        level="down" if is_down else "degraded",
        title=f"{listed(roots)} unavailable" if is_down else f"Problems with {listed(roots)}",
        state="Ongoing" if incident.ended is None else f"Resolved after {span(incident.ended - incident.began)}",
        began=timestamp(incident.began),
        ended=None if incident.ended is None else timestamp(incident.ended),
        updated=timestamp(incident.updated),
        affected=listed(_affected(catalogue, incident)),
        is_planned=incident.is_planned,
        updates=tuple(_update_view(catalogue, update) for update in reversed(incident.updates)),
    )


def _affected(catalogue: Catalogue, incident: Incident) -> list[str]:
    """The features that users lacked, in part or wholly, with everything at its worst and all else up; or else the
    services that failed."""
    states = {
        name: ServiceState(service=name, status=incident.worst.get(name, Status.UP)) for name in catalogue.services
    }
    seen = feature_states(catalogue, Snapshot(services=states))
    features = [
        feature.title or name
        for name, feature in catalogue.features.items()
        if seen[name].status is not FeatureStatus.AVAILABLE
    ]
    return features or [_title(catalogue, name) for name in incident.worst]


def _update_view(catalogue: Catalogue, update: Update) -> UpdateView:
    text, lang = _said(catalogue, update)
    return UpdateView(
        at=timestamp(update.at),
        level=_KIND_LEVELS.get(update.kind, "up"),
        title=_title(catalogue, update.service),
        word=KIND_WORDS[update.kind],
        text=text,
        lang=lang,
    )


def _said(catalogue: Catalogue, update: Update) -> tuple[str, str]:
    """The sentence that users read then, in the words of the settings as they are now, and its language."""
    if update.caused_by:
        text = f"{_title(catalogue, update.service)} is affected by the trouble with {_titles(catalogue, update)}."
        return text, ""
    after = ServiceState(service=update.service, status=update.status, since=update.at, category=update.category)
    told = notices.notice(
        msgspec.structs.replace(catalogue, features={}),
        Snapshot(),
        Snapshot(services={update.service: after}),
        update.kind,
        update.service,
        update.at,
    )
    return told.text, foreign(told.lang)


def _titles(catalogue: Catalogue, update: Update) -> str:
    return listed([_title(catalogue, name) for name in update.caused_by])


def _title(catalogue: Catalogue, name: str) -> str:
    service = catalogue.services.get(name)
    return (service.title if service else "") or name


def _date(at: float) -> str:
    day = datetime.fromtimestamp(at, UTC)
    return f"{day.day} {MONTHS[day.month - 1]}"
