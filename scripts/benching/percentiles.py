"""What many measured times come to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


class Percentiles(NamedTuple):
    """Seconds that half, 90, 95 and 99 of 100, and all of the samples stay within."""

    p50: float
    p90: float
    p95: float
    p99: float
    max: float


def percentiles(samples: Sequence[float]) -> Percentiles:
    """By nearest rank: each figure is a sample that was measured. There must be at least one."""
    ordered = sorted(samples)

    def within(share: float) -> float:
        return ordered[math.ceil(share * len(ordered)) - 1]

    return Percentiles(within(0.5), within(0.9), within(0.95), within(0.99), ordered[-1])
