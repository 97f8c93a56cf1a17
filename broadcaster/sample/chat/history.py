"""What was said, in PostgreSQL. While that is away, messages wait in order, and are stored when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from broadcaster.domain.errors import CallNotPermitted, QueueFull
from broadcaster.manager import ServiceAvailabilityManager
from broadcaster.sample.chat.events import ChatMessage
from broadcaster.sample.outbox import Outbox

PATIENCE = 2.0
"""Seconds for one query."""

WAITING = 600.0
"""Seconds that stored messages wait for PostgreSQL in one go."""

TABLE = """
    CREATE TABLE IF NOT EXISTS messages (
        author text, id text, room text NOT NULL, text text NOT NULL, at timestamptz NOT NULL, PRIMARY KEY (author, id)
    )
"""
# Sent twice, by a client or by us after a timeout, a message is stored once.
INSERT = "INSERT INTO messages (author, id, room, text, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"
RECENT = "SELECT author, id, room, text, at FROM messages WHERE room = $1 ORDER BY at DESC LIMIT $2"

AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, CallNotPermitted, QueueFull)


class History:
    """Messages at ``url``, behind the service's circuit breaker; made by ``open_history``."""

    def __init__(self, manager: ServiceAvailabilityManager, pool: asyncpg.Pool) -> None:
        self._breaker = manager.breaker("postgres")
        self._queue = manager.queue("postgres", deadline=WAITING)
        self._pool = pool
        self.outbox = Outbox[ChatMessage]("history", self._store, failures=AWAY)

    def keep(self, message: ChatMessage) -> asyncio.Future[None]:
        """Done when it is stored. Raises OverflowError where too many wait already."""
        return self.outbox.put(message)

    async def recent(self, room: str, most: int = 50) -> list[ChatMessage]:
        """The last messages of a room, the oldest first. To be called through the circuit breaker; raises what asyncpg
        raises."""
        async with self._connection() as connection:
            await connection.execute(TABLE)
            rows = await connection.fetch(RECENT, room, most)
        return [
            ChatMessage(row["id"], row["room"], row["author"], row["text"], row["at"].timestamp())
            for row in reversed(rows)
        ]

    async def _store(self, messages: list[ChatMessage]) -> None:
        await self._queue.run(self._insert, messages)

    async def _insert(self, messages: list[ChatMessage]) -> None:
        rows = [(each.author, each.id, each.room, each.text, datetime.fromtimestamp(each.at, UTC)) for each in messages]
        async with self._breaker, self._connection() as connection:
            await connection.execute(TABLE)
            await connection.executemany(INSERT, rows)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[PoolConnectionProxy]:
        """A connection that is thrown away where it failed: one that hangs would hang its release as well."""
        connection = await self._pool.acquire(timeout=PATIENCE)
        try:
            yield connection
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection.terminate()
            raise
        finally:
            await self._pool.release(connection, timeout=PATIENCE)


@asynccontextmanager
async def open_history(manager: ServiceAvailabilityManager, url: str) -> AsyncIterator[History]:
    """Connects, and stores what waits until it is left."""
    pool = await asyncpg.create_pool(url, min_size=0, max_size=5, timeout=PATIENCE, command_timeout=PATIENCE)
    history = History(manager, pool)
    storing = asyncio.create_task(history.outbox.run(), name="history")
    try:
        yield history
    finally:
        storing.cancel()
        pool.terminate()
