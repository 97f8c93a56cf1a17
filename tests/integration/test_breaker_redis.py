"""A breaker around a redis-py client, before a Redis that is killed, paused, full, busy and a replica."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, assert_type, cast

import pytest
from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from broadcaster.domain.breaker import BreakerPolicy, BreakerState
from broadcaster.domain.errors import CallNotPermitted
from broadcaster.integrations.redis import CommandNotPermitted, guard
from broadcaster.manager.breaker import ServiceBreaker
from tests.support.ports import LOOPBACK, free_port
from tests.support.servers import RedisServer, redis_server

POLICY = BreakerPolicy(
    minimum_number_of_calls=2, permitted_number_of_calls_in_half_open_state=1, randomized_wait_factor=0
)
SLOW = POLICY.slow_call_duration_threshold + 1
BUSY = "while true do end"

Use = Callable[[Redis], Awaitable[Any]]


class Guard:
    """A Redis, a client, and the same client behind a breaker on a clock of the test's own."""

    def __init__(self, server: RedisServer, policy: BreakerPolicy, **options: Any) -> None:
        self.now = 100.0
        self.server = server
        self.plain = Redis(host=LOOPBACK, port=server.port, retry=Retry(NoBackoff(), 0), **options)
        self.breaker = ServiceBreaker("cache", policy, clock=lambda: self.now, chance=lambda: 0.5)
        self.client = guard(self.plain, self.breaker)

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
async def guarded(
    server_options: tuple[str, ...] = (), policy: BreakerPolicy = POLICY, **options: Any
) -> AsyncIterator[Guard]:
    async with redis_server(options=server_options) as server:
        made = Guard(server, policy, **options)
        async with made.plain:
            yield made


async def test_it_is_the_client_that_it_guards() -> None:
    """With its class, its connections and its end."""

    class Own(Redis):
        def mine(self) -> str:
            return "mine"

    async with guarded() as made:
        own = guard(Own(connection_pool=made.plain.connection_pool), made.breaker)
        assert_type(own, Own)
        assert isinstance(own, Own)
        assert own.mine() == "mine"
        assert await own.set("a", 1)
        assert await made.client.get("a") == b"1"
        assert made.seen == (2, 0, 0)
        with pytest.raises(TypeError, match="guarded already"):
            guard(own, made.breaker)
    async with redis_server() as server:
        plain = Redis.from_url(server.url)
        async with guard(plain, made.breaker) as client:
            assert await client.ping()
            assert plain.connection_pool._available_connections
        assert all(not each.is_connected for each in plain.connection_pool._available_connections)


async def test_a_client_with_one_connection_stays_one() -> None:
    """The guarded one is a view of it: it is dropped without a word, and the connection stays."""
    async with guarded() as made:
        single = made.plain.client()
        view = guard(single, made.breaker)
        number = await view.client_id()
        assert await single.client_id() == number
        del view
        assert await single.client_id() == number
        async with made.client.client() as other:
            assert await other.client_id() == await other.client_id() != number
        assert made.seen == (3, 0, 0)
        await single.aclose()


USES: dict[str, tuple[Use, int]] = {}
"""What is done with a client, and how many calls that is."""


def uses(calls: int) -> Callable[[Use], Use]:
    def add(use: Use) -> Use:
        USES[use.__name__] = (use, calls)
        return use

    return add


@uses(1)
async def pipeline(client: Redis) -> None:
    async with client.pipeline(transaction=False) as pipe:
        pipe.set("a", 1)
        pipe.incr("a")
        assert await pipe.execute() == [True, 2]


@uses(1)
async def transaction(client: Redis) -> None:
    async with client.pipeline() as pipe:
        pipe.set("a", 1)
        pipe.incr("a")
        assert await pipe.execute() == [True, 2]


@uses(2)
async def a_pipeline_that_is_used_again(client: Redis) -> None:
    async with client.pipeline() as pipe:
        pipe.set("a", 1)
        await pipe.execute()
        await pipe.watch("a")


@uses(0)
async def nothing(client: Redis) -> None:
    async with client.pipeline() as pipe:
        assert await pipe.execute() == []


@uses(4)
async def watching(client: Redis) -> None:
    await client.set("n", 1)

    async def add(pipe: Any) -> None:
        value = int(await pipe.get("n"))
        pipe.multi()
        pipe.set("n", value + 1)

    assert await client.transaction(add, "n") == [True]


