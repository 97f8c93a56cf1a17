"""The circuit breaker: when calls are let through, and when they are not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.domain.breaker import (
    KEPT,
    RETRY,
    STEP,
    Breaker,
    BreakerPolicy,
    BreakerReason,
    BreakerState,
    Permit,
    SlidingWindowType,
)
from broadcaster.domain.errors import BreakerError
from broadcaster.domain.model import Status

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
DISABLED, METRICS_ONLY, FORCED_OPEN = BreakerState.DISABLED, BreakerState.METRICS_ONLY, BreakerState.FORCED_OPEN
ORDINARY = (CLOSED, OPEN, HALF_OPEN)

POLICY = BreakerPolicy(minimum_number_of_calls=4, sliding_window_size=10, randomized_wait_factor=0)
PLACES = POLICY.permitted_number_of_calls_in_half_open_state
COUNTING = msgspec.structs.replace(POLICY, sliding_window_type=SlidingWindowType.COUNT_BASED, sliding_window_size=6)

Step = tuple[str, Any]


class Bench:
    """A breaker with a clock of its own, and the permits that it gave."""

    def __init__(self, policy: BreakerPolicy = POLICY, *, now: float = 1000.0, chance: float = 0.5) -> None:
        self.policy, self.now, self.chance = policy, now, chance
        self.breaker = Breaker(policy, now)
        self.permits: list[Permit] = []
        self.reasons: list[tuple[BreakerState, BreakerState, BreakerReason]] = []

    @property
    def state(self) -> BreakerState:
        return self.breaker.state

    def begin(self) -> Permit:
        permit = self.breaker.permit(self.now)
        assert permit is not None
        return permit

    def end(self, permit: Permit, how: str = "ok") -> None:
        """The permit's call went ok, was slow, failed, or said nothing (release)."""
        duration = 6.0 if how == "slow" else 0.1
        if how == "release":
            self.breaker.release(permit)
        elif how == "fail":
            self.breaker.record_failure(permit, self.now, duration, self.chance)
        else:
            self.breaker.record_success(permit, self.now, duration, self.chance)

    def calls(self, *hows: str) -> None:
        for how in hows:
            self.end(self.begin(), how)

    def play(self, *steps: Step) -> Bench:
        for kind, value in steps:
            match kind:
                case "calls":
                    self.calls(*value.split())
                case "pass":
                    self.now += value
                case "ask":
                    if (permit := self.breaker.permit(self.now)) is not None:
                        self.permits.append(permit)
                case "announce":
                    self.breaker.announce(value, self.now, self.chance)
                case "command":
                    self.breaker.transition_to(value, self.now, self.chance)
                case "advance":
                    self.breaker.advance(self.now)
                case "return":
                    if self.permits:
                        self.end(self.permits[value[0] % len(self.permits)], value[1])
        return self

    def went(self) -> list[tuple[BreakerState, BreakerState, BreakerReason]]:
        self.reasons += [(each.previous, each.state, each.reason) for each in self.breaker.take_transitions()]
        return self.reasons


