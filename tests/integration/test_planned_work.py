"""Maintenance windows and overrides over the whole product: said on the command line, told to everybody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import redis.asyncio

from broadcaster.domain.model import PlanChange, Snapshot
from broadcaster.store.redis import RedisStore
from tests.support.clients import connect
from tests.support.commands import Finished, finished
from tests.support.stack import DEADLINE, Stack, run_stack, until


async def command(stack: Stack, *arguments: str) -> Finished:
    """A command that must succeed."""
    done = await finished(*arguments, *stack.flags)
    assert done.code == 0, done
    assert done.err == ""
    return done


async def eventually(store: RedisStore, condition: Callable[[Snapshot], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition(await store.snapshot()):
            await asyncio.sleep(0.02)


async def flush(stack: Stack) -> None:
    async with redis.asyncio.Redis.from_url(stack.redis.url) as client:
        await client.flushall()


async def plans(stack: Stack) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((await command(stack, "plans", "-o", "json")).out)
    return found


async def test_planned_work_is_told_and_explains_what_fails(tmp_path: Path) -> None:
    """Begun, explained, over: who is connected hears all of it, and who comes meanwhile is told at the door."""
    async with run_stack(tmp_path, nodes=2) as stack, connect(stack.nodes[0].ws_url) as client:
        await command(stack, "maintenance", "start", "auth", "--until", "2h", "--reason", "A bigger disk")
        await client.until(lambda: client.planned("auth"))
        [begun] = client.planned("auth")
        assert begun.text.startswith("Planned work on Sign-in until ")
        assert begun.text.endswith(" A bigger disk.")
        assert begun.service.status.value == "up"
        await stack.services["auth"].kill()
        await client.until_notices("auth", 1)
        assert client.notices("auth")[0].text.startswith("Sign-in is unavailable because of planned work until ")
        await stack.until_status({"auth": "down"}, node=1)
        async with connect(stack.nodes[1].ws_url) as refused:
            code, reason = await refused.closed()
            assert code == 1011
            assert reason is not None
            assert "planned work until" in reason
            assert "because of planned work until" in refused.rejected.text
        shown = await finished("status", *stack.flags)
        assert shown.code == 4
        assert "maintenance for" in shown.out
        assert "A bigger disk" in shown.out
        await stack.services["auth"].start()
        await client.until_notices("auth", 2)
        await command(stack, "maintenance", "end", "auth")
        await client.until(lambda: len(client.planned("auth")) == 2)
        assert client.planned("auth")[1].text == "Planned work on Sign-in is over."
        assert not client.planned("auth")[1].service.planned
        assert await plans(stack) == []
        kept = await command(stack, "tail", "--no-follow", "-s", "auth", "-o", "json")
        told = [(each["kind"], each.get("action")) for each in map(json.loads, kept.out.splitlines())]
        assert told[1:] == [("planned", "added"), ("down", None), ("recovered", None), ("planned", "ended")]


async def test_work_to_come_begins_and_expires_by_itself(tmp_path: Path) -> None:
    """Each is announced once, whoever is connected, by the worker that owns the service."""
    async with run_stack(tmp_path) as stack, connect(stack.nodes[0].ws_url) as client:
        await command(stack, "maintenance", "start", "auth", "analytics", "--from", "1500ms", "--until", "3s")
        [first, second] = await plans(stack)
        assert [first["has_begun"], second["has_begun"]] == [False, False]
        for service in ("auth", "analytics"):
            await client.until(lambda name=service: len(client.planned(name)) == 3)  # type: ignore[misc]
            texts = [each.text for each in client.planned(service)]
            assert " to " in texts[0]
            assert " until " in texts[1]
            assert texts[2].endswith(" is over.")
        async with RedisStore.connect(stack.redis.url) as store:
            changes = [each for each in await store.history() if isinstance(each, PlanChange)]
            assert [each.action.value for each in changes if each.service == "auth"] == ["added", "begun", "expired"]
        assert client.notices() == []


async def test_an_override_decides_until_it_ends(tmp_path: Path) -> None:
    """Refused while operators say that it is down; what is observed meanwhile disturbs nobody; then the truth."""
    async with run_stack(tmp_path) as stack, connect(stack.nodes[0].ws_url) as client:
        await command(stack, "override", "set", "auth", "down", "--until", "1h", "--reason", "We rotate all keys")
        await client.until_notices("auth", 1)
        [down] = client.notices("auth")
        assert (down.kind.value, down.service.status.value) == ("down", "down")
        assert down.text.endswith(" We rotate all keys.")
        async with connect(stack.nodes[0].ws_url) as refused:
            assert (await refused.closed())[0] == 1011
        await stack.services["auth"].kill()
        await client.until_notices("auth", 2)
        assert client.notices("auth")[1].quiet
        await command(stack, "override", "set", "auth", "up", "--until", "1h")
        await client.until_notices("auth", 3)
        assert client.notices("auth")[2].kind.value == "recovered"
        async with connect(stack.nodes[0].ws_url) as admitted:
            assert admitted.welcome.text == ""
        shown = await finished("status", *stack.flags, "-o", "json")
        [auth, _] = json.loads(shown.out)["services"]
        assert (auth["status"], auth["observed"], shown.code) == ("up", "down", 0)
        await command(stack, "override", "clear", "auth")
        await client.until_notices("auth", 4)
        assert client.notices("auth")[3].kind.value == "down"
        assert client.truth()["auth"] == "down"


async def test_an_override_ends_on_every_node_though_no_worker_lives(tmp_path: Path) -> None:
    async with run_stack(tmp_path) as stack, connect(stack.nodes[0].ws_url) as client:
        await command(stack, "override", "set", "analytics", "down", "--until", "3s")
        await client.until(lambda: client.truth()["analytics"] == "down")
        assert stack.worker is not None
        await stack.worker.kill()
        await client.until(lambda: client.truth()["analytics"] != "down")


async def test_plans_outlive_a_redis_that_lost_everything(tmp_path: Path) -> None:
    """The worker brings them back with the states that it knows."""
    async with run_stack(tmp_path) as stack:
        await command(stack, "maintenance", "start", "auth", "--until", "1h")
        assert stack.worker is not None
        known = stack.worker
        async with RedisStore.connect(stack.redis.url) as store:
            epoch = (await store.snapshot()).position.epoch
            # Two beats later the worker knows of the plan.
            seen = (await store.snapshot()).state("auth").observed_at or 0.0
            await eventually(store, lambda its: (its.state("auth").observed_at or 0.0) > seen + 2.5)
            await flush(stack)
            await until(lambda: known.log.count("epoch_begun") == 2, "seeded anew")
            await eventually(store, lambda its: its.position.epoch not in ("", epoch))
        [plan] = await plans(stack)
        assert plan["service"] == "auth"


MISTAKES = [
    (("maintenance", "start", "auth", "--until", "soon"), 2, "must be a duration such as 2h"),
    (("maintenance", "start", "auth", "--until", "2026-01-31"), 2, "must be a duration such as 2h"),
    (("maintenance", "start", "auth", "--until", "2001-01-31T00:00:00Z"), 2, "its end has passed already"),
    (("maintenance", "start", "auth", "--from", "2h", "--until", "1h"), 2, "over before it begins"),
    (("maintenance", "start", "--until", "1h"), 2, "name at least one service"),
    (("maintenance", "start", "auht", "--until", "1h"), 2, "auth"),
    (("maintenance", "start", "auth"), 2, "--until"),
    (("override", "set", "auth", "sideways", "--until", "1h"), 2, "degraded"),
    (("override", "set", "auth", "unknown", "--until", "1h"), 2, "degraded"),
    (("maintenance", "end", "auth"), 1, "auth: no planned work is on"),
    (("override", "clear", "auth", "analytics"), 1, "analytics: no override is on"),
]


async def test_what_makes_no_sense_is_refused_in_words(tmp_path: Path) -> None:
    """With a hint and an exit code, and nothing is written."""
    late = (datetime.now(UTC) + timedelta(days=31)).isoformat()
    async with run_stack(tmp_path) as stack:
        for arguments, code, told in [
            *MISTAKES,
            (("maintenance", "start", "auth", "--until", late), 2, "longer than 30 days"),
        ]:
            done = await finished(*arguments, *stack.flags)
            assert done.code == code, (arguments, done)
            assert told in done.err, (arguments, done)
            assert "Traceback" not in done.err
            assert done.out == ""
        assert await plans(stack) == []


async def test_without_redis_the_operator_is_told(tmp_path: Path) -> None:
    """5 where Redis does not answer, and where nothing was ever written to it."""
    async with run_stack(tmp_path, worker=False, nodes=0, services=("auth",)) as stack:
        empty = await finished("override", "set", "auth", "down", "--until", "1h", *stack.flags)
        assert empty.code == 5
        assert "broadcaster probe" in empty.err
        await stack.redis.kill()
        gone = await finished("maintenance", "start", "auth", "--until", "1h", *stack.flags)
        assert gone.code == 5
        assert "Redis" in gone.err
