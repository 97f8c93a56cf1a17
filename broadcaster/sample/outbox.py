"""Work that must not be lost and may be late: kept in order, done in batches, tried again until it is done."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import structlog

log = structlog.get_logger()

T = TypeVar("T")

BATCH = 500
PAUSE = (0.1, 2.0)
"""Seconds before it is tried again: the first and the longest, doubling, with full jitter."""


class Outbox(Generic[T]):
    """At most ``most`` items wait. ``write`` gets some of them, may get them again, and raises until they are written.

    What ``is_failure`` says of an exception decides whether it is tried again. Anything else is a mistake in an item:
    the batch is written one by one, and what cannot be written is dropped, and logged.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[list[T]], Awaitable[object]],
        *,
        is_failure: Callable[[Exception], bool],
        most: int = 20_000,
    ) -> None:
        self.name = name
        self._write = write
        self._is_failure = is_failure
        self._most = most
        self._items: deque[tuple[T, asyncio.Future[None]]] = deque()
        self._some = asyncio.Event()
        self._one_by_one = 0  # so many of the first items

    def __len__(self) -> int:
        return len(self._items)

    @property
    def is_full(self) -> bool:
        return len(self._items) >= self._most

    def put(self, item: T) -> asyncio.Future[None]:
        """Takes it; the future is done when it is written. Raises OverflowError where there is no room."""
        if self.is_full:
            raise OverflowError(f"{self.name}: {self._most} items wait already")
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._items.append((item, written))
        self._some.set()
        return written

    async def flush(self, seconds: float) -> None:
        """Waits until all is written while ``run`` goes on, at most so long. What is not is lost, and logged."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._items:
                    await asyncio.wait([self._items[-1][1]])
        if self._items:
            log.error("outbox_lost", outbox=self.name, items=len(self))

    async def run(self) -> None:
        """Writes until it is cancelled."""
        pause = PAUSE[0]
        while True:
            await self._some.wait()
            size = 1 if self._one_by_one else BATCH
            batch = [self._items[index] for index in range(min(size, len(self._items)))]
            error: Exception | None = None
            try:
                await self._write([item for item, _ in batch])
            except Exception as raised:
                if self._is_failure(raised):
                    log.info("outbox_waits", outbox=self.name, waiting=len(self), error=str(raised) or repr(raised))
                    await asyncio.sleep(random.uniform(0, pause))  # noqa: S311
                    pause = min(pause * 2, PAUSE[1])
                    continue
                if len(batch) > 1:
                    self._one_by_one = len(batch)
                    continue
                log.exception("outbox_dropped", outbox=self.name)
                error = raised
            pause = PAUSE[0]
            self._one_by_one = max(0, self._one_by_one - len(batch))
            for _, written in batch:
                self._items.popleft()
                if not written.done():
                    written.set_result(None) if error is None else written.set_exception(error)
            if not self._items:
                self._some.clear()