FAILED: Step = ("calls", "ok ok fail fail")
TESTING: tuple[Step, ...] = (FAILED, ("pass", 5), ("ask", None))
DOWN, UP = ("announce", Status.DOWN), ("announce", Status.UP)
TO_OPEN = (CLOSED, OPEN, BreakerReason.FAILURE_RATE)
TO_TEST = (OPEN, HALF_OPEN, BreakerReason.WAITED)
TOLD_DOWN = (CLOSED, OPEN, BreakerReason.ANNOUNCED)
TOLD_BACK = (OPEN, HALF_OPEN, BreakerReason.ANNOUNCED)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param([("calls", "fail fail fail")], [], id="too few calls"),
        pytest.param([("calls", "ok ok ok fail ok")], [], id="below the threshold"),
        pytest.param([FAILED], [TO_OPEN], id="at the threshold"),
        pytest.param([("calls", "fail fail fail ok")], [TO_OPEN], id="a success that makes it enough calls"),
        pytest.param([("calls", "slow slow slow slow")], [(CLOSED, OPEN, BreakerReason.SLOW_RATE)], id="slow"),
        pytest.param([("calls", "slow slow slow ok")], [], id="below the slow threshold"),
        pytest.param([("calls", "fail release release release")], [], id="released calls count for nothing"),
        pytest.param([("calls", "fail fail"), ("pass", 10), ("calls", "fail fail")], [], id="out of the window"),
        pytest.param([FAILED, ("pass", 4.9), ("ask", None)], [TO_OPEN], id="open"),
        pytest.param([*TESTING], [TO_OPEN, TO_TEST], id="the open time is over"),
        pytest.param([FAILED, ("pass", 5), ("advance", None)], [TO_OPEN], id="no automatic transition"),
        pytest.param(
            [FAILED, ("pass", 5), ("calls", "ok fail ok")],
            [TO_OPEN, TO_TEST, (HALF_OPEN, CLOSED, BreakerReason.TESTED)],
            id="the test goes well",
        ),
        pytest.param(
            [FAILED, ("pass", 5), ("calls", "ok fail fail")],
            [TO_OPEN, TO_TEST, (HALF_OPEN, OPEN, BreakerReason.FAILURE_RATE)],
            id="the test fails",
        ),
        pytest.param(
            [FAILED, ("pass", 5), ("calls", "slow slow slow")],
            [TO_OPEN, TO_TEST, (HALF_OPEN, OPEN, BreakerReason.SLOW_RATE)],
            id="the test is slow",
        ),
        pytest.param([FAILED, ("pass", 5), ("calls", "ok release ok")], [TO_OPEN, TO_TEST], id="a test is released"),
        pytest.param([UP, UP], [], id="up while closed"),
        pytest.param([("announce", Status.DEGRADED), UP], [], id="recovered while closed"),
        pytest.param([DOWN], [TOLD_DOWN], id="announced down"),
        pytest.param([DOWN, DOWN], [TOLD_DOWN], id="announced down again"),
        pytest.param([DOWN, ("pass", 299), ("ask", None)], [TOLD_DOWN], id="own time does not end it"),
        pytest.param([DOWN, ("pass", 300), ("ask", None)], [TOLD_DOWN, TO_TEST], id="not trusted for ever"),
        pytest.param([DOWN, ("pass", 299), DOWN, ("pass", 299), ("ask", None)], [TOLD_DOWN], id="trusted anew"),
        pytest.param([DOWN, UP], [TOLD_DOWN, TOLD_BACK], id="recovered"),
        pytest.param([DOWN, UP, UP], [TOLD_DOWN, TOLD_BACK], id="up again while half-open"),
        pytest.param(
            [DOWN, ("announce", Status.UNKNOWN), UP], [TOLD_DOWN, TOLD_BACK], id="recovered while nobody was heard"
        ),
        pytest.param(
            [DOWN, ("announce", Status.DEGRADED), ("pass", 4.9), ("ask", None)], [TOLD_DOWN], id="down, then degraded"
        ),
        pytest.param(
            [DOWN, ("announce", Status.DEGRADED), ("pass", 5), ("ask", None)],
            [TOLD_DOWN, TO_TEST],
            id="down, then degraded for an open time",
        ),
        pytest.param(
            [DOWN, ("announce", Status.UNKNOWN), ("pass", 5), ("ask", None)],
            [TOLD_DOWN, TO_TEST],
            id="down, then unknown for an open time",
        ),
        pytest.param([FAILED, DOWN, ("pass", 5), ("ask", None)], [TO_OPEN], id="open already, then held open"),
        pytest.param([FAILED, DOWN, UP], [TO_OPEN, TOLD_BACK], id="a recovery tests what the calls opened"),
        pytest.param([("announce", Status.DEGRADED), FAILED, UP], [TO_OPEN, TOLD_BACK], id="recovered from degraded"),
        pytest.param([FAILED, UP], [TO_OPEN], id="up does not override the calls"),
        pytest.param([UP, FAILED, ("announce", Status.UNKNOWN), UP], [TO_OPEN], id="nor up after silence"),
        pytest.param([FAILED, ("announce", Status.DEGRADED)], [TO_OPEN], id="nor degraded"),
        pytest.param([*TESTING, DOWN], [TO_OPEN, TO_TEST, (HALF_OPEN, OPEN, BreakerReason.ANNOUNCED)], id="down"),
        pytest.param([*TESTING, ("announce", Status.DEGRADED)], [TO_OPEN, TO_TEST], id="degraded while half-open"),
        pytest.param([*TESTING, ("announce", Status.UNKNOWN)], [TO_OPEN, TO_TEST], id="unknown while half-open"),
    ],
)
def test_transitions(steps: list[Step], expected: list[tuple[BreakerState, BreakerState, BreakerReason]]) -> None:
    """Each documented transition happens for its reason, and none without."""
    assert Bench().play(*steps).went() == expected


