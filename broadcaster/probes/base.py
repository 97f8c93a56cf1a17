"""What every probe is, and the one driver that turns a look at a service into an Observation.

A kind of probe says how to look (``_look``) and what its library's errors mean (``_meaning``). The driver adds what
all have in common: the deadline, the latency, the classification of errors and the removal of secrets.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Protocol

import structlog

from broadcaster.cancellation import insisting
from broadcaster.domain.model import Category, Observation
from broadcaster.probes.classify import Finding, classify, describe, failed
from broadcaster.probes.redact import redact

log = structlog.get_logger()


class Probe(Protocol):
    """Looks at one service."""

    @property
    def service(self) -> str:
        """The name of the service."""

    async def observe(self, timeout: float) -> Observation:
        """Makes one attempt, of at most ``timeout`` seconds over all it does: connect, TLS, query, close.

        Every failure becomes an Observation; only cancellation is raised. Nothing stays behind: no connection, no task.
        """

    async def aclose(self) -> None:
        """Gives back what the probe holds between attempts."""


class DrivenProbe(ABC):
    """A probe whose kind says how to look, and whose driver does the rest. Holds nothing between attempts."""

    def __init__(self, service: str, *, secrets: Iterable[str] = (), clock: Callable[[], float] = time.time) -> None:
        self._service = service
        self._secrets = frozenset(secrets)
        self._clock = clock

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._service!r})"

    @property
    def service(self) -> str:
        return self._service

    async def observe(self, timeout: float) -> Observation:
        started = time.monotonic()
        finding = await self._attempt(timeout)
        return Observation(
            service=self._service,
            at=self._clock(),
            outcome=finding.outcome,
            latency=time.monotonic() - started,
            category=finding.category,
            detail=redact(finding.detail, self._secrets),
        )

    async def aclose(self) -> None:
        # Nothing is held between attempts: a connection kept alive can hide a listener that is gone.
        return

    @abstractmethod
    async def _look(self) -> Finding:
        """Looks once. May raise whatever its library raises; must leave nothing behind, also when cancelled.

        After a cancellation it must not wait for the other side: the deadline has passed already.
        """

    def _meaning(self, error: Exception) -> Finding | None:
        """What an error of this kind's library means; None leaves it to the common rules."""
        return None

    async def _attempt(self, timeout: float) -> Finding:
        finding: Finding | None = None
        try:
            with insisting():
                async with asyncio.timeout(timeout) as deadline:
                    finding = await self._look()
        except Exception as error:  # noqa: BLE001 - an attempt may fail in any way, and each must become an observation
            if not deadline.expired():
                finding = self._concluded(error)
        if deadline.expired() or finding is None:
            return failed(Category.TIMEOUT, f"no answer within {timeout:g} s")
        return finding

    def _concluded(self, error: Exception) -> Finding:
        finding = self._meaning(error)
        if finding is None:
            finding = failed(classify(error), describe(error))
        if finding.category is Category.INTERNAL:
            log.warning("probe_error", service=self._service, error=redact(finding.detail, self._secrets))
        return finding
