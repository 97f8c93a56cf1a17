"""The one object a backend embeds: a replica at hand, admission and features from it, changes as they come."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import os
import random
import socket
import time
import uuid
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, overload

import structlog

from broadcaster.config.loader import load_settings
from broadcaster.config.settings import DEFAULT_REDIS_URL, Settings
from broadcaster.domain import languages
from broadcaster.domain.admission import Admission, admit, without
from broadcaster.domain.breaker import BreakerPolicy
from broadcaster.domain.features import FeatureState, feature_states
from broadcaster.domain.freshness import Freshness
from broadcaster.domain.model import (
    Catalogue,
    EventKind,
    FeedState,
    Position,
    ServiceState,
    Snapshot,
    Status,
)
from broadcaster.manager import telling
from broadcaster.manager.attachments import Attachment, Attachments, Format, Socket, plain
from broadcaster.manager.attendance import Attending
from broadcaster.manager.breaker import Failed, ServiceBreaker
from broadcaster.manager.changes import (
    Change,
    ChangeStream,
    FeedChanged,
    Listeners,
    ServiceChanged,
    SnapshotReplaced,
)
from broadcaster.manager.degradation import Outcome, P, RecoveryQueue, T, degradable
from broadcaster.manager.doubts import Doubts, Watch, doubts
from broadcaster.manager.gate import Gate
from broadcaster.manager.picture import Picture
from broadcaster.manager.refusals import Refusal, refusal
from broadcaster.manager.reporting import Reporter
from broadcaster.manager.work import Work
from broadcaster.protocol import notices
from broadcaster.store.base import Store
from broadcaster.store.memory import MemoryStore
from broadcaster.store.redis import RedisStore

if TYPE_CHECKING:
    from broadcaster.worker.worker import Worker

log = structlog.get_logger()

ADVANCE_SECONDS = 1.0
"""How often breakers hear what time it is, for what time alone does to them."""


class Mode(StrEnum):
    """Where a manager's knowledge comes from: workers, over Redis, or probes of its own process."""

    SHARED = "shared"
    LOCAL = "local"


StatusName = Literal["unknown", "up", "degraded", "down"]
EventName = Literal["up", "down", "degraded", "recovered"]

S = TypeVar("S")
Choice = TypeVar("Choice", bound=StrEnum)
Handler = TypeVar("Handler", bound=Callable[[ServiceChanged], object])