def in_state(state: BreakerState, policy: BreakerPolicy = POLICY) -> Bench:
    """A breaker that was brought into the state, with nothing to report."""
    bench = Bench(policy)
    if state is HALF_OPEN:
        bench.breaker.transition_to(OPEN, bench.now, 0.5)
    if state is not CLOSED:
        bench.breaker.transition_to(state, bench.now, 0.5)
    bench.breaker.take_transitions()
    return bench


@pytest.mark.parametrize("state", BreakerState)
@pytest.mark.parametrize("wanted", BreakerState)
def test_commands(state: BreakerState, wanted: BreakerState) -> None:
    """Every state can be commanded from every other, but half-open from closed, and begins anew."""
    bench = in_state(state)
    if (state, wanted) == (CLOSED, HALF_OPEN):
        with pytest.raises(BreakerError, match="closed breaker does not become half-open"):
            bench.play(("command", wanted))
        assert bench.went() == []
        assert bench.state is CLOSED
        return
    if state is CLOSED:
        bench.calls("fail", "fail", "fail")
    bench.play(("command", wanted))
    assert bench.went() == [(state, wanted, BreakerReason.COMMANDED)]
    assert bench.breaker.metrics(bench.now).calls == (3 if (state, wanted) == (CLOSED, OPEN) else 0)


@pytest.mark.parametrize(
    ("state", "permitted", "counted"),
    [(CLOSED, 10, 10), (OPEN, 0, 0), (HALF_OPEN, 3, 3), (DISABLED, 10, 0), (METRICS_ONLY, 10, 10), (FORCED_OPEN, 0, 0)],
)
def test_what_is_permitted_and_counted(state: BreakerState, permitted: int, counted: int) -> None:
    """Each state lets through what it should, and counts the calls, or the refusals."""
    bench = in_state(state, msgspec.structs.replace(POLICY, minimum_number_of_calls=20))
    bench.play(*[("ask", None)] * 10)
    assert len(bench.permits) == permitted
    for permit in bench.permits[:counted][: 2 if state is HALF_OPEN else None]:
        bench.end(permit)
    metrics = bench.breaker.metrics(bench.now)
    assert metrics.calls == (2 if state is HALF_OPEN else counted)
    assert metrics.not_permitted == 10 - permitted


@pytest.mark.parametrize("state", [DISABLED, METRICS_ONLY, FORCED_OPEN])
def test_what_was_commanded_is_left_by_command_only(state: BreakerState) -> None:
    """Neither failures nor time nor announcements change it."""
    bench = in_state(state)
    for _ in range(3):
        bench.play(*[("ask", None)] * 9, *[("return", (each, "fail")) for each in range(9)], ("pass", 1000))
        bench.play(DOWN, ("advance", None), UP, ("announce", Status.DEGRADED), ("announce", Status.UNKNOWN))
    assert bench.state is state
    assert bench.went() == []


@pytest.mark.parametrize(("chance", "factor"), [(0, 0.8), (0.5, 1), (1, 1.2)])
def test_the_open_time_doubles_while_tests_fail(chance: float, factor: float) -> None:
    """From 5 s to 60 s, each with jitter; after a close it is 5 s again."""
    bench = Bench(msgspec.structs.replace(POLICY, randomized_wait_factor=0.2), chance=chance)
    bench.play(FAILED)
    for seconds in [5, 10, 20, 40, 60, 60]:
        assert bench.breaker.retry_after(bench.now) == pytest.approx(seconds * factor)
        bench.now += seconds * factor + 0.001
        bench.calls("fail", "fail", "fail")
        assert bench.state is OPEN
    bench.play(("pass", 100), ("calls", "ok ok ok"))
    assert bench.state is CLOSED
    bench.play(FAILED)
    assert bench.breaker.retry_after(bench.now) == pytest.approx(5 * factor)


def test_an_announcement_does_not_lengthen_the_open_time() -> None:
    """Only tests that failed do."""
    bench = Bench().play(DOWN, UP, DOWN, UP, DOWN, UP, ("calls", "fail fail fail"))
    assert bench.breaker.retry_after(bench.now) == 10


def test_time_alone_ends_an_open_time_where_that_is_wanted() -> None:
    """With the automatic transition it shows without a call."""
    bench = Bench(msgspec.structs.replace(POLICY, automatic_transition_from_open_to_half_open_enabled=True))
    bench.play(FAILED, ("pass", 4.9), ("advance", None))
    assert bench.state is OPEN
    bench.play(("pass", 0.1), ("advance", None))
    assert bench.state is HALF_OPEN


