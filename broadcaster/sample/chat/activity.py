"""What happens in the chat, told to analytics a second later; it waits while analytics is away."""

from __future__ import annotations

import asyncio
import contextlib
import time

import httpx
import msgspec
import structlog

from broadcaster.domain.errors import CallNotPermitted
from broadcaster.manager import ServiceAvailabilityManager
from broadcaster.sample.analytics import Event
from broadcaster.sample.outbox import Outbox

log = structlog.get_logger()

PATIENCE = 3.0
EACH = 1.0
"""Seconds between two batches at least."""


class Activity:
    """The analytics service at ``url``, behind its circuit breaker."""

    def __init__(self, manager: ServiceAvailabilityManager, url: str) -> None:
        self._breaker = manager.breaker("analytics")
        self._client = httpx.AsyncClient(base_url=url, timeout=PATIENCE, trust_env=False)
        self.outbox = Outbox[Event]("activity", self._tell, failures=(httpx.HTTPError, CallNotPermitted))

    async def aclose(self) -> None:
        await self._client.aclose()

    def note(self, kind: str, room: str) -> None:
        """Costs no I/O. Where too many wait, this one is not counted: nobody's chat waits for a report."""
        with contextlib.suppress(OverflowError):
            self.outbox.put(Event(int(time.time()), kind, room))

    async def report(self) -> dict[str, int]:
        """How often what happened. Not through the circuit breaker: what fails here is mostly ClickHouse. Raises
        httpx.HTTPError."""
        answer = await self._client.get("/report")
        answer.raise_for_status()
        events: dict[str, int] = answer.json()["events"]
        return events

    async def _tell(self, events: list[Event]) -> None:
        await asyncio.sleep(EACH)
        async with self._breaker:
            answer = await self._client.post("/events", content=msgspec.json.encode(events))
            answer.raise_for_status()
