"""A circuit breaker: calls to a service that fails are refused for a while instead of made. Pure: no clock, no chance.

The machine and its names are Resilience4j's (documentation, "CircuitBreaker"; the pattern: M. Nygard, Release It!,
"Circuit Breaker"), in snake case. While closed, the calls of a sliding window are counted; from
``minimum_number_of_calls`` on, failures or slow calls at their threshold or above open it. While open nothing is let
through; after the open time a few calls test the service (half-open) and decide: closed, or open again.

What differs: thresholds are parts (0 to 1) and not percent; the open time grows while tests fail, with jitter by
default; a test call that never comes back frees its place after a time, where Resilience4j opens again; results of
calls that began before a transition count for nothing; and a service that is announced down is believed at once
(``Breaker.announce``).

Durations are seconds. ``now`` is seconds of one clock of the caller's, best a monotonic one; ``chance`` is a number
from 0 to 1, drawn for each call of a method that asks for it. One thread at a time.
"""

from __future__ import annotations

import math
from collections import deque
from enum import StrEnum

import msgspec

from broadcaster.domain.errors import BreakerError
from broadcaster.domain.model import Status
from broadcaster.domain.window import Window

LARGEST = 10_000
"""Seconds or calls that a window may have, and calls that half-open may permit: what bounds the memory."""

KEPT = 64
"""Transitions that are kept until they are taken; of more the oldest are dropped."""

RETRY = 1.0
"""Seconds after which a caller may ask again that found every place of half-open taken."""

STEP = 1.0
"""Seconds that ``now`` may lag behind the latest one, and count as the latest. Beyond it the clock was set back: all
that is waited for moves with it."""

_STALE = -1
"""The generation of permits whose results never count."""


class SlidingWindowType(StrEnum):
    """What the window's size means: the last so many calls, or the last so many seconds."""

    COUNT_BASED = "count_based"
    TIME_BASED = "time_based"


class BreakerState(StrEnum):
    """``disabled`` permits everything and counts nothing, ``metrics_only`` permits and counts everything and never
    opens, ``forced_open`` permits nothing. These three are entered and left by command only."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    DISABLED = "disabled"
    METRICS_ONLY = "metrics_only"
    FORCED_OPEN = "forced_open"


_CLOSED, _OPEN, _HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


class BreakerReason(StrEnum):
    """Why a breaker changed: the calls' failures or slowness; time was over (``waited``); the test calls went well
    (``tested``); the service's status was told (``announced``); somebody said so (``commanded``)."""

    FAILURE_RATE = "failure_rate"
    SLOW_RATE = "slow_rate"
    WAITED = "waited"
    TESTED = "tested"
    ANNOUNCED = "announced"
    COMMANDED = "commanded"


class BreakerPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When a breaker opens and closes. Raises BreakerError for values that make no sense.

    ``failure_rate_threshold`` and ``slow_call_rate_threshold`` are parts of the window's calls (0 to 1); a call is slow
    above ``slow_call_duration_threshold`` seconds, failed or not. The default of 5 s is where a user who waits gives
    up, and well above what an answer takes under load. ``sliding_window_size`` is seconds (``time_based``, counted by
    whole seconds, the current one included) or calls. A window of fewer calls than ``minimum_number_of_calls`` is
    judged when it is full, and so is half-open.

    The open time begins at ``wait_duration_in_open_state``, grows by ``exponential_backoff_multiplier`` with each
    half-open that fails, to ``exponential_max_wait_duration_in_open_state``, and begins anew after a close. Each is
    lengthened or shortened at random by up to the part ``randomized_wait_factor`` of it, so that the callers of a
    fleet do not test together. With ``automatic_transition_from_open_to_half_open_enabled`` its end shows without a
    call, by ``Breaker.advance``. A half-open call that has not come back after
    ``max_wait_duration_in_half_open_state`` leaves its place to another. ``trust_announcement``: seconds that an
    announced ``down`` is believed without a further word.
    """

    failure_rate_threshold: float = 0.5
    slow_call_rate_threshold: float = 0.8
    slow_call_duration_threshold: float = 5.0
    permitted_number_of_calls_in_half_open_state: int = 3
    sliding_window_type: SlidingWindowType = SlidingWindowType.TIME_BASED
    sliding_window_size: int = 30
    minimum_number_of_calls: int = 20
    wait_duration_in_open_state: float = 5.0
    exponential_backoff_multiplier: float = 2.0
    exponential_max_wait_duration_in_open_state: float = 60.0
    randomized_wait_factor: float = 0.2
    automatic_transition_from_open_to_half_open_enabled: bool = False
    max_wait_duration_in_half_open_state: float = 60.0
    trust_announcement: float = 300.0

    def __post_init__(self) -> None:
        part, time = "above 0 and at most 1, a part of the calls (0.5 is half)", "above 0 seconds, and finite"
        opened, longest = self.wait_duration_in_open_state, self.exponential_max_wait_duration_in_open_state
        permitted, size = self.permitted_number_of_calls_in_half_open_state, self.sliding_window_size
        rules = (
            ("failure_rate_threshold", 0 < self.failure_rate_threshold <= 1, part),
            ("slow_call_rate_threshold", 0 < self.slow_call_rate_threshold <= 1, part),
            ("slow_call_duration_threshold", self.slow_call_duration_threshold > 0, "above 0 seconds"),
            ("permitted_number_of_calls_in_half_open_state", 1 <= permitted <= LARGEST, f"from 1 to {LARGEST}"),
            ("sliding_window_size", 1 <= size <= LARGEST, f"from 1 to {LARGEST}"),
            ("minimum_number_of_calls", self.minimum_number_of_calls >= 1, "at least 1"),
            ("wait_duration_in_open_state", 0 < opened < math.inf, time),
            ("exponential_backoff_multiplier", 1 <= self.exponential_backoff_multiplier < math.inf, "at least 1"),
            ("exponential_max_wait_duration_in_open_state", opened <= longest < math.inf, f"at least {opened:g} s"),
            ("randomized_wait_factor", 0 <= self.randomized_wait_factor < 1, "at least 0 and below 1"),
            ("max_wait_duration_in_half_open_state", 0 < self.max_wait_duration_in_half_open_state < math.inf, time),
            ("trust_announcement", 0 < self.trust_announcement < math.inf, time),
        )
        for name, is_possible, rule in rules:
            if not is_possible:
                raise BreakerError(f"{name} must be {rule}; it is {getattr(self, name)}")


class BreakerTransition(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a breaker, for whoever logs it; ``detail`` has the numbers."""

    at: float
    previous: BreakerState
    state: BreakerState
    reason: BreakerReason
    detail: str = ""


class BreakerMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """How a breaker stands. ``calls``, ``failures`` and ``slow`` are the window's; while open, those that opened it.

    The rates are parts, None while there are too few calls to judge. ``not_permitted`` counts all refused calls ever.
    ``opened_at`` is when it first opened since it was last closed, None while it was not. ``lasted`` is for how many
    seconds ``state`` has lasted, ``reason`` and ``detail`` are why it began; a breaker begins closed for no reason.
    """

    state: BreakerState
    lasted: float
    reason: BreakerReason | None
    detail: str
    failure_rate: float | None
    slow_rate: float | None
    calls: int
    failures: int
    slow: int
    not_permitted: int
    opened_at: float | None


class Permit(msgspec.Struct, eq=False, gc=False):
    """Leave to make one call, given at ``at``. It is returned by one of ``Breaker``'s ``record_success``,
    ``record_failure`` and ``release``; what is returned again, or was taken back, counts for nothing."""

    generation: int
    at: float
    is_out: bool = True


class Breaker:
    """One service's breaker, as one process sees it. Calls are made with a permit only, and return it at the end."""

    __slots__ = (
        "_concluded", "_detail", "_generation", "_is_held", "_latest", "_not_permitted", "_opened_at", "_out",
        "_reason", "_since", "_state", "_transitions", "_until", "_wait", "_window", "policy",
    )  # fmt: skip

    def __init__(self, policy: BreakerPolicy, now: float) -> None:
        self.policy = policy
        self._state = _CLOSED
        self._since, self._detail = now, ""
        self._reason: BreakerReason | None = None
        self._generation = 0
        self._latest = now
        self._window = self._new_window(_CLOSED, now)
        self._out: set[Permit] = set()  # half-open's calls under way
        self._wait = policy.wait_duration_in_open_state  # the next open time, without jitter
        self._until = math.inf  # the end of the open time
        self._is_held = False  # open because of what was announced
        self._concluded = Status.UNKNOWN  # the last that was announced other than unknown
        self._opened_at: float | None = None
        self._not_permitted = 0
        self._transitions: deque[BreakerTransition] = deque(maxlen=KEPT)

    @property
    def state(self) -> BreakerState:
        """As of the last call of any method: an open time that is over shows with the next permit, or ``advance``."""
        return self._state

    def permit(self, now: float) -> Permit | None:
        """Leave to make a call now, or None: it is refused."""
        if self._state is _CLOSED:
            return Permit(self._generation, now)
        now = self._time(now)
        self._end_wait(now)
        if self._state is _HALF_OPEN:
            if not self._has_room():
                overdue = now - self.policy.max_wait_duration_in_half_open_state
                for late in [permit for permit in self._out if permit.at <= overdue]:
                    self._take(late)
            if self._has_room():
                permit = Permit(self._generation, now)
                self._out.add(permit)
                return permit
        elif self._state is BreakerState.METRICS_ONLY:
            return Permit(self._generation, now)
        elif self._state is BreakerState.DISABLED:
            return Permit(_STALE, now)
        self._not_permitted += 1
        return None

    def record_success(self, permit: Permit, now: float, duration: float, chance: float) -> None:
        """The permit's call went well, in ``duration`` seconds."""
        self._record(permit, now, False, duration, chance)

    def record_failure(self, permit: Permit, now: float, duration: float, chance: float) -> None:
        """The permit's call failed, after ``duration`` seconds."""
        self._record(permit, now, True, duration, chance)

    def release(self, permit: Permit) -> None:
        """The permit's call says nothing of the service: it was not made, was cancelled, or failed by our own fault."""
        self._take(permit)

    def advance(self, now: float) -> None:
        """What time does without a call, for a caller's timer: an open time that is over, if the policy wants that."""
        if self.policy.automatic_transition_from_open_to_half_open_enabled:
            self._end_wait(self._time(now))

    def announce(self, status: Status, now: float, chance: float) -> None:
        """What the service's watchers say of it: a change, or the same word again. Disabled, metrics only and forced
        open stay what they are.

        ``down`` opens at once, and holds open for ``trust_announcement`` seconds from the last such word; then calls
        test it. A recovery (``up`` where the last word but ``unknown`` was ``down`` or ``degraded``) lets calls test an
        open one, whatever opened it. All else leaves the breaker to the calls' own evidence; if ``down`` held it open,
        an open time begins.
        """
        now = self._time(now)
        is_recovery = status is Status.UP and self._concluded in (Status.DOWN, Status.DEGRADED)
        if status is not Status.UNKNOWN:
            self._concluded = status
        if status is Status.DOWN:
            if self._state in (_CLOSED, _HALF_OPEN):
                self._go(_OPEN, now, BreakerReason.ANNOUNCED, detail="down")
            if self._state is _OPEN:
                self._is_held = True
                self._until = now + self.policy.trust_announcement
        elif self._state is _OPEN and is_recovery:
            self._go(_HALF_OPEN, now, BreakerReason.ANNOUNCED, detail="recovered")
        elif self._is_held:
            self._is_held = False
            self._until = now + self._jittered(chance)

    def transition_to(self, state: BreakerState, now: float, chance: float) -> None:
        """An operator's command. The state begins anew also if it was this one: closed with no calls, as by a reset.

        What was announced matters again with the next announcement. Raises BreakerError from closed to half-open.
        """
        now = self._time(now)
        self._go(state, now, BreakerReason.COMMANDED)
        self._until = now + self._jittered(chance)

    def use(self, policy: BreakerPolicy, now: float) -> None:
        """Goes on by another policy. The state stays, and so do calls under way; nothing is waited for longer than the
        new policy would. A window of another type, size or minimum begins anew, without its calls."""
        now = self._time(now)
        held, self.policy = self.policy, policy
        longest = policy.exponential_max_wait_duration_in_open_state
        if self._state in (_OPEN, _HALF_OPEN):
            self._wait = min(max(self._wait, policy.wait_duration_in_open_state), longest)
        else:
            self._wait = policy.wait_duration_in_open_state
        if self._state is _OPEN:  # its window, too, stays what opened it
            most = policy.trust_announcement if self._is_held else longest * (1 + policy.randomized_wait_factor)
            self._until = min(self._until, now + most)
        elif self._windowed(held) != self._windowed(policy):
            self._window = self._new_window(self._state, now)

    def retry_after(self, now: float) -> float:
        """Seconds after which a refused caller may ask again; 0 where it need not wait.

        Of an open time what is left; of one that was announced at most the shortest open time, as its end will be
        announced, too, and asking costs nothing; of a forced one the longest.
        """
        now = self._time(now)
        if self._state is _OPEN:
            left = max(0.0, self._until - now)
            return min(left, self.policy.wait_duration_in_open_state) if self._is_held else left
        if self._state is _HALF_OPEN:
            return 0.0 if self._has_room() else RETRY
        forced = self._state is BreakerState.FORCED_OPEN
        return self.policy.exponential_max_wait_duration_in_open_state if forced else 0.0

    def metrics(self, now: float) -> BreakerMetrics:
        """How the breaker stands now. It changes nothing, so that a scrape may ask on a thread of its own."""
        back = self._latest - now
        moved = back if back > STEP else 0.0  # as ``_time`` will do
        now = max(now, self._latest)
        calls, failures, slow = self._window.seen(self._since if self._state is _OPEN else now)
        is_judged = calls >= self._window.minimum
        return BreakerMetrics(
            state=self._state,
            lasted=max(0.0, now - self._since),
            reason=self._reason,
            detail=self._detail,
            failure_rate=failures / calls if is_judged else None,
            slow_rate=slow / calls if is_judged else None,
            calls=calls,
            failures=failures,
            slow=slow,
            not_permitted=self._not_permitted,
            opened_at=None if self._opened_at is None else self._opened_at - moved,
        )

    def take_transitions(self) -> list[BreakerTransition]:
        """The transitions since this was last asked, oldest first; of many the last ``KEPT``."""
        taken = list(self._transitions)
        self._transitions.clear()
        return taken

    def _record(self, permit: Permit, now: float, failed: bool, duration: float, chance: float) -> None:
        if not self._take(permit) or permit.generation != self._generation:
            return
        if now >= self._latest:
            self._latest = now
        else:
            now = self._time(now)
        window = self._window
        window.add(now, failed, duration > self.policy.slow_call_duration_threshold)
        if window.calls >= window.minimum:
            self._judge(now, chance)

    def _take(self, permit: Permit) -> bool:
        """Whether the permit was still out; it is not any more."""
        was_out, permit.is_out = permit.is_out, False
        if self._out:
            self._out.discard(permit)
        return was_out

    def _has_room(self) -> bool:
        return len(self._out) + self._window.calls < self.policy.permitted_number_of_calls_in_half_open_state

    def _judge(self, now: float, chance: float) -> None:
        window, policy = self._window, self.policy
        if window.failures / window.calls >= policy.failure_rate_threshold:
            reason, detail = BreakerReason.FAILURE_RATE, f"{window.failures} of {window.calls} calls failed"
        elif window.slow / window.calls >= policy.slow_call_rate_threshold:
            took = f"took longer than {policy.slow_call_duration_threshold:g} s"
            reason, detail = BreakerReason.SLOW_RATE, f"{window.slow} of {window.calls} calls {took}"
        else:
            if self._state is _HALF_OPEN:
                self._go(_CLOSED, now, BreakerReason.TESTED, detail=f"{window.failures} of {window.calls} calls failed")
            return
        if self._state is BreakerState.METRICS_ONLY:
            return
        if self._state is _HALF_OPEN:
            longest = policy.exponential_max_wait_duration_in_open_state
            self._wait = min(self._wait * policy.exponential_backoff_multiplier, longest)
        self._go(_OPEN, now, reason, detail=detail)
        self._until = now + self._jittered(chance)

    def _end_wait(self, now: float) -> None:
        if self._state is _OPEN and now >= self._until:
            detail = "nothing was announced for long" if self._is_held else ""
            self._go(_HALF_OPEN, now, BreakerReason.WAITED, detail=detail)

    def _go(self, state: BreakerState, now: float, reason: BreakerReason, *, detail: str = "") -> None:
        """The one door from state to state. Results of permits from before it count for nothing."""
        if self._state is _CLOSED and state is _HALF_OPEN:
            raise BreakerError("a closed breaker does not become half-open: there is nothing to test")
        self._transitions.append(
            BreakerTransition(at=now, previous=self._state, state=state, reason=reason, detail=detail)
        )
        self._state = state
        self._since, self._reason, self._detail = now, reason, detail
        self._generation += 1
        self._out.clear()
        self._is_held = False
        if state is not _OPEN:
            self._window = self._new_window(state, now)
        if state in (_OPEN, BreakerState.FORCED_OPEN):
            self._opened_at = now if self._opened_at is None else self._opened_at
        elif state is not _HALF_OPEN:
            self._opened_at = None
            self._wait = self.policy.wait_duration_in_open_state

    def _new_window(self, state: BreakerState, now: float) -> Window:
        policy = self.policy
        if state is _HALF_OPEN:
            size, is_timed = policy.permitted_number_of_calls_in_half_open_state, False
        else:
            size, is_timed = policy.sliding_window_size, policy.sliding_window_type is SlidingWindowType.TIME_BASED
        return Window(size, policy.minimum_number_of_calls, now, is_timed=is_timed)

    def _windowed(self, policy: BreakerPolicy) -> tuple[object, ...]:
        """What the window of the present state is made of."""
        if self._state is _HALF_OPEN:
            return policy.permitted_number_of_calls_in_half_open_state, policy.minimum_number_of_calls
        return policy.sliding_window_type, policy.sliding_window_size, policy.minimum_number_of_calls

    def _jittered(self, chance: float) -> float:
        return self._wait * (1 + self.policy.randomized_wait_factor * (2 * chance - 1))

    def _time(self, now: float) -> float:
        """``now`` as one that does not go back; where the clock was set back, what is waited for moves with it."""
        back = self._latest - now
        if 0 < back <= STEP:
            return self._latest
        self._latest = now
        if back > 0:
            self._until -= back
            self._since -= back
            if self._opened_at is not None:
                self._opened_at -= back
            for permit in self._out:
                permit.at -= back
            self._window.move(now)
        return now
