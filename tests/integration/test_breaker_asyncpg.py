"""A breaker around an asyncpg pool, before a PostgreSQL that is stopped, paused, killed and asked for nonsense."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, assert_type

import asyncpg
import pytest

from broadcaster.domain.breaker import BreakerPolicy, BreakerState
from broadcaster.domain.errors import CallNotPermitted
from broadcaster.integrations.asyncpg import BreakerPool, ConnectionNotPermitted
from broadcaster.manager.breaker import ServiceBreaker
from tests.support.servers import PostgresServer, postgres_server

POLICY = BreakerPolicy(
    minimum_number_of_calls=2, permitted_number_of_calls_in_half_open_state=1, randomized_wait_factor=0
)
SLOW = POLICY.slow_call_duration_threshold + 1


class Guard:
    """A pool, and the breaker around it on a clock of the test's own."""

    def __init__(self, plain: asyncpg.Pool[asyncpg.Record], policy: BreakerPolicy) -> None:
        self.now = 100.0
        self.plain = plain
        self.breaker = ServiceBreaker("db", policy, clock=lambda: self.now, chance=lambda: 0.5)
        self.pool = BreakerPool(plain, self.breaker)

    @property
    def seen(self) -> tuple[int, int, int]:
        """Calls, failures and slow calls of the window."""
        metrics = self.breaker.metrics()
        return metrics.calls, metrics.failures, metrics.slow

    def test(self) -> None:
        """Makes the breaker half-open: it permits one call."""
        self.breaker.transition_to(BreakerState.FORCED_OPEN)
        self.breaker.transition_to(BreakerState.HALF_OPEN)


@asynccontextmanager
async def pooled(
    server: PostgresServer, *, policy: BreakerPolicy = POLICY, size: int = 2, least: int = 0, **options: Any
) -> AsyncIterator[Guard]:
    """Without a connection at first, unless ``least`` says so."""
    pool: asyncpg.Pool[asyncpg.Record] = asyncpg.create_pool(
        dsn=server.url, ssl=False, min_size=least, max_size=size, **options
    )
    plain = await pool
    try:
        yield Guard(plain, policy)
    finally:
        plain.terminate()


async def end_session(server: PostgresServer, session: int) -> None:
    """Ends another's session, as an administrator does."""
    connection = await asyncpg.connect(server.url, ssl=False)
    try:
        await connection.execute("SELECT pg_terminate_backend($1, 5000)", session)
    finally:
        await connection.close()


async def test_it_is_the_pool_that_it_guards(postgres: PostgresServer) -> None:
    """With its methods, its types, its connections and its end."""
    async with pooled(postgres) as guard:
        pool = guard.pool
        assert isinstance(pool, asyncpg.Pool)
        assert_type(pool, BreakerPool[asyncpg.Record])
        assert_type(await pool.execute("SELECT 1"), str)
        assert_type(await pool.fetch("SELECT 1"), list[asyncpg.Record])
        row = assert_type(await pool.fetchrow("SELECT $1::int AS a", 7), asyncpg.Record | None)
        assert row is not None
        assert row["a"] == 7
        assert await pool.fetchval("SELECT 1") == 1
        async with pool.acquire() as connection:
            assert_type(await connection.fetch("SELECT 1"), list[asyncpg.Record])
            await connection.execute("CREATE TEMP TABLE t (a int)")
            await connection.executemany("INSERT INTO t VALUES ($1)", [(1,), (2,)])
            await connection.copy_records_to_table("t", records=[(3,)])
            assert await connection.fetchval("SELECT sum(a) FROM t") == 6
        assert guard.seen == (5, 0, 0)
        counts = pool.get_size(), pool.get_idle_size(), pool.get_min_size(), pool.get_init_size(), pool.get_max_size()
        assert counts == (1, 1, 0, 0, 2)
        await pool.expire_connections()
        pool.set_connect_args(postgres.url, ssl=False)
        assert await pool.fetchval("SELECT 1") == 1
        await pool.close()
        assert (pool.is_closing(), guard.plain.is_closing()) == (True, True)


