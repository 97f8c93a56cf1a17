"""When a service is looked at again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.domain.detection import DetectorState, Policy, decide
from broadcaster.domain.model import Category, Observation, Outcome, Status
from broadcaster.domain.pacing import SPREAD, Pace, next_wait, observation_limit, worst_case

PACE = Pace(interval=30, fast_interval=1, timeout=10, fast_timeout=5, fall=3, rise=2)
POLICY = Policy()


def after(outcomes: str, category: Category = Category.TIMEOUT, start: Status = Status.UP) -> list[DetectorState]:
    states, state = [], DetectorState(status=start)
    for at, letter in enumerate(outcomes):
        outcome = {"g": Outcome.OK, "i": Outcome.IMPAIRED, "f": Outcome.FAILED}[letter]
        why = category if letter == "f" else None
        state, _ = decide(
            state, Observation(service="a", at=float(at), outcome=outcome, latency=0.1, category=why), POLICY
        )
        states.append(state)
    return states


def waits(*args: object, **more: object) -> list[float]:
    return [next_wait(state, PACE) for state in after(*args, **more)]  # type: ignore[arg-type]


def test_a_refused_connection_is_confirmed_within_a_fast_interval() -> None:
    """Definitive: three looks within three quarters of a second; then the normal interval."""
    assert waits("gfff", Category.REFUSED) == [30, 0.25, 0.5, 30]


def test_a_failure_that_may_be_chance_gets_more_time() -> None:
    """Ambiguous: the waits double from the fast interval on."""
    assert waits("gffg", Category.RESET) == [30, 1, 2, 30]


def test_what_users_feel_is_confirmed_within_a_fast_interval() -> None:
    """They are a second witness of a failure that may be chance; a good answer, or a slow one, is no failure."""
    states = after("gffgi", Category.RESET)
    assert [next_wait(state, PACE, is_felt=True) for state in states] == [30, 0.25, 0.25, 30, 1]


def test_recovery_is_confirmed_at_the_fast_interval() -> None:
    """One good answer of a service that is down: the next look comes soon."""
    assert waits("fffg") == [1, 2, 30, 1]


def test_a_service_that_never_decides_is_not_hammered() -> None:
    """A state that stays open is looked at ever less often, up to the normal interval."""
    pace = [next_wait(DetectorState(status=Status.UP, bad=1, pending=n), PACE) for n in range(1, 9)]
    assert pace == [1, 2, 4, 8, 16, 30, 30, 30]


@given(st.integers(1, 60), st.sampled_from([1.0, 5.0, 30.0]), st.integers(1, 4))
def test_a_service_that_is_down_for_long_is_seen_back_within_rise_intervals(
    settled: int, interval: float, rise: int
) -> None:
    """The waits grow, but one of them and the confirmation fit into rise intervals."""
    pace = Pace(interval=interval, fast_interval=0.5, timeout=1, fast_timeout=1, fall=3, rise=rise)
    wait = next_wait(DetectorState(status=Status.DOWN, failed=3, bad=3, settled=settled), pace)
    assert interval <= wait
    assert wait + (rise - 1) * pace.fast_interval <= max(rise * interval, interval)


def test_a_hang_is_confirmed_with_less_patience_than_it_was_found_with() -> None:
    """One full timeout, then the fast one; a recovering service has the full timeout again."""
    assert [observation_limit(state, PACE) for state in after("gfffg")] == [10, 5, 5, 10, 10]


@pytest.mark.parametrize("category", [Category.TIMEOUT, Category.REFUSED])
@pytest.mark.parametrize(
    "pace",
    [
        PACE,
        Pace(interval=10, fast_interval=1, timeout=30, fast_timeout=5, fall=3, rise=2),
        Pace(interval=2, fast_interval=2, timeout=1, fast_timeout=1, fall=6, rise=2),
        Pace(interval=5, fast_interval=1, timeout=1, fast_timeout=1, fall=1, rise=2),
    ],
)
def test_no_outage_takes_longer_than_the_worst_case(pace: Pace, category: Category) -> None:
    """Played on a clock of its own: a service that hangs right after a good answer, with every wait at its longest."""
    policy = Policy(fall=pace.fall, rise=pace.rise)
    state, now = DetectorState(status=Status.UP), 0.0
    started = 0.0
    while state.status is not Status.DOWN:
        now = max(now, started + next_wait(state, pace) * (1 + SPREAD))
        started = now
        now += observation_limit(state, pace) if category is Category.TIMEOUT else 0.001
        seen = Observation(service="a", at=now, outcome=Outcome.FAILED, latency=now - started, category=category)
        state, _ = decide(state, seen, policy)
    assert now == pytest.approx(worst_case(pace, is_definitive=category.is_definitive), abs=0.01 * pace.fall)


@given(
    before=st.text("gif", max_size=30),
    start=st.sampled_from([Status.UNKNOWN, Status.UP, Status.DEGRADED]),
    category=st.sampled_from([Category.TIMEOUT, Category.REFUSED]),
    fall=st.integers(1, 6),
)
def test_the_worst_case_holds_whatever_was_seen_before(
    before: str, start: Status, category: Category, fall: int
) -> None:
    """Also of a service about which something was open already, which must not be looked at more seldom for that."""
    pace = Pace(interval=10, fast_interval=1, timeout=10, fast_timeout=5, fall=fall, rise=2)
    policy = Policy(fall=fall, rise=2)
    state = (after(before, start=start) or [DetectorState(status=start)])[-1]
    started = now = 0.0
    while state.status is not Status.DOWN:
        now = max(now, started + next_wait(state, pace) * (1 + SPREAD))
        started = now
        now += observation_limit(state, pace) if category is Category.TIMEOUT else 0.001
        seen = Observation(service="a", at=now, outcome=Outcome.FAILED, latency=now - started, category=category)
        state, _ = decide(state, seen, policy)
    assert now <= worst_case(pace, is_definitive=category.is_definitive) + 0.01 * fall


@given(st.lists(st.sampled_from(["g", "fg"]), min_size=30, max_size=60).map("".join))
def test_a_service_that_comes_and_goes_is_not_hammered(seen: str) -> None:
    """Single failures among good answers: no more than about two looks an interval."""
    assert sum(waits(seen)) >= 30 * (len(seen) / 2 - 3)
