"""Whose fault an error is that redis-py raised: the server's, or that of whoever asked."""

from __future__ import annotations

from redis import exceptions

from broadcaster.domain.errors import CallNotPermitted

_FAILED = frozenset(
    {"BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM", "READONLY", "UNKILLABLE"}
)
"""How Redis begins the errors of a server that does not serve: a script runs for long, the cluster lacks a part, data
are loaded, a replica has lost its master, the disk failed, replicas are missing, memory is full, or it is a replica."""

_OURS = (
    CallNotPermitted,
    exceptions.AuthenticationError,
    exceptions.AuthorizationError,
    exceptions.MaxConnectionsError,  # of our own pool
)
"""Those of redis-py's connection errors that tell of the one who asks. They are subclasses of ``ConnectionError``."""

_IN_PIPELINE = "of pipeline caused error: ("


class CommandNotPermitted(CallNotPermitted, exceptions.ConnectionError):
    """A command that the circuit breaker did not let through. Whoever catches errors of redis-py catches it."""


def is_failure(error: BaseException | None) -> bool:
    """Whether an error is the server's failure. All other errors say nothing of the server."""
    if isinstance(error, _OURS):
        return False
    if isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError | exceptions.InvalidResponse):
        return True
    if isinstance(error, exceptions.ResponseError):
        return _code(error) in _FAILED
    # A connection that is lost under WATCH becomes an error of the transaction.
    return isinstance(error, exceptions.WatchError) and is_failure(error.__context__)


def _code(error: exceptions.ResponseError) -> str:
    """The word that begins an error of Redis. redis-py gives it for some, and puts its own words before others."""
    if error.status_code:
        return error.status_code
    text = str(error.args[0]) if error.args else ""
    _, _, inner = text.rpartition(_IN_PIPELINE)
    return inner.lstrip("'\"").partition(" ")[0]