async def test_it_may_be_entered_or_awaited_in_the_pools_place(postgres: PostgresServer) -> None:
    breaker = ServiceBreaker("db", POLICY)
    async with BreakerPool(asyncpg.create_pool(postgres.url, ssl=False, min_size=1), breaker) as pool:
        assert await pool.fetchval("SELECT 1") == 1
    awaited = await BreakerPool(asyncpg.create_pool(postgres.url, ssl=False, min_size=1), breaker)
    assert await awaited.fetchval("SELECT 1") == 1
    awaited.terminate()


def test_no_method_of_a_pool_is_forgotten() -> None:
    """What is not passed on is one of those that begin with ``acquire``."""
    passed_on = {name for name in vars(BreakerPool) if not name.startswith("__")}
    inherited = {name for name in vars(asyncpg.Pool) if not name.startswith("_")} - passed_on
    copying = {"copy_from_query", "copy_from_table", "copy_records_to_table", "copy_to_table"}
    assert inherited == {"execute", "executemany", "fetch", "fetchmany", "fetchrow", "fetchval", *copying}


async def test_every_query_method_is_one_call(postgres: PostgresServer) -> None:
    async with pooled(postgres) as guard:
        pool = guard.pool
        await pool.execute("DROP TABLE IF EXISTS counted")
        await pool.execute("CREATE TABLE counted (a int)")
        await pool.executemany("INSERT INTO counted VALUES ($1)", [(1,)])
        await pool.fetchmany("INSERT INTO counted VALUES ($1) RETURNING a", [(1,)])
        await pool.fetchrow("SELECT 1")
        await pool.copy_records_to_table("counted", records=[(1,)])
        assert guard.seen == (6, 0, 0)


@pytest.mark.parametrize("query", ["SELEC 1", "SELECT 1/0", "SELECT * FROM nowhere", "INSERT INTO single VALUES (1)"])
@pytest.mark.parametrize("inside", [False, True])
async def test_sql_that_is_wrong_is_answered(postgres: PostgresServer, query: str, inside: bool) -> None:
    async def ask() -> None:
        async with guard.pool.acquire() as connection, connection.transaction():
            await connection.execute(query)

    async with pooled(postgres) as guard:
        await guard.plain.execute("CREATE TABLE IF NOT EXISTS single (a int PRIMARY KEY)")
        await guard.plain.execute("INSERT INTO single VALUES (1) ON CONFLICT DO NOTHING")
        with pytest.raises(asyncpg.PostgresError):
            await (ask() if inside else guard.pool.fetch(query))
        assert guard.seen == (1, 0, 0)


STATES = {
    **dict.fromkeys(("08006", "53000", "53100", "53200", "53300", "57014", "57P01", "57P03", "58030", "XX000"), 1),
    **dict.fromkeys(("22012", "23505", "28P01", "40001", "40P01", "42601", "55P03", "57000", "P0001"), 0),
}


@pytest.mark.parametrize(("state", "failures"), STATES.items())
async def test_what_an_sqlstate_means(postgres: PostgresServer, state: str, failures: int) -> None:
    """Also where the block catches it, or makes another error of it."""
    script = f"DO $$ BEGIN RAISE EXCEPTION 'said' USING ERRCODE = '{state}'; END $$"

    async def catch() -> None:
        async with guard.pool.acquire() as connection:
            with contextlib.suppress(asyncpg.PostgresError):
                await connection.execute(script)

    async def wrap() -> None:
        async with guard.pool.acquire() as connection:
            try:
                await connection.execute(script)
            except asyncpg.PostgresError as error:
                raise LookupError from error

    async with pooled(postgres, policy=BreakerPolicy()) as guard:
        with pytest.raises(asyncpg.PostgresError):
            await guard.pool.execute(script)
        assert guard.seen == (1, failures, 0)
        await catch()
        assert guard.seen == (2, 2 * failures, 0)
        with pytest.raises(LookupError):
            await wrap()
        assert guard.seen == (3, 3 * failures, 0)