@pytest.mark.parametrize("how", ["ok", "fail", "slow"])
def test_a_call_from_before_a_transition_decides_nothing(how: str) -> None:
    """Calls that began while closed end while half-open, or while closed again: they are not counted."""
    bench = Bench()
    early = [bench.begin() for _ in range(8)]
    bench.play(*TESTING)
    for permit in early[:4]:
        bench.end(permit, how)
    assert bench.state is HALF_OPEN
    assert bench.breaker.metrics(bench.now).calls == 0
    assert bench.breaker.permit(bench.now) is not None, "they take no place either"
    bench.breaker.transition_to(CLOSED, bench.now, 0.5)
    for permit in early[4:]:
        bench.end(permit, how)
    assert bench.breaker.metrics(bench.now).calls == 0


def test_a_released_permit_frees_its_place() -> None:
    """While half-open a cancelled call is as if it had not been."""
    bench = Bench().play(*TESTING, ("ask", None), ("ask", None))
    assert bench.breaker.permit(bench.now) is None
    bench.breaker.release(bench.permits[0])
    assert bench.breaker.permit(bench.now) is not None
    assert bench.breaker.permit(bench.now) is None


def test_calls_of_an_earlier_test_take_no_place_in_a_later_one() -> None:
    """Half-open begins with all of its places, however the one before ended."""
    bench = Bench().play(*TESTING, ("ask", None), ("ask", None), DOWN, UP, *[("ask", None)] * 5)
    assert len(bench.permits) == 2 * PLACES


def test_an_announcement_that_was_outlived_holds_nothing() -> None:
    """Once calls tested the service in spite of it, what they found is what holds."""
    bench = Bench().play(DOWN, ("pass", 300), ("calls", "fail fail fail"), ("pass", 4), ("announce", Status.UNKNOWN))
    assert bench.breaker.retry_after(bench.now) == 6


def test_half_open_is_not_stuck_with_calls_that_never_end() -> None:
    """Permits that are older than the limit are taken back; what becomes of them later does not matter."""
    bench = Bench().play(*TESTING, ("ask", None), ("ask", None), ("pass", 59.9))
    assert bench.breaker.permit(bench.now) is None
    bench.play(("pass", 0.1), ("calls", "ok ok"))
    for lost in bench.permits:
        bench.end(lost, "fail")
    assert bench.state is HALF_OPEN
    bench.calls("ok")
    assert bench.state is CLOSED


@pytest.mark.parametrize(
    ("steps", "seconds"),
    [
        ([], 0),
        ([FAILED], 5),
        ([FAILED, ("pass", 2)], 3),
        ([FAILED, ("pass", 6)], 0),
        ([*TESTING], 0),
        ([*TESTING, ("ask", None), ("ask", None)], RETRY),
        ([DOWN], 5),
        ([DOWN, ("pass", 297)], 3),
        ([("command", FORCED_OPEN)], 60),
        ([("command", DISABLED)], 0),
        ([("command", METRICS_ONLY)], 0),
    ],
)
def test_a_refused_caller_is_told_when_to_ask_again(steps: list[Step], seconds: float) -> None:
    """What is left of the open time; an announced one may end at any moment, a forced one by command only."""
    bench = Bench().play(*steps)
    assert bench.breaker.retry_after(bench.now) == pytest.approx(seconds)


def test_metrics() -> None:
    """Rates only where there are enough calls; slow failed calls are both; refusals are counted on."""
    bench = Bench()
    bench.calls("ok", "fail", "slow")
    seen = bench.breaker.metrics(bench.now)
    assert (seen.failure_rate, seen.slow_rate, seen.calls, seen.failures, seen.slow) == (None, None, 3, 1, 1)
    assert seen.opened_at is None
    bench.breaker.record_failure(bench.begin(), bench.now, 5.001, 0.5)
    bench.play(("pass", 1), ("ask", None))
    seen = bench.breaker.metrics(bench.now)
    assert (seen.failure_rate, seen.slow_rate, seen.calls, seen.failures, seen.slow) == (0.5, 0.5, 4, 2, 2)
    assert (seen.state, seen.not_permitted, seen.opened_at) == (OPEN, 1, 1000)
    bench.play(("pass", 10), ("calls", "fail fail fail"), ("ask", None))
    assert bench.breaker.metrics(bench.now).opened_at == 1000, "it has not been closed since"
    bench.play(("pass", 100), ("calls", "ok ok ok"))
    seen = bench.breaker.metrics(bench.now)
    assert (seen.state, seen.calls, seen.not_permitted, seen.opened_at) == (CLOSED, 0, 2, None)


