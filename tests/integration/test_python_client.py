"""The Python client at real nodes: what it tells while services, nodes and Redis come and go."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec import UNSET

from broadcaster.store.redis import RedisStore
from broadcaster_client import (
    Feed,
    FeedChanged,
    FellBehind,
    Knowledge,
    Link,
    LinkChanged,
    Notice,
    Refused,
    ServiceChanged,
    Snapshot,
    UnknownName,
    connect,
)
from broadcaster_client.connection import Opener
from broadcaster_client.target import Target
from tests.support.commands import Command, running_command
from tests.support.commits import Flipper
from tests.support.metrics import scrape
from tests.support.outages import come_back, kill_and_keep_data
from tests.support.stack import DEADLINE, Stack, run_stack

README = (Path(__file__).parents[2] / "clients" / "python" / "README.md").read_text()
TOKEN = "token-of-operators"
SOON = {"node": {"retry_after": "200ms", "operator_token": TOKEN}}


def hurried(url: str) -> Feed:
    """``connect`` with pings that are missed soon, and no wait between attempts longer than a moment."""
    opener = Opener(Target(url), ping_interval=0.2, ping_timeout=0.4, proxy=None)
    return Feed(opener, name=url, patience=DEADLINE, sleep=lambda seconds: asyncio.sleep(min(seconds, 0.1)))


@asynccontextmanager
async def following(feed: Feed) -> AsyncIterator[tuple[Feed, list[Notice]]]:
    """The feed, and everything that it tells while it is read."""
    told: list[Notice] = []

    async def read() -> None:
        async for notice in feed:
            told.append(notice)  # noqa: PERF401 - one by one, as a test looks at it meanwhile

    async with feed:
        reader = asyncio.create_task(read())
        try:
            yield feed, told
        finally:
            reader.cancel()
            await asyncio.wait([reader])


async def until(feed: Feed, condition: Callable[[Snapshot], object]) -> Snapshot:
    """Raises TimeoutError with what is held."""
    try:
        async with asyncio.timeout(DEADLINE):
            return await feed.until(condition)
    except TimeoutError:
        raise TimeoutError(str(feed.snapshot)) from None


def is_now(service: str, status: str) -> Callable[[Snapshot], bool]:
    return lambda snapshot: snapshot.link.is_connected and snapshot.status(service) == status


async def all_told(told: list[Notice], feed: Feed) -> None:
    """Lets the reader take what is there."""
    while len(feed._inbox):
        await asyncio.sleep(0)
    await asyncio.sleep(0)


def services(told: list[Notice]) -> list[tuple[str, str]]:
    """What became of services, but for what a node that has just begun does not know yet, and then does."""
    return [
        (each.service.name, each.kind)
        for each in told
        if isinstance(each, ServiceChanged) and each.kind in ("down", "degraded", "recovered")
    ]


def links(told: list[Notice]) -> list[str]:
    return [each.link for each in told if isinstance(each, LinkChanged)]


async def test_outages_of_services_and_of_the_node_are_told_apart(tmp_path: Path) -> None:
    """Notices in order; rejected, and admitted again; a node killed and restarted, one that is sent away, and one that
    is frozen; the truth after each, and nothing twice."""
    async with (
        run_stack(tmp_path, changes=SOON) as stack,
        following(hurried(stack.nodes[0].ws_url)) as (feed, told),
    ):
        [node] = stack.nodes
        assert (feed.snapshot.link, feed.snapshot.knowledge) == (Link.OPEN, Knowledge.CURRENT)
        assert feed.snapshot.text == "All is well."
        await stack.services["analytics"].kill()
        await until(feed, is_now("analytics", "down"))
        assert "Usage reports" in feed.snapshot.text
        assert feed.snapshot.features["analytics"].because == ("analytics",)
        await stack.services["auth"].kill()
        await until(feed, is_now("auth", "down"))

        await node.kill()
        await until(feed, lambda snapshot: snapshot.link is Link.LOST)
        assert feed.snapshot.knowledge is Knowledge.FEED_LOST
        await node.start()
        await until(feed, lambda snapshot: snapshot.link is Link.REJECTED)
        assert "we cannot connect you" in feed.snapshot.text
        await stack.services["auth"].start()
        await until(feed, is_now("auth", "up"))
        await all_told(told, feed)
        assert services(told) == [("analytics", "down"), ("auth", "down"), ("auth", "recovered")]
        assert links(told) == ["open", "lost", "rejected", "open"]
        [rejected] = [each for each in told if isinstance(each, LinkChanged) and each.link is Link.REJECTED]
        assert [each.name for each in rejected.services] == ["auth"]
        assert rejected.retry_in is not None

        await stack.services["analytics"].start()
        await until(feed, is_now("analytics", "up"))
        await node.stop()  # with a goodbye and 1012
        await until(feed, lambda snapshot: snapshot.link is Link.LOST)
        await all_told(told, feed)
        assert "This server is restarting" in told[-1].text
        await node.start()
        await until(feed, lambda snapshot: snapshot.link is Link.OPEN)

        node.pause()
        await until(feed, lambda snapshot: snapshot.link is Link.LOST)
        assert "ping" in feed.snapshot.reason
        node.resume()
        await until(feed, lambda snapshot: snapshot.text == "All is well.")
        await all_told(told, feed)
        assert services(told)[3:] == [("analytics", "recovered")]
        assert links(told)[4:] == ["lost", "open", "lost", "open"]


async def test_a_node_that_loses_redis_says_so(tmp_path: Path) -> None:
    """The connection stays open, and what is held is no longer passed off as current; then it is again."""
    async with (
        run_stack(tmp_path, services=("auth",), redis_data=tmp_path / "redis") as stack,
        following(connect(stack.nodes[0].status_url, proxy=None)) as (feed, told),
    ):
        await kill_and_keep_data(stack)
        found = await until(feed, lambda snapshot: snapshot.feed == "lost")
        assert (found.link, found.knowledge, found.status("auth")) == (Link.OPEN, Knowledge.FEED_LOST, "up")
        assert found.text.startswith("The node has lost its own source.")
        await come_back(stack)
        await until(feed, lambda snapshot: snapshot.knowledge is Knowledge.CURRENT)
        await all_told(told, feed)
        assert {each.feed for each in told if isinstance(each, FeedChanged)} >= {"lost", "live"}
        assert links(told) == ["open"]


async def test_a_slow_reader_has_the_newest_snapshot_and_then_goes_on(tmp_path: Path) -> None:
    """However much happened; and a quick one has every change, in order, without a hole."""
    async with (
        run_stack(tmp_path, services=("auth",), worker=False) as stack,
        RedisStore.connect(stack.redis.url, timeout=DEADLINE) as store,
        connect(stack.nodes[0].status_url, proxy=None, backlog=4) as slow,
        following(connect(stack.nodes[0].status_url, proxy=None, backlog=1000)) as (quick, told),
    ):
        flipper = Flipper(store, "auth")
        await flipper.seed()
        await until(quick, lambda snapshot: snapshot.position.epoch == "e1")
        for _ in range(60):
            await flipper.flip()
        last = flipper.position.revision
        for feed in (slow, quick):
            await until(feed, lambda snapshot: snapshot.position.revision == last)
        behind = await anext(slow)
        assert isinstance(behind, FellBehind)
        assert behind.snapshot.position.revision == last
        assert behind.dropped > 4
        await flipper.flip()
        notice = await anext(slow)
        assert isinstance(notice, ServiceChanged)
        assert notice.position.revision == last + 1
        await until(quick, lambda snapshot: snapshot.position.revision == last + 1)
        await all_told(told, quick)
        revisions = [each.position.revision for each in told if isinstance(each, ServiceChanged)]
        assert revisions == sorted(set(revisions))
        assert revisions[-1] == last + 1


async def test_each_is_told_what_it_asked_for(tmp_path: Path) -> None:
    """A part; all of it for operators; a wrong token and a wrong name end it with a reason."""
    async with run_stack(tmp_path, changes=SOON, worker=False) as stack:
        url = stack.nodes[0].status_url
        async with connect(url, services=["analytics"], proxy=None) as feed:
            assert list(feed.snapshot.services) == ["analytics"]
        async with connect(url, features=["chat"], proxy=None) as feed:
            assert (list(feed.snapshot.services), list(feed.snapshot.features)) == (["auth"], ["chat"])
        async with connect(url, audience="operators", token=TOKEN, proxy=None) as feed:
            assert all(each.internal is not UNSET for each in feed.snapshot.services.values())
        with pytest.raises(Refused, match="401"):
            await connect(url, audience="operators", token="wrong", proxy=None).__aenter__()
        with pytest.raises(UnknownName, match=r"Not here: x\. Services are auth, analytics") as found:
            await connect(url, services=["x"], proxy=None).__aenter__()
        assert found.value.code == 3500


async def connections(stack: Stack) -> float:
    return (await scrape(stack.nodes[0]))["broadcaster_connections", "active"]


async def test_cancelled_anywhere_no_connection_is_left(tmp_path: Path) -> None:
    """At whatever turn of connecting, reading and leaving; the node sees every one of them go."""

    async def use(url: str) -> None:
        async with connect(url, proxy=None) as feed:
            await anext(feed)

    async with run_stack(tmp_path, services=("auth",), worker=False) as stack:
        before = asyncio.all_tasks()
        for steps in range(40):
            task = asyncio.create_task(use(stack.nodes[0].status_url))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            done, _ = await asyncio.wait({task}, timeout=DEADLINE)
            assert done, f"cancelled after {steps} turns, it goes on"
            assert asyncio.all_tasks() == before, f"after {steps} turns"
        async with asyncio.timeout(DEADLINE):
            while await connections(stack):
                await asyncio.sleep(0.01)


@asynccontextmanager
async def example(number: int, folder: Path, url: str) -> AsyncIterator[Command]:
    """A program of the package's README, run as a person runs it, with the URL put in its place."""
    code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[number]
    changed = re.sub(r"ws://127\.0\.0\.1:8895/ws(/status)?", url, code)
    assert changed != code
    script = folder / f"example{number}.py"
    script.write_text(changed)
    env = {"PYTHONPATH": os.pathsep.join(sys.path), "NO_PROXY": "*", "no_proxy": "*"}
    async with running_command([sys.executable, "-u", str(script)], env=env) as command:
        yield command


