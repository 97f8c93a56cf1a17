"""What is said of days and incidents."""

from __future__ import annotations

import re

import pytest

from broadcaster.domain.history import History, Incident, Update
from broadcaster.domain.model import (
    Catalogue,
    Category,
    Criticality,
    EventKind,
    Feature,
    Service,
    ServiceState,
    Snapshot,
    Status,
)
from broadcaster.domain.uptime import DAY_SECONDS, DAYS, Day, Uptime
from broadcaster.node.pages import past
from broadcaster.node.pages.page import MOST_SHOWN, render_past

NOW = 20_000 * DAY_SECONDS + 3600.0
FULL = Day(up=DAY_SECONDS)
CATALOGUE = Catalogue(
    services={
        "db": Service(name="db", title="Store"),
        "auth": Service(name="auth", title="Sign-in", depends_on=("db",), texts={"down": "Nobody can sign in."}),
    },
    features={"chat": Feature(name="chat", title="Chat", requires=("auth",)), "home": Feature(name="home")},
)


def uptime(*days: Day | None) -> Uptime:
    return Uptime(days=(None,) * (DAYS - len(days)) + days)


@pytest.mark.parametrize(
    ("days", "text"),
    [
        ((), "No data yet"),
        ((Day(unknown=100),), "No data yet"),
        ((FULL,), "100 % over 24 h, no outages"),
        ((Day(up=30), Day(up=100)), "100 % over 2 min, no outages"),
        ((FULL,) * 90, "100 % over 90 days, no outages"),
        ((*(FULL,) * 89, Day(up=86_399.9, down=0.1, outages=1)), "99.99 % over 90 days, 1 outage"),
        ((FULL, Day(up=43_200, down=43_200, outages=2)), "75.00 % over 2 days, 2 outages"),
        ((FULL, Day(unknown=86_400)), "100 % over 2 days, no outages"),
        ((Day(down=10, outages=1),), "0.00 % over 10 s, 1 outage"),
    ],
)
def test_the_days_in_one_line(days: tuple[Day, ...], text: str) -> None:
    """Rounded down, and never over days of which there is no data."""
    assert past.summary(uptime(*days)).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("day", "level", "text"),
    [
        (None, "none", "no data"),
        (FULL, "up", "no trouble"),
        (Day(up=86_000, down=400), "down", "down 6 min"),
        (Day(up=86_000, outages=1), "down", "down 1 s"),
        (Day(up=86_000, degraded=0.1), "degraded", "degraded 1 s"),
        (Day(up=86_000, unknown=0.5, planned=0.5), "up", "no trouble"),
        (Day(up=80_000, degraded=6_400), "degraded", "degraded 1 h"),
        (Day(up=80_000, planned=6_400), "planned", "planned work 1 h"),
        (Day(up=86_300, unknown=100), "up", "not observed 1 min"),
        (Day(up=43_200, unknown=43_200), "unknown", "not observed 12 h"),
        (Day(degraded=60, down=60, unknown=60), "down", "down 1 min, degraded 1 min, not observed 1 min"),
    ],
)
def test_a_day_is_as_bad_as_its_worst(day: Day | None, level: str, text: str) -> None:
    """And says all that was wrong."""
    view = past.day_views(uptime(day), NOW)[-1]
    assert (view.level, view.text, view.date) == (level, text, "4 Oct")


def test_days_are_named_by_their_dates() -> None:
    """From the oldest to today."""
    views = past.day_views(uptime(), NOW)
    assert (len(views), views[0].date, views[-1].date) == (90, "7 Jul", "4 Oct")


def update(service: str, kind: EventKind, at: float, **more: object) -> Update:
    status = {EventKind.DOWN: Status.DOWN, EventKind.DEGRADED: Status.DEGRADED}.get(kind, Status.UP)
    return Update(service=service, kind=kind, status=status, at=at, **more)  # type: ignore[arg-type]


