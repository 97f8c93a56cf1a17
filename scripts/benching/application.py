"""A small application for the node to serve, and somebody who makes news of it."""

from __future__ import annotations

import os
import time

from broadcaster.config.settings import Duration, FeatureSettings, RedisSettings, ServiceSettings, Settings, TcpProbe
from broadcaster.domain.detection import Decision
from broadcaster.domain.model import Criticality, Position, ServiceState, Snapshot, Status, event_kind
from broadcaster.store.base import Outcome
from broadcaster.store.redis import RedisStore

PROBE = TcpProbe(host="127.0.0.1", port=1)
"""A probe for services that nobody looks at: the benchmarks commit what is to be known of them."""

STEADY, CHANGING = ("backend", "auth", "redis", "assistant"), "analytics"
"""The services that are up all the while, and the one that there is news of."""


def settings() -> Settings:
    """Five services, four features, one service bound to the carrier."""
    services = {
        name: ServiceSettings(
            probe=PROBE,
            title=name.title(),
            criticality=Criticality.CRITICAL if name in ("backend", "auth", "redis") else Criticality.OPTIONAL,
            stale_after=Duration(86_400),
        )
        for name in (*STEADY, CHANGING)
    }
    features = {
        "chat": FeatureSettings(title="Chat", requires=("backend", "auth")),
        "history": FeatureSettings(title="History", requires=("backend",)),
        "assistant": FeatureSettings(title="Assistant", requires=("assistant",)),
        "analytics": FeatureSettings(title="Usage reports", requires=("analytics",)),
    }
    return Settings(services=services, features=features, redis=RedisSettings(service="redis"))


class Committer:
    """Makes the node deliver: each call commits the next change of one service."""

    def __init__(self, store: RedisStore, known: Position) -> None:
        self._store = store
        self._known = known
        self._revision = 0
        self._status = Status.UNKNOWN

    async def __call__(self) -> None:
        before = self._status
        self._status = Status.UP if before is not Status.UP else Status.DEGRADED
        written = await self._store.commit(
            Decision(
                service=CHANGING,
                kind=event_kind(before, self._status),
                previous=before,
                status=self._status,
                at=time.time(),
            ),
            commit=os.urandom(8).hex(),
            expected_revision=self._revision,
            known=self._known,
        )
        if written.outcome is not Outcome.DONE:
            raise SystemExit(f"the commit came to {written.outcome}")
        self._known, self._revision = written.position, written.position.revision


async def seed(store: RedisStore) -> Position:
    """Begins an epoch, in which all but the changing service are up."""
    reading, now = await store.read(), time.time()
    states = {name: ServiceState(service=name, status=Status.UP, since=now, observed_at=now) for name in STEADY}
    written = await store.seed(
        Snapshot(services=states),
        epoch=os.urandom(8).hex(),
        worker="bench",
        now=now,
        reason="bench",
        replaces=reading.snapshot.position,
    )
    return written.position
