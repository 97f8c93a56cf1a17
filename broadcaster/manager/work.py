"""Tasks that nobody waits for: held until they end, logged where they fail, and ended with their owner."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger()


class Work:
    """What is under way."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"Work({len(self._tasks)} under way)"

    def start(self, coroutine: Coroutine[Any, Any, None], *, what: str) -> None:
        """Runs it in a task; ``what`` stands in the log if it fails."""
        task = asyncio.create_task(self._run(coroutine, what), name=what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Cancels what is under way, and waits until it has ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, coroutine: Coroutine[Any, Any, None], what: str) -> None:
        try:
            await coroutine
        except Exception:
            log.exception("handler_failed", handler=what)