@uses(3)
async def script(client: Redis) -> None:
    """The first call finds no script and says nothing; one loads it."""
    say = client.register_script("return ARGV[1]")
    assert await say(args=["yes"]) == b"yes"
    assert await say(args=["yes"]) == b"yes"


@uses(1)
async def script_in_a_pipeline(client: Redis) -> None:
    say = client.register_script("return ARGV[1] .. ARGV[1]")
    async with client.pipeline() as pipe:
        await say(args=["yes"], client=pipe)
        assert await pipe.execute() == [b"yesyes"]


@uses(3)
async def lock(client: Redis) -> None:
    """Its scripts are not known at first, either."""
    async with client.lock("lock", timeout=5):
        pass


@uses(2)
async def scan(client: Redis) -> None:
    await client.set("scanned", 1)
    assert b"scanned" in [key async for key in client.scan_iter(count=1000)]


@uses(1)
async def pubsub(client: Redis) -> None:
    """Subscriptions are no calls; to publish is one."""
    async with client.pubsub() as channel:
        await channel.subscribe("news")
        assert (await channel.get_message(timeout=5) or {})["type"] == "subscribe"
        await client.publish("news", "yes")
        assert (await channel.get_message(timeout=5) or {})["data"] == b"yes"


@pytest.mark.parametrize("name", USES)
async def test_everything_made_from_it_works_and_is_guarded(name: str) -> None:
    """Also where it permits one call at a time; and nothing is sent while it is open."""
    use, calls = USES[name]
    async with guarded() as made:
        await use(made.client)
        assert made.seen == (calls, 0, 0)
        await made.plain.flushall()
        await made.plain.script_flush()
        made.test()
        await use(made.client)
        assert made.breaker.state is (BreakerState.CLOSED if calls else BreakerState.HALF_OPEN)
        made.breaker.transition_to(BreakerState.FORCED_OPEN)
        if calls:
            with pytest.raises(CommandNotPermitted):
                await use(made.client)


async def test_an_open_breaker_refuses_as_redis_py_would() -> None:
    async with guarded() as made:
        made.breaker.transition_to(BreakerState.FORCED_OPEN)
        with pytest.raises(exceptions.ConnectionError) as refused:
            await made.client.get("a")
        assert isinstance(refused.value, CallNotPermitted)
        assert (refused.value.service, refused.value.retry_after) == ("cache", 60.0)
        assert await made.plain.ping()


async def test_a_server_that_is_gone_opens_it_and_its_return_closes_it() -> None:
    async with guarded() as made:
        await made.client.ping()
        await made.server.kill()
        with pytest.raises(exceptions.ConnectionError):
            await made.client.get("a")
        assert made.breaker.state is BreakerState.OPEN
        with pytest.raises(CommandNotPermitted):
            await made.client.get("a")
        await made.server.start()
        made.now += 5
        assert await made.client.get("a") is None
        assert made.breaker.state.value == "closed"


async def test_a_server_that_does_not_answer_is_a_failure() -> None:
    async with guarded(socket_timeout=0.05) as made:
        async with made.client.pipeline() as pipe:
            pipe.get("a")
            made.server.pause()
            try:
                with pytest.raises(exceptions.TimeoutError):
                    await made.client.get("a")
                with pytest.raises(exceptions.TimeoutError):
                    await pipe.execute()
            finally:
                made.server.resume()
        assert made.seen == (2, 2, 0)


async def test_a_server_that_is_lost_under_watch_is_a_failure() -> None:
    """redis-py makes an error of the transaction of it."""
    async with guarded(policy=BreakerPolicy()) as made, made.client.pipeline() as pipe:
        await pipe.watch("a")
        pipe.multi()  # type: ignore[no-untyped-call]
        pipe.get("a")
        async with made.client.pipeline() as other:
            await other.watch("a")
            await made.server.kill()
            with pytest.raises(exceptions.WatchError):
                await pipe.execute()
            with pytest.raises(exceptions.WatchError):
                await cast(Awaitable[Any], other.get("a"))
        assert made.seen == (4, 2, 0)


