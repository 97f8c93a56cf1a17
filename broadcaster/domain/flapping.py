"""Flapping: Nagios' percent state change over the last 21 observations.

Source: Nagios Core manual, "Detection and Handling of State Flapping": of the last 21 check states the 20 possible
changes are weighed, the oldest 0.75, the newest 1.25, linearly between: change x (1..20) weighs
``0.75 + (x - 1) * 0.5 / 19``; the sum of the weights of the changes that happened, divided by 20, is the percent state
change. Flapping starts at ``START`` and stops below ``STOP``.
"""

from __future__ import annotations

STATES = 21
"""How many of the last observations are looked at."""

START = 0.30
STOP = 0.20

_WEIGHTS = tuple(0.75 + (x - 1) * 0.5 / (STATES - 2) for x in range(1, STATES))


def state_change(recent: str) -> float:
    """The weighed part (0 to 1) of changes in ``recent``, one letter an observation, the newest last.

    Fewer than 21 observations count as if the ones before had been like the oldest known one.
    """
    pairs = zip(recent[-STATES:], recent[-STATES + 1 :] if len(recent) >= STATES else recent[1:], strict=False)
    changed = [was != now for was, now in pairs]
    weights = _WEIGHTS[len(_WEIGHTS) - len(changed) :]
    return sum(weight for weight, is_change in zip(weights, changed, strict=True) if is_change) / (STATES - 1)


def is_flapping(recent: str, *, was_flapping: bool) -> bool:
    """Whether a service flaps now: it starts at 30 % and stops below 20 %."""
    return state_change(recent) >= (STOP if was_flapping else START)
