"""The postgres probe against a real PostgreSQL in every state it can be in."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

import asyncpg
import pytest

from broadcaster.config.settings import Duration, PostgresProbe
from broadcaster.domain.model import Category, Observation, Outcome
from tests.support.certificates import Certificates
from tests.support.looking import PLENTY, SHORT, look, verdict
from tests.support.peers import Handler, hang_up, peer, reset, silence
from tests.support.servers import PostgresServer, postgres_server

OK = (Outcome.OK, None)


async def until(dsn: str, category: Category | None) -> Observation:
    """Looks again and again until it sees this category."""
    return await until_seen(PostgresProbe(dsn=dsn), category)


async def until_seen(settings: PostgresProbe, category: Category | None) -> Observation:
    """Looks again and again, as these settings ask, until it sees this category."""
    async with asyncio.timeout(PLENTY):
        while True:
            observation = await look(settings, 2)
            if observation.category is category:
                return observation
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def session_of(server: PostgresServer) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection of the test's own."""
    session = await asyncpg.connect(server.url)
    try:
        yield session
    finally:
        session.terminate()


async def true_of(session: asyncpg.Connection[asyncpg.Record], condition: str) -> None:
    """Returns as soon as the query says true."""
    async with asyncio.timeout(PLENTY):
        while not await session.fetchval(condition):
            await asyncio.sleep(0.02)


async def test_a_server_that_answers_is_well(postgres: PostgresServer) -> None:
    """A connection and a query that works are well; a primary is not in recovery."""
    assert verdict(await look(PostgresProbe(dsn=postgres.url, degraded_in_recovery=True))) == OK


@pytest.mark.parametrize(
    ("query", "category"),
    [
        ("SELEC", Category.BAD_RESPONSE),
        ("SELECT * FROM no_such_table", Category.BAD_RESPONSE),
        ("SELECT pg_read_file('/nowhere')", Category.SERVER_ERROR),
        ("SET statement_timeout = 1; SELECT pg_sleep(9)", Category.TIMEOUT),
        ("SET transaction_read_only = on; CREATE TABLE t ()", Category.READ_ONLY),
        ("SELECT pg_terminate_backend(pg_backend_pid())", Category.RESET),
    ],
)
async def test_a_query_that_fails_says_how(postgres: PostgresServer, query: str, category: Category) -> None:
    """The server's own error has the category of its SQLSTATE."""
    assert verdict(await look(PostgresProbe(dsn=postgres.url, query=query))) == (Outcome.FAILED, category)


async def test_a_wrong_password_is_auth(postgres: PostgresServer) -> None:
    """A refused password is a failure of authentication, and does not show in the detail."""
    observation = await look(PostgresProbe(dsn=postgres.url.replace("a%20password", "another%20wrong")))
    assert verdict(observation) == (Outcome.FAILED, Category.AUTH)
    assert "wrong" not in observation.detail


async def test_a_database_that_is_not_there_is_a_bad_response(postgres: PostgresServer) -> None:
    """An unknown database is told from an outage."""
    observation = await look(PostgresProbe(dsn=postgres.url.removesuffix("postgres") + "nowhere"))
    assert verdict(observation) == (Outcome.FAILED, Category.BAD_RESPONSE)
    assert "3D000" in observation.detail


async def test_a_slow_query_is_a_timeout(postgres: PostgresServer) -> None:
    """A query that takes longer than the deadline costs the deadline, and its connection is dropped."""
    async with asyncio.timeout(PLENTY):
        observation = await look(PostgresProbe(dsn=postgres.url, query="SELECT pg_sleep(600)"), SHORT)
    assert verdict(observation) == (Outcome.FAILED, Category.TIMEOUT)


async def test_a_server_stopped_and_started_again_is_seen() -> None:
    """A server that ends is refused, one that is killed too, and one that is back is well."""
    async with postgres_server() as server:
        probe = PostgresProbe(dsn=server.url)
        await server.stop()
        assert verdict(await look(probe)) == (Outcome.FAILED, Category.REFUSED)
        await server.start()
        assert verdict(await look(probe)) == OK
        await server.kill()
        assert verdict(await look(probe)) == (Outcome.FAILED, Category.REFUSED)
        await server.start()
        assert verdict(await look(probe)) == OK


async def test_a_paused_server_is_a_timeout(postgres: PostgresServer) -> None:
    """A server stopped by SIGSTOP takes connections and answers nothing: the deadline holds all the same."""
    postgres.pause()
    try:
        async with asyncio.timeout(PLENTY):
            observation = await look(PostgresProbe(dsn=postgres.url), SHORT)
    finally:
        postgres.resume()
    assert verdict(observation) == (Outcome.FAILED, Category.TIMEOUT)
    await until(postgres.url, None)


async def test_a_full_server_is_overloaded() -> None:
    """A server without a free connection is overloaded (53300)."""
    options = {"max_connections": "4", "superuser_reserved_connections": "1", "reserved_connections": "0"}
    async with postgres_server(options=options) as server, contextlib.AsyncExitStack() as stack:
        for _ in range(4):
            session = await asyncpg.connect(server.url)
            stack.push_async_callback(session.close)
        observation = await look(PostgresProbe(dsn=server.url))
        assert verdict(observation) == (Outcome.FAILED, Category.OVERLOADED)
        assert "53300" in observation.detail


