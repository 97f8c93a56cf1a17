"""One service, watched: probe, conclude, wait. Nothing here knows of other services or of the carrier."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import structlog
from tenacity import AsyncRetrying, retry_if_result, stop_after_attempt, wait_random_exponential

from broadcaster.config.settings import ServiceSettings
from broadcaster.domain.detection import Decision, DetectorState, decide
from broadcaster.domain.model import Observation, Outcome, Status
from broadcaster.probes.base import Probe

log = structlog.get_logger()

SPREAD = 0.05
"""Part of an interval by which each wait is lengthened or shortened at random, so that probes do not fall in step."""

FIRST_WITHIN = 3.0
"""Seconds over which the first probes are spread at most: nobody should wait a long interval for a first answer."""

RETRY_WAIT = (0.1, 1.0)
"""Seconds: the most the first, and the most any retry waits (full jitter, doubling)."""


class Detector:
    """Probes a service on its schedule and hands on every observation and every conclusion.

    ``timeout`` seconds bound one attempt. It starts from ``status``, what the carrier knows already.
    """

    def __init__(
        self,
        service: str,
        settings: ServiceSettings,
        probe: Probe,
        *,
        status: Status = Status.UNKNOWN,
        on_observation: Callable[[Observation], None],
        on_decision: Callable[[Decision], None],
    ) -> None:
        self._service = service
        self._settings = settings
        self._probe = probe
        self._on_observation = on_observation
        self._on_decision = on_decision
        self._timeout = settings.attempt_timeout
        self._attempts = 1 + settings.attempt_retries
        self._policy = settings.policy
        self.state = DetectorState(status=status)

    def __repr__(self) -> str:
        return f"Detector({self._service!r}, {self.state.status})"

    def adopt(self, status: Status) -> None:
        """Goes on from what somebody else concluded: evidence against it is counted anew."""
        if status is not self.state.status:
            log.info("status_adopted", service=self._service, was=self.state.status.value, status=status.value)
            self.state = DetectorState(status=status)

    async def run(self) -> None:
        """Watches until cancelled. Probes never overlap; the wait is from the start of one to the start of the next."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(random.uniform(0, min(self._settings.interval, FIRST_WITHIN)))  # noqa: S311
        while True:
            started = loop.time()
            await self.step()
            wait: float = self._settings.fast_interval if self.state.is_undecided else self._settings.interval
            wait *= random.uniform(1 - SPREAD, 1 + SPREAD)  # noqa: S311
            await asyncio.sleep(max(0.0, started + wait - loop.time()))

    async def step(self) -> None:
        """One observation and what follows from it."""
        observation = await self._observe()
        self.state, decision = decide(self.state, observation, self._policy)
        self._on_observation(observation)
        if decision is not None:
            self._on_decision(decision)

    async def _observe(self) -> Observation:
        """One observation: a failed attempt is repeated, unless the service is known to be down anyway."""
        attempts = 1 if self.state.status is Status.DOWN else self._attempts
        first, most = RETRY_WAIT
        retrying = AsyncRetrying(
            stop=stop_after_attempt(attempts),
            wait=wait_random_exponential(multiplier=first, max=most),
            retry=retry_if_result(_has_failed),
            retry_error_callback=lambda last: last.outcome.result() if last.outcome else None,
        )
        observation: Observation = await retrying(self._probe.observe, self._timeout)
        return observation


def _has_failed(observation: Observation) -> bool:
    return observation.outcome is Outcome.FAILED
