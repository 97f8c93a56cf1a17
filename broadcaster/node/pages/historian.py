"""The history in this process's memory: read from the carrier at the start and where the thread was lost, and moved on
by what the replica goes through. Whoever asks waits for nothing."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

import structlog

from broadcaster.domain.errors import StoreCorrupted, StoreError
from broadcaster.domain.history import History
from broadcaster.domain.model import Entry, Snapshot
from broadcaster.manager.changes import Change, FeedChanged, PlanChanged, ServiceChanged, SnapshotReplaced
from broadcaster.manager.manager import ServiceAvailabilityManager
from broadcaster.store.base import Store

log = structlog.get_logger()

MOST_ENTRIES = 10_000
"""How much is read at most, which is about all that a carrier keeps."""

FEWEST_ENTRIES = 1000
"""How much is asked for at least, of a carrier that is too far away to give all of it in time."""

MOST_PENDING = 1000
"""Changes that are kept while it is read. What more of them say is in what is read, or in the snapshot after it."""

TOGETHER = 25
"""Entries that are gone through at a time, which takes some milliseconds at most; then others have a turn."""

RETRY_SECONDS = 1.0

LOST_THE_THREAD = ("first", "new epoch", "gap", "rewound")
"""Reasons of a SnapshotReplaced after which the carrier knows what this process did not hear."""


class Historian:
    """Keeps ``history`` for as long as ``run`` runs. ``clock`` gives Unix seconds."""

    def __init__(
        self, manager: ServiceAvailabilityManager, store: Store, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.history = History()
        self._manager = manager
        self._store = store
        self._clock = clock
        self._pending: deque[ServiceChanged | PlanChanged] = deque(maxlen=MOST_PENDING)
        self._is_wanted = asyncio.Event()
        if manager.is_loaded:
            self._is_wanted.set()
        self._is_read = False
        manager.listen(self._heard)

    def __repr__(self) -> str:
        return f"Historian({self.history!r})"

    @property
    def is_read(self) -> bool:
        """Whether nothing that the carrier keeps is missing."""
        return self._is_read

    async def run(self) -> None:
        """Reads what is missing, until it is cancelled."""
        limit = MOST_ENTRIES
        while True:
            await self._is_wanted.wait()
            self._is_wanted.clear()
            try:
                entries = await self._store.history(limit)
            except StoreCorrupted as error:
                log.error("history_unreadable", error=str(error))
                entries = []
            except StoreError as error:
                if limit > FEWEST_ENTRIES:
                    log.warning("history_unread", error=str(error), limit=limit)
                limit = max(FEWEST_ENTRIES, limit // 2)
                self._is_wanted.set()
                await asyncio.sleep(RETRY_SECONDS)
                continue
            except Exception:  # whatever else it is: nobody else would begin this anew
                log.exception("history_failed")
                self._is_wanted.set()
                await asyncio.sleep(RETRY_SECONDS)
                continue
            limit = MOST_ENTRIES
            try:
                await self._replay(entries)
            except Exception:
                log.exception("history_failed")

    async def _replay(self, entries: list[Entry]) -> None:
        for begin in range(0, len(entries), TOGETHER):
            self.history.replay(entries[begin : begin + TOGETHER], self._clock())
            await asyncio.sleep(0)
        if self._is_wanted.is_set():
            return  # the thread was lost again meanwhile: the next reading begins where this one ended
        for change in self._pending:
            if not self.history.knows(change.after.position):
                self._apply(change)
        self._pending.clear()
        self.history.take(self._told(self._manager.snapshot), self._clock())
        self._is_read = True

    def _heard(self, change: Change) -> None:
        if isinstance(change, SnapshotReplaced) and change.reason in LOST_THE_THREAD:
            self._is_read = False
            self._is_wanted.set()
        elif self._is_read:
            self._apply(change)
        elif isinstance(change, ServiceChanged | PlanChanged):
            self._pending.append(change)

    def _apply(self, change: Change) -> None:
        now = self._clock()
        match change:
            case ServiceChanged(service=service, at=at, after=after, local=False):
                self.history.take(self._told(after), now, service=service, at=at)
            case PlanChanged(change=planned, after=after):
                self.history.take(self._told(after), now, service=planned.service, at=planned.at)
            case ServiceChanged(after=after) | SnapshotReplaced(after=after):
                self.history.take(self._told(after), now)
            case FeedChanged():
                pass

    def _told(self, snapshot: Snapshot) -> Snapshot:
        """Without services that the settings do not have: the carrier keeps them as they were, and nobody looks."""
        known = self._manager.catalogue.services
        if snapshot.services.keys() <= known.keys():
            return snapshot
        services = {name: state for name, state in snapshot.services.items() if name in known}
        return Snapshot(position=snapshot.position, services=services)
