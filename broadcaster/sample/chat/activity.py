"""What happens in the chat, told to analytics a second later; it waits while analytics is away."""

from __future__ import annotations

import asyncio
import contextlib
import time

import httpx
import msgspec
import structlog

from broadcaster.integrations.httpx import BreakerTransport, is_failed
from broadcaster.manager import ServiceAvailabilityManager
from broadcaster.sample.analytics import Event
from broadcaster.sample.outbox import Outbox

log = structlog.get_logger()

PATIENCE = 3.0
EACH = 1.0
"""Seconds between two batches at least."""


class ReportAway(Exception):
    """There is no report; ``service`` is the one that is missing."""

    def __init__(self, service: str, why: str) -> None:
        super().__init__(why)
        self.service = service


class Activity:
    """The analytics service at ``url``, behind its circuit breaker."""

    def __init__(self, manager: ServiceAvailabilityManager, url: str) -> None:
        # Its 503 says that ClickHouse is away, or that it has no room for more: it is there itself.
        transport = BreakerTransport(
            manager.breaker("analytics"), is_failure=lambda answer: is_failed(answer) and answer.status_code != 503
        )
        self._client = httpx.AsyncClient(base_url=url, timeout=PATIENCE, trust_env=False, transport=transport)
        self.outbox = Outbox[Event]("activity", self._tell, is_failure=lambda error: isinstance(error, httpx.HTTPError))

    async def aclose(self) -> None:
        await self._client.aclose()

    def note(self, kind: str, room: str) -> None:
        """Costs no I/O. Where too many wait, this one is not counted: nobody's chat waits for a report."""
        with contextlib.suppress(OverflowError):
            told = self.outbox.put(Event(int(time.time()), kind, room))
            told.add_done_callback(asyncio.Future.exception)  # logged where it was raised

    async def report(self) -> dict[str, int]:
        """How often what happened. Raises ReportAway."""
        try:
            answer = await self._client.get("/report")
        except httpx.HTTPError as error:
            raise ReportAway("analytics", str(error) or type(error).__name__) from error
        if answer.status_code != 200:
            missing = "clickhouse" if answer.status_code == 503 else "analytics"
            raise ReportAway(missing, f"status {answer.status_code}")
        events: dict[str, int] = answer.json()["events"]
        return events

    async def _tell(self, events: list[Event]) -> None:
        await asyncio.sleep(EACH)
        (await self._client.post("/events", content=msgspec.json.encode(events))).raise_for_status()
