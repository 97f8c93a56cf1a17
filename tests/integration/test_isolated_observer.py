"""A worker that loses its network suspects itself, and says nothing of the services."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from broadcaster.config.settings import Duration, FeedSettings, ServiceSettings, Settings, TcpProbe, WorkerSettings
from broadcaster.domain.model import EventKind, Status
from broadcaster.store.memory import MemoryStore
from broadcaster.worker.worker import Worker
from tests.support.commits import transitions
from tests.support.listeners import Listener
from tests.support.ports import LOOPBACK

NAMES = ("auth", "chat", "mail", "files")


class Listeners:
    """TCP ports that open and close, by name."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._listeners = {name: Listener() for name in names}
        self.ports = {name: listener.port for name, listener in self._listeners.items()}

    def open(self, *names: str) -> None:
        for name in names:
            self._listeners[name].open()

    def close(self, *names: str) -> None:
        for name in names:
            self._listeners[name].close()


@asynccontextmanager
async def watched(reference: bool) -> AsyncIterator[tuple[Listeners, MemoryStore]]:
    """Four services on one worker, all up; with or without a reference target."""
    listeners, store = Listeners((*NAMES, "reference")), MemoryStore()
    listeners.open(*NAMES, "reference")
    settings = Settings(
        services={
            name: ServiceSettings(
                probe=TcpProbe(host=LOOPBACK, port=listeners.ports[name]),
                interval=Duration(0.2),
                fast_interval=Duration(0.05),
                timeout=Duration(1),
                fall=2,
            )
            for name in NAMES
        },
        feed=FeedSettings(heartbeat_interval=Duration(0.05), stale_after=Duration(1)),
        worker=WorkerSettings(
            reference_targets=(f"{LOOPBACK}:{listeners.ports['reference']}",) if reference else (),
        ),
    )
    task = asyncio.create_task(Worker(settings, store, name="w1").run())
    try:
        await until_statuses(store, dict.fromkeys(NAMES, Status.UP))
        yield listeners, store
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        listeners.close(*NAMES, "reference")


async def until_statuses(store: MemoryStore, expected: dict[str, Status]) -> None:
    async with asyncio.timeout(20):
        while {name: (await store.snapshot()).status(name) for name in expected} != expected:
            await asyncio.sleep(0.01)


async def observed_at(store: MemoryStore) -> float:
    snapshot = await store.snapshot()
    return max(snapshot.state(name).observed_at or 0.0 for name in NAMES)


async def until_blind(store: MemoryStore) -> None:
    """Until its observations are no longer vouched for."""
    async with asyncio.timeout(20):
        while True:
            before = await observed_at(store)
            await asyncio.sleep(0.6)
            if await observed_at(store) == before:
                return


async def test_a_worker_without_network_concludes_nothing_and_vouches_for_nothing() -> None:
    """Everything fails and the reference target too: no event. Back again, only what is really down is told."""
    async with watched(reference=True) as (listeners, store):
        before = await transitions(store)
        listeners.close(*NAMES, "reference")
        await until_blind(store)
        assert await transitions(store) == before
        listeners.open("reference", "auth", "chat", "files")
        await until_statuses(store, {"mail": Status.DOWN})
        told = [(each.service, each.kind) for each in (await transitions(store))[len(before) :]]
        assert told == [("mail", EventKind.DOWN)]


async def test_a_real_outage_of_everything_is_told() -> None:
    """The reference target answers: it is the services."""
    async with watched(reference=True) as (listeners, store):
        listeners.close(*NAMES)
        await until_statuses(store, dict.fromkeys(NAMES, Status.DOWN))


async def test_without_reference_targets_the_carrier_is_asked() -> None:
    """A worker that reaches the carrier believes what it sees; one that does not starts over when it does again."""
    async with watched(reference=False) as (listeners, store):
        listeners.close("auth", "chat", "mail")
        await until_statuses(store, {"auth": Status.DOWN, "chat": Status.DOWN, "mail": Status.DOWN})
        listeners.open("auth", "chat", "mail")
        await until_statuses(store, dict.fromkeys(NAMES, Status.UP))
        count = len(await transitions(store))
        store.fail()
        listeners.close(*NAMES)
        await asyncio.sleep(0)  # no condition to wait for: nothing can be seen of it from here
        listeners.open(*NAMES)
        store.heal()
        await until_statuses(store, dict.fromkeys(NAMES, Status.UP))
        assert len(await transitions(store)) == count
