"""PostgreSQL takes a connection and answers a query; a standby can be told from a primary."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any, cast

import asyncpg

from broadcaster.config.settings import PostgresProbe
from broadcaster.domain.model import Category
from broadcaster.probes.base import DrivenProbe
from broadcaster.probes.classify import Finding, chain, failed, impaired
from broadcaster.probes.dial import open_socket
from broadcaster.probes.redact import url_secrets

_STATES = (
    # SQLSTATE, or the class it begins with, and what it means (PostgreSQL documentation, appendix A).
    ("53300", Category.OVERLOADED),
    ("53", Category.OVERLOADED),
    ("57P03", Category.LOADING),
    ("57014", Category.TIMEOUT),
    ("57P0", Category.RESET),
    ("28", Category.AUTH),
    ("42501", Category.AUTH),
    ("58", Category.SERVER_ERROR),
    ("XX", Category.SERVER_ERROR),
    ("25006", Category.READ_ONLY),
)


_LAG = """
SELECT extract(epoch FROM now() - coalesce(pg_last_xact_replay_timestamp(), pg_postmaster_start_time()))::float8
WHERE pg_is_in_recovery() AND pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()
"""
"""Seconds a standby is behind; no row where it is a primary, or has replayed all it received.

Without the second condition the age of the last transaction would be taken for lag on a primary that has nothing to do
(PostgreSQL documentation, "Recovery Information Functions"). Where none has been replayed since the standby started, it
counts as behind since then.
"""


class PostgresLook(DrivenProbe):
    def __init__(self, service: str, settings: PostgresProbe, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(service, secrets=url_secrets(settings.dsn), clock=clock)
        self._settings = settings

    async def _look(self) -> Finding:
        loop = _Loop(asyncio.get_running_loop())
        connection: asyncpg.Connection[asyncpg.Record] | None = None
        try:
            connection = await asyncpg.connect(
                self._settings.dsn,
                loop=cast(asyncio.AbstractEventLoop, loop),
                # The deadline is the driver's.
                timeout=cast(float, None),
                # Prepared statements do not survive a pooler such as PgBouncer.
                statement_cache_size=0,
                server_settings={"application_name": "status-broadcaster"},
            )
            await connection.execute(self._settings.query)
            if self._settings.degraded_in_recovery and await connection.fetchval("SELECT pg_is_in_recovery()"):
                return impaired(Category.RECOVERING, "in recovery: a standby, or a primary that is not ready")
            return await self._look_at_lag(connection)
        finally:
            if connection is not None:
                connection.terminate()
            await loop.drop_all()

    async def _look_at_lag(self, connection: asyncpg.Connection[asyncpg.Record]) -> Finding:
        limit = self._settings.max_replica_lag
        lag = None if limit is None else await connection.fetchval(_LAG)
        if limit is None or lag is None or lag <= limit:
            return Finding()
        return impaired(Category.REPLICATION, f"a standby {lag:.1f} s behind its primary, above {limit:g} s")

    def _meaning(self, error: Exception) -> Finding | None:
        for each in chain(error):
            if isinstance(each, asyncpg.ConnectionDoesNotExistError):
                return failed(Category.RESET, str(each))
            if type(each) is ConnectionError:  # what asyncpg raises when the peer hangs up while TLS is agreed on
                return failed(Category.RESET, str(each))
            state = getattr(each, "sqlstate", None)
            if isinstance(each, asyncpg.PostgresError) and isinstance(state, str):
                category = next((category for prefix, category in _STATES if state.startswith(prefix)), None)
                return failed(category or Category.BAD_RESPONSE, f"{state}: {each}")
            if isinstance(each, asyncpg.ClientConfigurationError):
                return failed(Category.INTERNAL, f"the DSN cannot be used: {each}")
            if isinstance(each, asyncpg.InternalClientError):
                return failed(Category.BAD_RESPONSE, f"this is not PostgreSQL: {each}")
        return None


class _Loop:
    """The running loop as asyncpg gets to see it: whatever it opens or starts is noted, and can be dropped.

    asyncpg alone leaves things behind when cancelled: a TLS connection that waits half a minute for the other side's
    goodbye, and a task with a connection of its own that asks the server to cancel the query.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transports: list[asyncio.BaseTransport] = []
        self._sockets: list[socket.socket] = []
        self._tasks: list[asyncio.Task[Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    async def create_connection(self, factory: Callable[[], Any], host: str, port: int, **options: Any) -> Any:
        connection = await open_socket(host, port)
        self._sockets.append(connection)
        if options.get("ssl"):
            options.setdefault("server_hostname", host)
        opened = await self._loop.create_connection(factory, sock=connection, **options)
        self._transports.append(opened[0])
        return opened

    async def create_unix_connection(self, factory: Callable[[], Any], path: str, **options: Any) -> Any:
        opened = await self._loop.create_unix_connection(factory, path, **options)
        self._transports.append(opened[0])
        return opened

    def create_task(self, work: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
        task = self._loop.create_task(work, **options)
        self._tasks.append(task)
        return task

    async def drop_all(self) -> None:
        """Aborts every connection and task. Does not wait for the server."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for transport in self._transports:
            if isinstance(transport, asyncio.WriteTransport):
                transport.abort()
