"""A circuit breaker around a redis-py client: what waits for an answer of the server is a call."""

from __future__ import annotations

import contextlib
import functools
from typing import Any, TypeVar, cast

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import TimeoutError as RedisTimeoutError

from broadcaster.domain.breaker import BreakerState
from broadcaster.domain.errors import CallNotPermitted
from broadcaster.integrations.redis.errors import CommandNotPermitted, is_failure
from broadcaster.manager.breaker import Call, ServiceBreaker

Client = TypeVar("Client", bound=Redis)

_BLOCKING = frozenset(
    {"BLMOVE", "BLMPOP", "BLPOP", "BRPOP", "BRPOPLPUSH", "BZMPOP", "BZPOPMAX", "BZPOPMIN", "WAIT", "WAITAOF"}
)
"""Commands that wait for something to happen. XREAD and XREADGROUP are two more where they say BLOCK."""


def guard(client: Client, breaker: ServiceBreaker) -> Client:
    """A client like this one, and with its connections, whose commands are made by leave of ``breaker``.

    The given client stays as it is; closing either closes both. Everything made from the guarded one is guarded too:
    pipelines, transactions, scripts, locks, modules. ``execute()`` of a pipeline is one call, as is each command under
    WATCH. Subscriptions and MONITOR are not calls: they pass unguarded, and say nothing.

    A failure is a connection error, a timeout, and an answer BUSY, CLUSTERDOWN, LOADING, MASTERDOWN, MISCONF,
    NOREPLICAS, OOM or READONLY, also within a pipeline's results. All other errors say nothing (WRONGTYPE, NOAUTH, a
    full pool of our own), as does a cancelled call. What redis-py retries is one call, with the outcome of the last
    try.

    A blocking command (BLPOP, XREAD with BLOCK, WAIT) waits for others, not for the server: it takes no time, its
    timeout says nothing, and it holds no place of half-open while it waits.

    Raises CommandNotPermitted at once, without I/O, for a command that has no permit; TypeError at once for a client
    that is guarded already.
    """
    if isinstance(client, _GuardedClient):
        raise TypeError(f"it is guarded already: {client!r}")
    kind = _guarded(type(client), _GuardedClient)
    made = cast(_GuardedClient, object.__new__(kind))
    # One state for both: a connection of its own, and how often it was entered, are kept there.
    made.__dict__ = client.__dict__
    made._breaker = breaker
    made._client = client
    return cast(Client, made)


class _GuardedClient(Redis):
    __slots__ = ("_breaker", "_client")

    _breaker: ServiceBreaker
    _client: Redis

    def __repr__(self) -> str:
        return f"guard({self._client!r}, {self._breaker!r})"

    def __del__(self, *unused: Any) -> None:
        """Nothing: the client that this one is a view of says what was left open."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        call = _permit(self._breaker)
        is_blocking = _is_blocking(args)
        is_late = is_blocking and self._breaker.state is BreakerState.HALF_OPEN
        if is_late:
            call.settle(None)  # and asks anew when it is known how it went
        try:
            result = await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except BaseException as error:
            failed = None if is_blocking and isinstance(error, RedisTimeoutError) else _verdict(self._breaker, error)
            if is_late and failed:
                _settle_late(self._breaker, failed=True)
            call.settle(failed, duration=0.0 if is_blocking else None)
            raise
        if is_late:
            _settle_late(self._breaker, failed=False)
        call.settle(False, duration=0.0 if is_blocking else None)
        return result

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        plain = super().pipeline(transaction, shard_hint)
        made = cast(_GuardedPipeline, object.__new__(_guarded(type(plain), _GuardedPipeline)))
        made.__dict__ = plain.__dict__
        made._breaker = self._breaker
        made._is_executing = False
        return made

    def client(self) -> Redis:
        return guard(self._client.client(), self._breaker)


class _GuardedPipeline(Pipeline):
    __slots__ = ("_breaker", "_is_executing")

    _breaker: ServiceBreaker
    _is_executing: bool

    async def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        if self._is_executing:  # loads scripts, as a part of the call
            return await super().immediate_execute_command(*args, **options)  # type: ignore[no-untyped-call]
        call = _permit(self._breaker)
        try:
            result = await super().immediate_execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except BaseException as error:
            call.settle(_verdict(self._breaker, error))
            raise
        call.settle(False)
        return result

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        if not self.command_stack and not self.watching:
            return await super().execute(raise_on_error)  # does nothing
        call = _permit(self._breaker)
        self._is_executing = True
        try:
            results = await super().execute(raise_on_error)
        except BaseException as error:
            call.settle(_verdict(self._breaker, error))
            raise
        finally:
            self._is_executing = False
        call.settle(any(isinstance(each, Exception) and is_failure(each) for each in results))
        return results


@functools.cache
def _guarded(kind: type[Redis], guarding: type[Redis]) -> type[Redis]:
    """The client's own class, which may be a subclass of redis-py's, with the guard before it."""
    if kind in guarding.__mro__:
        return guarding
    return type(kind.__name__, (guarding, kind), {"__slots__": ()})


def _permit(breaker: ServiceBreaker) -> Call:
    try:
        return breaker.permit()
    except CallNotPermitted as refused:
        raise CommandNotPermitted(refused.service, refused.retry_after) from None


def _verdict(breaker: ServiceBreaker, error: BaseException) -> bool | None:
    """Whether the error is the server's failure; None where it says nothing of the server."""
    return True if is_failure(error) and not breaker.ignores(error) else None


def _settle_late(breaker: ServiceBreaker, *, failed: bool) -> None:
    """Records a call that gave its permit back at once, if there is one to have now."""
    with contextlib.suppress(CallNotPermitted):
        breaker.permit().settle(failed, duration=0.0)


def _is_blocking(args: tuple[Any, ...]) -> bool:
    name = _word(args[0]) if args else ""
    if name in _BLOCKING:
        return True
    if name not in ("XREAD", "XREADGROUP"):
        return False
    for each in args[1:]:
        word = _word(each)
        if word == "STREAMS":  # what follows are names of the application's
            return False
        if word == "BLOCK":
            return True
    return False


def _word(value: object) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text.upper()
