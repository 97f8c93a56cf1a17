"""The worker's process: one worker after the other as its settings change, until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from contextlib import aclosing

from broadcaster.config.reload import SettingsFile
from broadcaster.store.base import Store
from broadcaster.store.redis import RedisStore
from broadcaster.worker.metrics import WorkerMetrics
from broadcaster.worker.worker import Worker, make_name


async def run_worker(
    file: SettingsFile, *, redis_url: str, metrics_host: str = "127.0.0.1", metrics_port: int = 0
) -> int:
    """Probes by what the file says, as it changes, until SIGTERM or SIGINT; returns the exit code.

    With a ``metrics_port`` it can be scraped meanwhile. Raises StartupError where the port cannot be had.
    """
    settings = file.settings
    metrics = WorkerMetrics()
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
    served = metrics.served(metrics_host, metrics_port) if metrics_port else contextlib.nullcontext()
    async with store:
        with served, file.reloading_on_hangup():
            watching = asyncio.create_task(_watch_as_told(file, store, metrics))
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
    return 130 if signal.SIGINT in received else 0


async def _watch_as_told(file: SettingsFile, store: Store, metrics: WorkerMetrics) -> None:
    """Each change of the settings is a hand-over of this worker to itself: what was found out is carried along."""
    name = make_name()
    while True:
        metrics.keep(file.settings.services)
        watching = asyncio.create_task(Worker(file.settings, store, name=name, metrics=metrics).run())
        changing = asyncio.create_task(_next_change(file))
        try:
            await asyncio.wait({watching, changing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changing.cancel()
            was_over = watching.done()
            watching.cancel()
            await asyncio.wait({watching, changing})
        if was_over:
            await watching  # it ends by itself only by an error


async def _next_change(file: SettingsFile) -> None:
    async with aclosing(file.changes()) as changes:
        async for _ in changes:
            return
