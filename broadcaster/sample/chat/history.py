"""What was said, in PostgreSQL. While that is away, messages wait in order, and are stored when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from broadcaster.domain.errors import CallNotPermitted, QueueFull
from broadcaster.integrations.asyncpg import BreakerPool
from broadcaster.integrations.asyncpg.errors import of_connecting
from broadcaster.manager import ServiceAvailabilityManager
from broadcaster.sample.chat.events import ChatMessage
from broadcaster.sample.outbox import Outbox

PATIENCE = 2.0
"""Seconds for one query."""

WAITING = 600.0
"""Seconds that stored messages wait for PostgreSQL in one go."""

MOST_WAITING = 20_000
"""Messages that are kept for PostgreSQL while it is away."""

TABLE = """
    CREATE TABLE IF NOT EXISTS messages (
        author text, room text, id text, text text NOT NULL, at timestamptz NOT NULL, PRIMARY KEY (author, room, id)
    )
"""
# Sent twice, by a client or by us after a timeout, a message is stored once.
INSERT = "INSERT INTO messages (author, room, id, text, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"
RECENT = "SELECT author, id, room, text, at FROM messages WHERE room = $1 ORDER BY at DESC LIMIT $2"

LAST = 5.0
"""Seconds in which what waits is stored when the chat ends."""


class HistoryAway(Exception):
    """PostgreSQL does not serve."""


class History:
    """Messages at ``url``, behind the service's circuit breaker; made by ``open_history``."""

    def __init__(self, manager: ServiceAvailabilityManager, pool: BreakerPool[asyncpg.Record], most: int) -> None:
        self._queue = manager.queue("postgres", deadline=WAITING)
        self._pool = pool
        self.outbox = Outbox[ChatMessage]("history", self._store, is_failure=_is_away, most=most)

    def keep(self, message: ChatMessage) -> asyncio.Future[None]:
        """Done when it is stored. Raises OverflowError where too many wait already."""
        return self.outbox.put(message)

    async def recent(self, room: str, most: int = 50) -> list[ChatMessage]:
        """The last messages of a room, the oldest first. Raises HistoryAway."""
        try:
            async with self._connection() as connection:
                await connection.execute(TABLE)
                rows = await connection.fetch(RECENT, room, most)
        except Exception as error:
            if not _is_away(error):
                raise
            raise HistoryAway(str(error) or type(error).__name__) from error
        return [
            ChatMessage(row["id"], row["room"], row["author"], row["text"], row["at"].timestamp())
            for row in reversed(rows)
        ]

    async def _store(self, messages: list[ChatMessage]) -> None:
        await self._queue.run(self._insert, messages)

    async def _insert(self, messages: list[ChatMessage]) -> None:
        rows = [(each.author, each.room, each.id, each.text, datetime.fromtimestamp(each.at, UTC)) for each in messages]
        async with self._connection() as connection:
            await connection.execute(TABLE)
            await connection.executemany(INSERT, rows)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[PoolConnectionProxy]:
        """A connection that is thrown away where it failed: one that hangs would hang its release as well."""
        async with self._pool.acquire(timeout=PATIENCE) as connection:
            try:
                yield connection
            except Exception as error:
                if _is_away(error):
                    connection.terminate()
                raise


@asynccontextmanager
async def open_history(
    manager: ServiceAvailabilityManager, url: str, *, most: int = MOST_WAITING
) -> AsyncIterator[History]:
    """Connects, and stores what waits, ``most`` messages at a time, for ``LAST`` seconds more when it is left."""
    pool = await asyncpg.create_pool(url, min_size=0, max_size=5, timeout=PATIENCE, command_timeout=PATIENCE)
    history = History(manager, BreakerPool(pool, manager.breaker("postgres")), most)
    storing = asyncio.create_task(history.outbox.run(), name="history")
    try:
        yield history
        await history.outbox.flush(LAST)
    finally:
        storing.cancel()
        pool.terminate()


def _is_away(error: Exception) -> bool:
    """Whether PostgreSQL does not serve, rather than answer that something cannot be done."""
    return isinstance(error, CallNotPermitted | QueueFull | asyncpg.InterfaceError) or bool(of_connecting(error))
