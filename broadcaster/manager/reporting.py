"""What an application saw fail, summed up for the workers: they look at it soon, and decide."""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from broadcaster.domain.errors import StoreError
from broadcaster.domain.evidence import Report
from broadcaster.store.base import Store

log = structlog.get_logger()

REPORT_SECONDS = 1.0
"""The least time between two reports of a service by this process, however much fails. Its first failure after a
while is reported at once."""


class Reporter:
    """Sums up failures and slow answers, and reports them as ``name``."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name
        self._seen: dict[str, tuple[int, int]] = {}  # service -> failures, slow answers
        self._reported: dict[str, float] = {}  # -> loop time
        self._some = asyncio.Event()

    def __repr__(self) -> str:
        return f"Reporter({self._name!r}, {self._seen})"

    def add(self, service: str, *, failures: int = 0, slow: int = 0) -> None:
        """Costs no I/O."""
        if service not in self._seen:
            self._some.set()
        before = self._seen.get(service, (0, 0))
        self._seen[service] = before[0] + failures, before[1] + slow

    async def run(self) -> None:
        """Reports until it is cancelled; what a carrier that is away does not take is lost."""
        loop = asyncio.get_running_loop()
        while True:
            next_due = min((self._due(service) for service in self._seen), default=None)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(next_due):
                    await self._some.wait()
            self._some.clear()
            now = loop.time()
            due = [service for service in self._seen if self._due(service) <= now]
            if due:
                await self._report({service: self._seen.pop(service) for service in due})
                self._reported.update(dict.fromkeys(due, now))

    def _due(self, service: str) -> float:
        return self._reported.get(service, float("-inf")) + REPORT_SECONDS

    async def _report(self, seen: dict[str, tuple[int, int]]) -> None:
        try:
            await self._store.report(
                [
                    Report(service=service, failures=failures, slow=slow, reporter=self._name)
                    for service, (failures, slow) in seen.items()
                ]
            )
        except StoreError as error:
            log.warning("evidence_dropped", services=sorted(seen), error=str(error))