class ServiceAvailabilityManager:
    """Follows the feed in the background and answers from memory; no method waits for Redis.

    An async context manager: entered, it starts to follow; left, it stops. Answers before the first load are
    ``unknown``. ``clock`` gives Unix seconds.
    """

    @classmethod
    def from_config(
        cls,
        path: str | Path,
        *,
        mode: Mode | Literal["shared", "local"] = Mode.SHARED,
        redis_url: str = "",
        env: Mapping[str, str] = os.environ,
    ) -> ServiceAvailabilityManager:
        """A manager for a ``services.yaml``: ``shared``, with a connection of its own that it closes when left, or
        ``local``, which needs no Redis and runs the probes itself.

        ``redis_url`` wins over ``REDIS_URL`` in ``env``, and that over the file. Raises ConfigError.
        """
        settings = load_settings(Path(path), env)
        if _one_of(Mode, mode) is Mode.LOCAL:
            return cls.local(settings)
        url = redis_url or env.get("REDIS_URL", "") or settings.redis.url or DEFAULT_REDIS_URL
        manager = cls(settings, RedisStore.connect(url, settings.namespace, timeout=settings.redis.timeout))
        manager._owns_store = True
        return manager

    @classmethod
    def local(cls, settings: Settings) -> ServiceAvailabilityManager:
        """A manager for one process alone: its own worker looks at the services, and nobody else hears of it."""
        from broadcaster.worker.worker import Worker  # with all that the probes need

        store = MemoryStore()
        manager = cls(settings, store)
        manager._worker = Worker(settings, store)
        return manager

    def __init__(self, settings: Settings, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._owns_store = False
        self._worker: Worker | None = None
        self._adopt(settings)
        self._clock = clock
        self._listeners = Listeners()
        self._picture = Picture(store, settings, self._listeners, clock)
        self._gate = Gate(
            lambda: self._picture.snapshot, self._catalogue, settings.gate, feed=lambda: self._picture.feed.state
        )
        self._listeners.add(Watch(self.doubts).heard)
        self._work = Work()
        self._streams: weakref.WeakSet[ChangeStream] = weakref.WeakSet()
        self._breakers: dict[str, ServiceBreaker] = {}
        self._configured: set[str] = set()  # whose breakers have the policy of the settings
        self._listeners.add(self._announce)
        self._attachments = Attachments(
            lambda: self._catalogue,
            lambda told: notices.snapshot_message(told, self._picture.snapshot, self.feed_state, self._clock()),
            lambda told: notices.welcome(told, self._picture.snapshot, self.feed_state, self._clock()),
        )
        self._listeners.add(self._tell_attached)
        name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:4]}"
        self._reporter = Reporter(store, name)
        self._attending = Attending(
            store, name, settings.shape, is_reachable=lambda: self._picture.feed.state is not FeedState.LOST
        )
        self._tasks: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        return f"ServiceAvailabilityManager({self._picture.feed!r})"

    async def __aenter__(self) -> Self:
        self._tasks = [
            *([asyncio.create_task(self._probe(self._worker), name="manager worker")] if self._worker else []),
            asyncio.create_task(self._picture.follow(), name="manager feed"),
            asyncio.create_task(self._picture.watch_age(), name="manager age"),
            asyncio.create_task(self._reporter.run(), name="manager evidence"),
            asyncio.create_task(self._attending.run(), name="manager attendance"),
            asyncio.create_task(self._advance_breakers(), name="manager breakers"),
        ]
        for task in self._tasks:
            task.add_done_callback(_report_failure)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._work.stop()
        for stream in list(self._streams):
            await stream.aclose()
        await self._attending.leave()
        if self._owns_store:
            await self._store.aclose()

    def use(self, settings: Settings) -> None:
        """Goes on by other services and features, told as a SnapshotReplaced. How the carrier is read stays.

        Breakers that have their policy from the settings go on by the new one, in the state that they are in; see
        ``Breaker.use``. Those that were given a policy, or whose service is no longer there, keep what they have.
        """
        policies = {name: settings.breaker_policy(name) for name in self._configured & settings.services.keys()}
        self._adopt(settings)
        for name, policy in policies.items():
            self._breakers[name].use(policy)
        self._gate.use(self._catalogue, settings.gate)
        self._picture.use(settings)
        self._attending.use(settings.shape)

    def _adopt(self, settings: Settings) -> None:
        self._settings = settings
        self._catalogue = settings.catalogue()
        self._retry_after = (settings.node.retry_after, settings.node.retry_after_most)

    @property
    def catalogue(self) -> Catalogue:
        return self._catalogue

    @property
    def snapshot(self) -> Snapshot:
        """What may be told now: expired observations are ``unknown``. The same object until something changes."""
        return self._picture.snapshot

    @property
    def position(self) -> Position:
        return self._picture.feed.snapshot.position

    @property
    def feed_state(self) -> FeedState:
        return self._picture.feed.state

    @property
    def freshness(self) -> Freshness:
        """What all answers are worth now: how long ago a worker was last heard, and whether they may be old. How old
        what is known of a service is: ``age``."""
        return Freshness(feed=self._picture.feed.state, age=self._picture.feed.age)

    def doubts(self) -> Doubts:
        """What admissions go by that nobody vouches for any more: for operators."""
        return doubts(self._catalogue, self._picture.snapshot, self.freshness)

    @property
    def differing(self) -> tuple[str, ...]:
        """The workers and readers that use other settings than this process, as of some seconds ago."""
        return self._attending.differing

    @property
    def is_loaded(self) -> bool:
        """Whether the carrier was read at least once."""
        return self._picture.loaded.is_set()

    async def wait_loaded(self, timeout: float) -> bool:
        """Waits up to ``timeout`` seconds for the first load, and in mode ``local`` until something is known of every
        service; whether that came."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._picture.loaded.wait()
                if self._worker is not None:
                    await self._first_looks()
                return True
        return False

    async def _first_looks(self) -> None:
        async with self.changes() as changes:
            while any(self.status(name) is Status.UNKNOWN for name in self._catalogue.services):
                if await anext(changes, None) is None:
                    return

    async def validate_startup(self, requires: Sequence[str] | None = None) -> None:
        """Waits until every critical service has served this very process once; to be called before it takes users.

        ``requires`` are the services to wait for instead: one of the critical ones may be this process itself. Needs no
        Redis, and not that the manager is entered. Each service has ``startup.database_timeout`` or
        ``startup.service_timeout``; what is missing is logged meanwhile. Raises DependenciesUnmet, whose message has
        every unmet dependency with its likely cause; ValueError for a service that is not in the settings.
        """
        from broadcaster.manager.startup import wait_for_dependencies  # with all that the probes need

        self.expect_all(requires)
        await wait_for_dependencies(self._settings, requires=requires)

    def status(self, service: str) -> Status:
        return self._picture.snapshot.status(service)

    def state(self, service: str) -> ServiceState:
        return self._picture.snapshot.state(service)

    def age(self, service: str) -> float:
        """Seconds since the last observation of the service that is known of; infinite if there is none."""
        return self.state(service).age(self._clock())

    def observed(self, service: str) -> ServiceState:
        """What was committed of the service, whatever an override or the age of its last observation make of it."""
        return self._picture.feed.snapshot.state(service)

    @property
    def latencies(self) -> Mapping[str, tuple[float, float]]:
        """For each service the last probe that was heard of: when it ended (Unix seconds), and the seconds it took. For
        operators."""
        return self._picture.feed.latencies

    def features(self) -> dict[str, FeatureState]:
        """What users have left, by feature name."""
        return dict(feature_states(self._catalogue, self._picture.snapshot))

    def admit(self, *, requires: Sequence[str] | None = None, user: str | None = None) -> Admission:
        """Whether a handshake, or a request, can be served now. Judged once per snapshot, so asking costs nothing.

        ``requires`` are the services that it cannot do without (None: all critical ones). ``user`` is whoever asks:
        where ``gate.enforce_percent`` is below 100, only some users are refused, and nobody who is not named. Raises
        ValueError for a service that is not in the settings.
        """
        if requires is None:
            return self._gate.judge(None, user)
        self.expect_all(requires)
        return self._gate.judge(tuple(requires), user)

    def refuse(self, admission: Admission, *, locale: str = "") -> Refusal:
        """What one is told now who is not admitted, with a time to come back that is its own. For a rejection only.
        ``locale`` is the language that was asked for (BCP 47); what is no tag asks for none."""
        return self._refuse(admission, self._picture.snapshot, locale)

    def refuse_without(self, *services: str, locale: str = "") -> Refusal:
        """What one is told now who cannot be served because calls of ``services`` failed here, in the seconds in which
        that is announced of none of them yet. Raises ValueError for a service that is not in the settings, or none."""
        self.expect(*services)
        if not services:
            raise ValueError("nothing is missing: name the services whose calls failed")
        seen = without(self._picture.snapshot, services, self._clock())
        return self._refuse(admit(self._catalogue, seen, services), seen, locale)

    def _refuse(self, admission: Admission, seen: Snapshot, locale: str) -> Refusal:
        return refusal(
            self._catalogue.told_in(self._catalogue.language_for(languages.read(locale))),
            admission,
            seen,
            self._clock(),
            chance=random.random(),  # noqa: S311
            least=self._retry_after[0],
            most=self._retry_after[1],
        )

    @property
    def gate(self) -> Gate:
        """How far rejections are enforced, and how many were not."""
        return self._gate

    def report_failure(self, service: str, failures: int = 1) -> None:
        """Says that calls of ``service`` failed here, so that the workers look at it soon. It changes no state.

        Costs no I/O: what is reported is summed up and sent once a second, or dropped while the carrier is
        away. Raises ValueError for a service that is not in the settings, or fewer than one failure.
        """
        self.expect(service)
        if failures < 1:
            raise ValueError(f"failures is {failures}, and must be at least 1")
        self._reporter.add(service, failures=failures)

    def _report_call(self, service: str, failed: bool) -> None:
        self._reporter.add(service, failures=int(failed), slow=int(not failed))

    def listen(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Calls ``listener`` for every change, in order, until the returned function is called.

        It is called on the event loop and must not block; an exception it raises is logged and reaches nobody else.
        """
        return self._listeners.add(listener)

    def breaker(
        self,
        service: str,
        policy: BreakerPolicy | None = None,
        *,
        record: Failed = (Exception,),
        ignore: Failed = (),
    ) -> ServiceBreaker:
        """The circuit breaker around this process's calls of the service: one for each, however often it is asked for.

        Its policy is that of the settings (``breaker:``, and that of the service) unless one is given. What is given
        beside the name counts where it is asked for the first time: see ``ServiceBreaker``. It is usable
        before the manager is entered, and without the carrier: then it goes by its calls alone. Raises ValueError for a
        service that is not in the settings.
        """
        found = self._breakers.get(service)
        if found is None:
            self.expect(service)
            if policy is None:
                policy = self._settings.breaker_policy(service)
                self._configured.add(service)
            found = self._breakers[service] = ServiceBreaker(
                service,
                policy,
                record=record,
                ignore=ignore,
                report=functools.partial(self._report_call, service),
            )
            found.announce(self.status(service))
        return found

    # Three signatures: of a fallback that may be a coroutine function or not, mypy would infer nothing.
    @overload
    def degradable(
        self, service: str
    ) -> Callable[[Callable[P, Awaitable[S]]], Callable[P, Coroutine[Any, Any, Outcome[S]]]]: ...
    @overload
    def degradable(
        self, service: str, *fallbacks: Callable[P, Coroutine[Any, Any, T]]
    ) -> Callable[[Callable[P, Awaitable[S]]], Callable[P, Coroutine[Any, Any, Outcome[S | T]]]]: ...
    @overload
    def degradable(
        self, service: str, *fallbacks: Callable[P, Coroutine[Any, Any, T] | T]
    ) -> Callable[[Callable[P, Awaitable[S]]], Callable[P, Coroutine[Any, Any, Outcome[S | T]]]]: ...
    def degradable(self, service: str, *fallbacks: Callable[P, Any]) -> Any:
        """A decorator for a coroutine function that calls the service: where it fails, or its breaker is open, the
        fallbacks are tried in order; see ``degradation.degradable``. The result says how it came about."""
        return degradable(self.breaker(service), fallbacks)

    def queue(self, service: str, *, most: int = 100, deadline: float = 60.0) -> RecoveryQueue:
        """Where work waits while the service is down; see ``RecoveryQueue``. Each call makes another queue."""
        self.expect(service)
        return RecoveryQueue(
            service,
            status=lambda: self.status(service),
            until_back=functools.partial(self._until_changed, service),
            most=most,
            deadline=deadline,
        )

    async def _until_changed(self, service: str) -> None:
        """Returns when the service has another status than now."""
        was = self.status(service)
        async with self.changes() as changes:
            while self.status(service) is was:
                if await anext(changes, None) is None:
                    raise RuntimeError("the manager was left")

    @property
    def breakers(self) -> Mapping[str, ServiceBreaker]:
        """Those that were asked for, by service."""
        return self._breakers

    async def _advance_breakers(self) -> None:
        while True:
            await asyncio.sleep(ADVANCE_SECONDS)
            for breaker in self._breakers.values():
                breaker.advance()

    def _announce(self, change: Change) -> None:
        for service, breaker in self._breakers.items():
            if isinstance(change, SnapshotReplaced) or (
                isinstance(change, ServiceChanged) and change.service == service
            ):
                breaker.announce(self.status(service))

    def attach(
        self,
        socket: Socket,
        format: Format = plain,  # noqa: A002
        *,
        greet: bool = True,
        locale: str = "",
    ) -> Attachment:
        """Tells a socket of the application's own what changes, for as long as it is entered (``async with``).

        ``socket`` has ``send_text`` (Starlette, FastAPI) or ``send`` (websockets), or is a coroutine function of a
        text. ``format`` makes the text of a message, once for all sockets that share it and a language; None leaves a
        message out. With ``greet`` the first is how things stand. ``locale`` is the language that the client reads (BCP
        47): see ``asked_locale``; what is no tag asks for none. Nobody waits for a slow socket: it is told how things
        stand when it reads again. Only attach clients that asked: see ``asks_for_notices``.
        """
        return self._attachments.attach(socket, format, greet=greet, locale=locale)

    def _tell_attached(self, change: Change) -> None:
        self._attachments.tell(lambda told: telling.message(told, change, self.feed_state, self._clock()))

    def changes(self) -> ChangeStream:
        """The changes from this call on, for one consumer: ``async for change in manager.changes()``.

        What is known before the first of them is ``snapshot``, read after this call: then none falls between. It ends
        with the manager, or by ``aclose`` (``async with``), or when nobody holds it any more.
        """
        stream = ChangeStream(self._listeners, lambda: self._picture.snapshot)
        self._streams.add(stream)
        return stream

    def on(
        self, *, event: EventKind | EventName | None = None, service: str | None = None
    ) -> Callable[[Handler], Handler]:
        """A decorator: calls what it decorates for every ``ServiceChanged`` of this event and service (None: any).

        A coroutine function becomes a task, which ends at the latest with the manager. An exception is logged and
        reaches nobody else. Raises ValueError for an event, or a service, that there is not.
        """
        kind = None if event is None else _one_of(EventKind, event)
        if service is not None:
            self.expect(service)

        def decorate(handler: Handler) -> Handler:
            def heard(change: Change) -> None:
                if not isinstance(change, ServiceChanged):
                    return
                if kind in (None, change.kind) and service in (None, change.service):
                    result = handler(change)
                    if inspect.iscoroutine(result):
                        self._work.start(result, what=getattr(handler, "__qualname__", repr(handler)))

            self._listeners.add(heard)
            return handler

        return decorate

    async def wait_until(
        self, service: str, status: Status | StatusName, *, timeout: float | None = None
    ) -> ServiceState:
        """The service's state as soon as it has this status, which may be at once.

        Raises TimeoutError after ``timeout`` seconds (None: waits for ever), ValueError for a service or a status that
        there is not. Cancelling it, and any number of callers at a time, disturb nobody.
        """
        wanted = _one_of(Status, status)
        self.expect(service)
        async with asyncio.timeout(timeout), self.changes() as changes:
            snapshot = self.snapshot
            while snapshot.status(service) is not wanted:
                change = await anext(changes, None)
                if change is None:
                    raise RuntimeError("the manager was left")
                # As of the change: by now it may be something else again.
                snapshot = self.snapshot if isinstance(change, FeedChanged) else change.after
        return snapshot.state(service)

    def expect(self, *services: str) -> None:
        """Raises ValueError for a service that is not in the settings, TypeError for what is no name."""
        for name in services:
            if not isinstance(name, str):
                raise TypeError(f"a service is named by a text, not by {name!r}")
            if name not in self._catalogue.services:
                known = ", ".join(self._catalogue.services)
                raise ValueError(f"no service named {name!r} in the settings; there are {known}")

    def expect_all(self, requires: Sequence[str] | None) -> None:
        """The same for what a gate, or a call, requires. Raises TypeError for a text in the place of several."""
        if isinstance(requires, str):
            raise TypeError(f"what is required is a tuple or list of services, ({requires!r},), not a text")
        self.expect(*(requires or ()))

    async def _probe(self, worker: Worker) -> None:
        """A worker that fails is no longer heard, and the feed says so."""
        try:
            await worker.run()
        except Exception:
            log.exception("local_worker_failed")


def _one_of(kind: type[Choice], value: str) -> Choice:
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"{value!r} is none of {', '.join(kind)}") from None


def _report_failure(task: asyncio.Task[None]) -> None:
    """Nothing of a manager's own ends by itself; if it does, somebody must hear of it."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("manager_task_failed", task=task.get_name(), exc_info=error)