async def test_a_role_without_a_free_connection_is_a_failure(postgres: PostgresServer) -> None:
    async with pooled(postgres) as guard:
        await guard.plain.execute("DROP ROLE IF EXISTS few")
        await guard.plain.execute("CREATE ROLE few LOGIN PASSWORD 'few' CONNECTION LIMIT 0")
        async with pooled(postgres, user="few", password="few") as other:
            with pytest.raises(asyncpg.TooManyConnectionsError):
                await other.pool.fetch("SELECT 1")
            assert other.seen == (1, 1, 0)
        async with pooled(postgres, user="few", password="wrong") as other:
            with pytest.raises(asyncpg.InvalidPasswordError):
                await other.pool.fetch("SELECT 1")
            assert other.seen == (1, 0, 0)


async def test_a_session_that_is_ended_is_a_failure(postgres: PostgresServer) -> None:
    """While it works, and before it is asked for more."""

    async def work() -> None:
        async with guard.pool.acquire() as connection:
            session = connection.get_server_pid()
            working = asyncio.create_task(connection.execute("SELECT pg_sleep(9)"))
            await end_session(postgres, session)
            await working

    async def ask() -> None:
        async with guard.pool.acquire() as connection:
            await end_session(postgres, connection.get_server_pid())
            await connection.execute("SELECT 1")

    async with pooled(postgres, policy=BreakerPolicy()) as guard:
        with pytest.raises(asyncpg.PostgresError):
            await work()
        with pytest.raises(asyncpg.InterfaceError):
            await ask()
        assert guard.seen == (2, 2, 0)


async def test_a_connection_that_is_gone_without_an_error_says_nothing(postgres: PostgresServer) -> None:
    """The block may have closed it; what it met before that counts."""
    async with pooled(postgres) as guard:
        async with guard.pool.acquire() as connection:
            await connection.close()
        assert (guard.seen, guard.breaker.counts.ignored) == ((0, 0, 0), 1)
        async with guard.pool.acquire() as connection:
            with contextlib.suppress(TimeoutError):
                await connection.execute("SELECT pg_sleep(9)", timeout=0.02)
            connection.terminate()
        assert guard.seen == (1, 1, 0)


async def test_a_connection_that_cannot_be_reset_is_a_failure(postgres: PostgresServer) -> None:
    """The pool resets one as it takes it back."""

    async def reset(connection: object) -> None:
        raise asyncpg.PostgresIOError("the disk is gone")

    async with pooled(postgres, reset=reset) as guard:
        with pytest.raises(asyncpg.PostgresIOError):
            await guard.pool.execute("SELECT 1")
        assert guard.seen == (1, 1, 0)
        with pytest.raises(asyncpg.PostgresIOError):
            await guard.pool.release(await guard.pool.acquire())
        assert guard.seen == (2, 2, 0)


async def test_a_server_that_is_gone_opens_it_and_its_return_closes_it() -> None:
    async with postgres_server() as server, pooled(server, least=1) as guard:
        assert await guard.pool.fetchval("SELECT 1") == 1
        await server.kill()
        for _ in range(2):
            with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
                await guard.pool.fetchval("SELECT 1")
        assert guard.breaker.state is BreakerState.OPEN
        with pytest.raises(CallNotPermitted):
            await guard.pool.fetchval("SELECT 1")
        await server.start()
        guard.now += 5
        assert await guard.pool.fetchval("SELECT 1") == 1
        assert guard.breaker.state.value == "closed"


