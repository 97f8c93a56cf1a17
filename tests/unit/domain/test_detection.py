"""decide(): evidence in, conclusions out."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.domain.detection import RATE_WINDOW, Decision, DetectorState, Policy, decide
from broadcaster.domain.flapping import state_change
from broadcaster.domain.model import Category, EventKind, Observation, Outcome, Status

BADNESS = [Status.UP, Status.UNKNOWN, Status.DEGRADED, Status.DOWN]
POLICY = Policy(fall=3, rise=2, degraded_above=0.5)

LETTERS = {
    "g": (Outcome.OK, 0.1),
    "s": (Outcome.OK, 0.9),  # good but slow
    "i": (Outcome.IMPAIRED, 0.1),
    "f": (Outcome.FAILED, 0.1),
}

observations = st.lists(st.sampled_from("gsif"), max_size=40).map("".join)
policies = st.builds(
    Policy,
    fall=st.integers(1, 5),
    rise=st.integers(1, 5),
    degraded_above=st.sampled_from([None, 0.5]),
    flap_detection=st.booleans(),
)
CALM = Policy(fall=3, rise=2, degraded_above=0.5, flap_detection=False)


def seen(letter: str, at: float) -> Observation:
    outcome, latency = LETTERS[letter]
    category = Category.REFUSED if outcome is Outcome.FAILED else None
    return Observation(service="auth", at=at, outcome=outcome, latency=latency, category=category)


def run(letters: str, policy: Policy = POLICY, start: Status = Status.UNKNOWN) -> tuple[DetectorState, list[Decision]]:
    state, decisions = DetectorState(status=start), []
    for at, letter in enumerate(letters):
        state, decision = decide(state, seen(letter, float(at)), policy)
        if decision is not None:
            decisions.append(decision)
    return state, decisions


@pytest.mark.parametrize(
    ("start", "letters", "expected"),
    [
        (Status.UNKNOWN, "g", "up"),
        (Status.UNKNOWN, "ff", ""),
        (Status.UNKNOWN, "fff", "down"),
        (Status.UNKNOWN, "sss", "degraded"),
        (Status.UP, "ffgffg", ""),
        (Status.UP, "fff", "down"),
        (Status.UP, "gggssgg", ""),
        (Status.UP, "ggsggsgg", ""),
        (Status.UP, "ggsgsgs", "degraded"),
        (Status.UP, "sis", "degraded"),
        (Status.UP, "fsf", "degraded"),
        (Status.UP, "fsfff", "degraded down"),
        (Status.DEGRADED, "gigi", ""),
        (Status.DEGRADED, "sssgsgss", ""),
        (Status.DEGRADED, "sssggg", ""),
        (Status.DEGRADED, "sssgggg", "recovered"),
        (Status.DEGRADED, "gg", "recovered"),
        (Status.DEGRADED, "fff", "down"),
        (Status.DOWN, "gfgf", ""),
        (Status.DOWN, "gg", "recovered"),
        (Status.DOWN, "ss", "degraded"),
        (Status.DOWN, "gi", "degraded"),
        (Status.DOWN, "gigg", "degraded recovered"),
    ],
)
def test_the_thresholds_decide(start: Status, letters: str, expected: str) -> None:
    """fall and rise observations in a row, and nothing less, change the state."""
    _, decisions = run(letters, start=start)
    assert [each.kind.value for each in decisions] == expected.split()


def test_a_decision_carries_its_evidence() -> None:
    """Time, category and detail are those of the observation that decided."""
    _, [decision] = run("sss")
    assert (decision.previous, decision.status, decision.at) == (Status.UNKNOWN, Status.DEGRADED, 2.0)
    assert decision.category is Category.SLOW
    assert decision.detail == "answers take 0.900 s (median of 3), above 0.5 s"


@pytest.mark.parametrize(
    ("start", "letters", "undecided"),
    [
        (Status.UP, "g", False),
        (Status.UP, "f", True),
        (Status.DOWN, "f", False),
        (Status.DOWN, "g", True),
        (Status.DEGRADED, "s", False),
        (Status.DEGRADED, "g", True),
        (Status.UNKNOWN, "f", True),
    ],
)
def test_pending_evidence_is_known(start: Status, letters: str, undecided: bool) -> None:
    """A service with evidence against its state is looked at sooner."""
    assert run(letters, start=start)[0].is_undecided is undecided


@given(observations, policies)
def test_it_is_deterministic_and_never_announces_the_same_twice(letters: str, policy: Policy) -> None:
    """The same evidence concludes the same; every decision differs from the state before it."""
    first, second = run(letters, policy), run(letters, policy)
    assert first == second
    status = Status.UNKNOWN
    for decision in first[1]:
        assert decision.previous is status
        assert decision.status is not status
        status = decision.status
    assert first[0].status is status


@given(observations, policies)
def test_a_run_of_like_evidence_is_conclusive(letters: str, policy: Policy) -> None:
    """Whatever was before, max(fall, rise) failures in a row mean down, good ones mean up."""
    assert run(letters + "f" * max(policy.fall, policy.rise), policy)[0].status is Status.DOWN
    assert run(letters + "g" * (RATE_WINDOW + policy.rise), policy)[0].status is Status.UP


@given(st.lists(st.sampled_from(["f", "ff", "i", "s", "fi"]), max_size=12))
def test_below_the_thresholds_nothing_flaps(troubles: list[str]) -> None:
    """From up, trouble shorter than fall and seldomer than the rate makes no event at all."""
    letters = "".join(trouble + "g" * 12 for trouble in troubles)
    assert run(letters, start=Status.UP)[1] == []


@given(st.text("gf", max_size=40), st.integers(0, 39))
def test_worse_evidence_never_makes_a_better_state(letters: str, index: int) -> None:
    """Monotone: replacing one good observation by a failed one leaves the final state as bad, or worse."""
    if index >= len(letters) or letters[index] != "g":
        return
    policy = msgspec.structs.replace(CALM, degraded_rate=1.0)
    better = run(letters, policy, start=Status.UP)[0].status
    worse = run(letters[:index] + "f" + letters[index + 1 :], policy, start=Status.UP)[0].status
    assert BADNESS.index(worse) >= BADNESS.index(better)


@given(observations, policies, st.sampled_from(list(Status)))
def test_one_more_observation_moves_the_state_only_its_own_way(letters: str, policy: Policy, start: Status) -> None:
    """Monotone at every step: a failure never improves a state that is known, a good answer never worsens one."""
    state, _ = run(letters, policy, start)
    if state.status is Status.UNKNOWN:
        return
    worse, _ = decide(state, seen("f", 100.0), policy)
    assert BADNESS.index(worse.status) >= BADNESS.index(state.status)
    better, _ = decide(state, seen("g", 100.0), policy)
    assert BADNESS.index(better.status) <= BADNESS.index(state.status)


def test_failures_above_the_rate_degrade_though_never_enough_in_a_row() -> None:
    """Eight of twenty failed, no three of them in a row: degraded, and up again only when they became rare."""
    _, decisions = run("ffggg" * 4, CALM, Status.UP)
    assert [each.kind for each in decisions] == [EventKind.DEGRADED]
    assert decisions[0].detail.startswith("8 of the last 17 observations failed")
    _, decisions = run("ffggg" * 4 + "g" * 12, CALM, Status.UP)
    assert [each.kind for each in decisions] == [EventKind.DEGRADED, EventKind.RECOVERED]


def test_an_outage_that_is_over_does_not_count_towards_the_rate() -> None:
    """Right after a recovery a single failure is a single failure."""
    _, decisions = run("f" * 25 + "gg" + "f" + "ggg", CALM, Status.UP)
    assert [each.kind for each in decisions] == [EventKind.DOWN, EventKind.RECOVERED]


def test_a_service_that_comes_and_goes_is_told_once_as_unstable_and_once_as_calm() -> None:
    """Flapping is one notice instead of twenty; it keeps the worse state; its end is announced."""
    _, decisions = run("gf" * 30, start=Status.UP)
    assert [(each.kind, each.category) for each in decisions] == [(EventKind.DEGRADED, Category.UNSTABLE)]
    _, decisions = run("gf" * 30 + "g" * 25, start=Status.UP)
    assert [each.kind for each in decisions] == [EventKind.DEGRADED, EventKind.RECOVERED]
    _, decisions = run("gf" * 30 + "fff" + "gffgfg" * 3, start=Status.UP)
    assert [each.kind for each in decisions] == [EventKind.DEGRADED, EventKind.DOWN]


@pytest.mark.parametrize(
    ("recent", "expected"),
    [
        ("o" * 21, 0.0),
        ("of" * 10 + "o", 1.0),
        ("o" * 20 + "f", 1.25 / 20),
        ("f" + "o" * 20, 0.75 / 20),
        ("of", 1.25 / 20),
        ("x" * 9 + "of" * 10 + "o", 1.0),
    ],
)
def test_the_percent_state_change_is_nagios(recent: str, expected: float) -> None:
    """The newest change weighs 1.25, the oldest 0.75, all twenty together 20."""
    assert state_change(recent) == pytest.approx(expected)


def test_the_kind_of_a_first_success_is_up() -> None:
    """Nothing recovered: it was not known before."""
    _, [decision] = run("g")
    assert decision.kind is EventKind.UP