async def test_errors_of_a_server_that_does_not_serve_are_failures() -> None:
    """A replica, one without memory, and one without its disk or its replicas; alone, and within a pipeline."""
    settings = {
        "READONLY": ("replicaof", f"{LOOPBACK} {free_port()}"),
        "OOM": ("maxmemory", "1"),
        "NOREPLICAS": ("min-replicas-to-write", "1"),
    }
    for name, (setting, value) in settings.items():
        async with guarded((f"--{setting}", *value.split()), policy=BreakerPolicy()) as made:
            with pytest.raises(exceptions.ResponseError):
                await made.client.set("a", 1)
            assert made.seen == (1, 1, 0), name
            async with made.client.pipeline(transaction=False) as pipe:
                pipe.set("a", 1)
                results = await pipe.execute(raise_on_error=False)
                assert isinstance(results[0], exceptions.ResponseError)
            for is_transaction in (False, True):
                async with made.client.pipeline(is_transaction) as pipe:
                    pipe.set("a", 1)
                    with pytest.raises(exceptions.ResponseError):
                        await pipe.execute()
            assert made.seen == (4, 4, 0), name


async def test_a_server_that_runs_a_script_for_long_is_a_failure() -> None:
    async with guarded(("--lua-time-limit", "1"), policy=BreakerPolicy()) as made:
        running = asyncio.ensure_future(made.plain.eval(BUSY, 0))
        try:
            said = ""
            while not said:
                try:
                    await made.client.get("a")
                except exceptions.ResponseError as error:
                    said = str(error)
            assert said.startswith("BUSY")
            assert made.seen[1] == 1
            for is_transaction in (False, True):
                async with made.client.pipeline(is_transaction) as pipe:
                    pipe.get("a")
                    with pytest.raises(exceptions.ResponseError):
                        await pipe.execute()
            assert made.seen[1] == 3
        finally:
            await made.plain.script_kill()
            with pytest.raises(exceptions.ResponseError):
                await running


async def test_a_server_that_loads_its_data_or_lacks_a_part_is_a_failure() -> None:
    """It says so in words of its own; a script says them in its place."""
    async with guarded(policy=BreakerPolicy()) as made:
        for number, word in enumerate(("LOADING", "CLUSTERDOWN", "MASTERDOWN", "MISCONF"), start=1):
            with pytest.raises(exceptions.RedisError):
                await made.client.eval(f"return redis.error_reply('{word} said')", 0)
            assert made.seen == (number, number, 0)


async def test_errors_of_those_who_ask_say_nothing() -> None:
    """A wrong type, a wrong command, a wrong password, a full pool of our own, and what redis-py does not send."""
    async with guarded(max_connections=1) as made:
        await made.plain.set("text", "a")
        asking: list[tuple[Use, type[Exception]]] = [
            (lambda client: client.lpush("text", 1), exceptions.ResponseError),
            (lambda client: client.eval("nonsense", 0), exceptions.ResponseError),
            (lambda client: client.set("a", object()), exceptions.DataError),  # type: ignore[arg-type]
            (lambda client: client.eval("return redis.error_reply('WATCHED LOADING')", 0), exceptions.ResponseError),
        ]
        for use, error in asking:
            with pytest.raises(error):
                await use(made.client)
        async with made.plain.client():
            with pytest.raises(exceptions.MaxConnectionsError):
                await made.client.ping()
        assert (made.seen, made.breaker.counts.ignored) == ((0, 0, 0), len(asking) + 1)
        async with made.client.pipeline(transaction=False) as pipe:
            pipe.lpush("text", 1)
            pipe.get("text")
            await pipe.execute(raise_on_error=False)
        assert made.seen == (1, 0, 0)
    async with guarded(("--requirepass", "secret")) as made:
        with pytest.raises(exceptions.AuthenticationError):
            await made.client.ping()
        with pytest.raises(exceptions.AuthenticationError):
            await guard(Redis.from_url(made.server.url, password="wrong"), made.breaker).ping()
        assert (made.seen, made.breaker.counts.ignored) == ((0, 0, 0), 2)


async def test_a_transaction_that_lost_a_race_says_nothing() -> None:
    async with guarded() as made, made.client.pipeline() as pipe:
        await pipe.watch("a")
        await made.plain.set("a", "other")
        pipe.multi()  # type: ignore[no-untyped-call]
        pipe.set("a", "mine")
        with pytest.raises(exceptions.WatchError):
            await pipe.execute()
        assert (made.seen, made.breaker.counts.ignored) == ((1, 0, 0), 1)


