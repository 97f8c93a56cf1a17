"""How much of each day a service was up: seconds by UTC day, moved on as its status changes.

A day is its number since 1970-01-01 UTC. What nobody observed is not counted as anything, and never as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from broadcaster.domain.model import Status

DAY_SECONDS = 86_400.0

DAYS = 90
"""Days that are kept, today included."""


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of one day by what was told of the service. ``planned``: it was not up, and planned work was on.

    ``outages`` are those that began on it. What is missing to a whole day is not known: it came before the first
    knowledge, or is still to come.
    """

    up: float = 0.0
    degraded: float = 0.0
    down: float = 0.0
    unknown: float = 0.0
    planned: float = 0.0
    outages: int = 0

    @property
    def counted(self) -> float:
        """Seconds of which something was told, be it that nothing is known."""
        return self.up + self.degraded + self.down + self.unknown + self.planned


class Uptime(msgspec.Struct, frozen=True, kw_only=True):
    """The last days of one service, oldest first and today last; None for a day of which there is no data."""

    days: tuple[Day | None, ...]

    @property
    def is_known(self) -> bool:
        """Whether the service was seen on any of the days."""
        return self.observed > 0

    @property
    def observed(self) -> float:
        """Seconds in which the service was observed and no work on it was planned."""
        return sum(day.up + day.degraded + day.down for day in self._counted())

    @property
    def told(self) -> float:
        """Seconds of which there is data."""
        return sum(day.counted for day in self._counted())

    @property
    def availability(self) -> float | None:
        """The part of what was observed in which the service served, if only badly; None where nothing was.

        Planned work and what is not known count neither way.
        """
        observed = self.observed
        return 1.0 - sum(day.down for day in self._counted()) / observed if observed else None

    @property
    def outages(self) -> int:
        return sum(day.outages for day in self._counted())

    @property
    def span(self) -> int:
        """Days from the first one with data to today."""
        return next((len(self.days) - index for index, day in enumerate(self.days) if day is not None), 0)

    def _counted(self) -> Iterator[Day]:
        return (day for day in self.days if day is not None)


class Timeline:
    """One service's days, given its changes in the order of time. It begins with the first status that is known."""

    __slots__ = ("_at", "_days", "_is_out", "_is_planned", "_status")

    def __init__(self) -> None:
        self._days: dict[int, Day] = {}
        self._at = -math.inf
        self._status = Status.UNKNOWN
        self._is_planned = False
        self._is_out = False  # down when last observed

    def __repr__(self) -> str:
        return f"Timeline({self._status}, {len(self._days)} days)"

    @property
    def at(self) -> float:
        """Unix seconds of the last change; before everything where there was none."""
        return self._at

    @property
    def has_begun(self) -> bool:
        return self._at > -math.inf

    @property
    def status(self) -> Status:
        return self._status

    @property
    def is_planned(self) -> bool:
        return self._is_planned

    def become(self, status: Status, at: float, *, is_planned: bool = False) -> None:
        """The service is told as this from ``at`` on. A change that claims to be older than the last one is as old."""
        if self.has_begun:
            at = max(at, self._at)
            self._count(self._days, at)
        elif status is Status.UNKNOWN:
            return
        self._at, self._status, self._is_planned = at, status, is_planned
        if status is Status.DOWN and not self._is_out and not is_planned:
            held = self._days.get(_day(at), Day())
            self._days[_day(at)] = msgspec.structs.replace(held, outages=held.outages + 1)
        if status is not Status.UNKNOWN:
            self._is_out = status is Status.DOWN
        if len(self._days) > DAYS:
            self._days = {day: held for day, held in self._days.items() if day > _day(at) - DAYS}

    def uptime(self, now: float) -> Uptime:
        """The days up to ``now``."""
        days, today = self._days, _day(now)
        if self.has_begun:
            days = dict(days)
            self._count(days, now)
        return Uptime(days=tuple(map(days.get, range(today - DAYS + 1, today + 1))))

    def _count(self, days: dict[int, Day], end: float) -> None:
        """Adds the time since the last change to the days, as if nothing changed until ``end``."""
        told = "planned" if self._is_planned and self._status is not Status.UP else self._status.value
        oldest = (_day(end) - DAYS + 1) * DAY_SECONDS
        for day, seconds in _spread(max(self._at, oldest), end):
            held = days.get(day, Day())
            days[day] = msgspec.structs.replace(held, **{told: getattr(held, told) + seconds})


def _spread(begin: float, end: float) -> Iterator[tuple[int, float]]:
    """The seconds between two times, by day."""
    while begin < end:
        day = _day(begin)
        midnight = min(end, (day + 1) * DAY_SECONDS)
        yield day, midnight - begin
        begin = midnight


def _day(at: float) -> int:
    return math.floor(at / DAY_SECONDS)
