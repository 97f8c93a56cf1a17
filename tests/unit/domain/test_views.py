"""Replica, features, admission and freshness: what a snapshot means."""

from __future__ import annotations

import pytest

from broadcaster.domain.admission import Verdict, admit
from broadcaster.domain.features import FeatureStatus, feature_states, roots
from broadcaster.domain.freshness import Carrier, effective
from broadcaster.domain.model import (
    Catalogue,
    Criticality,
    EventKind,
    Feature,
    Position,
    Service,
    ServiceState,
    Snapshot,
    Status,
    Transition,
)
from broadcaster.domain.replica import Applied, Replica

CATALOGUE = Catalogue(
    services={
        "db": Service(name="db"),
        "auth": Service(name="auth", depends_on=("db",)),
        "openai": Service(name="openai", criticality=Criticality.OPTIONAL),
        "claude": Service(name="claude", criticality=Criticality.OPTIONAL),
        "stats": Service(name="stats", criticality=Criticality.OPTIONAL),
    },
    features={
        "chat": Feature(name="chat", requires=("auth", "db")),
        "assistant": Feature(name="assistant", requires=("auth",), any_of=("openai", "claude")),
        "reports": Feature(name="reports", requires=("stats",)),
    },
)


def snapshot(**statuses: str) -> Snapshot:
    """Everything up but what is said."""
    known = dict.fromkeys(CATALOGUE.services, "up") | statuses
    return Snapshot(
        position=Position("e", 9),
        services={name: ServiceState(service=name, status=Status(each)) for name, each in known.items()},
    )


def transition(epoch: str, revision: int, status: Status = Status.DOWN, at: float = 10.0) -> Transition:
    return Transition(
        position=Position(epoch, revision),
        service="auth",
        kind=EventKind.DOWN,
        previous=Status.UP,
        status=status,
        at=at,
    )


@pytest.mark.parametrize(
    ("epoch", "revision", "expected"),
    [
        ("e", 10, Applied.APPLIED),
        ("e", 9, Applied.DUPLICATE),
        ("e", 1, Applied.DUPLICATE),
        ("e", 11, Applied.GAP),
        ("f", 10, Applied.NEW_EPOCH),
        ("f", 1, Applied.NEW_EPOCH),
    ],
)
def test_a_replica_takes_the_next_transition_only(epoch: str, revision: int, expected: Applied) -> None:
    """Anything but the next one changes nothing and says why."""
    before = snapshot()
    replica = Replica(before)
    assert replica.apply(transition(epoch, revision)) is expected
    if expected is Applied.APPLIED:
        assert replica.position == Position("e", 10)
        assert replica.snapshot.status("auth") is Status.DOWN
        assert before.status("auth") is Status.UP
    else:
        assert replica.snapshot is before


def test_observation_times_never_run_backwards() -> None:
    """An old heartbeat or transition does not make a service look older than it is known to be."""
    replica = Replica(snapshot())
    replica.observe({"auth": 50.0})
    replica.observe({"auth": 40.0})
    replica.apply(transition("e", 10, at=45.0))
    assert replica.snapshot.state("auth").observed_at == 50.0


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ({}, {}),
        ({"openai": "down"}, {}),
        ({"openai": "down", "claude": "degraded"}, {"assistant": "limited"}),
        ({"openai": "down", "claude": "down"}, {"assistant": "unavailable"}),
        ({"openai": "unknown", "claude": "down"}, {"assistant": "unknown"}),
        ({"stats": "degraded"}, {"reports": "limited"}),
        ({"stats": "unknown"}, {"reports": "unknown"}),
        ({"auth": "down", "openai": "down"}, {"chat": "unavailable", "assistant": "unavailable"}),
    ],
)
def test_features_follow_their_services(statuses: dict[str, str], expected: dict[str, str]) -> None:
    """The worst requirement counts, and of alternatives the best."""
    states = feature_states(CATALOGUE, snapshot(**statuses))
    everything = dict.fromkeys(CATALOGUE.features, "available") | expected
    assert {name: state.status.value for name, state in states.items()} == everything


def test_a_failure_is_put_at_its_roots_door() -> None:
    """auth is down because db is: db is named, once."""
    found = feature_states(CATALOGUE, snapshot(auth="down", db="down"))["chat"]
    assert found.status is FeatureStatus.UNAVAILABLE
    assert found.because == ("db",)


def test_a_cycle_of_dependencies_ends() -> None:
    """A catalogue that was not validated must not hang a reader."""
    catalogue = Catalogue(
        services={"a": Service(name="a", depends_on=("b",)), "b": Service(name="b", depends_on=("a",))}
    )
    states = {name: ServiceState(service=name, status=Status.DOWN) for name in "ab"}
    assert roots(catalogue, Snapshot(services=states), ["a"]) != ()