async def test_an_open_breaker_refuses_as_asyncpg_would(postgres: PostgresServer) -> None:
    """No connection is touched, in any of the three ways to one."""
    async with pooled(postgres) as guard:
        guard.breaker.transition_to(BreakerState.FORCED_OPEN)
        with pytest.raises(asyncpg.PostgresConnectionError, match="db is not called now") as refused:
            await guard.pool.execute("SELECT 1")
        assert isinstance(refused.value, ConnectionNotPermitted)
        assert (refused.value.service, refused.value.retry_after) == ("db", 60.0)
        with pytest.raises(ConnectionNotPermitted):
            async with guard.pool.acquire():
                pass
        with pytest.raises(ConnectionNotPermitted):
            await guard.pool.acquire()
        assert guard.pool.get_size() == 0


async def test_a_query_that_takes_too_long_is_a_failure(postgres: PostgresServer) -> None:
    """Whoever set the deadline, and whatever kind of query it is."""

    async def prepared() -> None:
        async with guard.pool.acquire() as connection:
            statement = await connection.prepare("SELECT pg_sleep(9)")
            await statement.fetch(timeout=0.02)

    async with pooled(postgres) as guard:
        with pytest.raises(TimeoutError):
            await guard.pool.execute("SELECT pg_sleep(9)", timeout=0.02)
        assert guard.seen == (1, 1, 0)
        with pytest.raises(TimeoutError):
            await prepared()
        assert guard.seen == (2, 2, 0)
    async with pooled(postgres) as guard:
        with pytest.raises(TimeoutError):
            async with guard.pool.acquire() as connection, asyncio.timeout(0.02):
                await connection.execute("SELECT pg_sleep(9)")
        assert guard.seen == (1, 1, 0)
    async with pooled(postgres, server_settings={"statement_timeout": "20"}) as guard:
        with pytest.raises(asyncpg.QueryCanceledError):
            await guard.pool.execute("SELECT pg_sleep(9)")
        assert guard.seen == (1, 1, 0)


@pytest.mark.parametrize("error", [TimeoutError("of another"), ConnectionResetError("of another"), LookupError("mine")])
async def test_what_the_block_itself_raises_accuses_nobody(postgres: PostgresServer, error: Exception) -> None:
    async def work() -> None:
        async with guard.pool.acquire() as connection:
            await connection.execute("SELECT 1")
            raise error

    async with pooled(postgres) as guard:
        with pytest.raises(type(error)):
            await work()
        assert guard.seen == (1, 0, 0)


async def test_a_misuse_says_nothing(postgres: PostgresServer) -> None:
    """Two queries at a time, and a pool that was closed."""

    async def ask_twice() -> None:
        async with guard.pool.acquire() as connection:
            first = asyncio.create_task(connection.execute("SELECT pg_sleep(0.01)"))
            await asyncio.sleep(0)
            try:
                await connection.execute("SELECT 1")
            finally:
                await first

    async with pooled(postgres) as guard:
        with pytest.raises(asyncpg.InterfaceError, match="another operation"):
            await ask_twice()
        await guard.plain.close()
        with pytest.raises(asyncpg.InterfaceError, match="pool is closed"):
            await guard.pool.execute("SELECT 1")
        assert (guard.seen, guard.breaker.counts.ignored) == ((0, 0, 0), 2)


async def test_waiting_for_a_connection_in_vain(postgres: PostgresServer) -> None:
    """It is a failure where the server gives none, and says nothing where the pool has no free one."""
    async with pooled(postgres, size=1) as guard:
        async with guard.plain.acquire():
            with pytest.raises(TimeoutError):
                async with guard.pool.acquire(timeout=0.02):
                    pass
            with pytest.raises(TimeoutError):
                await guard.pool.acquire(timeout=0.02)
        assert (guard.seen, guard.breaker.counts.ignored) == ((0, 0, 0), 2)
        await guard.plain.expire_connections()
        postgres.pause()
        try:
            for _ in range(2):
                with pytest.raises(TimeoutError):
                    async with guard.pool.acquire(timeout=0.1):
                        pass
        finally:
            postgres.resume()
        assert guard.breaker.state is BreakerState.OPEN


