"""What operators see on the command line while services, workers and Redis itself come and go."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Command, finished, running
from tests.support.outages import come_back, kill_and_keep_data, kill_and_lose_data, pause
from tests.support.stack import Stack, run_stack


def changes(tail: Command, service: str = "analytics") -> list[str]:
    """The kinds of what was printed of one service; every line must be an object."""
    objects: list[dict[str, Any]] = [json.loads(line) for line in tail.out]
    return [each["kind"] for each in objects if each["service"] == service]


def positions(tail: Command) -> list[tuple[str, int]]:
    return [(each["epoch"], each["revision"]) for each in map(json.loads, tail.out)]


async def test_status_exits_with_what_is_the_matter(tmp_path: Path) -> None:
    """0 all up, 3 an optional one down, 4 a critical one down, 5 Redis dead or mute, 2 a bad file."""
    async with run_stack(tmp_path) as stack:
        well = await finished("status", *stack.flags)
        assert (well.code, well.err) == (0, "")
        assert "auth" in well.out
        await stack.services["analytics"].kill()
        await stack.until_status({"analytics": "down"})
        reduced = await finished("status", *stack.flags, "-o", "json")
        assert reduced.code == 3
        lines = json.loads(reduced.out)["services"]
        assert {each["service"]: each["status"] for each in lines} == {"auth": "up", "analytics": "down"}
        await stack.services["auth"].kill()
        await stack.until_status({"auth": "down"})
        assert (await finished("status", *stack.flags)).code == 4
        stack.redis.pause()
        mute = await finished("status", *stack.flags)
        assert (mute.code, mute.out) == (5, "")
        assert mute.err
        stack.redis.resume()
        await stack.redis.kill()
        dead = await finished("status", *stack.flags)
        assert (dead.code, dead.out) == (5, "")
        for failed in (mute, dead):
            assert "Redis" in failed.err
            assert "Traceback" not in failed.err
        stack.config.write_text("services: {}\n")
        assert (await finished("status", *stack.flags)).code == 2


async def test_status_is_never_falsely_well(tmp_path: Path) -> None:
    """Nothing observed yet is unknown and exits with 3; that nobody watches is said in words."""
    async with run_stack(tmp_path, worker=False) as stack:
        unseen = await finished("status", *stack.flags)
        assert unseen.code == 3
        assert "unknown" in unseen.out
        assert "no worker" in unseen.err


@pytest.mark.parametrize("outage", [kill_and_keep_data, kill_and_lose_data, pause])
async def test_tail_survives_an_outage_of_redis(tmp_path: Path, outage: Callable[[Stack], Awaitable[None]]) -> None:
    """Every change once: before, during and after. Only what went with Redis's data is said in words instead."""
    async with (
        run_stack(tmp_path, redis_data=tmp_path / "redis") as stack,
        running("tail", *stack.flags, "-o", "json", "--since", "1h") as tail,
    ):
        await tail.until(lambda: changes(tail) == ["up"], "the service came up before")
        await stack.services["analytics"].kill()
        await tail.until(lambda: changes(tail) == ["up", "down"], "told before the outage")
        await outage(stack)
        await tail.until(lambda: "Redis is lost" in tail.told, "the loss is said")
        await stack.services["analytics"].start()  # while nobody can be told
        await come_back(stack)
        await tail.until(lambda: "Redis is back" in tail.told, "the return is said")

        def was_told() -> bool:
            in_words = outage is kill_and_lose_data and "analytics is up, was down" in tail.told
            return changes(tail) == ["up", "down", "recovered"] or in_words

        await tail.until(was_told, "what happened meanwhile is told")
        known = changes(tail)
        await stack.services["analytics"].kill()
        await tail.until(lambda: changes(tail) == [*known, "down"], "told after the outage")
        assert await tail.interrupt() == 130
        assert changes(tail, "auth") == ["up"]
        assert len(set(positions(tail))) == len(tail.out)
        assert "Traceback" not in tail.told


async def test_tail_waits_for_a_redis_that_is_not_there_yet(tmp_path: Path) -> None:
    """Started first, it says so and follows later; a look at what is kept cannot wait and exits with 5."""
    async with (
        run_stack(tmp_path, start_redis=False) as stack,
        running("tail", *stack.flags, "-o", "json") as tail,
    ):
        await tail.until(lambda: "Redis is lost" in tail.told)
        kept = await finished("tail", *stack.flags, "--no-follow")
        assert (kept.code, kept.out) == (5, "")
        await stack.redis.start()
        await stack.until_status({"auth": "up", "analytics": "up"})
        await tail.until(lambda: re.search("from here on|heard again", tail.told), "it follows")
        await stack.services["analytics"].kill()
        await tail.until(lambda: changes(tail)[-1:] == ["down"])
        assert await tail.interrupt() == 130


async def test_tail_shows_what_is_kept_and_ends(tmp_path: Path) -> None:
    """--no-follow: the history in order, of the services asked for, exit 0; and the same again."""
    async with run_stack(tmp_path) as stack:
        await stack.services["analytics"].kill()
        await stack.until_status({"analytics": "down"})
        everything = await finished("tail", *stack.flags, "--no-follow", "-o", "json")
        assert everything.code == 0
        found = [json.loads(line) for line in everything.out.splitlines()]
        assert [each["revision"] for each in found] == list(range(1, len(found) + 1))
        assert sorted((each["service"], each["kind"]) for each in found) == [
            ("analytics", "down"),
            ("analytics", "up"),
            ("auth", "up"),
        ]
        assert found[-1]["category"] == "refused"
        assert await finished("tail", *stack.flags, "--no-follow", "-o", "json") == everything
        one = await finished("tail", *stack.flags, "--no-follow", "-o", "json", "--service", "auth")
        assert [json.loads(line)["service"] for line in one.out.splitlines()] == ["auth"]
