"""From observations to conclusions: ``decide()``, with HAProxy's rise and fall thresholds.

The rules, in order (source: HAProxy configuration manual, "fall", "rise" and "fastinter"; extended by a state
between up and down):

1. ``fall`` failed observations in a row: down.
2. From down, ``rise`` observations in a row that did not fail: up if all of them were good, else degraded.
3. ``fall`` observations in a row that were bad (impaired or failed): degraded.
4. From degraded, ``rise`` good observations in a row: up.
5. From unknown, the first good observation: up.

A good answer that took longer than ``degraded_above`` counts as impaired.
"""

from __future__ import annotations

import msgspec

from broadcaster.domain.model import Category, EventKind, Observation, Outcome, Status, event_kind


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How much evidence a change takes: observations in a row, and seconds above which an answer is slow."""

    fall: int = 3
    rise: int = 2
    degraded_above: float | None = None


class DetectorState(msgspec.Struct, frozen=True, kw_only=True):
    """What is concluded (``status``) and the runs of like observations that count towards the next change.

    ``failed``, ``bad``, ``good`` and ``alive`` are lengths of the current run of observations that failed, that
    failed or were impaired, that were good, and that did not fail. They stop counting where they stop mattering.
    """

    status: Status = Status.UNKNOWN
    failed: int = 0
    bad: int = 0
    good: int = 0
    alive: int = 0

    @property
    def is_undecided(self) -> bool:
        """Whether evidence against ``status`` has been seen that is not yet enough to change it."""
        match self.status:
            case Status.UP:
                return self.bad > 0
            case Status.DEGRADED:
                return self.failed > 0 or self.good > 0
            case Status.DOWN:
                return self.alive > 0
            case Status.UNKNOWN:
                return self.bad > 0


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """A conclusion that differs from the one before; what the commit makes a transition of."""

    service: str
    kind: EventKind
    previous: Status
    status: Status
    at: float
    category: Category | None = None
    detail: str = ""
    latency: float | None = None


def judge(observation: Observation, policy: Policy) -> Observation:
    """The observation with slowness judged: a good answer above ``degraded_above`` becomes impaired."""
    slow = (
        observation.outcome is Outcome.OK
        and policy.degraded_above is not None
        and observation.latency > policy.degraded_above
    )
    if not slow:
        return observation
    return msgspec.structs.replace(
        observation,
        outcome=Outcome.IMPAIRED,
        category=Category.SLOW,
        detail=f"answered in {observation.latency:.3f} s, above {policy.degraded_above:g} s",
    )


def decide(state: DetectorState, observation: Observation, policy: Policy) -> tuple[DetectorState, Decision | None]:
    """Concludes from one more observation; see the rules in the module's docstring.

    Pure and total. The observation's ``at`` is the decision's time.
    """
    seen = judge(observation, policy)
    counted = _count(state, seen.outcome, limit=max(policy.fall, policy.rise))
    status = _conclude(counted, policy)
    if status is state.status:
        return counted, None
    return msgspec.structs.replace(counted, status=status), Decision(
        service=seen.service,
        kind=event_kind(state.status, status),
        previous=state.status,
        status=status,
        at=seen.at,
        category=None if status is Status.UP else seen.category,
        detail="" if status is Status.UP else seen.detail,
        latency=seen.latency,
    )


def _count(state: DetectorState, outcome: Outcome, limit: int) -> DetectorState:
    failed, good = outcome is Outcome.FAILED, outcome is Outcome.OK
    return DetectorState(
        status=state.status,
        failed=min(state.failed + 1, limit) if failed else 0,
        bad=0 if good else min(state.bad + 1, limit),
        good=min(state.good + 1, limit) if good else 0,
        alive=0 if failed else min(state.alive + 1, limit),
    )


def _conclude(state: DetectorState, policy: Policy) -> Status:
    if state.failed >= policy.fall:
        return Status.DOWN
    match state.status:
        case Status.DOWN:
            if state.good >= policy.rise:
                return Status.UP
            return Status.DEGRADED if state.alive >= policy.rise else Status.DOWN
        case Status.UP:
            return Status.DEGRADED if state.bad >= policy.fall else Status.UP
        case Status.DEGRADED:
            return Status.UP if state.good >= policy.rise else Status.DEGRADED
        case Status.UNKNOWN:
            if state.good:
                return Status.UP
            return Status.DEGRADED if state.bad >= policy.fall else Status.UNKNOWN
