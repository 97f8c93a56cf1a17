"""Whose fault an error is that asyncpg raised: the server's, or that of whoever asked."""

from __future__ import annotations

import asyncio

import asyncpg

from broadcaster.domain.errors import CallNotPermitted
from broadcaster.probes.classify import chain

_FAILED = ("08", "53", "57014", "57P", "58", "XX")
"""SQLSTATEs, or how they begin, of a server that does not serve (PostgreSQL documentation, appendix A): the connection
failed; resources ran out; a statement took too long; the server shuts down or starts; the system or the server itself
failed. All others are answers."""


_LOST = ("connection is closed", "connection has been released back to the pool")
"""What asyncpg says of a connection that was lost, when it is asked for something. The pool takes it back at once."""


class ConnectionNotPermitted(CallNotPermitted, asyncpg.ClientCannotConnectError):
    """A connection that the circuit breaker did not let anybody have. Whoever catches ``PostgresError`` catches it."""


def of_connecting(error: BaseException) -> bool | None:
    """Whether an error of getting a connection is the server's failure; None where it says nothing of the server."""
    if not isinstance(error, Exception):
        return None
    for each in chain(error):
        known = _known(each)
        if known is not None:
            return known.failed
        if isinstance(each, OSError | TimeoutError):
            return True
    return None


def of_work(error: BaseException | None) -> bool | None:
    """The same of what came out of work with a connection, which has errors of its own: those accuse nobody."""
    if error is None:
        return False
    if not isinstance(error, Exception):
        return None
    for each in chain(error):
        known = _known(each)
        if known is not None:
            return known.failed
        # Only a deadline knows no side: it may be a query's, or that of anything else that was done meanwhile.
        if isinstance(each, TimeoutError | asyncio.CancelledError) and _passed_asyncpg(each):
            return True
    return False


class _Known:
    """What an error of asyncpg's own says."""

    __slots__ = ("failed",)

    def __init__(self, failed: bool | None) -> None:
        self.failed = failed


_FAILURE, _ANSWER, _NOTHING = _Known(True), _Known(False), _Known(None)


def _known(error: BaseException) -> _Known | None:
    match error:
        case CallNotPermitted():
            return _NOTHING
        case asyncpg.PostgresError():
            return _FAILURE if (error.sqlstate or "").startswith(_FAILED) else _ANSWER
        case asyncpg.InterfaceError():
            # A closed pool was closed by us; a connection that is none any more before its time was lost.
            return _FAILURE if any(words in str(error) for words in _LOST) else _NOTHING
        case asyncpg.OutdatedSchemaCacheError():
            return _ANSWER
        case asyncpg.InternalClientError():
            return _FAILURE  # what answers does not speak PostgreSQL's protocol, or is not the server asked for
    return None


def _passed_asyncpg(error: BaseException) -> bool:
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] == "asyncpg":
            return True
        trace = trace.tb_next
    return False
