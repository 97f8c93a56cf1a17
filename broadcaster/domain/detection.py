"""From observations to conclusions: ``decide()``.

The rules, in order (source of the thresholds: HAProxy configuration manual, "fall", "rise"; extended by a state
between up and down):

1. ``fall`` failed observations in a row: down.
2. A service that flaps keeps the worse state: an up one becomes degraded (``unstable``), and nothing gets better
   until it has calmed down (``flapping.py``).
3. From down, ``rise`` observations in a row that did not fail: up if all of them were good, else degraded.
4. ``fall`` observations in a row that were bad (impaired or failed), or failures among the last ``RATE_WINDOW``
   observations at ``degraded_rate`` or above: degraded.
5. The median of the last ``latency_window`` latencies above ``degraded_above``: degraded. One slow answer says
   nothing, which a median ignores and a mean does not.
6. From degraded, ``rise`` good observations in a row, with the rate of failures back below half of its limit: up.
7. From unknown, the first good observation: up.
"""

from __future__ import annotations

from statistics import median_low

import msgspec

from broadcaster.domain.flapping import STATES, is_flapping
from broadcaster.domain.model import Category, EventKind, Observation, Outcome, Plan, Status, event_kind

RATE_WINDOW = 20
"""Observations over which partial failures are counted."""

_LETTERS = {Outcome.OK: "o", Outcome.IMPAIRED: "i", Outcome.FAILED: "f"}


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How much evidence a change takes.

    ``fall`` and ``rise``: observations in a row. ``degraded_above``: seconds that the median of the last
    ``latency_window`` latencies may reach. ``degraded_rate``: part (0 to 1) of failed observations in the window.
    """

    fall: int = 3
    rise: int = 2
    degraded_above: float | None = None
    latency_window: int = 5
    degraded_rate: float = 0.4
    flap_detection: bool = True


class DetectorState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is concluded (``status``) and the evidence that counts towards the next change.

    ``failed``, ``bad``, ``good`` and ``alive`` are lengths of the current run of observations that failed, that
    failed or were impaired, that were good, and that did not fail; ``slow`` of answers above ``degraded_above``. They
    stop counting where they stop mattering. ``pending`` counts observations in a row that left evidence against
    ``status`` open, ``settled`` those that left none. ``is_definitive``: the last failure was one that does not come
    by chance. ``recent`` has a letter for each of the last 21 observations, of which the last ``rated`` count towards
    the rate of failures: an outage that is over does not. ``latencies`` are the last answers' seconds.
    """

    status: Status = Status.UNKNOWN
    failed: int = 0
    bad: int = 0
    good: int = 0
    alive: int = 0
    slow: int = 0
    pending: int = 0
    settled: int = 0
    is_definitive: bool = False
    is_flapping: bool = False
    recent: str = ""
    rated: int = 0
    latencies: tuple[float, ...] = ()

    @property
    def is_undecided(self) -> bool:
        """Whether evidence against ``status`` has been seen that is not yet enough to change it."""
        match self.status:
            case Status.UP:
                return self.bad > 0 or self.slow > 0
            case Status.DEGRADED:
                return self.failed > 0 or (self.good > 0 and not self.is_flapping)
            case Status.DOWN:
                return self.alive > 0
            case Status.UNKNOWN:
                return self.bad > 0

    @property
    def may_fall(self) -> bool:
        """Whether the open evidence is for something worse."""
        return self.is_undecided and (self.failed > 0 or self.status in (Status.UP, Status.UNKNOWN))


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """A conclusion that differs from the one before; what the commit makes a transition of.

    ``caused_by`` and ``incident`` are added by ``incidents.attribute`` when it is committed, and the service's
    ``plans``, which no conclusion changes.
    """

    service: str
    kind: EventKind
    previous: Status
    status: Status
    at: float
    category: Category | None = None
    detail: str = ""
    latency: float | None = None
    caused_by: tuple[str, ...] = ()
    incident: str = ""
    plans: tuple[Plan, ...] = ()


def decide(state: DetectorState, observation: Observation, policy: Policy) -> tuple[DetectorState, Decision | None]:
    """Concludes from one more observation; see the rules in the module's docstring.

    Pure and total. The observation's ``at`` is the decision's time.
    """
    latencies = _latencies(state, observation, policy)
    seen = judge(observation, latencies, policy)
    counted = _count(state, observation, seen, latencies, policy)
    status = _conclude(counted, seen, policy)
    changed = status is not state.status
    after = msgspec.structs.replace(counted, status=status)
    if status is Status.DOWN:
        after = msgspec.structs.replace(after, latencies=())
    if changed and status is not Status.DEGRADED:
        after = msgspec.structs.replace(after, rated=0)
    open_now = after.is_undecided
    after = msgspec.structs.replace(
        after,
        pending=min(state.pending + 1, 1000) if open_now and not changed else int(open_now),
        settled=0 if open_now or changed else min(state.settled + 1, 1000),
    )
    if not changed:
        return after, None
    return after, _decision(state, after, seen, policy)


