"""Passive evidence: what the users of a service saw of it. It never makes a state; it makes somebody look."""

from __future__ import annotations

from typing import Annotated

import msgspec

from broadcaster.domain.pacing import Pace


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """``reporter`` saw ``service`` fail ``failures`` times, and answer slowly ``slow`` times, since its last report."""

    service: str
    failures: Annotated[int, msgspec.Meta(ge=0)] = 0
    slow: Annotated[int, msgspec.Meta(ge=0)] = 0
    reporter: str = ""


def least_gap(pace: Pace) -> float:
    """Seconds between two looks for the sake of reports: a reporter whose own network is bad, and goes on and on, may
    cost a service a look, and what it leads to, four times an interval, and no more."""
    return max(pace.fast_interval, pace.interval / 4)
