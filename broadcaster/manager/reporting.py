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
"""The least time between reports of this process: one a service, however much fails. The first failure after a while
is reported at once."""


class Reporter:
    """Sums up failures, and reports them as ``name``."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name
        self._failures: Counter[str] = Counter()
        self._some = asyncio.Event()

    def __repr__(self) -> str:
        return f"Reporter({self._name!r}, {dict(self._failures)})"

    def add(self, service: str, failures: int) -> None:
        """Costs no I/O."""
        self._failures[service] += failures
        self._some.set()

    async def run(self) -> None:
        """Reports until it is cancelled; what a carrier that is away does not take is lost."""
        while True:
            await self._some.wait()
            self._some.clear()
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
            await asyncio.sleep(REPORT_SECONDS)