@pytest.mark.parametrize(
    ("statuses", "degradation", "verdict", "blocking", "causes"),
    [
        ({}, True, Verdict.ACCEPT, (), ()),
        ({"auth": "down"}, True, Verdict.REJECT, ("auth",), ("auth",)),
        ({"auth": "down", "db": "down"}, True, Verdict.REJECT, ("db", "auth"), ("db",)),
        ({"auth": "degraded"}, True, Verdict.ACCEPT_DEGRADED, (), ()),
        ({"auth": "unknown"}, True, Verdict.ACCEPT, (), ()),
        ({"stats": "down"}, True, Verdict.ACCEPT_DEGRADED, (), ()),
        ({"stats": "down"}, False, Verdict.ACCEPT, (), ()),
        ({"auth": "down"}, False, Verdict.REJECT, ("auth",), ("auth",)),
    ],
)
def test_admission(
    statuses: dict[str, str], degradation: bool, verdict: Verdict, blocking: tuple[str, ...], causes: tuple[str, ...]
) -> None:
    """Critical and down rejects; optional and down admits with less; not known does not block."""
    catalogue = Catalogue(services=CATALOGUE.services, features=CATALOGUE.features, degradation=degradation)
    admission = admit(catalogue, snapshot(**statuses))
    assert (admission.verdict, admission.blocking, admission.causes) == (verdict, blocking, causes)


@pytest.mark.parametrize(
    ("observed_at", "expected"),
    [(100.0, Status.UP), (70.0, Status.UP), (69.9, Status.UNKNOWN), (None, Status.UNKNOWN)],
)
def test_what_was_not_observed_lately_is_unknown(observed_at: float | None, expected: Status) -> None:
    """Thirty seconds old is fresh enough here; older, or never seen, is not told as up."""
    state = ServiceState(service="auth", status=Status.UP, observed_at=observed_at)
    seen = effective(Snapshot(services={"auth": state}), now=100.0, expires_after={"auth": 30.0})
    assert seen.status("auth") is expected


def test_a_down_service_that_is_no_longer_observed_is_unknown() -> None:
    """Expired is never down either."""
    state = ServiceState(service="auth", status=Status.DOWN, observed_at=0.0)
    assert effective(Snapshot(services={"auth": state}), now=99.0, expires_after={"auth": 30.0}).status("auth") is (
        Status.UNKNOWN
    )


def test_a_reader_that_lost_the_carrier_tells_its_service_down() -> None:
    """First-hand evidence, laid over whatever the snapshot says."""
    lost = Carrier(service="db", is_reached=False, since=95.0)
    seen = effective(snapshot(), now=100.0, expires_after={}, carrier=lost)
    assert (seen.status("db"), seen.state("db").since) == (Status.DOWN, 95.0)
    assert seen.status("auth") is Status.UP


@pytest.mark.parametrize(("said", "expected"), [("unknown", "up"), ("up", "up"), ("degraded", "degraded")])
def test_reaching_the_carrier_is_an_observation_where_there_is_no_other(said: str, expected: str) -> None:
    """Who reads from it knows that it is there; what workers say of it counts for more."""
    reached = Carrier(service="db", is_reached=True, since=95.0)
    seen = effective(snapshot(db=said), now=100.0, expires_after={}, carrier=reached)
    assert seen.status("db").value == expected


def test_nothing_to_judge_leaves_the_snapshot_alone() -> None:
    """The same object, so that readers may cache by identity."""
    fresh = snapshot()
    assert effective(fresh, now=100.0, expires_after={}) is fresh


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("fails_open", [True, False])
@pytest.mark.parametrize("criticality", list(Criticality))
def test_only_a_critical_service_refuses_and_an_unknown_one_if_it_is_told_to(
    status: Status, fails_open: bool, criticality: Criticality
) -> None:
    """Down always; unknown where it does not fail open; nothing else."""
    catalogue = Catalogue(services={"auth": Service(name="auth", criticality=criticality, fails_open=fails_open)})
    seen = Snapshot(services={"auth": ServiceState(service="auth", status=status)})
    refuses = criticality is Criticality.CRITICAL and (
        status is Status.DOWN or (status is Status.UNKNOWN and not fails_open)
    )
    admission = admit(catalogue, seen)
    assert (admission.verdict is Verdict.REJECT) is refuses
    assert admission.blocking == (("auth",) if refuses else ())
