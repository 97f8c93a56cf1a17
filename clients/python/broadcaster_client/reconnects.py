"""When to connect again, by the protocol's catalogue of close codes. Pure: chance is given, and nothing waits here."""

from __future__ import annotations

from enum import StrEnum

LEAST = 0.5
"""Seconds that are waited at least where the node named no time."""

MOST = 20.0
"""Seconds that are waited at most where the node named no time."""

MOST_ASKED = 3600.0
"""Seconds that are waited at most where it did: a node that is mistaken must not send us away for good."""

SETTLED = 10.0
"""Seconds that a connection must have lasted for the failures before it to be forgotten: a node that lets everybody in
and throws everybody out is not met without a pause."""


class Reconnect(StrEnum):
    """What a close asks for."""

    AFTER_RETRY = "after_retry"  # wait the announced retry_after_ms, or back off with jitter
    BACK_OFF = "back_off"  # back off with jitter
    NO = "no"  # reconnecting cannot help


_LISTED = {
    1000: Reconnect.NO,
    1002: Reconnect.NO,
    1007: Reconnect.NO,
    1009: Reconnect.NO,
    1011: Reconnect.AFTER_RETRY,
    1012: Reconnect.AFTER_RETRY,
    1013: Reconnect.AFTER_RETRY,
    3000: Reconnect.BACK_OFF,
    3001: Reconnect.BACK_OFF,
    3500: Reconnect.NO,
}

UNKNOWN_NAME = 3500

FINAL_STATUSES = frozenset({400, 401, 403, 404, 405, 426, 431, 505})
"""HTTP statuses that say that the request itself is wrong. 408 is left out: a slow link may be faster next time."""


def rule(code: int | None) -> Reconnect:
    """What a close code that the node sent asks for; None for a connection that ended without one."""
    if code is None:
        return Reconnect.BACK_OFF
    return _LISTED.get(code, Reconnect.NO if 3500 <= code <= 3999 else Reconnect.BACK_OFF)


def delay(failures: int, chance: float) -> float:
    """Seconds to wait after so many failures in a row: anywhere between the least and a limit that doubles.

    ``chance`` is from 0 to 1. (Full jitter: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.)
    """
    limit = min(MOST, LEAST * 2.0 ** min(failures, 10))
    return LEAST + chance * (limit - LEAST)


class Reconnects:
    """Counts failures in a row, and remembers what the node's last message asked for."""

    def __init__(self) -> None:
        self._failures = 0
        self._asked: float | None = None

    def __repr__(self) -> str:
        return f"Reconnects(failures={self._failures}, asked={self._asked})"

    def settled(self) -> None:
        """A connection has lasted for ``SETTLED``: what failed before it is forgotten."""
        self._failures = 0

    def asked_for(self, retry_after_ms: int) -> None:
        """What the message just received says of coming back; 0 if it says nothing."""
        self._asked = min(retry_after_ms, MOST_ASKED * 1000) / 1000 if retry_after_ms > 0 else None

    def next(self, chance: float, *, at_least: float = 0.0) -> float:
        """Seconds until the next attempt: as the node's message asked, which spreads its clients, or else by ``delay``;
        in that case on top of ``at_least``, which is the same for all clients and would bring them back at once."""
        asked, self._asked = self._asked, None
        self._failures += 1
        return min(at_least, MOST_ASKED) + delay(self._failures, chance) if asked is None else asked