async def test_the_examples_tell_their_users_what_happens(tmp_path: Path) -> None:
    """All is well; what fails; why it is turned away; that the server is gone, and well again."""
    async with (
        run_stack(tmp_path, changes=SOON) as stack,
        example(0, tmp_path, stack.nodes[0].ws_url) as everything,
        example(1, tmp_path, stack.nodes[0].status_url) as one,
    ):
        node = stack.nodes[0]
        await everything.until(lambda: everything.out[:1] == ["All is well."])
        await one.until(lambda: one.out)
        await stack.services["analytics"].kill()
        await everything.until(lambda: everything.out[-1].startswith("down: Analytics is unavailable"))
        await one.until(lambda: "Analytics is down since" in one.out[-1])
        await stack.services["auth"].kill()
        await everything.until(lambda: everything.out[-1].startswith("down: Sign-in is unavailable"))
        await node.kill()
        await everything.until(lambda: everything.out[-1] == "link: The status feed is lost (the connection broke).")
        await one.until(lambda: one.out[-1] == "What is shown may be out of date.")
        await node.start()
        await everything.until(lambda: "we cannot connect you" in everything.out[-1])
        await stack.services["auth"].start()
        await everything.until(lambda: everything.out[-1].startswith("recovered: Sign-in"))
        assert not any("Sign-in" in line for line in one.out)
