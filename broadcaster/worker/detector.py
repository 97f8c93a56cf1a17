"""One service, watched: probe, conclude, wait. Nothing here knows of other services or of the carrier."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable

import structlog
from tenacity import AsyncRetrying, retry_if_result, stop_after_attempt, stop_after_delay, wait_random_exponential

from broadcaster.config.settings import ServiceSettings
from broadcaster.domain.detection import Decision, DetectorState, decide
from broadcaster.domain.model import Observation, Outcome, Status
from broadcaster.domain.pacing import SPREAD, next_wait, observation_limit, soonest
from broadcaster.probes.base import Probe
from broadcaster.worker.throttle import Throttle, target_host

log = structlog.get_logger()

FIRST_WITHIN = 3.0
"""Seconds over which the first probes are spread at most: nobody should wait a long interval for a first answer."""

RETRY_WAIT = (0.1, 1.0)
"""Seconds: the most the first, and the most any retry waits (full jitter, doubling)."""

LEAST_ATTEMPT = 0.05
"""Seconds that must be left of an observation for another attempt."""


class Detector:
    """Probes a service on its schedule and hands on every observation and every conclusion.

    It goes on from ``state``, what was known before. ``on_start`` is told how late each observation begins (seconds).
    """

    def __init__(
        self,
        service: str,
        settings: ServiceSettings,
        probe: Probe,
        *,
        throttle: Throttle,
        state: DetectorState = DetectorState(),  # noqa: B008 - it is frozen
        on_observation: Callable[[Observation], None],
        on_decision: Callable[[Decision], None],
        on_start: Callable[[float], None] = lambda lateness: None,
    ) -> None:
        self._service = service
        self._probe = probe
        self._throttle = throttle
        self._on_observation = on_observation
        self._on_decision = on_decision
        self._on_start = on_start
        self._host = target_host(settings.probe)
        self._retries = settings.attempt_retries
        self._policy = settings.policy
        self._pace = settings.pace
        self._nudged = asyncio.Event()
        self._is_felt = False  # users of the service reported that it fails, and no good answer came since
        self.state = state

    def __repr__(self) -> str:
        return f"Detector({self._service!r}, {self.state.status})"

    def adopt(self, status: Status) -> None:
        """Goes on from what somebody else concluded: evidence against it is counted anew."""
        if status is not self.state.status:
            log.info("status_adopted", service=self._service, was=self.state.status.value, status=status.value)
            self.state = DetectorState(status=status)

    def start_over(self, status: Status) -> None:
        """Forgets what was seen, and looks again soon."""
        self.state = DetectorState(status=status)
        self._is_felt = False
        self.nudge()

    def nudge(self, *, is_felt: bool = False) -> None:
        """Looks again soon: somebody has seen something; with ``is_felt`` users of the service saw it fail.

        An observation under way began before that: if it goes well, another follows.
        """
        self._is_felt = self._is_felt or is_felt
        self._nudged.set()

    async def run(self) -> None:
        """Watches until cancelled. Probes never overlap; the wait is from the start of one to the start of the next."""
        loop = asyncio.get_running_loop()
        due = loop.time() + random.uniform(0, min(next_wait(self.state, self._pace), FIRST_WITHIN))  # noqa: S311
        while True:
            await self._until(due)
            async with self._throttle.turn(self._host):
                started = loop.time()
                self._on_start(started - due)
                self._nudged.clear()
                await self.step()
            if not (self.state.is_undecided or self._nudged.is_set()):
                self._is_felt = False
            wait = next_wait(self.state, self._pace, is_felt=self._is_felt) * random.uniform(1 - SPREAD, 1 + SPREAD)  # noqa: S311
            due = max(started + wait, loop.time())

    async def step(self) -> None:
        """One observation and what follows from it."""
        observation = await self._observe()
        self.state, decision = decide(self.state, observation, self._policy)
        self._on_observation(observation)
        if decision is not None:
            self._on_decision(decision)

    async def _until(self, due: float) -> None:
        """Waits until ``due`` (loop time), or until nudged but then no shorter than the fast interval, or a quarter of
        it for what users feel."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(due):
                await self._nudged.wait()
        earliest = began + (soonest(self._pace) if self._is_felt else self._pace.fast_interval)
        if loop.time() < due:
            await asyncio.sleep(max(0.0, min(due, earliest) - loop.time()))

    async def _observe(self) -> Observation:
        """One observation: an attempt that failed by what may be chance is repeated while there is time.

        A failure that is there again at once needs no repetition, and neither has a service that is known to be down.
        One that users see is repeated once: they have no time to lose, and a lost packet is still none of theirs.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + observation_limit(self.state, self._pace)
        observation = await self._probe.observe(ends - loop.time())
        left = ends - loop.time()
        if not self._retries or self.state.status is Status.DOWN or left < LEAST_ATTEMPT or not _may_pass(observation):
            return observation
        retries = 1 if self._is_felt else self._retries
        first, most = RETRY_WAIT
        retrying = AsyncRetrying(
            wait=wait_random_exponential(multiplier=first, max=most),
            stop=stop_after_attempt(retries) | stop_after_delay(max(0.0, left - most)),
            retry=retry_if_result(_may_pass),
            retry_error_callback=lambda last: last.outcome.result() if last.outcome else None,
        )

        async def again() -> Observation:
            return await self._probe.observe(max(LEAST_ATTEMPT, ends - loop.time()))

        await asyncio.sleep(random.uniform(0, first))  # noqa: S311
        repeated: Observation = await retrying(again)
        return repeated


def _may_pass(observation: Observation) -> bool:
    """Whether an attempt failed in a way that another one need not."""
    category = observation.category
    return observation.outcome is Outcome.FAILED and not (category is not None and category.is_definitive)
