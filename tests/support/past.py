"""A past for services: transitions of long ago, written into the carrier's history as workers would have."""

from __future__ import annotations

import time
from collections.abc import Iterable

from broadcaster.domain.detection import Decision
from broadcaster.domain.model import Category, Snapshot, Status, event_kind
from broadcaster.store.base import Outcome
from broadcaster.store.redis import RedisStore

DAY = 86_400.0
HOUR = 3600.0
MINUTE = 60.0

QUARTER: tuple[tuple[str, Status, float, float, Category | None], ...] = (
    ("analytics", Status.DOWN, 71.4, 47 * MINUTE, Category.REFUSED),
    ("auth", Status.DEGRADED, 52.3, 3 * HOUR, Category.SLOW),
    ("assistant", Status.DEGRADED, 40.8, 26 * HOUR, Category.QUOTA),
    ("assistant", Status.DOWN, 33.2, 12 * MINUTE, Category.TIMEOUT),
    ("analytics", Status.DOWN, 19.6, 4 * HOUR, Category.TIMEOUT),
    ("auth", Status.DOWN, 12.1, 9 * MINUTE, Category.SERVER_ERROR),
    ("assistant", Status.DEGRADED, 5.5, 100 * MINUTE, Category.QUOTA),
    ("analytics", Status.DEGRADED, 1.2, 25 * MINUTE, Category.SLOW),
)
"""Troubles of three months: whose, what, how many days before the last midnight (UTC) it began, how many seconds it
lasted, and why. All but the longest begin and end on one day, whenever a test runs."""


async def write_past(
    store: RedisStore,
    services: Iterable[str],
    troubles: Iterable[tuple[str, Status, float, float, Category | None]] = QUARTER,
    *,
    days: float = 120,
    now: float | None = None,
) -> None:
    """Begins an epoch in which the services came up so many days ago, had these troubles, and have been well since."""
    now = time.time() if now is None else now
    services = tuple(services)
    reading = await store.read()
    seeded = await store.seed(
        Snapshot(), epoch="past", worker="test", now=now, reason="test", replaces=reading.snapshot.position
    )
    assert seeded.outcome is Outcome.DONE
    changes: list[tuple[float, str, Status, Category | None, str]] = [
        (now - days * DAY + index, name, Status.UP, None, "") for index, name in enumerate(services)
    ]
    for name, status, ago, seconds, category in troubles:
        if name in services and ago < days:
            began = now // DAY * DAY - ago * DAY
            incident = f"{name}-{int(began * 1000):x}"
            changes.append((began, name, status, category, incident))
            changes.append((began + seconds, name, Status.UP, None, incident))
    position, revisions, held = seeded.position, dict.fromkeys(services, 0), dict.fromkeys(services, Status.UNKNOWN)
    for at, name, status, category, incident in sorted(changes, key=lambda each: each[0]):
        written = await store.commit(
            Decision(
                service=name,
                kind=event_kind(held[name], status),
                previous=held[name],
                status=status,
                at=at,
                category=category,
                incident=incident,
            ),
            commit=f"{name} {at}",
            expected_revision=revisions[name],
            known=position,
        )
        assert written.outcome is Outcome.DONE, written
        position, held[name], revisions[name] = written.position, status, written.position.revision
    await store.heartbeat("test", now, dict.fromkeys(services, now), position)
