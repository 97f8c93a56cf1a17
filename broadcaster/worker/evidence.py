"""What users of the services saw fail: read as it comes, and looked into no more often than is good for a service."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping

import structlog

from broadcaster.domain.errors import StoreError
from broadcaster.domain.evidence import Report
from broadcaster.store.base import Store

log = structlog.get_logger()

WAIT = 1.0
"""Seconds that one call waits for evidence at most, and before the carrier is asked again after an error."""

PAUSE = 0.1
"""Seconds between two calls: a flood of reports is read in large pieces."""


class Evidence:
    """Follows the reports. ``least_gaps`` gives the seconds between two looks for the sake of reports, by service;
    ``on_reported`` looks, told whether users saw a failure or only slow answers, and says whether it did."""

    def __init__(
        self, store: Store, *, least_gaps: Mapping[str, float], on_reported: Callable[[str, bool], bool]
    ) -> None:
        self._store = store
        self._least_gaps = least_gaps
        self._on_reported = on_reported
        self._looked_at: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"Evidence({len(self._looked_at)} services looked into)"

    async def run(self) -> None:
        """Follows until cancelled, from now on: what was reported before somebody follows is old."""
        after = ""
        is_lost = False
        while True:
            try:
                after, reports = await self._store.reports(after, WAIT)
                is_lost = False
            except StoreError as error:
                if not is_lost:
                    log.warning("evidence_lost", error=str(error))
                # What is reported meanwhile is old when the carrier is back.
                after, is_lost = "", True
                await asyncio.sleep(WAIT)
                continue
            if reports:
                self._look_into(reports, asyncio.get_running_loop().time())
                await asyncio.sleep(PAUSE)

    def _look_into(self, reports: tuple[Report, ...], now: float) -> None:
        failures: Counter[str] = Counter()
        slow: Counter[str] = Counter()
        reporters: dict[str, set[str]] = {}
        for each in reports:
            failures[each.service] += each.failures
            slow[each.service] += each.slow
            reporters.setdefault(each.service, set()).add(each.reporter)
        for service, names in reporters.items():
            gap = self._least_gaps.get(service)
            failed, slowly = failures[service], slow[service]
            if gap is None or failed + slowly < 1 or now - self._looked_at.get(service, float("-inf")) < gap:
                continue
            if self._on_reported(service, failed > 0):
                self._looked_at[service] = now
                log.info("failure_reported", service=service, failures=failed, slow=slowly, reporters=len(names))
