"""Several workers observe one service from several places; only agreement makes a state."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from broadcaster.cli.status import Found, report_on
from broadcaster.config.settings import Duration, FeedSettings, ServiceSettings, Settings, TcpProbe, WorkerSettings
from broadcaster.domain.model import Category, EventKind, Observation, Outcome, Status
from broadcaster.probes.base import Probe
from broadcaster.store.base import Store
from broadcaster.store.memory import MemoryStore
from broadcaster.store.redis import RedisStore
from broadcaster.worker.worker import Worker
from tests.support.commits import transitions
from tests.support.servers import redis_server

ZONES = ("a", "b", "c")


class Eyes:
    """What one place sees; a probe at the seam, as no network here can be cut for one worker alone."""

    def __init__(self, zone: str) -> None:
        self.zone = zone
        self.sees = Outcome.OK
        self.looks = 0

    @property
    def service(self) -> str:
        return "auth"

    async def observe(self, timeout: float) -> Observation:
        self.looks += 1
        category = None if self.sees is Outcome.OK else Category.REFUSED
        return Observation(
            service="auth", at=time.time(), outcome=self.sees, latency=0.01, category=category, detail=self.zone
        )

    async def aclose(self) -> None:
        return


def settings(zone: str) -> Settings:
    return Settings(
        services={
            "auth": ServiceSettings(
                probe=TcpProbe(host="127.0.0.1", port=1),
                interval=Duration(0.1),
                fast_interval=Duration(0.03),
                timeout=Duration(1),
                stale_after=Duration(5),
                fall=2,
                observers=3,
                quorum=2,
            )
        },
        feed=FeedSettings(heartbeat_interval=Duration(0.05), stale_after=Duration(1)),
        worker=WorkerSettings(zone=zone, lease_ttl=Duration(0.5)),
    )


class Places:
    """One worker a zone."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.eyes = {zone: Eyes(zone) for zone in ZONES}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, zone: str) -> None:
        eyes: Probe = self.eyes[zone]
        worker = Worker(settings(zone), self.store, name=f"w-{zone}", make_probe=lambda name, each: eyes)
        self.tasks[zone] = asyncio.create_task(worker.run())

    async def stop(self, zone: str) -> None:
        task = self.tasks.pop(zone)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def until(self, status: Status) -> None:
        async with asyncio.timeout(20):
            while (await self.store.read()).snapshot.status("auth") is not status:
                await asyncio.sleep(0.01)

    async def until_looked(self, zone: str, times: int) -> None:
        """Until this place has looked that often from now on."""
        until = self.eyes[zone].looks + times
        async with asyncio.timeout(20):
            while self.eyes[zone].looks < until:
                await asyncio.sleep(0.01)

    async def kinds(self) -> list[EventKind]:
        return [each.kind for each in await transitions(self.store)]

    async def shown(self) -> str:
        """What ``status`` says of the observers' disagreement."""
        found = Found(reading=await self.store.read(), votes=await self.store.votes(["auth"]))
        [line] = report_on(settings("a"), found, time.time()).services
        return line.disagreement


@asynccontextmanager
async def _store(kind: str) -> AsyncIterator[Store]:
    if kind == "memory":
        yield MemoryStore()
        return
    async with redis_server() as server, RedisStore.connect(server.url, timeout=5) as store:
        yield store


@pytest.fixture(params=["memory", "redis"])
async def places(request: pytest.FixtureRequest) -> AsyncIterator[Places]:
    """Three places that see the service up and agree on it."""
    async with _store(request.param) as store:
        opened = Places(store)
        for zone in ZONES:
            opened.start(zone)
        await opened.until(Status.UP)
        for zone in ZONES:
            await opened.until_looked(zone, 1)
        yield opened
        for zone in list(opened.tasks):
            await opened.stop(zone)


async def test_one_place_alone_makes_no_event(places: Places) -> None:
    """One of three sees it down for long: disagreement, and no transition. A second one makes it down, with who."""
    places.eyes["b"].sees = Outcome.FAILED
    await places.until_looked("b", 8)
    await places.until_looked("a", 3)
    assert (await places.store.read()).snapshot.status("auth") is Status.UP
    assert await places.kinds() == [EventKind.UP]
    assert await places.shown() == "1 of 3 sees it down, from b"
    places.eyes["c"].sees = Outcome.FAILED
    await places.until(Status.DOWN)
    [_, down] = await transitions(places.store)
    assert down.detail.startswith("2 of 3 see it down, from b and c: ")
    assert down.category is Category.REFUSED
    places.eyes["b"].sees = Outcome.OK
    await places.until(Status.UP)
    assert await places.kinds() == [EventKind.UP, EventKind.DOWN, EventKind.RECOVERED]


async def test_the_vote_of_a_worker_that_ended_does_not_count(places: Places) -> None:
    """Two are left and must both agree; a last survivor is believed."""
    places.eyes["a"].sees = Outcome.FAILED
    await places.until_looked("a", 4)
    await places.stop("a")
    await places.until_looked("b", 8)
    assert await places.kinds() == [EventKind.UP]
    places.eyes["b"].sees = Outcome.FAILED
    await places.until_looked("b", 8)
    assert await places.kinds() == [EventKind.UP]
    await places.stop("c")
    await places.until(Status.DOWN)
    assert await places.kinds() == [EventKind.UP, EventKind.DOWN]
