"""A circuit breaker around an asyncpg pool: getting a connection, and what is done with it, is one call."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import asyncpg
import asyncpg.connection
import asyncpg.pool

from broadcaster.domain.errors import CallNotPermitted
from broadcaster.integrations.asyncpg.errors import ConnectionNotPermitted, of_connecting, of_work
from broadcaster.manager.breaker import Call, ServiceBreaker

R = TypeVar("R", bound=asyncpg.Record)

if TYPE_CHECKING:
    _Pool = asyncpg.Pool
    _Acquire = asyncpg.pool.PoolAcquireContext
    Connection = asyncpg.pool.PoolConnectionProxy
else:  # asyncpg's own classes are generic in their stubs only

    class _Pool(asyncpg.Pool, Generic[R]): ...

    class _Acquire(asyncpg.pool.PoolAcquireContext, Generic[R]): ...


class BreakerPool(_Pool[R]):
    """An ``asyncpg.Pool`` whose connections are given, and whose queries are made, by leave of ``breaker``.

    It is used as the pool is, which it shares and closes. ``execute``, ``fetch`` and their like are one call each, and
    so is ``async with pool.acquire()`` with all that is done within. ``await pool.acquire()`` is a call that ends with
    the first query on that connection, or with its release.

    A failure is what the server, or the way to it, is to blame for: no connection, a lost one, a query that took longer
    than its timeout, and SQLSTATEs of class 08, 53, 57P, 58 and XX, and 57014; also where the block caught it. That
    SQL is wrong, a constraint was violated or a password refused, is an answer. What the block itself raises accuses
    nobody. Says nothing: a cancelled call, a misuse of asyncpg, a connection that did not come in time while all the
    pool's were in use, and one that is gone at the end of a block that raises nothing: the block may have closed it.

    A call takes as long as its longest query, or as the connection was waited for; what else the block does meanwhile,
    and COPY, count as no time. Raises ConnectionNotPermitted at once, without I/O, where there is no permit.
    """

    def __init__(self, pool: asyncpg.Pool[R], breaker: ServiceBreaker) -> None:
        # Not the pool's own: this one has no connections. The query methods it inherits all begin with ``acquire``.
        self._wrapped = pool
        self._breaker = breaker
        self._kept: dict[Connection[R], _Use] = {}  # by ``await pool.acquire()``, and not asked anything yet

    def __repr__(self) -> str:
        return f"BreakerPool({self._breaker!r}, {self._wrapped!r})"

    def acquire(self, *, timeout: float | None = None) -> asyncpg.pool.PoolAcquireContext[R]:
        """A connection, for ``async with`` or ``await``; ``timeout`` is in seconds."""
        return _BreakerAcquire(self, timeout)

    async def release(self, connection: Connection[R], *, timeout: float | None = None) -> None:
        use = self._kept.get(connection)
        try:
            if use is not None:
                await use.forget(connection)
            await self._wrapped.release(connection, timeout=timeout)
        except BaseException as error:
            if self._kept.pop(connection, None) is use is not None:
                use.end(error)
            raise
        if self._kept.pop(connection, None) is use is not None:
            use.end(None)

    def is_closing(self) -> bool:
        return self._wrapped.is_closing()

    def get_size(self) -> int:
        return self._wrapped.get_size()

    def get_init_size(self) -> int:
        return self._wrapped.get_init_size()

    def get_min_size(self) -> int:
        return self._wrapped.get_min_size()

    def get_max_size(self) -> int:
        return self._wrapped.get_max_size()

    def get_idle_size(self) -> int:
        return self._wrapped.get_idle_size()

    def set_connect_args(self, dsn: str | None = None, **options: Any) -> None:
        self._wrapped.set_connect_args(dsn, **options)

    async def expire_connections(self) -> None:
        await self._wrapped.expire_connections()

    async def close(self) -> None:
        await self._wrapped.close()

    def terminate(self) -> None:
        self._wrapped.terminate()

    def __await__(self) -> Generator[Any, None, Self]:
        yield from self._wrapped.__await__()
        return self

    async def __aenter__(self) -> Self:
        await self._wrapped.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._wrapped.__aexit__(*exc)

    def begin(self) -> _Use:
        """A call that is permitted. For ``acquire`` only."""
        try:
            return _Use(self._breaker, self._breaker.permit())
        except CallNotPermitted as refused:
            raise ConnectionNotPermitted(refused.service, refused.retry_after) from None

    def keep(self, connection: Connection[R], use: _Use) -> None:
        """Ends the call with the first query on the connection, or its release. For ``acquire`` only."""
        self._kept[connection] = use

        def heard(query: asyncpg.connection.LoggedQuery) -> None:
            if self._kept.pop(connection, None) is use:
                use.stop(connection)
                use.note(query)
                use.end(query.exception)

        use.listen(connection, heard)

    def is_exhausted(self) -> bool:
        """Whether every connection that it may have is in use."""
        return self.get_size() >= self.get_max_size() and self.get_idle_size() == 0


class _BreakerAcquire(_Acquire[R]):
    """``pool.acquire()``: everything is the wrapped pool's, but for the permit."""

    __slots__ = ("_guard", "_use")

    def __init__(self, guard: BreakerPool[R], timeout: float | None) -> None:
        super().__init__(guard._wrapped, timeout)
        self._guard = guard
        self._use: _Use | None = None

    async def __aenter__(self) -> Connection[R]:
        use = self._guard.begin()
        try:
            connection = await super().__aenter__()
        except BaseException as error:
            use.end_unconnected(error, is_exhausted=self._guard.is_exhausted())
            raise
        self._use = use.connected()
        use.listen(connection, use.note)
        return connection

    async def __aexit__(self, *exc: object) -> None:
        use, connection, error = self._use, self.connection, exc[1] if len(exc) > 1 else None
        assert use is not None
        assert connection is not None
        assert error is None or isinstance(error, BaseException)
        try:
            await use.forget(connection)
            await super().__aexit__(*exc)  # resets the connection: the last word of what it is worth
        except BaseException as failed:
            use.end(failed)
            raise
        use.end(error)

    def __await__(self) -> Generator[Any, None, Connection[R]]:
        self.done = True
        return self._keep().__await__()

    async def _keep(self) -> Connection[R]:
        use = self._guard.begin()
        try:
            connection = await self.pool.acquire(timeout=self.timeout)
        except BaseException as error:
            use.end_unconnected(error, is_exhausted=self._guard.is_exhausted())
            raise
        self._guard.keep(connection, use.connected())
        return connection


