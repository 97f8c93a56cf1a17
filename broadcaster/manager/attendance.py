"""Which settings this process uses, said to all that share its namespace, and which the others use."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from broadcaster.domain.errors import StoreError
from broadcaster.store.base import Attendance, Presence, Store

log = structlog.get_logger()

ATTEND_SECONDS = 10.0
"""How often a process says so, and looks who else uses which."""

PRESENT_SECONDS = 30.0
"""Whoever said so within this time counts."""

FAREWELL_SECONDS = 0.5
"""How long the end may take to take that back."""


class Attending:
    """This process (``name``) among the others. ``is_reachable`` says whether the carrier is known to be away."""

    def __init__(self, store: Store, name: str, shape: str, *, is_reachable: Callable[[], bool]) -> None:
        self._store = store
        self._name = name
        self._presence = Presence(shape=shape)
        self._is_reachable = is_reachable
        self._now = asyncio.Event()
        self.differing: tuple[str, ...] = ()
        """The workers and readers that use other settings than this process, as of some seconds ago."""

    def __repr__(self) -> str:
        return f"Attending({self._name!r}, {self._presence.shape!r})"

    def use(self, shape: str) -> None:
        """Says soon that this process uses other settings now."""
        self._presence = Presence(shape=shape)
        self._now.set()

    async def run(self) -> None:
        """Says so until it is cancelled."""
        while True:
            self._now.clear()
            try:
                self._compare(await self._store.attend(self._name, self._presence, within=PRESENT_SECONDS))
            except StoreError as error:
                if self._is_reachable():  # otherwise that is told already
                    log.warning("attendance_failed", error=str(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ATTEND_SECONDS):
                    await self._now.wait()

    async def leave(self) -> None:
        """Takes back that this process is there, if that is quickly done."""
        with contextlib.suppress(StoreError, TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self._store.attend(self._name, None, within=PRESENT_SECONDS)

    def _compare(self, attendance: Attendance) -> None:
        present = {**attendance.workers, **attendance.readers}
        differing = tuple(sorted(name for name, its in present.items() if its.shape != self._presence.shape))
        if differing and differing != self.differing:
            log.warning("settings_differ", mine=self._presence.shape, differing=differing)
        elif self.differing and not differing:
            log.info("settings_agree", shape=self._presence.shape)
        self.differing = differing
