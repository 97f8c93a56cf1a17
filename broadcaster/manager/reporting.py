"""What an application saw fail, summed up for the workers: they look at it soon, and decide."""

from __future__ import annotations

import asyncio
from collections import Counter

import structlog

from broadcaster.domain.errors import StoreError
from broadcaster.domain.evidence import Report
from broadcaster.store.base import Store

log = structlog.get_logger()

REPORT_SECONDS = 1.0
"""How often what was seen to fail is reported: one report a service and process, however much fails."""


class Reporter:
    """Sums up failures, and reports them as ``name``."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name
        self._failures: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"Reporter({self._name!r}, {dict(self._failures)})"

    def add(self, service: str, failures: int) -> None:
        """Costs no I/O."""
        self._failures[service] += failures

    async def run(self) -> None:
        """Reports every ``REPORT_SECONDS`` until it is cancelled; what a carrier that is away does not take is lost."""
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            if not self._failures:
                continue
            failures, self._failures = self._failures, Counter()
            try:
                await self._store.report(
                    [
                        Report(service=service, failures=count, reporter=self._name)
                        for service, count in failures.items()
                    ]
                )
            except StoreError as error:
                log.warning("evidence_dropped", services=sorted(failures), error=str(error))