BLOCKING: list[Use] = [
    lambda client: client.blpop(["queue"], timeout=0),
    lambda client: client.xread({"queue": "$", "BLOCK": "$"}, block=0),
    lambda client: client.execute_command("blpop", "queue", 0),  # type: ignore[no-untyped-call]
]


async def feed(made: Guard, use: Use) -> None:
    """Waits until somebody is blocked, and gives what is waited for."""
    while not (await made.plain.info("clients"))["blocked_clients"]:
        await asyncio.sleep(0)
    if use is BLOCKING[1]:
        await made.plain.xadd("queue", {"a": 1})
    else:
        await made.plain.rpush("queue", 1)


@pytest.mark.parametrize("use", BLOCKING)
async def test_a_command_that_waits_for_others_is_not_slow(use: Use) -> None:
    async with guarded() as made:
        waiting = asyncio.ensure_future(use(made.client))
        await feed(made, use)
        made.now += SLOW
        await waiting
        assert made.seen == (1, 0, 0)
        made.now -= SLOW


async def test_a_command_that_makes_others_wait_is_slow() -> None:
    async with guarded() as made:
        for use in (
            lambda: made.client.get("BLPOP"),
            lambda: made.client.xread({"BLOCK": "0"}),
        ):
            waiting = asyncio.ensure_future(use())
            await asyncio.sleep(0)
            made.now += SLOW
            await waiting
        assert made.seen[2] == 2


async def test_a_command_that_waits_for_others_holds_no_place_and_still_counts() -> None:
    """A half-open breaker tests by others meanwhile; one that has only such calls is closed by them too."""
    use = BLOCKING[0]
    async with guarded() as made:
        made.test()
        waiting = asyncio.ensure_future(use(made.client))
        await asyncio.sleep(0)
        await made.client.ping()
        assert made.breaker.state.value == "closed"
        await feed(made, use)
        await waiting
        made.test()
        waiting = asyncio.ensure_future(use(made.client))
        await feed(made, use)
        await waiting
        assert made.breaker.state.value == "closed"
        made.test()
        waiting = asyncio.ensure_future(use(made.client))
        while not (await made.plain.info("clients"))["blocked_clients"]:
            await asyncio.sleep(0)
        await made.server.kill()
        with pytest.raises(exceptions.ConnectionError):
            await waiting
        assert made.breaker.metrics().state is BreakerState.OPEN


async def test_a_deadline_of_a_command_that_waits_for_others_says_nothing() -> None:
    async with guarded(socket_timeout=0.05) as made:
        with pytest.raises(exceptions.TimeoutError):
            await made.client.blpop(["queue"], timeout=0)
        assert (made.seen, made.breaker.counts.ignored) == ((0, 0, 0), 1)


@pytest.mark.parametrize("name", ["pipeline", "watching", "script_in_a_pipeline", "scan"])
async def test_a_cancelled_call_says_nothing_wherever_it_was(name: str) -> None:
    """Before a server that does not answer, and cancelled one turn of the loop later each time until it is through
    with one that does: no permit is lost on the way."""
    use, _ = USES[name]

    async def ask(turns: int) -> bool:
        """Whether it was through."""
        made.test()
        asking = asyncio.ensure_future(use(made.client))
        for _ in range(turns):
            await asyncio.sleep(0)
        is_through = asking.done()
        while not asking.done():
            asking.cancel()  # redis-py loses some
            await asyncio.sleep(0)
        assert asking.cancelled() or asking.exception() is None
        if made.breaker.state is BreakerState.HALF_OPEN:
            made.breaker.permit().settle(None)
        else:
            assert made.breaker.state is BreakerState.CLOSED
        return is_through

    async with guarded() as made:
        made.server.pause()
        try:
            for turns in range(1, 12):
                assert not await ask(turns)
                assert made.breaker.state is BreakerState.HALF_OPEN
        finally:
            made.server.resume()
        assert made.breaker.counts.ignored >= 2 * 11
        for turns in itertools.count():
            if await ask(turns):
                break
            await made.plain.script_flush()
