"""The incidents as an Atom feed (RFC 4287): an entry for each, and another for its end, which readers notice as news.

Ids are made of the incidents' names, so that all nodes of a namespace give the same. Addresses in it are relative to
its own, which is right behind whatever proxy.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime
from itertools import islice

import msgspec

from broadcaster.domain.history import History
from broadcaster.manager.manager import ServiceAvailabilityManager
from broadcaster.node.pages import past
from broadcaster.node.pages.past import IncidentView
from broadcaster.node.pages.templating import REST, Latest, Rendered, Same, render, rendered
from broadcaster.protocol.messages import timestamp

MOST_IN_FEED = 50
"""Incidents in the feed, the latest."""

ATOM = "application/atom+xml"

_IDS = uuid.UUID("6f3c5c0e-2d55-4c58-9f0a-0e1f3a8f6a11")
"""The namespace of all ids that are made here."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """``content`` is HTML, which the feed has as text."""

    id: str
    title: str
    published: datetime
    updated: datetime
    term: str
    summary: str
    content: str


class IncidentFeed:
    """The feed of one namespace, made anew when something happened, or is told by other words."""

    def __init__(
        self,
        manager: ServiceAvailabilityManager,
        history: History,
        *,
        namespace: str,
    ) -> None:
        self._manager = manager
        self._history = history
        self._namespace = namespace
        self._kept: Latest[Rendered] = Latest(rest=REST)

    def get(self) -> Rendered:
        catalogue = self._manager.catalogue
        key = (Same(catalogue), self._history.revision)
        return self._kept.get(key, lambda: rendered(self._render(), ATOM))

    def _render(self) -> str:
        catalogue = self._manager.catalogue
        announced = [name for name in catalogue.services if catalogue.is_announced(name)]
        incidents = [
            past.incident_view(catalogue, each) for each in islice(self._history.incidents(announced), MOST_IN_FEED)
        ]
        entries = sorted(
            (entry for each in incidents for entry in self._entries(each)),
            key=lambda entry: entry.published,
            reverse=True,
        )
        return render(
            "feed.atom",
            id=self._id(""),
            updated=max((each.updated for each in entries), default=timestamp(0)),
            entries=entries,
        )

    def _entries(self, incident: IncidentView) -> Iterator[Entry]:
        told = [each for each in incident.updates if incident.ended is None or each.at < incident.ended]
        yield Entry(
            id=self._id(incident.name),
            title=f"Planned work: {incident.title}" if incident.is_planned else incident.title,
            published=incident.began,
            updated=told[0].at if told else incident.began,
            term=incident.level,
            summary=f"Affected: {incident.affected}.",
            content=str(render("entry.html", incident=incident, updates=told)),
        )
        if incident.ended is not None:
            yield Entry(
                id=self._id(f"{incident.name}/end"),
                title=f"Resolved: {incident.title}",
                published=incident.ended,
                updated=incident.ended,
                term="up",
                summary=f"{incident.state}. Affected: {incident.affected}.",
                content=str(render("entry.html", incident=incident, updates=incident.updates)),
            )

    def _id(self, name: str) -> str:
        return uuid.uuid5(_IDS, f"{self._namespace}/{name}").urn
