"""decide(): evidence in, conclusions out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.domain.detection import Decision, DetectorState, Policy, decide
from broadcaster.domain.model import Category, EventKind, Observation, Outcome, Status

POLICY = Policy(fall=3, rise=2, degraded_above=0.5)

LETTERS = {
    "g": (Outcome.OK, 0.1),
    "s": (Outcome.OK, 0.9),  # good but slow
    "i": (Outcome.IMPAIRED, 0.1),
    "f": (Outcome.FAILED, 0.1),
}

observations = st.lists(st.sampled_from("gsif"), max_size=40).map("".join)
policies = st.builds(
    Policy, fall=st.integers(1, 5), rise=st.integers(1, 5), degraded_above=st.sampled_from([None, 0.5])
)


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
        (Status.UP, "ssgss", ""),
        (Status.UP, "sis", "degraded"),
        (Status.UP, "fsf", "degraded"),
        (Status.UP, "fsfff", "degraded down"),
        (Status.DEGRADED, "gsgs", ""),
        (Status.DEGRADED, "gg", "recovered"),
        (Status.DEGRADED, "fff", "down"),
        (Status.DOWN, "gfgf", ""),
        (Status.DOWN, "gg", "recovered"),
        (Status.DOWN, "ss", "degraded"),
        (Status.DOWN, "gs", "degraded"),
        (Status.DOWN, "gsgg", "degraded recovered"),
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
    assert decision.detail == "answered in 0.900 s, above 0.5 s"


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
    enough = max(policy.fall, policy.rise)
    assert run(letters + "f" * enough, policy)[0].status is Status.DOWN
    assert run(letters + "g" * enough, policy)[0].status is Status.UP


@given(st.lists(st.sampled_from(["g", "f", "fg", "sg", "ffg", "ig"]), max_size=30).map("".join))
def test_below_the_thresholds_nothing_flaps(letters: str) -> None:
    """From up, runs of trouble shorter than fall make no event at all."""
    quiet = letters.replace("ffff", "ffg").replace("fff", "ffg")
    runs = "".join(" " if letter == "g" else "x" for letter in quiet).split()
    if all(len(each) < POLICY.fall for each in runs):
        assert run(quiet, start=Status.UP)[1] == []


@given(observations, st.integers(0, 39))
def test_worse_evidence_never_makes_a_better_state(letters: str, index: int) -> None:
    """Monotone: replacing one good observation by a failed one leaves the final state as bad, or worse."""
    if index >= len(letters) or letters[index] != "g":
        return
    order = [Status.UP, Status.UNKNOWN, Status.DEGRADED, Status.DOWN]
    better = run(letters, start=Status.UP)[0].status
    worse = run(letters[:index] + "f" + letters[index + 1 :], start=Status.UP)[0].status
    assert order.index(worse) >= order.index(better)


def test_the_kind_of_a_first_success_is_up() -> None:
    """Nothing recovered: it was not known before."""
    _, [decision] = run("g")
    assert decision.kind is EventKind.UP
