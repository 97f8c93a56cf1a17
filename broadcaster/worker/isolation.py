"""Whether this worker can be believed: before it calls a service down, it looks whether its own network is to blame."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import structlog

from broadcaster.domain.errors import StoreError
from broadcaster.domain.isolation import looks_isolated
from broadcaster.probes.dial import open_socket

log = structlog.get_logger()

REACH_SECONDS = 1.0
"""How long a reference target has to accept a connection."""

AGAIN_AFTER = 1.0
"""Seconds between two looks at one's own network while it seems to be cut off."""

JUDGE_SECONDS = 3.0
"""How long all services may take to be looked at once more, when no reference target is reached."""

TRUSTED_FOR = 1.0
"""Seconds for which a good look at one's own network is believed."""


class Isolation:
    """Doubts a failure while it finds out whether any of ``targets`` (host, port) and the carrier are reached.

    If not, and more than half of the services fail (``count`` gives how many fail, of how many; ``look_again`` has all
    looked at once more), this worker is cut off: ``on_cut_off`` is called, and ``on_reconnected`` when that is over.
    ``on_believed`` is called after every doubt. Without targets only the carrier is asked.
    """

    def __init__(
        self,
        targets: Iterable[tuple[str, int]],
        *,
        count: Callable[[], tuple[int, int]],
        look_again: Callable[[], None],
        reach_carrier: Callable[[], Awaitable[object]],
        on_cut_off: Callable[[], None],
        on_reconnected: Callable[[], None],
        on_believed: Callable[[], None],
    ) -> None:
        self._targets = tuple(targets)
        self._count = count
        self._look_again = look_again
        self._reach_carrier = reach_carrier
        self._on_cut_off = on_cut_off
        self._on_reconnected = on_reconnected
        self._on_believed = on_believed
        self._trusted_until = 0.0
        self.is_doubtful = False
        self.is_cut_off = False

    def __repr__(self) -> str:
        return f"Isolation(is_doubtful={self.is_doubtful}, is_cut_off={self.is_cut_off})"

    def doubt(self, tasks: asyncio.TaskGroup) -> None:
        """A service seems to be down: until it is known whose fault that is, ``is_doubtful``."""
        if not self.is_doubtful and asyncio.get_running_loop().time() >= self._trusted_until:
            self.is_doubtful = True
            tasks.create_task(self._find_out(), name="isolation")

    async def _find_out(self) -> None:
        while not await self._is_connected():
            if not await self._do_most_fail():
                log.warning("reference_unreachable", targets=self._named())
                break
            if not self.is_cut_off:
                self.is_cut_off = True
                log.error("observer_isolated", targets=self._named())
                self._on_cut_off()
            await asyncio.sleep(AGAIN_AFTER)
        self._trusted_until = asyncio.get_running_loop().time() + TRUSTED_FOR
        self.is_doubtful = False
        if self.is_cut_off:
            self.is_cut_off = False
            log.warning("observer_connected")
            self._on_reconnected()
        self._on_believed()

    async def _do_most_fail(self) -> bool:
        loop = asyncio.get_running_loop()
        ends = loop.time() + JUDGE_SECONDS
        self._look_again()
        while not looks_isolated(*self._count()):
            if loop.time() >= ends:
                return False
            await asyncio.sleep(JUDGE_SECONDS / 30)
        return True

    async def _is_connected(self) -> bool:
        try:
            await self._reach_carrier()
        except StoreError:
            return False
        return not self._targets or any(await asyncio.gather(*(_is_reached(*each) for each in self._targets)))

    def _named(self) -> list[str]:
        return [f"{host}:{port}" for host, port in self._targets]


async def _is_reached(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(REACH_SECONDS):
            (await open_socket(host, port)).close()
    except (OSError, TimeoutError):
        return False
    return True
