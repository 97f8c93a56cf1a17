"""The simulation of detection: what it makes up, and what it finds, on a small scale."""

from __future__ import annotations

import importlib.util
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from broadcaster.domain.detection import DetectorState, Policy, decide
from broadcaster.domain.model import Category, Observation, Outcome, Status
from broadcaster.domain.pacing import Pace, worst_case

ROOT = Path(__file__).parents[2]
PACE = Pace(interval=10, fast_interval=1, timeout=10, fast_timeout=5, fall=3, rise=2)


@pytest.fixture(scope="module")
def simulation() -> Iterator[ModuleType]:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("simulate_detection", ROOT / "scripts" / "simulate_detection.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def ours(simulation: ModuleType, **changes: int) -> object:
    return simulation.Ours(
        name="ours", policy=Policy(degraded_above=1.0), pace=msgspec.structs.replace(PACE, **changes)
    )


def test_nothing_is_missed_and_false_alarms_are_few(simulation: ModuleType) -> None:
    """What is asked of ten thousand days, on four hundred of them."""
    policies = [ours(simulation), *simulation.others(10.0)]
    mine, one_failure, *rest = simulation.simulate(policies, simulation.made_up(range(400), 1), worst_case(PACE))
    assert mine.outages > 300
    assert (mine.missed, mine.late) == (0, 0)
    assert one_failure.false.total() > 10 * mine.false.total()
    median = sorted(mine.detection)[len(mine.detection) // 2]
    for each in rest:
        is_as_fast = each.detection and sorted(each.detection)[len(each.detection) // 2] <= median
        assert not is_as_fast or each.false.total() >= mine.false.total()


def test_the_score_sees_what_is_missed_and_what_is_late(simulation: ModuleType) -> None:
    """A rule that needs more evidence than its worst case allows misses outages."""
    slow = simulation.Threshold(name="slow", interval=60, fall=10)
    [found] = simulation.simulate([slow], simulation.made_up(range(160), 1), worst_case(PACE))
    assert found.missed > 0
    assert found.late > 0


def test_the_same_seed_makes_the_same_days(simulation: ModuleType) -> None:
    """A figure can be found again."""
    policy = ours(simulation)
    first, again, other = (
        simulation.simulate([policy], simulation.made_up(range(40), seed), 30.0)[0] for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_skipping_skips_nothing_that_counts(simulation: ModuleType) -> None:
    """Where a service is at rest, another good observation changes nothing by which it is judged."""
    state, policy = DetectorState(status=Status.UP), Policy(degraded_above=1.0)
    good = Observation(service="s", at=0.0, outcome=Outcome.OK, latency=0.03)
    while not simulation._is_at_rest(state):
        state, _ = decide(state, good, policy)
    for _ in range(1000):
        state, _ = decide(state, good, policy)
    assert decide(state, good, policy) == (state, None)


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        ({"down": "refused"}, {Category.REFUSED}),
        ({"down": "hang"}, {Category.TIMEOUT}),
        ({"isolated": True}, {Category.TIMEOUT}),
        ({"loss": 0.3}, {None, Category.RESET, Category.TIMEOUT}),
        ({"slowness": 50}, {None}),
    ],
)
def test_attempts_meet_what_the_phase_says(
    simulation: ModuleType, phase: dict[str, object], expected: set[Category | None]
) -> None:
    """Every kind of trouble shows as a probe would see it."""
    rng = random.Random(1)
    met = [simulation.attempt(simulation.Phase(start=0, end=1, **phase), 60.0, rng) for _ in range(300)]
    assert {each.category for each in met} == expected
    if phase == {"loss": 0.3}:
        assert 60 < sum(each.category is not None for each in met) < 120
    if phase == {"slowness": 50}:
        assert sorted(each.takes for each in met)[150] > 1.0


def test_chance_failures_come_as_often_as_they_should(simulation: ModuleType) -> None:
    """Skipping to the next chance failure leaves their number what it would have been."""
    trace = simulation.Trace(kind="healthy", blips=2e-3, seconds=864_000.0)
    each_check = simulation.Threshold(name="each", interval=10)
    [found] = simulation.simulate([each_check], iter([(seed, trace) for seed in range(10)]), 30.0)
    expected = 10 * 86_400 * 2e-3
    assert 0.9 * expected < found.false.total() < 1.1 * expected


@pytest.mark.parametrize(("name", "outages"), [("deploy", 1), ("bad-line", 0)])
def test_recorded_days_are_played(simulation: ModuleType, name: str, outages: int) -> None:
    """A day from a file: its outages are found, and its bad line is not taken for one."""
    trace = msgspec.json.decode((ROOT / "tests" / "traces" / f"{name}.json").read_bytes(), type=simulation.Trace)
    [found] = simulation.simulate([ours(simulation)], iter([(1, trace)]), worst_case(PACE))
    assert (found.outages, found.missed, found.late, found.false.total()) == (outages, 0, 0, 0)


def test_a_clock_that_jumps_changes_nothing(simulation: ModuleType) -> None:
    """The same day with and without the jump is judged the same."""
    jumped = simulation.clock_jump(random.Random(3))
    steady = msgspec.structs.replace(
        jumped, phases=tuple(msgspec.structs.replace(each, clock=0.0) for each in jumped.phases)
    )
    day, plain = simulation.Day(jumped), simulation.Day(steady)
    assert ours(simulation).run(day, random.Random(5)) == ours(simulation).run(plain, random.Random(5))  # type: ignore[attr-defined]
