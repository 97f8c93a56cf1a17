"""What a gate names it is judged by; and for whom a rejection stands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.domain.admission import Admission, Verdict, admit, is_chosen, let_in
from broadcaster.domain.model import Catalogue, Criticality, Service, ServiceState, Snapshot, Status

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
