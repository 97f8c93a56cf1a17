"""The one object a backend embeds: a replica at hand, admission and features from it, changes as they come."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import structlog

from broadcaster.config.loader import load_settings
from broadcaster.config.settings import DEFAULT_REDIS_URL, Settings
from broadcaster.domain.admission import Admission, admit
from broadcaster.domain.errors import StoreError
from broadcaster.domain.evidence import Report
from broadcaster.domain.features import FeatureState, feature_states
from broadcaster.domain.freshness import Carrier, effective
from broadcaster.domain.model import (
    Catalogue,
    EventKind,
    FeedState,
    Plan,
    PlanChange,
    Position,
    ServiceState,
    Snapshot,
    Status,
    event_kind,
)
from broadcaster.store.base import Attendance, Presence, Store
from broadcaster.store.feed import Feed, Replaced, Replanned, StateChanged, Transitioned, Update
from broadcaster.store.redis import RedisStore

log = structlog.get_logger()

CHECK_SECONDS = 1.0
"""How often the age of observations is looked at."""

REPORT_SECONDS = 1.0
"""How often what was seen to fail is reported: one report a service and process, however much fails."""

TOGETHER_SECONDS = 0.001
"""An update that comes later than that after another is told on before the next is waited for; closer ones go together,
so that a burst is not told piece by piece."""

ATTEND_SECONDS = 10.0
"""How often this process says which settings it uses, and looks who else uses which."""

PRESENT_SECONDS = 30.0
"""Whoever said so within this time counts."""

FAREWELL_SECONDS = 0.5
"""How long the end may take to take that back."""


class ServiceChanged(msgspec.Struct, frozen=True, kw_only=True):
    """One service changed, as part of ``incident``. ``local``: by this process's own evidence, not by a transition of
    the feed."""

    service: str
    kind: EventKind
    at: float
    before: Snapshot
    after: Snapshot
    local: bool = False
    incident: str = ""


class PlanChanged(msgspec.Struct, frozen=True, kw_only=True):
    """The plans of a service changed, and its status did not."""

    change: PlanChange
    before: Snapshot
    after: Snapshot


class SnapshotReplaced(msgspec.Struct, frozen=True, kw_only=True):
    """The whole picture may have changed: a resync, or observations that expired."""

    before: Snapshot
    after: Snapshot
    reason: str


class FeedChanged(msgspec.Struct, frozen=True, kw_only=True):
    """How fresh the picture is changed."""

    state: FeedState
    reason: str


Change = ServiceChanged | PlanChanged | SnapshotReplaced | FeedChanged


class ServiceAvailabilityManager:
    """Follows the feed in the background and answers from memory; no method waits for Redis.

    An async context manager: entered, it starts to follow; left, it stops. Answers before the first load are
    ``unknown``. ``clock`` gives Unix seconds.
    """

    @classmethod
    def from_config(
        cls, path: str | Path, *, redis_url: str = "", env: Mapping[str, str] = os.environ
    ) -> ServiceAvailabilityManager:
        """A manager for a ``services.yaml``, with a connection of its own that it closes when left.

        ``redis_url`` wins over ``REDIS_URL`` in ``env``, and that over the file. Raises ConfigError.
        """
        settings = load_settings(Path(path), env)
        url = redis_url or env.get("REDIS_URL", "") or settings.redis.url or DEFAULT_REDIS_URL
        manager = cls(settings, RedisStore.connect(url, settings.namespace, timeout=settings.redis.timeout))
        manager._owns_store = True
        return manager

    def __init__(self, settings: Settings, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._owns_store = False
        self._adopt(settings)
        self._clock = clock
        self._feed = Feed(store, settings.feed)
        self._evidence: Carrier | None = None
        self._effective = self._judge()
        self._admission: tuple[Snapshot, Admission] | None = None
        self._listeners: list[Callable[[Change], None]] = []
        self._loaded = asyncio.Event()
        self._failures: Counter[str] = Counter()
        self._name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:4]}"
        self._differing: tuple[str, ...] = ()
        self._attend_now = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        return f"ServiceAvailabilityManager({self._feed!r})"

    async def __aenter__(self) -> Self:
        self._tasks = [
            asyncio.create_task(self._follow(), name="manager feed"),
            asyncio.create_task(self._watch_age(), name="manager age"),
            asyncio.create_task(self._report(), name="manager evidence"),
            asyncio.create_task(self._attend(), name="manager attendance"),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        with contextlib.suppress(StoreError, TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self._store.attend(self._name, None, within=PRESENT_SECONDS)
        if self._owns_store:
            await self._store.aclose()

    def use(self, settings: Settings) -> None:
        """Goes on by other services and features, told as a SnapshotReplaced. How the carrier is read stays."""
        before = self._effective
        self._adopt(settings)
        # A snapshot of its own: what was drawn from the old one was drawn by the old settings.
        self._effective = msgspec.structs.replace(self._judge())
        self._tell(SnapshotReplaced(before=before, after=self._effective, reason="settings"))
        self._attend_now.set()

    def _adopt(self, settings: Settings) -> None:
        self._catalogue = settings.catalogue()
        self._presence = Presence(shape=settings.shape)
        self._carrier = settings.redis.service
        self._expires_after = {name: each.expires_after for name, each in settings.services.items()}

    @property
    def catalogue(self) -> Catalogue:
        return self._catalogue

    @property
    def snapshot(self) -> Snapshot:
        """What may be told now: expired observations are ``unknown``. The same object until something changes."""
        return self._effective

    @property
    def position(self) -> Position:
        return self._feed.snapshot.position

    @property
    def feed_state(self) -> FeedState:
        return self._feed.state

    @property
    def differing(self) -> tuple[str, ...]:
        """The workers and readers that use other settings than this process, as of some seconds ago."""
        return self._differing

    @property
    def is_loaded(self) -> bool:
        """Whether the carrier was read at least once."""
        return self._loaded.is_set()

    async def wait_loaded(self, timeout: float) -> bool:
        """Waits up to ``timeout`` seconds for the first load; whether it came."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._loaded.wait()
        return self._loaded.is_set()

    def status(self, service: str) -> Status:
        return self._effective.status(service)

    def state(self, service: str) -> ServiceState:
        return self._effective.state(service)

    def observed(self, service: str) -> ServiceState:
        """What was committed of the service, whatever an override or the age of its last observation make of it."""
        return self._feed.snapshot.state(service)

    def features(self) -> dict[str, FeatureState]:
        """What users have left, by feature name."""
        return dict(feature_states(self._catalogue, self._effective))

    def admit(self) -> Admission:
        """Whether a handshake can be served now. Judged once per snapshot, so asking costs nothing."""
        if self._admission is None or self._admission[0] is not self._effective:
            self._admission = (self._effective, admit(self._catalogue, self._effective))
        return self._admission[1]

    def report_failure(self, service: str, failures: int = 1) -> None:
        """Says that calls of ``service`` failed here, so that the workers look at it soon. It changes no state.

        Costs no I/O: what is reported is summed up and sent every ``REPORT_SECONDS``, or dropped while the carrier is
        away. Raises ValueError for a service that is not in the settings, or fewer than one failure.
        """
        if service not in self._expires_after:
            raise ValueError(f"no service named {service!r} in the settings")
        if failures < 1:
            raise ValueError(f"failures is {failures}, and must be at least 1")
        self._failures[service] += failures

    def listen(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Calls ``listener`` for every change, in order, until the returned function is called.

        It is called on the event loop and must not block; an exception it raises is logged and reaches nobody else.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def _follow(self) -> None:
        time, last = asyncio.get_running_loop().time, 0.0
        async with aclosing(self._feed.updates()) as updates:
            async for update in updates:
                self._take(update)
                if self._feed.is_loaded:
                    self._loaded.set()
                if (now := time()) - last > TOGETHER_SECONDS:
                    await asyncio.sleep(0)
                last = now

    def _take(self, update: Update) -> None:
        if isinstance(update, StateChanged):
            self._note_feed(update.state)
            self._tell(FeedChanged(state=update.state, reason=update.reason))
            return
        before = self._refresh()
        match update:
            case Transitioned(transition=transition):
                self._tell(
                    ServiceChanged(
                        service=transition.service,
                        kind=transition.kind,
                        at=transition.at,
                        before=before,
                        after=self._effective,
                        incident=transition.incident,
                    )
                )
                self._tell_others(before, transition.service)
            case Replanned(change=change):
                self._tell_plan(change, before)
                self._tell_others(before, change.service)
            case Replaced(reason=reason):
                self._tell(SnapshotReplaced(before=before, after=self._effective, reason=reason))

    def _tell_plan(self, change: PlanChange, before: Snapshot) -> None:
        """An override, and its end, is an event where it changes what is told; all else is news of plans."""
        was, now = before.status(change.service), self._effective.status(change.service)
        if was is now or now is Status.UNKNOWN:
            self._tell(PlanChanged(change=change, before=before, after=self._effective))
            return
        self._tell(
            ServiceChanged(
                service=change.service,
                kind=event_kind(was, now),
                at=change.at,
                before=before,
                after=self._effective,
            )
        )

    def _note_feed(self, state: FeedState) -> None:
        """Reaching the carrier, or not, is first-hand evidence of the service that stands for it."""
        is_reached = state is not FeedState.LOST
        if self._evidence is None or self._evidence.is_reached is not is_reached:
            self._evidence = Carrier(service=self._carrier, is_reached=is_reached, since=self._clock())
        before = self._refresh()
        service = self._carrier
        was, now = before.status(service), self._effective.status(service)
        if was is not now and now is not Status.UNKNOWN:
            self._tell(
                ServiceChanged(
                    service=service,
                    kind=event_kind(was, now),
                    at=self._clock(),
                    before=before,
                    after=self._effective,
                    local=True,
                )
            )
        self._tell_others(before, service)

    def _tell_others(self, before: Snapshot, told: str) -> None:
        """What changed beside the service that was told of: observations that expired or came back, plans that began
        or ended without a word."""
        if before is not self._effective and any(name != told for name in _changed(before, self._effective)):
            self._tell(SnapshotReplaced(before=before, after=self._effective, reason="observations"))

    async def _watch_age(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            self._tell_others(self._refresh(), "")

    async def _report(self) -> None:
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

    async def _attend(self) -> None:
        while True:
            self._attend_now.clear()
            try:
                self._compare(await self._store.attend(self._name, self._presence, within=PRESENT_SECONDS))
            except StoreError as error:
                if self._feed.state is not FeedState.LOST:  # that is told already
                    log.warning("attendance_failed", error=str(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ATTEND_SECONDS):
                    await self._attend_now.wait()

    def _compare(self, attendance: Attendance) -> None:
        present = {**attendance.workers, **attendance.readers}
        differing = tuple(sorted(name for name, its in present.items() if its.shape != self._presence.shape))
        if differing and differing != self._differing:
            log.warning("settings_differ", mine=self._presence.shape, differing=differing)
        elif self._differing and not differing:
            log.info("settings_agree", shape=self._presence.shape)
        self._differing = differing

    def _refresh(self) -> Snapshot:
        """Judges anew; returns the picture before. The object stays the same where nothing differs."""
        before, after = self._effective, self._judge()
        if after.position != before.position or after.services != before.services:
            self._effective = after
        return before

    def _judge(self) -> Snapshot:
        return effective(
            self._feed.snapshot,
            now=self._clock(),
            expires_after=self._expires_after,
            carrier=self._evidence,
        )

    def _tell(self, change: Change) -> None:
        for listener in list(self._listeners):
            try:
                listener(change)
            except Exception:
                log.exception("listener_failed", change=type(change).__name__)


def _changed(before: Snapshot, after: Snapshot) -> Iterator[str]:
    """The services of which something else may be told after than before."""
    for name in before.services.keys() | after.services.keys():
        was, now = before.services.get(name), after.services.get(name)
        if was is not now and _told(was) != _told(now):
            yield name


def _told(state: ServiceState | None) -> tuple[Status, Plan | None] | None:
    return None if state is None else (state.status, state.planned)
