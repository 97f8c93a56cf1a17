"""A manager that lives as long as an application of Starlette's kind (FastAPI's is one)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import structlog

from broadcaster.manager.manager import ServiceAvailabilityManager

log = structlog.get_logger()

HINT = (
    "not everything is known yet: what is unknown refuses nobody, unless fail_open is off. Is Redis reached "
    "(REDIS_URL, or redis.url of the settings)? mode='local' needs none"
)


def lifespan(
    manager: ServiceAvailabilityManager, *, load_timeout: float = 5.0
) -> Callable[[object], AbstractAsyncContextManager[None]]:
    """For ``Starlette(lifespan=...)``: enters the manager at the start, and leaves it at the end.

    The start waits up to ``load_timeout`` seconds for the first load, so that the first requests are judged by
    something, and goes on without: until then everything is ``unknown``. An application that has more to open enters
    the manager in a lifespan of its own.
    """

    @asynccontextmanager
    async def entered(app: object) -> AsyncIterator[None]:
        async with manager:
            if not await manager.wait_loaded(load_timeout):
                log.warning("serving_unloaded", hint=HINT)
            yield

    return entered
