"""What keeps the monitor from doing harm: few probes at once, and few a second against one host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from broadcaster.config.settings import PostgresProbe, ProbeSettings, TcpProbe


class Throttle:
    """At most ``at_once`` probes under way in this process; against one host at most ``rate`` a second begin.

    The rate is a token bucket's, with a burst of one second's worth (at least one).
    """

    def __init__(self, *, at_once: int, rate: float) -> None:
        self._slots = asyncio.Semaphore(at_once)
        self._rate = rate
        self._buckets: dict[str, Bucket] = {}

    def __repr__(self) -> str:
        return f"Throttle({self._rate:g}/s, {len(self._buckets)} hosts)"

    @asynccontextmanager
    async def turn(self, host: str) -> AsyncIterator[None]:
        """Waits for a turn against ``host``; the block is the probe. Cancelling gives the turn back."""
        loop = asyncio.get_running_loop()
        bucket = self._buckets.setdefault(host, Bucket(self._rate, loop.time()))
        # The host's turn first: waiting for it must not keep a slot from the other hosts.
        delay = bucket.take(loop.time())
        if delay > 0:
            await asyncio.sleep(delay)
        async with self._slots:
            yield


class Bucket:
    """A token bucket: ``rate`` tokens a second, at most one second's worth kept. Pure: time is passed in."""

    __slots__ = ("_at", "_most", "_rate", "_tokens")

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._most = max(1.0, rate)
        self._tokens = self._most
        self._at = now

    def take(self, now: float) -> float:
        """Takes one token and returns the seconds to wait until it is there; tokens are given out in order."""
        self._tokens = min(self._most, self._tokens + (now - self._at) * self._rate)
        self._at = now
        self._tokens -= 1.0
        return max(0.0, -self._tokens / self._rate)


def target_host(probe: ProbeSettings) -> str:
    """The host that a probe looks at, as far as its settings say ('' for a local socket)."""
    if isinstance(probe, TcpProbe):
        return probe.host
    try:
        return urlsplit(probe.dsn if isinstance(probe, PostgresProbe) else probe.url).hostname or ""
    except ValueError:
        return ""
