"""What a manager tells, and to whom: listeners that are called, and streams that are iterated."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

import msgspec
import structlog

from broadcaster.domain.model import EventKind, FeedState, PlanChange, Snapshot

log = structlog.get_logger()

MOST_PENDING = 1000
"""Changes that a stream keeps for a consumer that is slow. More of them become one ``SnapshotReplaced``."""


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


class Listeners:
    """Whoever is called for every change, in order."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Change], None]] = []

    def __repr__(self) -> str:
        return f"Listeners({len(self._listeners)})"

    def add(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Calls ``listener`` from now on, until the returned function is called (again does nothing)."""
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop

    def tell(self, change: Change) -> None:
        """An exception that a listener raises is logged and reaches nobody else."""
        for listener in list(self._listeners):
            try:
                listener(change)
            except Exception:
                log.exception("listener_failed", change=type(change).__name__)


class ChangeStream:
    """The changes from its making on, for one consumer that iterates it; ``async with`` or ``aclose`` ends it.

    Status is state, not a log: a consumer that falls more than ``MOST_PENDING`` changes behind gets one
    ``SnapshotReplaced`` (reason ``fell behind``) in place of them all. Cancelling an iteration loses nothing.
    """

    def __init__(self, listeners: Listeners, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot
        self._pending: deque[Change] = deque()
        self._fell_behind_at: Snapshot | None = None
        self._more = asyncio.Event()
        self._is_closed = False
        take = weakref.WeakMethod(self._take)

        def heard(change: Change) -> None:
            if (alive := take()) is not None:
                alive(change)

        self._stop = listeners.add(heard)
        weakref.finalize(self, self._stop)

    def __repr__(self) -> str:
        return f"ChangeStream({len(self._pending)} pending)"

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        while not self._pending and self._fell_behind_at is None:
            if self._is_closed:
                raise StopAsyncIteration
            self._more.clear()
            await self._more.wait()
        if self._fell_behind_at is not None:
            before, self._fell_behind_at = self._fell_behind_at, None
            return SnapshotReplaced(before=before, after=self._snapshot(), reason="fell behind")
        return self._pending.popleft()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the iteration once what is pending was taken; whoever waits for more is woken."""
        self._is_closed = True
        self._stop()
        self._more.set()

    def _take(self, change: Change) -> None:
        if self._fell_behind_at is None:
            self._pending.append(change)
            if len(self._pending) > MOST_PENDING:
                first = next((each for each in self._pending if not isinstance(each, FeedChanged)), None)
                self._fell_behind_at = self._snapshot() if first is None else first.before
                self._pending.clear()
        self._more.set()