async def test_a_slow_query_makes_a_slow_call(postgres: PostgresServer) -> None:
    """Also one of several in a block."""
    async with pooled(postgres, policy=BreakerPolicy(slow_call_duration_threshold=0.04)) as guard:
        await guard.pool.execute("SELECT 1")
        await guard.pool.execute("SELECT pg_sleep(0.05)")
        async with guard.pool.acquire() as connection:
            await connection.execute("SELECT pg_sleep(0.05)")
            await connection.execute("SELECT 1")
        assert guard.seen == (3, 0, 2)


async def test_a_slow_way_to_a_connection_makes_a_slow_call(postgres: PostgresServer) -> None:
    async def late(connection: object) -> None:
        guard.now += SLOW

    async with pooled(postgres, setup=late) as guard:
        await guard.pool.execute("SELECT 1")
        assert guard.seen == (1, 0, 1)


async def test_what_a_block_does_besides_takes_no_time(postgres: PostgresServer) -> None:
    async with pooled(postgres) as guard:
        async with guard.pool.acquire() as connection:
            await connection.execute("SELECT 1")
            guard.now += SLOW
        assert guard.seen == (1, 0, 0)


async def test_an_awaited_connection_is_judged_by_its_first_query(postgres: PostgresServer) -> None:
    async with pooled(postgres) as guard:
        connection = await guard.pool.acquire()
        assert guard.seen == (0, 0, 0)
        guard.now += SLOW
        await connection.execute("SELECT 1")
        await asyncio.sleep(0)
        assert guard.seen == (1, 0, 0)
        with pytest.raises(TimeoutError):
            await connection.execute("SELECT pg_sleep(9)", timeout=0.02)
        await guard.pool.release(connection)
        assert guard.seen == (1, 0, 0)
        connection = await guard.pool.acquire()
        await end_session(postgres, connection.get_server_pid())
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
            await connection.execute("SELECT 1")
        await guard.pool.release(connection)
        assert (guard.seen, guard.breaker.counts.ignored) == ((1, 0, 0), 1)
        connection = await guard.pool.acquire()
        with pytest.raises(TimeoutError):
            await connection.execute("SELECT pg_sleep(9)", timeout=0.02)
        await guard.pool.release(connection)
        assert guard.seen == (2, 1, 0)


async def test_an_awaited_connection_that_is_not_used_is_judged_by_its_release(postgres: PostgresServer) -> None:
    async with pooled(postgres) as guard:
        await guard.pool.release(await guard.pool.acquire())
        assert guard.seen == (1, 0, 0)
        guard.test()
        connection = await guard.pool.acquire()
        with pytest.raises(ConnectionNotPermitted):
            await guard.pool.acquire()
        await guard.pool.release(connection)
        assert guard.breaker.state is BreakerState.CLOSED


@pytest.mark.parametrize("awaits", [False, True])
async def test_a_cancelled_call_says_nothing_wherever_it_was(postgres: PostgresServer, awaits: bool) -> None:
    """Cancelled one turn of the loop later each time, until it is through: neither permit nor connection is lost."""

    async def ask(guard: Guard) -> object:
        if not awaits:
            return await guard.pool.fetchval("SELECT 1")
        connection = await guard.pool.acquire()
        try:
            return await connection.fetchval("SELECT 1")
        finally:
            await guard.pool.release(connection)

    async with pooled(postgres, size=1) as guard:
        said_nothing, is_through = 0, False
        for turns in itertools.count():
            guard.test()
            asking = asyncio.create_task(ask(guard))
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            (result,) = await asyncio.gather(asking, return_exceptions=True)
            is_through = result == 1
            assert is_through or isinstance(result, asyncio.CancelledError)
            async with asyncio.timeout(5), guard.plain.acquire():  # the single one, when it is free again
                if guard.breaker.state is BreakerState.HALF_OPEN:
                    said_nothing += 1
                    guard.breaker.permit().settle(None)
                else:
                    assert guard.breaker.state.value == "closed"
            if is_through:
                break
        assert said_nothing > 2
