"""Which failures belong together, and what explains them."""

from __future__ import annotations

import msgspec

from broadcaster.domain.detection import Decision
from broadcaster.domain.incidents import attribute
from broadcaster.domain.model import Position, ServiceState, Snapshot, Status, event_kind

BELOW = {"chat": ("backend",), "backend": ("auth", "db"), "auth": ("db",), "db": (), "mail": ()}


class World:
    """Applies attributed decisions to a snapshot, as commits do."""

    def __init__(self) -> None:
        self.snapshot = Snapshot(position=Position("e", 0))
        self.now = 100.0

    def becomes(self, service: str, status: Status) -> Decision:
        self.now += 1
        held = self.snapshot.state(service)
        kind = event_kind(held.status, status)
        decision = attribute(
            Decision(service=service, kind=kind, previous=held.status, status=status, at=self.now),
            self.snapshot,
            BELOW,
        )
        state = ServiceState(
            service=service,
            status=status,
            caused_by=decision.caused_by,
            incident="" if status is Status.UP else decision.incident,
        )
        self.snapshot = msgspec.structs.replace(self.snapshot, services={**self.snapshot.services, service: state})
        return decision


def test_a_failure_is_explained_by_the_root_of_it() -> None:
    """One incident, one root; what stands on it over others is explained by the root, not by what is between."""
    world = World()
    db = world.becomes("db", Status.DOWN)
    assert db.caused_by == ()
    assert db.incident
    for name in ("auth", "backend", "chat"):
        explained = world.becomes(name, Status.DOWN)
        assert (explained.caused_by, explained.incident) == (("db",), db.incident)


def test_what_stands_on_nothing_that_failed_is_an_incident_of_its_own() -> None:
    """Failures at the same time are not one because of that."""
    world = World()
    db, mail = world.becomes("db", Status.DOWN), world.becomes("mail", Status.DOWN)
    assert mail.caused_by == ()
    assert mail.incident not in ("", db.incident)


def test_a_cause_that_is_found_later_joins_the_incident() -> None:
    """The effect was seen first: there is one incident all the same."""
    world = World()
    chat = world.becomes("chat", Status.DEGRADED)
    backend = world.becomes("backend", Status.DOWN)
    db = world.becomes("db", Status.DOWN)
    assert chat.incident == backend.incident == db.incident
    assert (backend.caused_by, db.caused_by) == ((), ())


def test_it_stays_one_incident_until_the_service_has_recovered() -> None:
    """Getting worse or a little better is the same incident; after the recovery another one begins."""
    world = World()
    first = world.becomes("mail", Status.DEGRADED)
    assert world.becomes("mail", Status.DOWN).incident == first.incident
    recovered = world.becomes("mail", Status.UP)
    assert (recovered.incident, recovered.caused_by) == (first.incident, ())
    assert world.becomes("mail", Status.DOWN).incident not in ("", first.incident)


def test_a_dependency_that_is_only_degraded_explains_nothing() -> None:
    """What still answers is no reason not to answer."""
    world = World()
    world.becomes("db", Status.DEGRADED)
    assert world.becomes("auth", Status.DOWN).caused_by == ()
