"""What happened to the services of late: their days, and the incidents, from what was committed and what is told.

Bounded whatever happens: 90 days a service, ``MOST_INCIDENTS`` incidents, ``MOST_UPDATES`` updates of each.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from broadcaster.domain.model import (
    Category,
    Entry,
    EventKind,
    Position,
    ServiceState,
    Snapshot,
    Status,
    event_kind,
)
from broadcaster.domain.uptime import DAY_SECONDS, DAYS, Timeline, Uptime

MOST_INCIDENTS = 200
MOST_UPDATES = 50

CLOCKS_APART = 60.0
"""Seconds that others' clocks may be ahead. What they say happened later than that is taken to happen now: else it
would be on a day to come, and nothing that follows could be before it."""

_UNWELL = (Status.DOWN, Status.DEGRADED)
_WORST_FIRST = (Status.DOWN, Status.DEGRADED)


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one service of an incident, as it was told."""

    at: float
    service: str
    kind: EventKind
    status: Status
    category: Category | None = None
    caused_by: tuple[str, ...] = ()
    is_planned: bool = False


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """Failures that belong together, until each service has recovered (``ended``).

    ``worst`` says for each service that it took how bad it got, in the order in which they failed; ``unwell`` are those
    that have yet to recover. ``updates`` are its beginning and its latest news, oldest first.
    """

    name: str
    began: float
    ended: float | None = None
    worst: Mapping[str, Status] = {}
    unwell: frozenset[str] = frozenset()
    updates: tuple[Update, ...] = ()

    @property
    def is_open(self) -> bool:
        return self.ended is None

    @property
    def is_planned(self) -> bool:
        """Whether planned work was on where it began."""
        return self.updates[0].is_planned

    @property
    def updated(self) -> float:
        return self.updates[-1].at

    @property
    def roots(self) -> tuple[str, ...]:
        """The services that no other one explains; where all are explained, what explains them."""
        first: dict[str, Update] = {}
        for update in self.updates:
            if update.status in _UNWELL:
                first.setdefault(update.service, update)
        found = tuple(name for name, update in first.items() if not update.caused_by)
        return found or tuple(dict.fromkeys(cause for update in first.values() for cause in update.caused_by))

    def narrow(self, services: Iterable[str]) -> Incident | None:
        """What it is to somebody who hears of ``services`` only; None where it is nothing."""
        told = frozenset(services)
        updates = tuple(
            msgspec.structs.replace(each, caused_by=tuple(name for name in each.caused_by if name in told))
            for each in self.updates
            if each.service in told
        )
        if not updates:
            return None
        unwell = self.unwell & told
        return msgspec.structs.replace(
            self,
            began=updates[0].at,
            ended=None if unwell else updates[-1].at,
            worst={name: status for name, status in self.worst.items() if name in told},
            unwell=unwell,
            updates=updates,
        )


