"""When to look again, and how long a failure may go unnoticed at worst. Pure; jitter is the caller's.

After a first deviating observation a service is looked at after ``fast_interval`` until the thresholds decide
(HAProxy's "fastinter"), doubling each time so that a service that never decides is not hammered. A failure that
does not come by chance, or that users of the service see as well, is confirmed within about one ``fast_interval``.
A service that has been down for long is looked at less often, but never so seldom that its recovery is seen later
than after ``rise`` intervals.
"""

from __future__ import annotations

import msgspec

from broadcaster.domain.detection import DetectorState
from broadcaster.domain.model import Status

SPREAD = 0.05
"""Part of a wait by which it is lengthened or shortened at random, so that probes do not fall in step."""

PATIENCE = 6
"""Observations of a down service before the waits grow."""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """A rhythm in seconds; ``timeout`` bounds an observation, ``fast_timeout`` one that confirms a failure."""

    interval: float
    fast_interval: float
    timeout: float
    fast_timeout: float
    fall: int
    rise: int


def next_wait(state: DetectorState, pace: Pace, *, is_felt: bool = False) -> float:
    """Seconds from the start of the last observation to the start of the next. ``is_felt``: users of the service
    reported that it fails; they are a second witness, so that a failure takes as many looks but less time."""
    if state.is_undecided:
        if is_felt and state.failed:
            return min(soonest(pace), pace.interval)
        if not state.may_fall:
            return min(pace.fast_interval * 2.0 ** max(0, state.pending - pace.rise), pace.interval)
        first = soonest(pace) if state.is_definitive else pace.fast_interval
        # Failures in a row decide soon, whatever was open before them; what comes and goes must not be hammered.
        looks = state.failed or state.pending
        return min(first * 2.0 ** min(looks - 1, 20), pace.interval)
    if state.status is Status.DOWN and state.settled > PATIENCE:
        most = pace.rise * pace.interval - (pace.rise - 1) * pace.fast_interval
        return max(pace.interval, min(pace.interval * 1.25 ** min(state.settled - PATIENCE, 20), most))
    return pace.interval


def soonest(pace: Pace) -> float:
    """Seconds after which a failure that is hardly chance is looked at again."""
    return pace.fast_interval / 4


def observation_limit(state: DetectorState, pace: Pace) -> float:
    """Seconds the next observation may take: a failure is confirmed with less patience than it was found with."""
    if state.failed > 0 and state.may_fall:
        return min(pace.timeout, pace.fast_timeout)
    return pace.timeout


def worst_case(pace: Pace, *, is_definitive: bool = False) -> float:
    """Seconds from a service's failing to the conclusion that it is down, at worst.

    It fails right after a good answer: an interval passes, then ``fall`` observations confirm it. Unless the failure
    is definitive (a refused connection, seen at once) every observation of it takes as long as it may: it hangs.
    """
    first = soonest(pace) if is_definitive else pace.fast_interval
    seconds = pace.interval * (1 + SPREAD)
    for confirmed in range(1, pace.fall + 1):
        limit = pace.timeout if confirmed == 1 else min(pace.timeout, pace.fast_timeout)
        takes = 0.0 if is_definitive else limit
        if confirmed < pace.fall:
            # A wait is counted from the start of an observation, so a slow one has used it up.
            takes = max(takes, min(first * 2.0 ** (confirmed - 1), pace.interval) * (1 + SPREAD))
        seconds += takes
    return seconds
