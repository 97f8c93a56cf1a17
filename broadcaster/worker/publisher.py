"""From decisions to commits: what this worker concluded is made known, whatever the carrier goes through.

Status is state, not a log: while the carrier is away only the latest conclusion of each service is kept, and
committed when it is back, unless it says what the carrier says already.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

import msgspec
import structlog

from broadcaster.domain.dependencies import dependencies
from broadcaster.domain.detection import Decision
from broadcaster.domain.errors import StoreError
from broadcaster.domain.incidents import attribute
from broadcaster.domain.model import Observation, Position, Snapshot, Status, event_kind
from broadcaster.store.base import Outcome, Store, Written
from broadcaster.worker.leases import Leases

log = structlog.get_logger()

CAUSE_WAIT = 3.0
"""Seconds that a conclusion waits at most for what may explain it."""


class Publisher:
    """Commits decisions in the order in which they were made, and announces a heartbeat every ``interval`` seconds.

    ``carrier`` names the service that stands for the carrier itself ('' for none): whoever can commit that it is
    down has just reached it, so that conclusion waits until it has stood for ``settle`` seconds since the carrier
    last failed to answer. ``on_adopted`` is told what the carrier says of a service where that does not come from here.

    Conclusions are explained along ``depends_on``: one waits up to ``CAUSE_WAIT`` for the verdict on the services below
    it as long as ``is_open`` says of one that it is being found out, and what is below is committed first. Failures
    wait while ``is_doubtful``. With ``leases`` only what is owned is committed, and every heartbeat renews them, before
    ``on_beat`` (which may raise StoreError).
    """

    def __init__(
        self,
        store: Store,
        *,
        worker: str,
        interval: float = 1.0,
        carrier: str = "",
        settle: float = 0.0,
        on_adopted: Callable[[str, Status], None] = lambda service, status: None,
        leases: Leases | None = None,
        depends_on: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
        is_open: Callable[[str, float], bool] = lambda service, since: False,
        is_doubtful: Callable[[], bool] = lambda: False,
        on_beat: Callable[[], Awaitable[None]] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._worker = worker
        self._interval = interval
        self._carrier = carrier
        self._settle = settle
        self._on_adopted = on_adopted
        self._leases = leases
        self._depends_on = depends_on
        self._below = {name: dependencies(name, depends_on) for name in depends_on}
        self._is_open = is_open
        self._is_doubtful = is_doubtful
        self._on_beat = on_beat
        self._is_beat_wanted = False
        self._clock = clock
        self._known = Snapshot()
        self._pending: dict[str, _Pending] = {}
        self._observed: dict[str, float] = {}
        self._latencies: dict[str, float] = {}  # of those
        self._seen: dict[str, float] = {}
        self._reachable_since = clock()
        self._reachable = True
        self._is_waiting = False  # for a verdict on something below
        self._wake = asyncio.Event()

    def __repr__(self) -> str:
        return f"Publisher({self._worker!r}, {self._known.position}, {len(self._pending)} pending)"

    @property
    def known(self) -> Snapshot:
        """What the carrier held when this worker last heard from it."""
        return self._known

    @property
    def is_reachable(self) -> bool:
        """Whether the carrier answered when it was last asked."""
        return self._reachable

    @property
    def is_idle(self) -> bool:
        """Whether everything concluded is committed."""
        return not self._pending

    def observed(self, observation: Observation) -> None:
        """Notes that a service was looked at, for the next heartbeat."""
        self._observed[observation.service] = self._seen[observation.service] = observation.at
        self._latencies[observation.service] = observation.latency
        if self._is_waiting:
            self._wake.set()

    def publish(self, decision: Decision) -> None:
        """Queues a conclusion, in place of an earlier one of the same service that is still waiting."""
        self._pending.pop(decision.service, None)
        self._pending[decision.service] = _Pending(
            decision=decision, commit=f"{self._worker}:{uuid.uuid4().hex}", grounds=self._grounds(decision.service)
        )
        self._wake.set()

    def is_settled(self, service: str) -> bool:
        """Whether nothing concluded of ``service`` waits to be committed."""
        return service not in self._pending

    def beat_now(self) -> None:
        """The next heartbeat comes at once."""
        self._is_beat_wanted = True
        self._wake.set()

    def last_observed(self, service: str) -> float:
        """Unix seconds of the last observation of ``service`` made here; 0 for none."""
        return self._seen.get(service, 0.0)

    def forget(self, service: str) -> None:
        """Drops what waits for ``service``: somebody else concludes from now on."""
        self._pending.pop(service, None)
        self._observed.pop(service, None)
        self._latencies.pop(service, None)

    async def load(self) -> Snapshot:
        """Reads what the carrier holds, so that the worker goes on from there. Raises StoreError."""
        self._known = (await self._store.read()).snapshot
        return self._known

    async def run(self) -> None:
        """Publishes until cancelled; a carrier that is away is tried again every heartbeat."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            try:
                # A heartbeat first: while the carrier is away it is the one cheap question whether it is back.
                if loop.time() >= due or not self._reachable or self._is_beat_wanted:
                    self._is_beat_wanted = False
                    due = loop.time() + self._interval
                    await self._beat()
                    if self._leases is not None:
                        await self._leases.renew()
                    if self._on_beat is not None:
                        await self._on_beat()
                await self._commit_pending()
                self._mark_reachable(None)
            except _Unleased:
                due = loop.time()  # the next beat finds out what is still owned
                continue
            except StoreError as error:
                self._mark_reachable(error)
                await asyncio.sleep(self._interval * random.uniform(0.25, 0.5))  # noqa: S311
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._wake.wait()
            self._wake.clear()

    async def flush(self) -> None:
        """Commits what is waiting and still owned. Raises StoreError; cancelled, it leaves the rest waiting."""
        with contextlib.suppress(_Unleased):
            await self._commit_pending()

    async def _beat(self) -> None:
        observed, self._observed = self._observed, {}
        latencies, self._latencies = self._latencies, {}
        try:
            written = await self._store.heartbeat(
                self._worker, self._clock(), observed, self._known.position, latencies
            )
        except BaseException:
            self._observed, self._latencies = observed | self._observed, latencies | self._latencies
            raise
        match written.outcome:
            case Outcome.UNSEEDED | Outcome.REWOUND:
                self._observed, self._latencies = observed | self._observed, latencies | self._latencies
                await self._seed(written)
            case Outcome.OTHER_EPOCH:
                await self._reload()
            case _ if written.position != self._known.position:
                await self._reload()

    async def _commit_pending(self) -> None:
        self._is_waiting = False
        # What others stand on comes first, in failure as in recovery; a stable sort keeps the rest in order.
        for service in sorted(self._pending, key=lambda name: len(self._below.get(name, ()))):
            while (pending := self._pending.get(service)) is not None and not self._is_withheld(pending.decision):
                if await self._commit(pending) and self._pending.get(service) is pending:
                    del self._pending[service]

    async def _commit(self, pending: _Pending) -> bool:
        """Whether this conclusion needs nothing more."""
        state = self._known.state(pending.decision.service)
        if state.status is pending.decision.status:
            return True
        if self._grounds(pending.decision.service) != pending.grounds:
            # Somebody else concluded meanwhile. Whose evidence is the newer no clock can tell; ours is counted anew.
            self._on_adopted(pending.decision.service, state.status)
            return True
        fence = None
        if self._leases is not None:
            fence = self._leases.fence(pending.decision.service)
            if fence is None:
                return True  # somebody else's by now
        decision = msgspec.structs.replace(
            pending.decision,
            previous=state.status,
            kind=event_kind(state.status, pending.decision.status),
            plans=state.plans,
        )
        decision = attribute(decision, self._known, self._depends_on)
        written = await self._store.commit(
            decision,
            commit=pending.commit,
            expected_revision=state.revision,
            known=self._known.position,
            fence=fence,
        )
        match written.outcome:
            case Outcome.DONE if written.position.revision == self._known.position.revision + 1:
                self._remember(decision, written.position)
                is_planned = state.maintenance is not None
                tell = log.info if decision.status is Status.UP or is_planned else log.warning
                tell(
                    "transition",
                    service=decision.service,
                    kind=decision.kind.value,
                    category=decision.category,
                    detail=decision.detail,
                    caused_by=decision.caused_by,
                    incident=decision.incident,
                    is_planned=is_planned,
                    position=str(written.position),
                )
                return True
            case Outcome.DONE | Outcome.REPEATED:
                await self._reload()
                return True
            case Outcome.UNSEEDED | Outcome.REWOUND:
                await self._seed(written)
            case Outcome.CONFLICT | Outcome.OTHER_EPOCH:
                await self._reload()
            case Outcome.UNLEASED:
                log.warning(
                    "commit_refused", service=decision.service, kind=decision.kind.value, reason="not its owner"
                )
                raise _Unleased
        return False

    async def _seed(self, written: Written) -> None:
        """The carrier lost what we know: begin a new epoch with it. If somebody else was first, theirs stands."""
        reason = "empty" if written.outcome is Outcome.UNSEEDED else "rewound"
        known = {
            name: msgspec.structs.replace(state, observed_at=self._seen.get(name, state.observed_at))
            for name, state in self._known.services.items()
            if state.revision
        }
        now = self._clock()
        seeded = await self._store.seed(
            Snapshot(services=known),
            epoch=f"{int(now * 1000):x}-{uuid.uuid4().hex[:8]}",
            worker=self._worker,
            now=now,
            reason=reason,
            replaces=written.position,
        )
        log.warning("epoch_begun", reason=reason, outcome=seeded.outcome.value, position=str(seeded.position))
        await self._reload()
        if seeded.outcome is Outcome.DONE and self._known.position.epoch == seeded.position.epoch:
            # The new epoch holds what we knew, so what was concluded from that still has its grounds.
            self._pending = {
                name: msgspec.structs.replace(each, grounds=self._grounds(name)) for name, each in self._pending.items()
            }

    async def _reload(self) -> None:
        """Takes over what the carrier holds: it stands, and what we go on to see is judged against it."""
        reading = await self._store.read()
        if self._known.position.epoch and not reading.snapshot.position.epoch:
            return  # it was emptied just now: the next heartbeat finds that out and seeds it with what is known
        self._known = reading.snapshot
        for service in self._known.services.keys() | self._seen.keys():
            if service not in self._pending:
                self._on_adopted(service, self._known.status(service))

    def _grounds(self, service: str) -> tuple[str, Status, float]:
        """What a conclusion starts from: the epoch, and the service's status with its beginning. Its revision moves
        with its plans as well, which take no conclusion's grounds away."""
        state = self._known.state(service)
        return self._known.position.epoch, state.status, state.since

    def _remember(self, decision: Decision, position: Position) -> None:
        held = self._known.state(decision.service)
        state = msgspec.structs.replace(
            held,
            status=decision.status,
            since=decision.at,
            revision=position.revision,
            category=decision.category,
            detail=decision.detail,
            latency=decision.latency,
            caused_by=decision.caused_by,
            incident="" if decision.status is Status.UP else decision.incident,
        )
        self._known = Snapshot(position=position, services={**self._known.services, decision.service: state})

    def _waits_for_cause(self, decision: Decision) -> bool:
        """Whether something below may yet explain a failure, or is about to recover first."""
        if self._clock() >= decision.at + CAUSE_WAIT:
            return False
        for name in self._below.get(decision.service, ()):
            is_down = self._known.status(name) is Status.DOWN
            if is_down is (decision.status is Status.UP) and self._is_open(name, decision.at):
                self._is_waiting = True
                return True
        return False

    def _is_withheld(self, decision: Decision) -> bool:
        if decision.status is not Status.UP and self._is_doubtful():
            return True
        if self._waits_for_cause(decision):
            return True
        if decision.service != self._carrier or decision.status is not Status.DOWN:
            return False
        return not self._reachable or self._clock() < max(decision.at, self._reachable_since) + self._settle

    def _mark_reachable(self, error: StoreError | None) -> None:
        if error is None and not self._reachable:
            self._reachable_since = self._clock()
            log.warning("carrier_back", pending=len(self._pending))
        if error is not None and self._reachable:
            log.error("carrier_lost", error=str(error))
        self._reachable = error is None


class _Unleased(Exception):
    """A commit did not pass the fence."""


class _Pending(msgspec.Struct, frozen=True, kw_only=True):
    """A conclusion on its way: the id of its commit, and the state of the service that it was drawn from."""

    decision: Decision
    commit: str
    grounds: tuple[str, Status, float]