class History:
    """Moved on in the order of time: by ``replay`` with what was committed, by ``take`` with what is told now.

    ``revision`` grows with every change of what it holds.
    """

    def __init__(self) -> None:
        self.revision = 0
        self.position = Position()
        """How far it has come in the order of what is committed."""
        self._timelines: dict[str, Timeline] = {}
        self._incidents: dict[str, Incident] = {}
        self._member: dict[str, str] = {}  # an unwell service -> its incident
        self._committed: dict[str, ServiceState] = {}

    def __repr__(self) -> str:
        return f"History({self.position}, {len(self._timelines)} services, {len(self._incidents)} incidents)"

    def replay(self, entries: Iterable[Entry], now: float = math.inf) -> None:
        """What was committed until ``now``, oldest first. What is known already is left out."""
        for entry in entries:
            if self.knows(entry.position):
                continue
            held = self._committed.get(entry.service) or ServiceState(service=entry.service)
            state = self._committed[entry.service] = entry.state(held)
            self.position = entry.position
            override = state.override
            if override is not None and override.status is not None:
                state = msgspec.structs.replace(state, status=override.status, caused_by=(), incident="")
            self._note(state, _believed(entry.at, now), is_committed=True)

    def knows(self, position: Position) -> bool:
        """Whether a place in the order is behind this history."""
        return position.epoch == self.position.epoch and position.revision <= self.position.revision

    def take(self, snapshot: Snapshot, now: float, *, service: str = "", at: float = 0.0) -> None:
        """What is told now; ``service`` is the one that changed by what was committed, and ``at`` when that was.

        Another that is told differently from before is so since its status began, or, where that is older than what was
        told before, since ``now``. Of one that is not told of any more nothing is known since ``now``.
        """
        self.position = snapshot.position
        self._committed = dict(snapshot.services)
        for name, state in snapshot.services.items():
            timeline = self._timelines.get(name)
            if name == service:
                self._note(state, _believed(at, now), is_committed=True)
            elif timeline is None or not timeline.has_begun:
                self._note(state, _believed(state.since or now, now))
            elif timeline.status is not state.status:
                self._note(state, _believed(state.since, now) if state.since > timeline.at else now)
            elif timeline.is_planned is not (state.maintenance is not None):
                self._note(state, now)
        for name in self._timelines.keys() - snapshot.services.keys():
            self._note(ServiceState(service=name), now)

    def uptime(self, service: str, now: float) -> Uptime:
        """The service's last days."""
        return self._timelines.get(service, _NOTHING).uptime(now)

    def incidents(self, services: Iterable[str]) -> Iterator[Incident]:
        """The incidents of these services, the one that began last first."""
        services = frozenset(services)
        found = (each.narrow(services) for each in self._incidents.values())
        yield from sorted((each for each in found if each is not None), key=lambda each: each.began, reverse=True)

    def _note(self, state: ServiceState, at: float, *, is_committed: bool = False) -> None:
        """A service as it is told from ``at`` on."""
        timeline = self._timelines.setdefault(state.service, Timeline())
        was, is_planned = timeline.status, state.maintenance is not None
        if was is state.status and (timeline.is_planned is is_planned or not timeline.has_begun):
            return
        timeline.become(state.status, at, is_planned=is_planned)
        self.revision += 1
        if was is not state.status:
            self._note_incident(state, was, timeline.at, is_planned=is_planned, is_committed=is_committed)

    def _note_incident(
        self, state: ServiceState, was: Status, at: float, *, is_planned: bool, is_committed: bool
    ) -> None:
        service = state.service
        name = self._member.get(service, "")
        if state.status in _UNWELL:
            name = name or state.incident or _own_name(state, at, is_committed)
        if not name or state.status is Status.UNKNOWN:
            return  # a node's own evidence, which others do not share; or nothing that anybody knows
        held = self._incidents.get(name)
        if held is None:
            self._forget(at)
            held = Incident(name=name, began=at)
        if state.status is _last(held, service):
            return  # it was out of sight for a while, and is as it was
        at = max(at, held.updates[-1].at) if held.updates else at
        kind = event_kind(was, state.status)
        update = Update(
            at=at,
            service=service,
            kind=EventKind.RECOVERED if kind is EventKind.UP else kind,
            status=state.status,
            category=state.category,
            caused_by=state.caused_by,
            is_planned=is_planned,
        )
        unwell = held.unwell - {service} if state.status is Status.UP else held.unwell | {service}
        worst = held.worst
        if state.status in _UNWELL:
            self._member[service] = name
            worst = {**worst, service: min(state.status, worst.get(service, state.status), key=_WORST_FIRST.index)}
        else:
            self._member.pop(service, None)
        self._incidents[name] = msgspec.structs.replace(
            held,
            ended=None if unwell else at,
            worst=worst,
            unwell=unwell,
            updates=_bounded((*held.updates, update)),
        )

    def _forget(self, now: float) -> None:
        """Makes room for another: drops what ended before the days that are kept, and the oldest of too many, those
        that are over first."""
        before = now - DAYS * DAY_SECONDS
        for name in [name for name, each in self._incidents.items() if each.ended is not None and each.ended < before]:
            del self._incidents[name]
        if len(self._incidents) >= MOST_INCIDENTS:
            oldest = min(self._incidents.values(), key=lambda each: (each.is_open, each.updated))
            del self._incidents[oldest.name]
            self._member = {service: name for service, name in self._member.items() if name != oldest.name}


_NOTHING = Timeline()


def _believed(at: float, now: float) -> float:
    """When something is taken to have happened that is said to have happened then."""
    return at if at <= now + CLOCKS_APART else now


def _own_name(state: ServiceState, at: float, is_committed: bool) -> str:
    """An incident for what belongs to none: an override, or what an older worker committed; all nodes name it alike."""
    if state.override is not None:
        at = state.override.starts_at
    return f"{state.service}-{int(at * 1000):x}" if is_committed or state.override is not None else ""


def _last(incident: Incident, service: str) -> Status | None:
    """How the service was by the last update of it, None if there is none."""
    return next((each.status for each in reversed(incident.updates) if each.service == service), None)


def _bounded(updates: tuple[Update, ...]) -> tuple[Update, ...]:
    return updates if len(updates) <= MOST_UPDATES else (updates[0], *updates[1 - MOST_UPDATES :])