def test_metrics_say_since_when_and_why() -> None:
    """Of the present state; what opened it stays in view, however long it is open."""
    bench = Bench()
    bench.play(("pass", 7))
    seen = bench.breaker.metrics(bench.now)
    assert (seen.lasted, seen.reason, seen.detail) == (7, None, "")
    bench.play(FAILED, ("announce", Status.DOWN), ("pass", 30))
    seen = bench.breaker.metrics(bench.now)
    assert (seen.lasted, seen.reason, seen.detail) == (30, BreakerReason.FAILURE_RATE, "2 of 4 calls failed")
    assert (seen.calls, seen.failures, seen.failure_rate) == (4, 2, 0.5)
    bench.play(("ask", None), ("pass", -3600))
    for _ in range(2):  # a clock that was set back is seen, and then followed
        seen = bench.breaker.metrics(bench.now)
        assert (seen.lasted, seen.opened_at) == (30, bench.now - 30)
        bench.play(("ask", None))


def test_to_be_asked_for_metrics_changes_nothing() -> None:
    """Not even by a clock that is ahead: a scrape may ask from another thread."""
    bench = Bench().play(("calls", "ok fail"))
    assert bench.breaker.metrics(bench.now + POLICY.sliding_window_size).calls == 0
    assert bench.breaker.metrics(bench.now + 1).calls == 2
    bench.calls("fail", "fail")
    assert bench.state is OPEN


LONGER = msgspec.structs.replace(POLICY, sliding_window_size=20)
BRIEF = msgspec.structs.replace(
    POLICY, wait_duration_in_open_state=1, exponential_max_wait_duration_in_open_state=2, trust_announcement=3
)
LASTING = msgspec.structs.replace(POLICY, wait_duration_in_open_state=20)
STRICT = msgspec.structs.replace(POLICY, failure_rate_threshold=0.1)


@pytest.mark.parametrize(
    ("steps", "policy", "more", "expected"),
    [
        pytest.param([("calls", "ok ok fail")], STRICT, [("calls", "ok")], OPEN, id="other thresholds at once"),
        pytest.param([("calls", "fail fail")], LONGER, [("calls", "fail fail")], CLOSED, id="another window begins"),
        pytest.param([("calls", "fail fail")], POLICY, [("calls", "fail fail")], OPEN, id="the same one goes on"),
        pytest.param([FAILED], STRICT, [], OPEN, id="open stays open"),
        pytest.param([FAILED], BRIEF, [("pass", 2), ("ask", None)], HALF_OPEN, id="not for longer than it would be"),
        pytest.param([DOWN], BRIEF, [("pass", 2.9), ("ask", None)], OPEN, id="an announcement is believed"),
        pytest.param([DOWN], BRIEF, [("pass", 3), ("ask", None)], HALF_OPEN, id="for no longer than the new one says"),
        pytest.param([*TESTING], STRICT, [("return", (0, "ok")), ("calls", "ok ok")], CLOSED, id="tests go on"),
        pytest.param([("command", FORCED_OPEN)], BRIEF, [("pass", 99)], FORCED_OPEN, id="what was commanded stays"),
    ],
)
def test_another_policy(steps: list[Step], policy: BreakerPolicy, more: list[Step], expected: BreakerState) -> None:
    """It is gone on by at once, in the state that the breaker is in; nothing lasts longer than it says."""
    bench = Bench().play(*steps)
    before = bench.state
    bench.breaker.use(policy, bench.now)
    assert bench.state is before
    assert bench.play(*more).state is expected


def test_another_policy_s_open_times() -> None:
    """The next one begins where that says; one that has grown stays within its limits."""
    bench = Bench()
    bench.breaker.use(BRIEF, bench.now)
    assert bench.play(FAILED).breaker.retry_after(bench.now) == pytest.approx(1)
    bench = Bench().play(*TESTING, ("return", (0, "fail")), ("calls", "fail fail"))
    assert bench.breaker.retry_after(bench.now) == pytest.approx(10)
    bench.breaker.use(BRIEF, bench.now)
    bench.play(DOWN, ("announce", Status.UNKNOWN))
    assert bench.breaker.retry_after(bench.now) == pytest.approx(2)
    bench.breaker.use(LASTING, bench.now)
    bench.play(DOWN, ("announce", Status.UNKNOWN))
    assert bench.breaker.retry_after(bench.now) == pytest.approx(20)


