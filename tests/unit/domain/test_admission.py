"""What a gate names it is judged by; and for whom a rejection stands."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.domain.admission import Admission, Verdict, admit, is_chosen, let_in
from broadcaster.domain.freshness import Freshness
from broadcaster.domain.model import Catalogue, Criticality, FeedState, Service, ServiceState, Snapshot, Status

CATALOGUE = Catalogue(
    services={
        "db": Service(name="db"),
        "auth": Service(name="auth", depends_on=("db",)),
        "stats": Service(name="stats", criticality=Criticality.OPTIONAL),
        "vault": Service(name="vault", fails_open=False, criticality=Criticality.OPTIONAL),
    }
)


def snapshot(**statuses: str) -> Snapshot:
    """Everything up but what is said."""
    known = dict.fromkeys(CATALOGUE.services, "up") | statuses
    return Snapshot(
        services={name: ServiceState(service=name, status=Status(each)) for name, each in known.items()},
    )


@pytest.mark.parametrize(
    ("requires", "statuses", "blocking"),
    [
        (None, {"auth": "down"}, ("auth",)),
        (None, {"stats": "down"}, ()),
        ((), {"auth": "down", "db": "down"}, ()),
        (("stats",), {"auth": "down"}, ()),
        (("stats",), {"stats": "down"}, ("stats",)),
        (("stats", "auth"), {"stats": "down", "auth": "down", "db": "down"}, ("stats", "auth")),
        (("db",), {"db": "degraded"}, ()),
        (("db",), {"db": "unknown"}, ()),
        (("vault",), {"vault": "unknown"}, ("vault",)),
        (None, {"vault": "unknown"}, ()),
    ],
)
def test_a_gate_is_judged_by_what_it_requires(
    requires: tuple[str, ...] | None, statuses: dict[str, str], blocking: tuple[str, ...]
) -> None:
    """Critical or not; by all critical ones without a word; unknown is missing only where that was asked for."""
    found = admit(CATALOGUE, snapshot(**statuses), requires)
    assert found.blocking == blocking
    assert (found.verdict is Verdict.REJECT) is bool(blocking)


def test_the_causes_are_at_the_root() -> None:
    found = admit(CATALOGUE, snapshot(auth="down", db="down"), ("auth",))
    assert (found.blocking, found.causes) == (("auth",), ("db",))


def test_a_rejection_that_is_not_enforced_keeps_its_grounds() -> None:
    rejected = admit(CATALOGUE, snapshot(db="down"))
    assert let_in(rejected) == Admission(
        verdict=Verdict.ACCEPT_DEGRADED,
        is_enforced=False,
        blocking=("db",),
        causes=("db",),
        features=rejected.features,
    )


@given(st.text(), st.floats(0, 100), st.floats(0, 100))
def test_whoever_is_chosen_stays_chosen_as_the_share_grows(user: str, one: float, other: float) -> None:
    less, more = sorted((one, other))
    assert is_chosen(user, more) or not is_chosen(user, less)
    assert not is_chosen(user, 0)
    assert is_chosen(user, 100)


@pytest.mark.parametrize("percent", [1, 10, 50, 99])
def test_about_as_many_are_chosen_as_asked(percent: float) -> None:
    """Of 20,000 users, within four standard deviations."""
    chosen = sum(is_chosen(f"user-{number}", percent) for number in range(20_000))
    expected, deviation = 200 * percent, (20_000 * percent / 100 * (1 - percent / 100)) ** 0.5
    assert abs(chosen - expected) < 4 * deviation


def observed(**times: float | None) -> Snapshot:
    """Everything up, and last observed then."""
    return Snapshot(
        services={name: ServiceState(service=name, status=Status.UP, observed_at=at) for name, at in times.items()}
    )


@pytest.mark.parametrize(
    ("requires", "times", "as_of"),
    [
        (None, {"db": 7.0, "auth": 5.0, "stats": 1.0}, 5.0),
        (("stats", "db"), {"db": 7.0, "auth": 5.0, "stats": 1.0}, 1.0),
        (None, {"db": 7.0, "auth": None}, None),
        (None, {"db": 7.0}, None),
        ((), {"db": 7.0, "auth": 5.0}, None),
    ],
)
def test_a_verdict_is_as_old_as_the_oldest_observation_it_goes_by(
    requires: tuple[str, ...] | None, times: dict[str, float | None], as_of: float | None
) -> None:
    """Of the services that matter to it; without an observation there is no age."""
    found = admit(CATALOGUE, observed(**times), requires)
    assert found.as_of == as_of
    assert found.age(9.0) == (math.inf if as_of is None else 9.0 - as_of)
    assert found.age(0.0) >= 0, "clocks differ"


def test_a_rejection_says_how_old_it_is_as_well() -> None:
    down = ServiceState(service="db", status=Status.DOWN, observed_at=3.0)
    found = admit(CATALOGUE, Snapshot(services={**observed(auth=5.0).services, "db": down}), is_stale=True)
    assert (found.verdict, found.as_of, found.is_stale) == (Verdict.REJECT, 3.0, True)
    assert (let_in(found).as_of, let_in(found).is_stale) == (3.0, True)


def test_how_fresh_all_is() -> None:
    """What may be old is stale, however short a time ago a worker was heard."""
    assert not Freshness(feed=FeedState.LIVE, age=3.0).is_stale
    assert Freshness(feed=FeedState.LOST, age=0.1).is_stale
    assert Freshness(feed=FeedState.UNWATCHED, age=math.inf).is_stale
    assert ServiceState(service="db", observed_at=3.0).age(10.0) == 7.0
    assert ServiceState(service="db").age(10.0) == math.inf
