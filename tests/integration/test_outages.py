"""The carrier and the watchers themselves fail: what clients and handshakes are told during and after."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from broadcaster.protocol.messages import Notice
from tests.support.clients import RecordingClient, connect, handshake
from tests.support.commands import running
from tests.support.outages import come_back, kill_and_keep_data, kill_and_lose_data, pause
from tests.support.servers import postgres_server
from tests.support.stack import DEADLINE, SOON, Stack, run_stack, until


async def assert_truth(stack: Stack, client: RecordingClient, expected: dict[str, str], *, node: int) -> None:
    """A client that stayed, a new handshake and a new observer believe the same, and it is true."""
    await stack.until_status(expected, node=node)
    await client.until(lambda: client.truth() == expected)
    observer = await handshake(stack.nodes[node].status_url)
    assert observer.truth() == expected
    newcomer = await handshake(stack.nodes[node].ws_url)
    critical_down = {name for name, status in expected.items() if status == "down"} - {"analytics"}
    if critical_down:
        assert {each.name for each in newcomer.rejected.services} == critical_down
    else:
        assert newcomer.truth() == expected


@pytest.mark.parametrize("outage", [kill_and_lose_data, kill_and_keep_data, pause])
async def test_the_truth_is_told_during_and_after_an_outage_of_redis(
    tmp_path: Path, outage: Callable[[Stack], Awaitable[None]]
) -> None:
    """During it nodes say that they lost it; what changed meanwhile is known afterwards, once, to everybody."""
    async with (
        run_stack(
            tmp_path, services=("auth", "analytics"), carrier=True, nodes=2, redis_data=tmp_path / "redis"
        ) as stack,
        connect(stack.nodes[0].ws_url) as first,
        connect(stack.nodes[1].ws_url) as second,
    ):
        await outage(stack)
        for node, client in enumerate((first, second)):
            await stack.until_feed("lost", node=node)
            ready = await stack.nodes[node].get("/readyz")
            assert ready.status_code == 503
            assert "Redis" in ready.json()["reason"]
            await client.until_notices("redis", 1, local=True)
            refused = await handshake(stack.nodes[node].ws_url)
            assert [each.name for each in refused.rejected.services] == ["redis"]
        await stack.services["analytics"].kill()  # while nobody can be told
        if outage is pause:
            await asyncio.sleep(10)  # the outage itself, not a wait for something
        await come_back(stack)
        expected = {"auth": "up", "analytics": "down", "redis": "up"}
        for node, client in enumerate((first, second)):
            await stack.until_feed("live", node=node)
            await assert_truth(stack, client, expected, node=node)
            assert [each.kind.value for each in client.notices("analytics")] in (["down"], [])
            assert client.feed_states[0] == "lost"
            assert client.feed_states[-1] == "live"
            assert [each.kind.value for each in client.notices("redis", local=True)] == ["down", "recovered"]
            assert committed(client, "redis") == []
            assert client.notices("auth") == []
        await stack.services["analytics"].start()
        await stack.services["auth"].kill()
        expected = {"auth": "down", "analytics": "up", "redis": "up"}
        for node, client in enumerate((first, second)):
            await assert_truth(stack, client, expected, node=node)
            assert [each.kind.value for each in client.notices("auth")] == ["down"]
        assert first.notices("auth")[0].position == second.notices("auth")[0].position


async def test_a_redis_that_comes_and_goes_is_not_told_down_while_it_carries_the_news(tmp_path: Path) -> None:
    """Readers tell each of its outages by their own evidence; workers do not keep it down for the sake of calm."""
    changes = {"feed": {"heartbeat_interval": "200ms", "stale_after": "2s"}}
    async with (
        run_stack(tmp_path, services=("auth",), carrier=True, redis_data=tmp_path / "redis", changes=changes) as stack,
        connect(stack.nodes[0].ws_url) as client,
    ):
        await stack.until_status({"auth": "up", "redis": "up"})
        for _ in range(7):
            await stack.redis.kill()
            await asyncio.sleep(0.5)  # the outage itself
            await stack.redis.start()
            await asyncio.sleep(0.5)
        await stack.until_feed("live")
        calm = datetime.now(UTC) + timedelta(seconds=3)  # more than conclusions about the carrier are held back for
        async with asyncio.timeout(DEADLINE):
            while await observed(stack, "redis") < calm:
                await asyncio.sleep(0.05)
        assert await stack.statuses() == {"auth": "up", "redis": "up"}
        assert committed(client, "redis") == []
        told = [each.kind.value for each in client.notices("redis", local=True)]
        assert told == ["down", "recovered"] * (len(told) // 2) != []


def committed(client: RecordingClient, service: str) -> list[Notice]:
    """What a worker had to say, but for its first look, which may come late: nodes know their Redis before that."""
    return [each for each in client.notices(service, local=False) if not each.quiet]


async def observed(stack: Stack, service: str) -> datetime:
    """When it was observed last."""
    checks = (await stack.nodes[0].get("/health/dependencies")).json()["checks"]
    [time] = [check["time"] for [check] in checks.values() if check["componentId"] == service]
    return datetime.fromisoformat(time)


async def test_a_node_without_redis_from_the_start_says_so_and_joins_later(tmp_path: Path) -> None:
    """Not ready and refusing with the reason, until Redis comes; then as if nothing had been."""
    async with run_stack(tmp_path, carrier=True, start_redis=False) as stack:
        ready = await stack.nodes[0].get("/readyz")
        assert ready.status_code == 503
        await stack.until_feed("lost")
        refused = await handshake(stack.nodes[0].ws_url)
        assert [each.name for each in refused.rejected.services] == ["redis"]
        await stack.redis.start()
        await stack.until_status({"auth": "up", "analytics": "up", "redis": "up"})
        await stack.until_feed("live")
        assert (await stack.nodes[0].get("/readyz")).status_code == 200
        assert (await handshake(stack.nodes[0].ws_url)).welcome.feed.value == "live"


async def test_dead_workers_are_noticed_and_their_return_makes_no_flood(tmp_path: Path) -> None:
    """All workers dead: status is not being watched. The first one back: live again, and no event."""
    changes = {"feed": {"heartbeat_interval": "200ms", "stale_after": "1s"}}
    async with run_stack(tmp_path, changes=changes) as stack, connect(stack.nodes[0].ws_url) as client:
        assert stack.worker is not None
        await stack.worker.kill()
        await client.until(lambda: client.feed_states == ["unwatched"])
        newcomer = await handshake(stack.nodes[0].ws_url)
        assert newcomer.welcome.feed.value == "unwatched"
        assert "not being watched" in newcomer.welcome.text
        await stack.worker.start()
        await client.until(lambda: client.feed_states == ["unwatched", "live"])
        await stack.services["analytics"].kill()
        await client.until(lambda: client.notices("analytics"))
        assert [(each.service.name, each.kind.value) for each in client.notices()] == [("analytics", "down")]


async def test_what_nobody_looks_at_any_more_is_unknown(tmp_path: Path) -> None:
    """Clients and the tail are told, the gate fails open or not, as the file says; and its return is no event."""
    async with run_stack(tmp_path, stale_after=SOON) as stack, running("tail", *stack.flags) as tail:
        described = yaml.safe_load(stack.config.read_text())
        described["services"]["auth"]["fail_open"] = False
        replacement = tmp_path / "services.new"
        replacement.write_text(yaml.safe_dump(described, sort_keys=False))
        replacement.replace(stack.config)
        await until(lambda: "settings_reloaded" in stack.nodes[0].log, "the file is taken")
        async with connect(stack.nodes[0].ws_url) as client:
            assert stack.worker is not None
            await stack.worker.kill()
            await client.until(lambda: client.truth() == {"auth": "unknown", "analytics": "unknown"})
            refused = (await handshake(stack.nodes[0].ws_url)).rejected
            assert "It is not known whether Sign-in works" in refused.text
            await tail.until(lambda: "auth was not observed for" in tail.told)
            await stack.worker.start()
            await client.until(lambda: client.truth() == {"auth": "up", "analytics": "up"})
            await tail.until(lambda: "auth is observed again: up" in tail.told)
            assert client.notices() == []


async def test_postgres_stopped_started_paused_and_resumed(tmp_path: Path) -> None:
    """Every way a database goes away and comes back is announced once, with its category."""
    async with (
        postgres_server() as postgres,
        run_stack(
            tmp_path, services=("auth",), probes={"postgres": {"kind": "postgres", "dsn": postgres.url}}
        ) as stack,
        connect(stack.nodes[0].ws_url) as client,
    ):
        await postgres.stop()
        await client.until(lambda: len(client.notices("postgres")) == 1)
        await postgres.start()
        await client.until(lambda: len(client.notices("postgres")) == 2)
        postgres.pause()
        await client.until(lambda: len(client.notices("postgres")) == 3)
        refused = await handshake(stack.nodes[0].ws_url)
        assert [each.title for each in refused.rejected.services] == ["Message store"]
        postgres.resume()
        await client.until(lambda: len(client.notices("postgres")) == 4)
        told = client.notices("postgres")
        assert [each.kind.value for each in told] == ["down", "recovered", "down", "recovered"]
        assert [each.service.category for each in told] == ["refused", None, "timeout", None]
        await handshake(stack.nodes[0].ws_url)


async def test_a_second_worker_makes_no_second_event(tmp_path: Path) -> None:
    """Two workers watch the same services: each change is announced once; one dies, and the other goes on."""
    async with run_stack(tmp_path) as stack, connect(stack.nodes[0].ws_url) as client:
        second = stack.program("worker2", "probe", env={})
        await second.start()
        try:
            for number in (1, 2):
                await stack.services["auth"].kill()
                await client.until_notices("auth", 2 * number - 1)
                await stack.services["auth"].start()
                await client.until_notices("auth", 2 * number)
                if number == 1 and stack.worker is not None:
                    await stack.worker.kill()
            assert [each.kind.value for each in client.notices("auth")] == ["down", "recovered"] * 2
        finally:
            await second.kill()