@pytest.mark.parametrize("places", [1, 2, 5])
def test_other_places_while_half_open(places: int) -> None:
    """The test begins anew with them, and calls under way count in it."""
    bench = Bench().play(*TESTING, ("ask", None), ("calls", "ok"))
    policy = msgspec.structs.replace(POLICY, permitted_number_of_calls_in_half_open_state=places)
    bench.breaker.use(policy, bench.now)
    bench.play(("return", (0, "ok")), ("return", (1, "ok")))
    while bench.state is HALF_OPEN:
        bench.calls("ok")
    assert bench.state is CLOSED


def test_a_call_at_the_threshold_is_not_slow() -> None:
    """Slow is above it."""
    bench = Bench()
    bench.breaker.record_success(bench.begin(), bench.now, POLICY.slow_call_duration_threshold, 0.5)
    assert bench.breaker.metrics(bench.now).slow == 0


def test_a_transition_tells_its_numbers() -> None:
    """Whoever logs it needs no more."""
    bench = Bench().play(FAILED, ("pass", 5), ("calls", "slow slow slow"))
    assert [each.detail for each in bench.breaker.take_transitions()] == [
        "2 of 4 calls failed",
        "",
        "3 of 3 calls took longer than 5 s",
    ]
    assert bench.breaker.take_transitions() == []


def test_what_is_kept_is_bounded() -> None:
    """Neither transitions that nobody takes nor calls pile up."""
    bench = Bench().play(*[("command", CLOSED)] * (KEPT + 5))
    assert len(bench.breaker.take_transitions()) == KEPT
    for _ in range(1000):
        bench.play(("pass", 0.5), ("calls", "ok ok"))
    assert bench.breaker.metrics(bench.now).calls == 40 - 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"failure_rate_threshold": 0},
        {"failure_rate_threshold": 50},
        {"slow_call_rate_threshold": math.nan},
        {"slow_call_duration_threshold": 0},
        {"permitted_number_of_calls_in_half_open_state": 0},
        {"sliding_window_size": 0},
        {"sliding_window_size": 10_001},
        {"minimum_number_of_calls": 0},
        {"wait_duration_in_open_state": 0},
        {"exponential_backoff_multiplier": 0.5},
        {"exponential_max_wait_duration_in_open_state": 4},
        {"exponential_max_wait_duration_in_open_state": math.inf},
        {"randomized_wait_factor": 1},
        {"max_wait_duration_in_half_open_state": 0},
        {"trust_announcement": math.inf},
    ],
    ids=str,
)
def test_an_impossible_policy_is_refused(wrong: dict[str, Any]) -> None:
    """The message names the setting, what it must be and what it is; a decoder says where."""
    ((name, value),) = wrong.items()
    with pytest.raises(BreakerError, match=rf"^{name} must be .*; it is {value}$") as caught:
        BreakerPolicy(**wrong)
    assert isinstance(caught.value, ValueError)
    if math.isfinite(value):
        with pytest.raises(msgspec.ValidationError, match=f"{name} must be"):
            msgspec.convert(wrong, BreakerPolicy)


def test_a_count_window_smaller_than_the_minimum_is_judged_when_it_is_full() -> None:
    """As Resilience4j does it."""
    policy = msgspec.structs.replace(COUNTING, sliding_window_size=2)
    assert Bench(policy).play(("calls", "fail")).state is CLOSED
    assert Bench(policy).play(("calls", "fail fail")).state is OPEN


@pytest.mark.parametrize("back", [0.5, 1.5, 3600.0])
def test_a_clock_that_is_set_back_lengthens_nothing_by_much(back: float) -> None:
    """What was waited for ends as if the clock had gone on, within the second that a clock may lag."""
    bench = Bench(now=1e9).play(FAILED, ("pass", 2), ("ask", None), ("pass", -back), ("ask", None))
    assert bench.breaker.retry_after(bench.now) == pytest.approx(3)
    opened_at = bench.breaker.metrics(bench.now).opened_at
    assert opened_at == pytest.approx(bench.now - 2 + (back if back <= STEP else 0), abs=0.001)
    bench.play(("pass", 4.0), ("ask", None), ("ask", None), ("ask", None))
    assert bench.state is HALF_OPEN
    assert len(bench.permits) == PLACES
    bench.play(("pass", 10), ("ask", None), ("pass", -back), ("ask", None), ("pass", 51), ("ask", None))
    assert len(bench.permits) == PLACES + 1


