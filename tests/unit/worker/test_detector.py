"""One service, watched: what it is looked at for, and how soon."""

from __future__ import annotations

import asyncio

from broadcaster.config.settings import Duration, ServiceSettings, TcpProbe
from broadcaster.domain.detection import Decision, DetectorState
from broadcaster.domain.model import Category, Observation, Outcome, Status
from broadcaster.worker.detector import Detector
from broadcaster.worker.throttle import Throttle

DEADLINE = 20.0

SETTINGS = ServiceSettings(
    probe=TcpProbe(host="127.0.0.1", port=1),
    interval=Duration(300),
    fast_interval=Duration(0.4),
    timeout=Duration(5),
    retries=2,
)


class Service:
    """A service at the probe's seam that fails by what may be chance, and the detector that watches it."""

    def __init__(self, category: Category = Category.RESET) -> None:
        self.is_well = True
        self.attempts = 0
        self.observations: list[Observation] = []
        self.decisions: list[Decision] = []
        self.decided = asyncio.Event()
        self._category = category
        self.detector = Detector(
            "auth",
            SETTINGS,
            self,
            throttle=Throttle(at_once=10, rate=1000),
            state=DetectorState(status=Status.UP),
            on_observation=self.observations.append,
            on_decision=self._decide,
        )

    service = "auth"

    async def observe(self, timeout: float) -> Observation:
        self.attempts += 1
        return Observation(
            service="auth",
            at=0.0,
            outcome=Outcome.OK if self.is_well else Outcome.FAILED,
            latency=0.0,
            category=None if self.is_well else self._category,
        )

    async def aclose(self) -> None:
        return

    def _decide(self, decision: Decision) -> None:
        self.decisions.append(decision)
        self.decided.set()


async def until_seen(*services: Service) -> None:
    """Has them looked at, as the first look comes at a time of its own, and waits for that."""
    for each in services:
        each.detector.nudge()
    async with asyncio.timeout(DEADLINE):
        while not all(each.observations for each in services):
            await asyncio.sleep(0.01)


async def test_what_users_feel_is_concluded_before_what_somebody_wondered_about() -> None:
    """Both are looked at soon and fail; the one of which users say so is confirmed first, by as many looks."""
    felt, nudged = Service(), Service()
    tasks = [asyncio.create_task(each.detector.run()) for each in (felt, nudged)]
    try:
        await until_seen(felt, nudged)
        felt.is_well = nudged.is_well = False
        felt.observations.clear()
        nudged.observations.clear()
        felt.attempts = 0
        felt.detector.nudge(is_felt=True)
        nudged.detector.nudge()
        async with asyncio.timeout(DEADLINE):
            await felt.decided.wait()
            assert len(nudged.observations) < SETTINGS.fall - 1
            assert ([each.status for each in felt.decisions], len(felt.observations)) == ([Status.DOWN], SETTINGS.fall)
            assert felt.attempts == 2 * SETTINGS.fall  # one retry each
            await nudged.decided.wait()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_a_good_answer_ends_the_hurry() -> None:
    """Users felt what is over; the next failure is one like any other, and so is one after it was started over."""
    for again in (lambda service: None, lambda service: service.detector.start_over(Status.UP)):
        service = Service()
        task = asyncio.create_task(service.detector.run())
        try:
            await until_seen(service)
            service.observations.clear()
            service.detector.nudge(is_felt=True)
            await until_seen(service)
            service.observations.clear()
            again(service)
            service.is_well = False
            service.attempts = 0
            await until_seen(service)
            assert service.attempts == 3  # two retries
        finally:
            task.cancel()
            await asyncio.wait([task])