async def test_a_server_that_shuts_down_is_loading() -> None:
    """While a server waits for its last session to end, it takes no new one (57P03)."""
    async with postgres_server() as server:
        session = await asyncpg.connect(server.url)
        try:
            os.kill(server.pid, 15)
            await until(server.url, Category.LOADING)
        finally:
            await session.close()


async def test_a_standby_is_recovering_if_asked() -> None:
    """A standby is well, or impaired if the settings ask for a primary."""
    async with postgres_server() as server:
        await server.stop()
        (server.data_dir / "standby.signal").touch()
        await server.start()
        assert verdict(await look(PostgresProbe(dsn=server.url))) == OK
        observation = await look(PostgresProbe(dsn=server.url, degraded_in_recovery=True))
        assert verdict(observation) == (Outcome.IMPAIRED, Category.RECOVERING)


async def test_a_standby_that_falls_behind_is_seen_if_asked() -> None:
    """A standby that has received what it does not replay is impaired once that is older than the limit, not before;
    one that has replayed all it received is well however long ago that was, and so is an idle primary."""
    async with (
        postgres_server() as primary,
        postgres_server(standby_of=primary) as standby,
        session_of(primary) as writer,
        session_of(standby) as reader,
    ):
        strict = PostgresProbe(dsn=standby.url, max_replica_lag=Duration(0.2))
        lenient = PostgresProbe(dsn=standby.url, max_replica_lag=Duration(3600))
        idle_primary = PostgresProbe(dsn=primary.url, max_replica_lag=Duration(0))
        await writer.execute("CREATE TABLE told AS SELECT 1")
        await true_of(reader, "SELECT to_regclass('told') IS NOT NULL")
        await true_of(reader, "SELECT now() - pg_last_xact_replay_timestamp() > interval '0.4 s'")
        assert verdict(await until_seen(strict, None)) == OK

        await reader.execute("SELECT pg_wal_replay_pause()")
        await true_of(reader, "SELECT pg_get_wal_replay_pause_state() = 'paused'")
        await writer.execute("INSERT INTO told VALUES (2)")
        await true_of(reader, "SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()")
        behind = await look(strict)
        assert verdict(behind) == (Outcome.IMPAIRED, Category.REPLICATION)
        assert "behind its primary" in behind.detail
        assert verdict(await look(lenient)) == OK
        assert verdict(await look(PostgresProbe(dsn=standby.url))) == OK
        assert verdict(await look(idle_primary)) == OK

        await reader.execute("SELECT pg_wal_replay_resume()")
        await until_seen(strict, None)


async def test_tls_is_used_and_checked(certificates: Certificates) -> None:
    """With sslmode=verify-full the server must prove who it is; paused in the middle of it, it is a timeout."""
    async with postgres_server(start=False) as server:
        server.present(certificates.certificate, certificates.key)
        try:
            await server.start()
        except RuntimeError as error:
            if "SSL is not supported by this build" not in str(error):
                raise
            pytest.skip("this PostgreSQL was built without TLS")
        strict = f"{server.url}?sslmode=verify-full&sslrootcert={certificates.authority}"
        is_encrypted = "SELECT 1 / (SELECT ssl::int FROM pg_stat_ssl WHERE pid = pg_backend_pid())"
        assert verdict(await look(PostgresProbe(dsn=strict, query=is_encrypted))) == OK
        untrusted = f"{server.url}?sslmode=verify-full&sslrootcert=system"
        assert verdict(await look(PostgresProbe(dsn=untrusted))) == (Outcome.FAILED, Category.TLS)
        slow = await look(PostgresProbe(dsn=strict, query="SELECT pg_sleep(600)"), 1)
        assert verdict(slow) == (Outcome.FAILED, Category.TIMEOUT)


@pytest.mark.parametrize(
    ("handler", "category"),
    [(hang_up, Category.RESET), (reset, Category.RESET), (silence, Category.TIMEOUT)],
)
@pytest.mark.parametrize("mode", ["disable", "prefer", "require"])
async def test_a_peer_that_is_not_postgres_fails(handler: Handler, category: Category, mode: str) -> None:
    """A peer that hangs up, resets or says nothing is a failure, with TLS and without."""
    async with peer(handler) as server:
        dsn = f"postgresql://u:p@127.0.0.1:{server.port}/d?sslmode={mode}"
        assert verdict(await look(PostgresProbe(dsn=dsn), SHORT * 5)) == (Outcome.FAILED, category)


async def test_garbage_is_a_bad_response() -> None:
    """A peer that speaks something else is not PostgreSQL."""

    async def http_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")

    async with peer(http_server) as server:
        observation = await look(PostgresProbe(dsn=f"postgresql://u:p@127.0.0.1:{server.port}/d?sslmode=disable"), 2)
    assert observation.outcome is Outcome.FAILED
    assert observation.category is not Category.INTERNAL


@pytest.mark.parametrize("dsn", ["nonsense", "postgresql://h:port/d", "postgresql://h/d?sslmode=perhaps"])
async def test_a_dsn_that_cannot_be_used_is_our_own_fault(dsn: str) -> None:
    """A DSN that makes no sense is an internal failure, not an exception."""
    assert verdict(await look(PostgresProbe(dsn=dsn))) == (Outcome.FAILED, Category.INTERNAL)
