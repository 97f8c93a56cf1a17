"""Which failures belong together: along ``depends_on`` a failure is explained by a dependency's, and one incident holds
them all until each has recovered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from broadcaster.domain.detection import Decision
from broadcaster.domain.model import Snapshot, Status

_UNWELL = (Status.DOWN, Status.DEGRADED)


def attribute(decision: Decision, snapshot: Snapshot, depends_on: Mapping[str, tuple[str, ...]]) -> Decision:
    """The decision with what explains it (``caused_by``) and the incident it belongs to, given what is committed.

    A service that becomes unwell is explained by the services at the root of it: those that it depends on, over
    whatever chain of services that are down, and that are down themselves without such an explanation. It joins the
    incident that it is in already, or that of what explains it, or that of an unwell service that it explains;
    otherwise it begins one. A recovery names the incident that the service leaves.
    """
    held = snapshot.state(decision.service)
    if decision.status not in _UNWELL:
        return msgspec.structs.replace(decision, caused_by=(), incident=held.incident)
    causes = tuple(name for name in roots([decision.service], snapshot, depends_on) if name != decision.service)
    joined = [held.incident] if held.status in _UNWELL else []
    joined += [snapshot.state(name).incident for name in causes]
    joined += [snapshot.state(name).incident for name in explained_by(decision.service, snapshot, depends_on)]
    known = next((incident for incident in joined if incident), "")
    return msgspec.structs.replace(
        decision, caused_by=causes, incident=known or f"{decision.service}-{int(decision.at * 1000):x}"
    )


def roots(services: Iterable[str], snapshot: Snapshot, depends_on: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The services at whose door the trouble of ``services`` lies: along ``depends_on``, a service that is unwell
    because something it depends on is down is explained by that. Each root once, in order of discovery."""
    found = (root for name in services for root in _roots(name, snapshot, depends_on, frozenset()))
    return tuple(dict.fromkeys(found))


def explained_by(service: str, snapshot: Snapshot, depends_on: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """The unwell services that depend on ``service``, directly or over others that are unwell, nearest first."""
    seen, frontier = {service}, [service]
    while frontier:
        frontier = [
            name
            for name, below in depends_on.items()
            if name not in seen and not seen.isdisjoint(below) and snapshot.status(name) in _UNWELL
        ]
        seen.update(frontier)
        yield from frontier


def _roots(
    name: str, snapshot: Snapshot, depends_on: Mapping[str, tuple[str, ...]], path: frozenset[str]
) -> Iterator[str]:
    below = [each for each in depends_on.get(name, ()) if each not in path and snapshot.status(each) is Status.DOWN]
    if not below:
        yield name
    for each in below:
        yield from _roots(each, snapshot, depends_on, path | {name})
