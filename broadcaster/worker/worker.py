"""One worker: the services it owns on one event loop, one publisher, a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
import uuid
from collections.abc import Callable

import msgspec
import structlog

from broadcaster.config.settings import ServiceSettings, Settings
from broadcaster.domain.dependencies import components, dependencies
from broadcaster.domain.detection import Decision, DetectorState
from broadcaster.domain.errors import StoreError
from broadcaster.domain.evidence import least_gap
from broadcaster.domain.model import Observation, Status, event_kind
from broadcaster.domain.plans import advance
from broadcaster.domain.quorum import Vote, told
from broadcaster.probes.base import Probe
from broadcaster.probes.registry import make_probe
from broadcaster.store.base import Presence, Store
from broadcaster.store.planning import change_plans
from broadcaster.worker.detector import Detector
from broadcaster.worker.evidence import Evidence
from broadcaster.worker.isolation import Isolation
from broadcaster.worker.leases import Leases, leave_quietly
from broadcaster.worker.metrics import WorkerMetrics
from broadcaster.worker.observers import Agreement, Observed, Observers, conclusion
from broadcaster.worker.publisher import Publisher
from broadcaster.worker.staleness import Staleness
from broadcaster.worker.throttle import Throttle

log = structlog.get_logger()

FLUSH_SECONDS = 1.0
"""How long the end may take to commit what is still waiting, and to give up what is owned."""


def make_name() -> str:
    """A name that no other worker has."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:4]}"