def _latencies(state: DetectorState, observation: Observation, policy: Policy) -> tuple[float, ...]:
    if observation.outcome is Outcome.FAILED or policy.degraded_above is None:
        return state.latencies
    return (*state.latencies, observation.latency)[-policy.latency_window :]


def judge(observation: Observation, latencies: tuple[float, ...], policy: Policy) -> Observation:
    """The observation with slowness judged: a good answer counts as impaired while the median is too high."""
    if observation.outcome is not Outcome.OK or policy.degraded_above is None:
        return observation
    typical = median_low(latencies)
    if typical <= policy.degraded_above:
        return observation
    return msgspec.structs.replace(
        observation,
        outcome=Outcome.IMPAIRED,
        category=Category.SLOW,
        detail=f"answers take {typical:.3f} s (median of {len(latencies)}), above {policy.degraded_above:g} s",
    )


def _count(
    state: DetectorState, observation: Observation, seen: Observation, latencies: tuple[float, ...], policy: Policy
) -> DetectorState:
    limit = max(policy.fall, policy.rise)
    failed, good = seen.outcome is Outcome.FAILED, seen.outcome is Outcome.OK
    is_slow = not failed and policy.degraded_above is not None and observation.latency > policy.degraded_above
    recent = (state.recent + _LETTERS[seen.outcome])[-STATES:]
    return msgspec.structs.replace(
        state,
        failed=min(state.failed + 1, limit) if failed else 0,
        bad=0 if good else min(state.bad + 1, limit),
        good=min(state.good + 1, limit) if good else 0,
        alive=0 if failed else min(state.alive + 1, limit),
        slow=min(state.slow + 1, limit) if is_slow else 0,
        is_definitive=failed and seen.category is not None and seen.category.is_definitive,
        is_flapping=policy.flap_detection and is_flapping(recent, was_flapping=state.is_flapping),
        recent=recent,
        rated=min(state.rated + 1, RATE_WINDOW),
        latencies=latencies,
    )


def _conclude(state: DetectorState, seen: Observation, policy: Policy) -> Status:
    if state.failed >= policy.fall:
        return Status.DOWN
    # Not what the median says: an answer that is good itself makes nothing worse.
    is_bad = (
        state.failed > 0 or state.slow > 0 or (seen.outcome is Outcome.IMPAIRED and seen.category is not Category.SLOW)
    )
    if state.is_flapping and state.status is not Status.UNKNOWN:
        return Status.DEGRADED if state.status is Status.UP and is_bad else state.status
    too_slow = seen.category is Category.SLOW and _slow_ones(state, policy) > policy.latency_window // 2
    rate = _failures(state) / RATE_WINDOW
    match state.status:
        case Status.DOWN:
            if state.good >= policy.rise:
                return Status.UP
            return Status.DEGRADED if state.alive >= policy.rise else Status.DOWN
        case Status.UP:
            is_worse = is_bad and (state.bad >= policy.fall or too_slow or rate >= policy.degraded_rate)
            return Status.DEGRADED if is_worse else Status.UP
        case Status.DEGRADED:
            is_well = state.good >= policy.rise and rate < policy.degraded_rate / 2
            return Status.UP if is_well else Status.DEGRADED
        case Status.UNKNOWN:
            if state.good:
                return Status.UP
            return Status.DEGRADED if is_bad and state.bad >= policy.fall else Status.UNKNOWN


def _failures(state: DetectorState) -> int:
    """Failed observations in the window; what was not observed yet counts as good."""
    return state.recent[len(state.recent) - state.rated :].count("f")


def _slow_ones(state: DetectorState, policy: Policy) -> int:
    limit = policy.degraded_above
    return 0 if limit is None else sum(latency > limit for latency in state.latencies)


def _decision(before: DetectorState, after: DetectorState, seen: Observation, policy: Policy) -> Decision:
    category, detail = seen.category, seen.detail
    if after.status is Status.UP:
        category, detail = None, ""
    elif after.status is Status.DEGRADED and after.is_flapping:
        category, detail = Category.UNSTABLE, f"it comes and goes; last: {seen.detail or seen.outcome.value}"
    elif after.status is Status.DEGRADED and seen.outcome is Outcome.FAILED and after.bad < policy.fall:
        detail = f"{_failures(after)} of the last {after.rated} observations failed; last: {seen.detail}"
    return Decision(
        service=seen.service,
        kind=event_kind(before.status, after.status),
        previous=before.status,
        status=after.status,
        at=seen.at,
        category=category,
        detail=detail,
        latency=seen.latency,
    )
