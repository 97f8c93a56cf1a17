"""Several observers of one service: only agreement makes a state.

The rule: of the observers that are alive, a majority must agree, no fewer than ``quorum``, and at least two where two
are alive; a single survivor is believed. Whoever sees a service down agrees that it is not well.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from broadcaster.domain.model import Category, Status


class Vote(msgspec.Struct, frozen=True, kw_only=True):
    """What one observer concluded; ``at`` is its last observation (Unix seconds)."""

    worker: str
    status: Status
    at: float
    zone: str = ""
    category: Category | None = None
    detail: str = ""
    latency: float | None = None


def needed(observers: int, quorum: int) -> int:
    """How many of ``observers`` (alive) must agree."""
    return min(observers, max(quorum, observers // 2 + 1))


def agreed(votes: Collection[Vote], observers: int, quorum: int) -> Status | None:
    """What enough of the observers agree on, the worst such state; None while they do not. An observer without a vote
    agrees to nothing."""
    enough = needed(observers, quorum)
    down = sum(vote.status is Status.DOWN for vote in votes)
    unwell = down + sum(vote.status is Status.DEGRADED for vote in votes)
    well = sum(vote.status is Status.UP for vote in votes)
    if observers and down >= enough:
        return Status.DOWN
    if observers and unwell >= enough:
        return Status.DEGRADED
    return Status.UP if observers and well >= enough else None


def told(votes: Collection[Vote], observers: int, status: Status) -> str:
    """Who sees it ``status``, for operators: '2 of 3 see it down, from a and b'."""
    seen = [vote for vote in votes if vote.status is status]
    zones = sorted({vote.zone or vote.worker for vote in seen})
    verb = "sees" if len(seen) == 1 else "see"
    return f"{len(seen)} of {observers} {verb} it {status.value}" + (f", from {_listed(zones)}" if zones else "")


def disagreement(votes: Collection[Vote], observers: int) -> str:
    """What the observers do not agree on; '' where all that voted say the same."""
    seen = sorted({vote.status for vote in votes}, key=_WORST_FIRST.index)
    if len(seen) < 2:
        return ""
    return "; ".join(told(votes, observers, status) for status in seen if status is not seen[-1])


def choose(ranked: Sequence[str], zones: Mapping[str, str], count: int) -> list[str]:
    """The first ``count`` of ``ranked``, but from as many zones as there are."""
    chosen: list[str] = []
    left = list(ranked)
    while left and len(chosen) < count:
        taken: set[str] = set()
        for worker in list(left):
            if len(chosen) < count and zones.get(worker, "") not in taken:
                taken.add(zones.get(worker, ""))
                chosen.append(worker)
                left.remove(worker)
    return chosen


_WORST_FIRST = (Status.DOWN, Status.DEGRADED, Status.UNKNOWN, Status.UP)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