class Worker:
    """One worker: which services it owns decides which detectors run. ``metrics`` is told of every probe."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        name: str = "",
        make_probe: Callable[[str, ServiceSettings], Probe] = make_probe,
        metrics: WorkerMetrics | None = None,
    ) -> None:
        self.name = name or make_name()
        self._settings = settings
        self._store = store
        self._make_probe = make_probe
        self._metrics = metrics or WorkerMetrics()
        self._throttle = Throttle(at_once=settings.worker.max_probes, rate=settings.worker.host_rate)
        self._watches: dict[str, _Watch] = {}
        self._last_seen: dict[str, Observation] = {}
        self._reported = Evidence(
            store,
            least_gaps={service: least_gap(each.pace) for service, each in settings.services.items()},
            on_reported=self._look_into,
        )
        self._staleness = Staleness(
            store,
            {service: each.expires_after for service, each in settings.services.items()},
            is_mine=lambda service: service in self._watches,
        )
        self._depends_on = {service: each.depends_on for service, each in settings.services.items()}
        self._observers = Observers(
            store,
            worker=self.name,
            services={
                service: Observed(observers=each.observers, quorum=each.quorum, expires_after=each.expires_after)
                for service, each in settings.services.items()
                if each.observers > 1
            },
            among=lambda: self._leases.among,
            owned=lambda: self._leases.held,
            vote_of=self._vote_of,
            on_assigned=lambda service: self._watch(service, None),
            on_unassigned=self._unwatch,
            on_votes=self._count,
        )
        self._leases = Leases(
            store,
            worker=self.name,
            services=components(self._depends_on),
            presence=Presence(zone=settings.worker.zone, shape=settings.shape),
            ttl=settings.worker.lease_ttl,
            states=lambda: {
                service: each.detector.state
                for service, each in self._watches.items()
                if not self._is_voted_on(service)
            },
            on_gained=self._gain,
            on_lost=self._lose,
            may_release=lambda service: self._isolation.is_cut_off or self._publisher.is_settled(service),
        )
        carrier = settings.services.get(settings.redis.service)
        self._isolation = Isolation(
            (_host_port(each) for each in settings.worker.reference_targets),
            count=self._count_failing,
            look_again=self._look_again,
            reach_carrier=lambda: store.history(1),
            on_cut_off=self._cut_off,
            on_reconnected=self._reconnected,
            on_believed=lambda: self._publisher.beat_now(),
        )
        self._publisher = Publisher(
            store,
            worker=self.name,
            interval=settings.feed.heartbeat_interval,
            carrier=settings.redis.service,
            settle=0.0 if carrier is None else carrier.rise * carrier.interval + carrier.attempt_timeout,
            on_adopted=self._adopt,
            leases=self._leases,
            depends_on=self._depends_on,
            is_open=self._is_open,
            is_doubtful=lambda: self._isolation.is_doubtful,
            on_beat=self._beat,
        )
        self._metrics.follow(
            owned=lambda: len(self._leases.held),
            is_reachable=lambda: self._publisher.is_reachable,
            is_cut_off=lambda: self._isolation.is_cut_off,
        )

    def __repr__(self) -> str:
        return f"Worker({self.name!r}, {len(self._watches)} services)"

    async def run(self) -> None:
        """Probes what this worker comes to own and publishes what is concluded, until cancelled; then commits what is
        still waiting and gives up what it owns, as far as the carrier can be reached."""
        try:
            await self._publisher.load()
        except StoreError as error:
            log.error("carrier_lost", error=str(error))
        known = self._publisher.known.position
        log.info("worker_started", worker=self.name, services=len(self._settings.services), position=str(known))
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                tasks.create_task(self._reported.run(), name="evidence")
                await self._publisher.run()
        finally:
            with contextlib.suppress(StoreError, TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self._publisher.flush()
                    await leave_quietly(self._leases)
            for each in self._watches.values():
                await each.probe.aclose()
            log.info("worker_stopped", worker=self.name)

    async def _beat(self) -> None:
        if self._isolation.is_cut_off:
            await self._observers.withdraw()
        else:
            await self._observers.beat(time.time())
        await self._advance_plans(time.time())
        await self._staleness.beat(time.time())

    async def _advance_plans(self, now: float) -> None:
        """Announces plans of what is owned that begin and end."""
        for service in tuple(self._leases.held):
            if advance(self._publisher.known.state(service).plans, now) is None:
                continue
            while step := await change_plans(self._store, service, lambda plans: advance(plans, now), at=now, by=""):
                log.info("plan", service=service, action=step.action.value, kind=step.plan.kind.value, by=step.plan.by)

    def _is_voted_on(self, service: str) -> bool:
        return self._settings.services[service].observers > 1

    def _gain(self, service: str, state: DetectorState | None) -> None:
        if not self._is_voted_on(service):
            self._watch(service, state)

    async def _lose(self, service: str) -> None:
        if not self._is_voted_on(service):
            await self._unwatch(service)
        self._publisher.forget(service)

    def _watch(self, service: str, state: DetectorState | None) -> None:
        """Goes on from the last owner's evidence, but from what was committed: its last conclusion may be lost."""
        status = self._publisher.known.status(service)
        settings = self._settings.services[service]
        if service == self._settings.redis.service:
            # Readers tell its outages by their own evidence. Kept down for the sake of calm, it would carry the news of
            # its own outage long after that.
            settings = msgspec.structs.replace(settings, flap_detection=False)
        probe = self._make_probe(service, settings)
        detector = Detector(
            service,
            settings,
            probe,
            throttle=self._throttle,
            state=msgspec.structs.replace(state or DetectorState(), status=status),
            on_observation=self._observed,
            on_decision=self._conclude,
            on_start=self._metrics.started,
        )
        task = self._tasks.create_task(detector.run(), name=f"detector {service}")
        self._watches[service] = _Watch(detector=detector, probe=probe, task=task)

    def _vote_of(self, service: str) -> Vote | None:
        """What this worker concluded, unless it doubts itself."""
        watched, seen = self._watches.get(service), self._last_seen.get(service)
        if watched is None or seen is None or self._isolation.is_doubtful:
            return None
        status = watched.detector.state.status
        if status is Status.UNKNOWN:
            return None
        return Vote(
            worker=self.name,
            zone=self._settings.worker.zone,
            status=status,
            at=seen.at,
            category=None if status is Status.UP else seen.category,
            detail="" if status is Status.UP else seen.detail,
            latency=seen.latency,
        )

    def _count(self, service: str, agreement: Agreement) -> None:
        """Concludes from the votes, where that is news."""
        agreed = conclusion(agreement)
        known = self._publisher.known.status(service)
        if agreed is None or agreed[0] is known or not self._publisher.is_settled(service):
            return
        status, vote = agreed
        self._publish(
            Decision(
                service=service,
                kind=event_kind(known, status),
                previous=known,
                status=status,
                at=vote.at,
                category=vote.category,
                detail=f"{told(agreement.votes, agreement.observers, vote.status)}: {vote.detail}"
                if vote.detail
                else "",
                latency=vote.latency,
            )
        )

    async def _unwatch(self, service: str) -> None:
        self._last_seen.pop(service, None)
        watched = self._watches.pop(service, None)
        if watched is not None:
            watched.task.cancel()
            await asyncio.wait({watched.task})
            await watched.probe.aclose()

    def _observed(self, observation: Observation) -> None:
        self._last_seen[observation.service] = observation
        self._metrics.observed(observation)
        if not self._isolation.is_cut_off:
            self._publisher.observed(observation)

    def _count_failing(self) -> tuple[int, int]:
        known = self._publisher.known
        watched = [each.detector for name, each in self._watches.items() if known.status(name) is not Status.DOWN]
        return sum(detector.state.failed > 0 for detector in watched), len(watched)

    def _look_again(self) -> None:
        for each in self._watches.values():
            each.detector.nudge()

    def _look_into(self, service: str, has_failed: bool) -> bool:
        """Looks at a service that users saw fail, or be slow; False where it is not this worker's, or that is no news.

        One that was seen to fail here already is confirmed the sooner for it.
        """
        watched = self._watches.get(service)
        if watched is None or watched.detector.state.status is Status.DOWN:
            return False
        state = watched.detector.state
        if not state.is_undecided or state.failed:
            watched.detector.nudge(is_felt=has_failed)
        return not state.is_undecided

    def _cut_off(self) -> None:
        self._leases.be_blind(True)

    def _reconnected(self) -> None:
        """What was seen meanwhile says nothing of the services: everything is looked at anew."""
        self._leases.be_blind(False)
        for service, each in self._watches.items():
            self._publisher.forget(service)
            self._last_seen.pop(service, None)
            each.detector.start_over(self._publisher.known.status(service))

    def _conclude(self, decision: Decision) -> None:
        """Publishes, and has what the service stands on looked at: the cause may lie there."""
        if decision.status is Status.DOWN:
            self._isolation.doubt(self._tasks)
        if self._is_voted_on(decision.service):
            self._publisher.beat_now()
        else:
            self._publish(decision)

    def _publish(self, decision: Decision) -> None:
        self._publisher.publish(decision)
        for name in dependencies(decision.service, self._depends_on):
            below = self._watches.get(name)
            if below is not None and (below.detector.state.status is Status.DOWN) is (decision.status is Status.UP):
                below.detector.nudge()

    def _is_open(self, service: str, since: float) -> bool:
        """Whether this worker is about to know more of ``service`` than it did at ``since`` (Unix seconds)."""
        watched = self._watches.get(service)
        if watched is None:
            return False
        return (
            watched.detector.state.is_undecided
            or self._publisher.last_observed(service) < since
            or not self._publisher.is_settled(service)
        )

    def _adopt(self, service: str, status: Status) -> None:
        if service in self._watches and not self._is_voted_on(service):
            self._watches[service].detector.adopt(status)


def _host_port(target: str) -> tuple[str, int]:
    host, _, port = target.rpartition(":")
    return host.strip("[]"), int(port)


class _Watch(msgspec.Struct, frozen=True, kw_only=True):
    detector: Detector
    probe: Probe
    task: asyncio.Task[None]
