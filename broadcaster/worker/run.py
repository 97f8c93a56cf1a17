"""The worker's process: every service of the file on one event loop, one publisher, a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import uuid

import structlog

from broadcaster.config.settings import Settings
from broadcaster.domain.errors import StoreError
from broadcaster.domain.model import Snapshot
from broadcaster.probes.registry import make_probe
from broadcaster.store.base import Store
from broadcaster.store.redis import RedisStore
from broadcaster.worker.detector import Detector
from broadcaster.worker.publisher import Publisher

log = structlog.get_logger()

FLUSH_SECONDS = 1.0
"""How long the end may take to commit what is still waiting."""


async def run_worker(settings: Settings, *, redis_url: str) -> int:
    """Probes until SIGTERM or SIGINT; returns the exit code."""
    stop = asyncio.Event()
    received: list[int] = []
    loop = asyncio.get_running_loop()

    def end(number: int) -> None:
        received.append(number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, number)
    store = RedisStore.connect(
        redis_url,
        settings.namespace,
        timeout=settings.redis.timeout,
        stream_length=settings.feed.stream_length,
    )
    async with store:
        watching = asyncio.create_task(watch(settings, store))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
    return 130 if signal.SIGINT in received else 0


async def watch(settings: Settings, store: Store, *, worker: str = "") -> None:
    """Probes every service and publishes what is concluded, until cancelled; then commits what is still waiting."""
    worker = worker or f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:4]}"
    carrier = settings.services.get(settings.redis.service)
    detectors: dict[str, Detector] = {}
    publisher = Publisher(
        store,
        worker=worker,
        interval=settings.feed.heartbeat_interval,
        carrier=settings.redis.service,
        settle=0.0 if carrier is None else carrier.rise * carrier.interval + carrier.attempt_timeout,
        on_adopted=lambda service, status: detectors[service].adopt(status),
    )
    known = await _known(publisher)
    probes = {name: make_probe(name, each) for name, each in settings.services.items()}
    log.info("worker_started", worker=worker, services=len(probes), position=str(known.position))
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(publisher.run(), name="publisher")
            for name, probe in probes.items():
                detectors[name] = Detector(
                    name,
                    settings.services[name],
                    probe,
                    status=known.status(name),
                    on_observation=publisher.observed,
                    on_decision=publisher.publish,
                )
                tasks.create_task(detectors[name].run(), name=f"detector {name}")
    finally:
        with contextlib.suppress(StoreError, TimeoutError):
            async with asyncio.timeout(FLUSH_SECONDS):
                await publisher.flush()
        for probe in probes.values():
            await probe.aclose()
        log.info("worker_stopped", worker=worker)


async def _known(publisher: Publisher) -> Snapshot:
    """What the carrier knows already, if it answers: a worker must watch even while there is nobody to tell."""
    try:
        return await publisher.load()
    except StoreError as error:
        log.error("carrier_lost", error=str(error))
        return Snapshot()
