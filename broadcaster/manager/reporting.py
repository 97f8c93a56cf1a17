"""What an application saw fail, summed up for the workers: they look at it soon, and decide."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter

import structlog

from broadcaster.domain.errors import StoreError
from broadcaster.domain.evidence import Report
from broadcaster.store.base import Store

log = structlog.get_logger()

REPORT_SECONDS = 1.0
"""The least time between two reports of a service by this process, however much fails. Its first failure after a
while is reported at once."""


class Reporter:
    """Sums up failures, and reports them as ``name``."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name
        self._failures: Counter[str] = Counter()
        self._reported: dict[str, float] = {}  # -> loop time
        self._some = asyncio.Event()

    def __repr__(self) -> str:
        return f"Reporter({self._name!r}, {dict(self._failures)})"

    def add(self, service: str, failures: int) -> None:
        """Costs no I/O."""
        if service not in self._failures:
            self._some.set()
        self._failures[service] += failures

    async def run(self) -> None:
        """Reports until it is cancelled; what a carrier that is away does not take is lost."""
        loop = asyncio.get_running_loop()
        while True:
            next_due = min((self._due(service) for service in self._failures), default=None)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(next_due):
                    await self._some.wait()
            self._some.clear()
            now = loop.time()
            due = [service for service in self._failures if self._due(service) <= now]
            if due:
                await self._report({service: self._failures.pop(service) for service in due})
                self._reported.update(dict.fromkeys(due, now))

    def _due(self, service: str) -> float:
        return self._reported.get(service, float("-inf")) + REPORT_SECONDS

    async def _report(self, failures: dict[str, int]) -> None:
        try:
            await self._store.report(
                [Report(service=service, failures=count, reporter=self._name) for service, count in failures.items()]
            )
        except StoreError as error:
            log.warning("evidence_dropped", services=sorted(failures), error=str(error))