def test_calls_grow_old_by_a_clock_that_was_set_back_too() -> None:
    """Those of the newest second count as made when it was noticed."""
    bench = Bench().play(("command", METRICS_ONLY), ("calls", "ok"), ("pass", -500), ("ask", None), ("pass", 9.9))
    assert bench.breaker.metrics(bench.now).calls == 1
    assert bench.breaker.metrics(bench.now + 0.1).calls == 0


Call = tuple[float, bool, bool]
CALLS = st.lists(st.tuples(st.floats(0, 4) | st.floats(0, 40), st.booleans(), st.booleans()), max_size=60)


def timed(calls: list[Call], start: float) -> Iterator[Call]:
    """The calls with the time of each, instead of the time between them."""
    for wait, failed, slow in calls:
        start += wait
        yield start, failed, slow


def in_window(policy: BreakerPolicy, calls: list[Call], now: float) -> list[Call]:
    """The calls that count, from the list of all."""
    if policy.sliding_window_type is SlidingWindowType.COUNT_BASED:
        return calls[-policy.sliding_window_size :]
    return [each for each in calls if math.floor(each[0]) > math.floor(now) - policy.sliding_window_size]


def report(bench: Bench, failed: bool, slow: bool) -> None:
    record = bench.breaker.record_failure if failed else bench.breaker.record_success
    record(bench.begin(), bench.now, 6.0 if slow else 0.1, 0.5)


@given(CALLS, st.sampled_from([POLICY, COUNTING]), st.floats(-50, 50), st.floats(0, 30))
def test_the_windows_are_what_the_list_of_all_calls_says(
    calls: list[Call], policy: BreakerPolicy, start: float, later: float
) -> None:
    """Counted by whole seconds, or exactly; also when time passes without a call."""
    bench, made = Bench(policy, now=start).play(("command", METRICS_ONLY)), []
    for bench.now, failed, slow in timed(calls, start):
        report(bench, failed, slow)
        made.append((bench.now, failed, slow))
        check_window(bench, made)
    bench.now += later
    check_window(bench, made)


def check_window(bench: Bench, made: list[Call]) -> None:
    counted = in_window(bench.policy, made, bench.now)
    failures, slow = sum(each[1] for each in counted), sum(each[2] for each in counted)
    seen = bench.breaker.metrics(bench.now)
    assert (seen.calls, seen.failures, seen.slow) == (len(counted), failures, slow)
    is_judged = len(counted) >= bench.policy.minimum_number_of_calls
    assert seen.failure_rate == (failures / len(counted) if is_judged else None)
    assert seen.slow_rate == (slow / len(counted) if is_judged else None)


@given(CALLS, st.sampled_from([POLICY, COUNTING]), st.integers(1, 30), st.sampled_from([0.07, 0.3, 0.5, 1.0]))
def test_a_closed_breaker_opens_exactly_by_the_rates(
    calls: list[Call], policy: BreakerPolicy, minimum: int, threshold: float
) -> None:
    """With too few calls never; with enough as soon as a rate is at its threshold."""
    policy = msgspec.structs.replace(policy, minimum_number_of_calls=minimum, failure_rate_threshold=threshold)
    if policy.sliding_window_type is SlidingWindowType.COUNT_BASED:
        minimum = min(minimum, policy.sliding_window_size)
    bench, made = Bench(policy, now=0.5), []
    for bench.now, failed, slow in timed(calls, 0.5):
        report(bench, failed, slow)
        made.append((bench.now, failed, slow))
        counted = in_window(policy, made, bench.now)
        failures, late = sum(each[1] for each in counted), sum(each[2] for each in counted)
        is_too_much = failures / len(counted) >= threshold or late / len(counted) >= policy.slow_call_rate_threshold
        assert bench.state is (OPEN if len(counted) >= minimum and is_too_much else CLOSED)
        if bench.state is OPEN:
            break


