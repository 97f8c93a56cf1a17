"""Workers watch over each other: a service that its owner does not look at any more is noticed by whoever looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from broadcaster.domain.freshness import expired
from broadcaster.store.base import Store

log = structlog.get_logger()

LOOK_EVERY = 5.0
"""Seconds between looks: each one reads the whole state."""


class Staleness:
    """Tells once of each service whose last observation, by any worker, is older than it may be, and once when it is
    observed again. It commits nothing: readers judge the same by the same rule (``freshness``), worker or no worker.

    ``expires_after`` gives the limits in seconds, ``is_mine`` what this worker looks at itself.
    """

    def __init__(self, store: Store, expires_after: Mapping[str, float], *, is_mine: Callable[[str], bool]) -> None:
        self._store = store
        self._expires_after = expires_after
        self._is_mine = is_mine
        self._due = 0.0
        self._expired: set[str] = set()

    def __repr__(self) -> str:
        return f"Staleness({sorted(self._expired)})"

    async def beat(self, now: float) -> None:
        """Looks if it is time to. Raises StoreError."""
        if now < self._due:
            return
        self._due = now + LOOK_EVERY
        snapshot = (await self._store.read()).snapshot
        found = expired(snapshot, now=now, expires_after=self._expires_after)
        for name in sorted(found - self._expired):
            observed_at = snapshot.state(name).observed_at or now
            log.warning(
                "observation_expired", service=name, age=round(now - observed_at, 1), is_mine=self._is_mine(name)
            )
        for name in sorted(self._expired - found):
            log.info("observed_again", service=name)
        self._expired = found
