"""What users of a service see fail makes the workers look at once, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from broadcaster.config.settings import Duration, FeedSettings, ServiceSettings, Settings, TcpProbe
from broadcaster.domain.evidence import Report
from broadcaster.domain.model import Category, EventKind, Observation, Outcome, Status
from broadcaster.manager.manager import ServiceAvailabilityManager
from broadcaster.store.base import Store
from broadcaster.store.memory import MemoryStore
from broadcaster.store.redis import RedisStore
from broadcaster.worker.worker import Worker
from tests.support.commits import transitions
from tests.support.servers import redis_server


class Service:
    """A service at the probe's seam, which counts the looks at it."""

    service = "auth"

    def __init__(self) -> None:
        self.is_well = True
        self.looks = 0

    async def observe(self, timeout: float) -> Observation:
        self.looks += 1
        return Observation(
            service="auth",
            at=time.time(),
            outcome=Outcome.OK if self.is_well else Outcome.FAILED,
            latency=0.01,
            category=None if self.is_well else Category.REFUSED,
        )

    async def aclose(self) -> None:
        return


SETTINGS = Settings(
    services={
        "auth": ServiceSettings(
            probe=TcpProbe(host="127.0.0.1", port=1),
            interval=Duration(300),
            fast_interval=Duration(0.05),
            timeout=Duration(1),
        )
    },
    feed=FeedSettings(heartbeat_interval=Duration(0.1), stale_after=Duration(2)),
)


@asynccontextmanager
async def _store(kind: str) -> AsyncIterator[Store]:
    if kind == "memory":
        yield MemoryStore()
        return
    async with redis_server() as server, RedisStore.connect(server.url, timeout=5) as store:
        yield store


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    async with _store(request.param) as opened:
        yield opened


@pytest.fixture
async def service(store: Store) -> AsyncIterator[Service]:
    """A service that is known to be up, and would be looked at again in five minutes."""
    service = Service()
    worker = asyncio.create_task(Worker(SETTINGS, store, name="w", make_probe=lambda name, each: service).run())
    await until(store, Status.UP)
    yield service
    worker.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await worker


async def until(store: Store, status: Status) -> None:
    async with asyncio.timeout(20):
        while (await store.read()).snapshot.status("auth") is not status:
            await asyncio.sleep(0.01)


async def test_a_failure_that_users_feel_is_confirmed_at_once(store: Store, service: Service) -> None:
    """Reported by a backend, a dead service is down long before its next probe was due."""
    async with ServiceAvailabilityManager(SETTINGS, store) as manager:
        service.is_well = False
        for _ in range(50):
            manager.report_failure("auth")
        await until(store, Status.DOWN)
    assert [each.kind for each in await transitions(store)] == [EventKind.UP, EventKind.DOWN]


async def test_reports_alone_take_no_service_down(store: Store, service: Service) -> None:
    """A backend with a bad network of its own has the service looked at, once in a quarter of its interval."""
    looks = service.looks
    async with asyncio.timeout(20):
        while service.looks == looks:
            await store.report([Report(service="auth", failures=1000, reporter="n")] * 100)
            await asyncio.sleep(0.05)
    for _ in range(10):
        await store.report([Report(service="auth", failures=1000, reporter="n")] * 100)
        await store.report([Report(service="unheard-of", failures=1)])
        await asyncio.sleep(0.05)
    assert service.looks == looks + 1
    assert [each.kind for each in await transitions(store)] == [EventKind.UP]


async def test_a_report_of_an_unknown_service_is_refused(store: Store) -> None:
    """A misspelt name is the caller's mistake, told at once."""
    manager = ServiceAvailabilityManager(SETTINGS, store)
    with pytest.raises(ValueError, match="no service named 'atuh' in the settings"):
        manager.report_failure("atuh")
    with pytest.raises(ValueError, match="at least 1"):
        manager.report_failure("auth", 0)