class _Use:
    """One call: a connection, and what its queries met.

    They are seen by asyncpg's query logger, which tells of each with the next turn of the loop.
    """

    __slots__ = ("_breaker", "_call", "_has_failed", "_is_gone", "_logger", "_longest")

    def __init__(self, breaker: ServiceBreaker, call: Call) -> None:
        self._breaker = breaker
        self._call = call
        self._logger: Any = None
        self._longest = 0.0
        self._has_failed = False
        self._is_gone = False

    def connected(self) -> Self:
        self._longest = self._call.elapsed()
        return self

    def listen(self, connection: asyncpg.pool.PoolConnectionProxy[Any], logger: Any) -> None:
        self._logger = logger
        connection.add_query_logger(logger)

    async def forget(self, connection: asyncpg.pool.PoolConnectionProxy[Any]) -> None:
        """Before the connection goes back to the pool."""
        if not self.stop(connection):
            # It was lost, or closed in the block, and nobody says which: that it ends well is no answer.
            self._is_gone = True
            await asyncio.sleep(0)  # what the logger has to tell of it is on its way

    def stop(self, connection: asyncpg.pool.PoolConnectionProxy[Any]) -> bool:
        """Listens no more. Whether the connection is still one."""
        try:
            connection.remove_query_logger(self._logger)
        except asyncpg.InterfaceError:
            return False
        return True

    def note(self, query: asyncpg.connection.LoggedQuery) -> None:
        self._longest = max(self._longest, query.elapsed)
        if query.exception is not None and self._is_failure(query.exception):
            self._has_failed = True

    def end_unconnected(self, error: BaseException, *, is_exhausted: bool) -> None:
        is_ours = self._breaker.ignores(error) or (is_exhausted and isinstance(error, TimeoutError))
        self._call.settle(None if is_ours else of_connecting(error))

    def end(self, error: BaseException | None) -> None:
        if self._has_failed:
            failed: bool | None = True
        elif self._is_gone if error is None else self._breaker.ignores(error):
            failed = None
        else:
            failed = of_work(error)
        self._call.settle(failed, duration=self._longest)

    def _is_failure(self, error: BaseException) -> bool:
        return not self._breaker.ignores(error) and of_work(error) is True
