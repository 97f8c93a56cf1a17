"""What is known, and no longer vouched for: said to operators, while admissions go on by it."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
import structlog

from broadcaster.config.durations import format_duration
from broadcaster.domain.freshness import Freshness
from broadcaster.domain.model import Catalogue, FeedState, Snapshot, Status
from broadcaster.manager.changes import Change, FeedChanged, PlanChanged, ServiceChanged

log = structlog.get_logger()


class Doubts(msgspec.Struct, frozen=True, kw_only=True):
    """What admissions stand on that is not certain: what all is worth, and the critical services that were observed
    once and of which nothing is known any more. ``admitting`` ones fail open, and refuse nobody; ``refusing`` ones do
    not."""

    freshness: Freshness
    admitting: tuple[str, ...] = ()
    refusing: tuple[str, ...] = ()

    def notes(self) -> list[str]:
        """The same in sentences for operators; none if there is no doubt."""
        found = []
        feed, age = self.freshness.feed, self.freshness.age
        if self.freshness.is_stale:
            why = "the carrier (Redis) is not reached" if feed is FeedState.LOST else "no worker is heard"
            what = f"what was known {format_duration(age)} ago" if math.isfinite(age) else "no worker's word at all"
            found.append(f"{why}; admissions go by {what}")
        if self.admitting:
            found.append(f"nothing is known any more of {', '.join(self.admitting)}; refuses nobody (fail_open)")
        if self.refusing:
            found.append(f"nothing is known any more of {', '.join(self.refusing)}; refuses all (fail_open is off)")
        return found


def doubts(catalogue: Catalogue, snapshot: Snapshot, freshness: Freshness) -> Doubts:
    """As of this snapshot."""
    expired = [name for name in catalogue.critical if _has_expired(snapshot, name)]
    return Doubts(
        freshness=freshness,
        admitting=tuple(name for name in expired if catalogue.services[name].fails_open),
        refusing=tuple(name for name in expired if not catalogue.services[name].fails_open),
    )


class Watch:
    """Listens to a manager's changes, and logs each doubt once, when it begins and when it is over."""

    def __init__(self, look: Callable[[], Doubts]) -> None:
        self._look = look
        self._is_stale = False
        self._expired: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"Watch(stale={self._is_stale}, expired={sorted(self._expired)})"

    def heard(self, change: Change) -> None:
        if isinstance(change, ServiceChanged | PlanChanged) and not self._expired:
            return  # what is told of one service makes nothing old
        found = self._look()
        if isinstance(change, FeedChanged):  # until the first of them the feed counts as lost, and is not
            self._note(found)
        expired = frozenset(found.admitting + found.refusing)
        if expired - self._expired:
            log.warning("knowledge_expired", admitting=found.admitting, refusing=found.refusing)
        elif self._expired and not expired:
            log.info("knowledge_complete")
        self._expired = expired

    def _note(self, found: Doubts) -> None:
        freshness = found.freshness
        # A beginning before any worker has spoken has nothing old about it.
        is_stale = freshness.feed is FeedState.LOST or (freshness.is_stale and math.isfinite(freshness.age))
        if is_stale is self._is_stale:
            return
        self._is_stale = is_stale
        if is_stale:
            age = round(freshness.age, 3) if math.isfinite(freshness.age) else None
            log.warning("knowledge_stale", feed=freshness.feed.value, age_seconds=age, notes=found.notes())
        else:
            log.info("knowledge_fresh", feed=freshness.feed.value)


def _has_expired(snapshot: Snapshot, service: str) -> bool:
    state = snapshot.state(service)
    # One that was observed, and of which nothing was concluded yet, was never known.
    return state.status is Status.UNKNOWN and state.observed_at is not None and state.revision > 0