@given(st.integers(1, 5), st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["ok", "fail", "release"]))))
def test_a_permit_is_returned_once(permits: int, returns: list[tuple[int, str]]) -> None:
    """The first return of it counts, and none after that."""
    bench = Bench().play(("command", METRICS_ONLY), *[("ask", None)] * permits)
    first: dict[int, str] = {}
    for which, how in returns:
        bench.play(("return", (which, how)))
        first.setdefault(which % permits, how)
    seen = bench.breaker.metrics(bench.now)
    assert seen.calls == sum(how != "release" for how in first.values())
    assert seen.failures == sum(how == "fail" for how in first.values())


OWN_STEPS = st.one_of(
    st.tuples(st.just("pass"), st.floats(0, 8) | st.floats(0, 400) | st.floats(-2, 0) | st.floats(-1e6, 0)),
    st.just(("ask", None)),
    st.just(("ask", None)),
    st.tuples(
        st.just("return"), st.tuples(st.integers(0, 30), st.sampled_from(["ok", "fail", "fail", "slow", "release"]))
    ),
    st.tuples(st.just("announce"), st.sampled_from(Status)),
    st.just(("advance", None)),
)
STEPS = OWN_STEPS | st.tuples(st.just("command"), st.sampled_from([OPEN, CLOSED, DISABLED, METRICS_ONLY, FORCED_OPEN]))
START = st.sampled_from(
    [(), (("command", OPEN),), (("command", OPEN), ("pass", 6.0), ("ask", None)), (DOWN,), (DOWN, UP)]
)
POLICIES = st.builds(
    BreakerPolicy,
    sliding_window_type=st.sampled_from(SlidingWindowType),
    sliding_window_size=st.integers(1, 12),
    minimum_number_of_calls=st.integers(1, 6),
    permitted_number_of_calls_in_half_open_state=st.integers(1, 4),
    failure_rate_threshold=st.sampled_from([0.1, 0.5, 1.0]),
    automatic_transition_from_open_to_half_open_enabled=st.booleans(),
)


@given(POLICIES, st.floats(0, 1), START, st.lists(STEPS, max_size=80))
def test_whatever_happens_the_invariants_hold(
    policy: BreakerPolicy, chance: float, start: tuple[Step, ...], steps: list[Step]
) -> None:
    """Half-open never has more calls than its places; states follow from each other; the numbers make sense."""
    bench = Bench(policy, chance=chance)
    places = policy.permitted_number_of_calls_in_half_open_state
    state, elapsed, given_at = CLOSED, 0.0, dict[int, float]()
    for kind, value in (*start, *steps):
        given_before = len(bench.permits)
        bench.play((kind, value))
        elapsed += max(0.0, value) if kind == "pass" else 0.0
        changes = bench.breaker.take_transitions()
        if changes:
            given_at.clear()
        for change in changes:
            assert change.previous is state
            assert (change.previous, change.state) != (CLOSED, HALF_OPEN)
            state = change.state
        assert bench.state is state
        if len(bench.permits) > given_before:
            given_at[given_before] = elapsed
        if kind == "return" and bench.permits:
            given_at.pop(value[0] % len(bench.permits), None)
        seen = bench.breaker.metrics(bench.now)
        assert 0 <= max(seen.failures, seen.slow) <= seen.calls
        assert (seen.opened_at is None) == (state in (CLOSED, DISABLED, METRICS_ONLY))
        assert 0 <= bench.breaker.retry_after(bench.now) <= 60 * 1.2
        if state is HALF_OPEN:
            live = [at for at in given_at.values() if elapsed - at < policy.max_wait_duration_in_half_open_state]
            assert len(live) + seen.calls <= places
        if kind == "announce" and state in ORDINARY and value is Status.DOWN:
            assert bench.state is OPEN
            assert bench.breaker.permit(bench.now) is None


@given(POLICIES, st.floats(0, 1), st.lists(OWN_STEPS, max_size=60))
def test_a_service_that_is_well_is_called_again(policy: BreakerPolicy, chance: float, steps: list[Step]) -> None:
    """Whatever was before: calls that succeed close a breaker at the latest once its open time was over twice.

    The first time calls from before may still count in a window that does not get old by time, and open it once more.
    """
    bench = Bench(policy, chance=chance).play(*steps)
    enough = policy.permitted_number_of_calls_in_half_open_state + policy.sliding_window_size
    for _ in range(2):
        bench.now += policy.trust_announcement
        for _ in range(enough):
            if (permit := bench.breaker.permit(bench.now)) is not None:
                bench.end(permit)
    assert bench.state is CLOSED
    bench.breaker.take_transitions()
    bench.calls(*["ok"] * 30)
    assert bench.breaker.take_transitions() == []
