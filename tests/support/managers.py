"""A manager over the memory store, with a carrier that tests write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec

from broadcaster.config.settings import (
    Duration,
    FeatureSettings,
    FeedSettings,
    RedisSettings,
    ServiceSettings,
    Settings,
    TcpProbe,
    WordsSettings,
)
from broadcaster.domain.detection import Decision
from broadcaster.domain.model import FeedState, Plan, PlanKind, ServiceState, Snapshot, Status, event_kind
from broadcaster.domain.plans import add
from broadcaster.manager.changes import Change
from broadcaster.manager.manager import ServiceAvailabilityManager
from broadcaster.store.base import Outcome
from broadcaster.store.memory import MemoryStore
from broadcaster.store.planning import change_plans

TCP = TcpProbe(host="127.0.0.1", port=1)
SETTINGS = Settings(
    services={"auth": ServiceSettings(probe=TCP), "redis": ServiceSettings(probe=TCP)},
    features={"chat": FeatureSettings(requires=("auth",))},
    redis=RedisSettings(service="redis"),
    feed=FeedSettings(heartbeat_interval=Duration(0.04), stale_after=Duration(60)),
)


def in_german(*names: str) -> Settings:
    """The settings with German words for these services, and no others."""
    words = {"de": WordsSettings(title="Anmeldung", texts={"down": "Niemand kann sich anmelden."})}
    services = {
        name: msgspec.structs.replace(each, locales=words if name in names else {})
        for name, each in SETTINGS.services.items()
    }
    return msgspec.structs.replace(SETTINGS, services=services)


class World:
    """A seeded carrier with a worker's voice, a manager, and what it told."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.settings = settings
        self.now = 1000.0
        self.store = MemoryStore(clock=lambda: self.now)
        self.manager = ServiceAvailabilityManager(settings, self.store, clock=lambda: self.now)
        self.changes: list[Change] = []
        self.manager.listen(self.changes.append)

    async def seed(self) -> None:
        await self.store.seed(
            Snapshot(
                services={
                    name: ServiceState(service=name, status=Status.UP, since=1.0, observed_at=self.now, revision=1)
                    for name in self.settings.services
                }
            ),
            epoch="e1",
            worker="w",
            now=self.now,
            reason="test",
            replaces=(await self.store.snapshot()).position,
        )
        await self.store.heartbeat("w", self.now, {}, (await self.store.snapshot()).position)

    async def commit(self, service: str, status: Status) -> None:
        snapshot = await self.store.snapshot()
        previous = snapshot.status(service)
        written = await self.store.commit(
            Decision(
                service=service,
                kind=event_kind(previous, status),
                previous=previous,
                status=status,
                at=self.now,
                plans=snapshot.state(service).plans,
            ),
            commit=f"{service}{snapshot.position}",
            expected_revision=snapshot.state(service).revision,
            known=snapshot.position,
        )
        assert written.outcome is Outcome.DONE

    async def plan(self, kind: PlanKind, status: Status | None = None, *, starts: float = 0.0) -> None:
        """A minute's plan for auth."""
        plan = Plan(kind=kind, starts_at=self.now + starts, until=self.now + starts + 60, by="anna", status=status)
        await change_plans(self.store, "auth", lambda plans: add(plans, plan, self.now), at=self.now, by="anna")

    def told(self, kind: type[Change]) -> list[Change]:
        return [each for each in self.changes if isinstance(each, kind)]


@asynccontextmanager
async def running_world(settings: Settings = SETTINGS) -> AsyncIterator[World]:
    """One whose manager has read the carrier, hears a worker, and has told nothing yet."""
    made = World(settings)
    await made.seed()
    async with made.manager:
        assert await made.manager.wait_loaded(5)
        await until(lambda: made.manager.feed_state is FeedState.LIVE)
        made.changes.clear()
        yield made


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)