def test_an_incident_in_words() -> None:
    """Its root names it; features say whom it hit; each update is what users read, the services' own words first."""
    incident = Incident(
        name="db-1",
        began=NOW,
        ended=NOW + 700,
        worst={"db": Status.DOWN, "auth": Status.DOWN},
        updates=(
            update("db", EventKind.DOWN, NOW, category=Category.REFUSED),
            update("auth", EventKind.DOWN, NOW + 1, caused_by=("db",)),
            update("auth", EventKind.DOWN, NOW + 300),
            update("db", EventKind.RECOVERED, NOW + 600),
            update("auth", EventKind.RECOVERED, NOW + 700),
        ),
    )
    view = past.incident_view(CATALOGUE, incident)
    assert (view.level, view.title, view.state) == ("down", "Store unavailable", "Resolved after 11 min")
    assert view.affected == "Chat"
    assert [(each.title, each.word, each.text) for each in view.updates] == [
        ("Sign-in", "Recovered", "Sign-in is back to normal."),
        ("Store", "Recovered", "Store is back to normal."),
        ("Sign-in", "Down", "Nobody can sign in."),
        ("Sign-in", "Down", "Sign-in is affected by the trouble with Store."),
        ("Store", "Down", "Store is unavailable. We will tell you as soon as it is back."),
    ]


def test_what_users_kept_was_not_affected() -> None:
    """A feature with an alternative, or that needs only what stood by itself, is none that an incident took."""
    catalogue = Catalogue(
        services={
            "db": Service(name="db", title="Store"),
            "auth": Service(name="auth", depends_on=("db",)),
            "spare": Service(name="spare"),
        },
        features={
            "chat": Feature(name="chat", title="Chat", requires=("auth",)),
            "search": Feature(name="search", title="Search", any_of=("db", "spare")),
            "export": Feature(name="export", title="Export", requires=("db",)),
        },
    )
    down = (update("db", EventKind.DOWN, NOW),)
    incident = Incident(name="db-1", began=NOW, worst={"db": Status.DOWN}, unwell=frozenset({"db"}), updates=down)
    assert past.incident_view(catalogue, incident).affected == "Export"
    without = Catalogue(services=catalogue.services, features={"search": catalogue.features["search"]})
    assert past.incident_view(without, incident).affected == "Store"


def test_an_incident_that_began_with_a_service_that_is_not_announced_does_not_name_it() -> None:
    """Neither by its title nor by its own name, which the page and the feed carry."""
    optional = Service(name="db", title="Store", criticality=Criticality.OPTIONAL)
    catalogue = Catalogue(services={**CATALOGUE.services, "db": optional}, degradation=False)
    history = History()
    states = {
        "db": ServiceState(service="db", status=Status.DOWN, since=NOW, incident="db-18f0a"),
        "auth": ServiceState(service="auth", status=Status.DOWN, since=NOW, incident="db-18f0a", caused_by=("db",)),
    }
    history.take(Snapshot(services=states), NOW)
    [found] = history.incidents(["auth"])
    view = past.incident_view(catalogue, found)
    assert (view.name, view.title) == ("incident-18f0a", "Sign-in unavailable")
    made = str(render_past(catalogue, history, NOW))
    assert "Sign-in" in made
    assert "Store" not in made
    assert "db-18f0a" not in made


def test_what_goes_on_is_shown_however_much_began_since() -> None:
    """A service that flaps does not take the outage of another one off the page."""
    history = History()
    history.take(
        Snapshot(services={"db": ServiceState(service="db", status=Status.DOWN, since=NOW, incident="db-1")}), NOW
    )
    for number in range(MOST_SHOWN + 3):
        for status, at in ((Status.DOWN, NOW + 10 * number), (Status.UP, NOW + 10 * number + 5)):
            auth = ServiceState(service="auth", status=status, since=at, incident=f"auth-{number}")
            held = ServiceState(service="db", status=Status.DOWN, since=NOW, incident="db-1")
            history.take(Snapshot(services={"auth": auth, "db": held}), at, service="auth", at=at)
    made = render_past(CATALOGUE, history, NOW + 1000).incidents
    names = re.findall('data-incident="([^"]+)"', made)
    assert names == ["db-1", *(f"auth-{number}" for number in range(MOST_SHOWN + 2, 3, -1))]


def test_no_incidents_are_claimed_only_for_days_with_data() -> None:
    """A node that knows nothing of yesterday does not say that nothing happened."""
    assert past.no_incidents([]) == "Nothing is known of earlier days yet."
    assert past.no_incidents([History().uptime("auth", NOW)]) == "Nothing is known of earlier days yet."
    told = past.no_incidents([uptime(Day(up=100, unknown=500))])
    assert told == "None in the last 10 min. Nothing is known of the time before."
    assert past.no_incidents([uptime(FULL), uptime(*(FULL,) * 30)]) == "None in the last 30 days."
