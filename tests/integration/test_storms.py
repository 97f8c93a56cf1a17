"""Everybody at once: thousands of handshakes in one moment, bursts of news, and a node that ends under many clients."""

from __future__ import annotations

import asyncio
import os
import resource
import select
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from broadcaster.protocol import codec
from broadcaster.protocol.messages import AnyMessage, Goodbye, Notice, Rejected, SnapshotMessage, Welcome
from broadcaster.store.redis import RedisStore
from tests.support.clients import connect, handshake
from tests.support.commits import Flipper
from tests.support.metrics import scrape
from tests.support.ports import LOOPBACK
from tests.support.raw import frames, upgrade
from tests.support.stack import DEADLINE, Program, Stack, run_stack, until

STORM = 3000
SOON = 5.0
"""Seconds within which a node must answer that it lives, whatever else it does: half of what a handshake may take."""

TEXT, CLOSE = 0x1, 0x8


class Crowd:
    """Clients that come in one moment: all connect and send their handshakes before any of them reads."""

    def __init__(self, exits: ExitStack, node: Program, number: int, target: str) -> None:
        self._data = [b""] * number
        self.sockets = [exits.enter_context(socket.socket()) for _ in range(number)]
        request = upgrade(target)
        for each in self.sockets:
            each.connect((LOOPBACK, node.port))
            each.setblocking(False)
        for each in self.sockets:
            assert each.send(request) == len(request)

    async def read(self, is_enough: Callable[[list[tuple[int, bytes]]], object]) -> None:
        """Reads until that is true of every client's frames. Raises what goes wrong, resets above all."""
        loop = asyncio.get_running_loop()

        async def one(number: int) -> None:
            while not is_enough(frames(self._data[number])):
                chunk = await loop.sock_recv(self.sockets[number], 1 << 16)
                assert chunk, f"the end of the stream after {self._data[number]!r}"
                self._data[number] += chunk

        async with asyncio.timeout(2 * DEADLINE):
            await asyncio.gather(*(one(number) for number in range(len(self.sockets))))

    def said(self) -> list[list[AnyMessage]]:
        """What each client was told."""
        return [
            [codec.decode_message(payload) for opcode, payload in frames(data) if opcode == TEXT] for data in self._data
        ]

    def closes(self) -> list[tuple[int, str]]:
        """Code and reason of each client's close."""
        found = [[payload for opcode, payload in frames(data) if opcode == CLOSE] for data in self._data]
        return [(int.from_bytes(payload[:2], "big"), payload[2:].decode()) for [payload] in found]


def has_message(found: list[tuple[int, bytes]]) -> bool:
    return any(opcode == TEXT for opcode, _ in found)


def has_close(found: list[tuple[int, bytes]]) -> bool:
    return any(opcode == CLOSE for opcode, _ in found)


@pytest.fixture(autouse=True)
def room() -> None:
    """A storm takes a descriptor for each client here, and another in the node, which sees to its own; and a kernel
    that completes as many connections as it is asked to."""
    most = int(Path("/proc/sys/net/core/somaxconn").read_text())
    if most < STORM:
        pytest.skip(f"the kernel completes {most} connections at a time at most (net.core.somaxconn)")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = STORM + 500
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"{wanted} open files are not allowed here")
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@asynccontextmanager
async def asking(node: Program) -> AsyncIterator[list[float]]:
    """Asks /livez one time after the other meanwhile; how long the answers took."""
    loop = asyncio.get_running_loop()
    took: list[float] = []

    async def ask() -> None:
        while True:
            began = loop.time()
            assert (await node.get("/livez")).status_code == 200
            took.append(loop.time() - began)

    task = asyncio.create_task(ask())
    try:
        yield took
        await until(lambda: took or task.done(), "an answer")
    finally:
        task.cancel()
        [error] = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(error, asyncio.CancelledError), error


def assert_spread(waits: list[int], least: int, width: int) -> None:
    """Times to come back, in milliseconds: many different ones, over all of the width, and none for very many."""
    assert min(waits) >= least
    assert max(waits) <= least + width
    assert max(waits) - min(waits) > 0.8 * width
    times = Counter(waits)
    assert len(times) >= 20
    assert max(times.values()) <= len(waits) / 8
    quarters = Counter(4 * (wait - least) // (width + 1) for wait in waits)
    assert all(quarters[number] > len(waits) / 8 for number in range(4)), quarters


# Handshakes.


async def test_a_storm_of_handshakes_is_welcome(tmp_path: Path) -> None:
    """Thousands in one moment: each gets its welcome, none is reset, the node lives, and all hear what comes next."""
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(run_stack(tmp_path))
        node = stack.nodes[0]
        async with asking(node) as took:
            crowd = Crowd(exits.enter_context(ExitStack()), node, STORM, "/ws")
            await crowd.read(has_message)
        assert max(took) < SOON
        first = crowd.said()
        assert Counter(type(message) for [message] in first) == {Welcome: STORM}
        assert len({message.text for [message] in first if isinstance(message, Welcome)}) == 1
        samples = await scrape(node)
        assert samples["broadcaster_connections", "active"] == STORM
        assert samples["broadcaster_handshakes_total", "accept"] == STORM
        await stack.services["analytics"].kill()
        async with asking(node) as took:
            await crowd.read(lambda found: sum(opcode == TEXT for opcode, _ in found) >= 2)
        assert max(took) < SOON
        notices = [messages[1] for messages in crowd.said()]
        assert {message.position for message in notices if isinstance(message, Notice)} == {notices[0].position}  # type: ignore[union-attr]
        assert Counter(type(message) for message in notices) == {Notice: STORM}
        assert "Traceback" not in node.log


async def test_a_storm_while_a_critical_service_is_down_is_explained(tmp_path: Path) -> None:
    """Thousands in one moment: each is told why, and to come back at a time of its own; the node lives."""
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(run_stack(tmp_path))
        node = stack.nodes[0]
        await stack.services["auth"].kill()
        await stack.until_status({"auth": "down"})
        async with asking(node) as took:
            crowd = Crowd(exits.enter_context(ExitStack()), node, STORM, "/ws")
            await crowd.read(has_close)
        assert max(took) < SOON
        rejections = [message for [message] in crowd.said() if isinstance(message, Rejected)]
        assert len(rejections) == STORM
        assert all(each.text.startswith("Sign-in is unavailable") for each in rejections)
        assert {tuple(service.name for service in each.services) for each in rejections} == {("auth",)}
        assert_spread([each.retry_after_ms for each in rejections], 5000, 5000)
        for each in rejections:
            assert f"try again in {round(each.retry_after_ms / 1000)} seconds." in each.text
        assert {code for code, _ in crowd.closes()} == {1011}
        assert all("Sign-in" in reason for _, reason in crowd.closes())
        assert node.log.count("handshakes_rejected") < 20, "a line for each of a storm"
        assert "Traceback" not in node.log


async def test_a_storm_on_a_full_node_is_told_that_it_is_full(tmp_path: Path) -> None:
    """Beyond the most everybody is told in true words that there are too many, and when to come back; others stay."""
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(run_stack(tmp_path, changes={"node": {"max_connections": 50}}))
        node = stack.nodes[0]
        sockets = exits.enter_context(ExitStack())
        first = Crowd(sockets, node, 50, "/ws")
        await first.read(has_message)
        assert Counter(type(message) for [message] in first.said()) == {Welcome: 50}
        async with asking(node) as took:
            crowd = Crowd(sockets, node, 900, "/ws")
            await crowd.read(has_close)
        assert max(took) < SOON
        goodbyes = [message for [message] in crowd.said() if isinstance(message, Goodbye)]
        assert len(goodbyes) == 900
        for each in goodbyes:
            assert "too many connections" in each.text
            assert "restart" not in each.text
        assert_spread([each.retry_after_ms for each in goodbyes], 1000, 4000)
        assert set(crowd.closes()) == {(1013, "too many connections here; try again later")}
        await stack.services["analytics"].kill()
        await first.read(lambda found: sum(opcode == TEXT for opcode, _ in found) >= 2)
        assert node.log.count("connections_turned_away") < 20, "a line for each of a storm"


async def test_what_a_storm_takes_it_gives_back(tmp_path: Path) -> None:
    """Thousands that come, are turned away without answering, and vanish, leave no connection that is counted."""
    async with run_stack(tmp_path) as stack:
        node = stack.nodes[0]
        for _ in range(2):
            with ExitStack() as exits:
                crowd = Crowd(exits, node, STORM, "/ws/status?services=auth")
                await crowd.read(has_message)

            async def left() -> float:
                samples = await scrape(node)
                return sum(value for name, value in samples.items() if name[0] == "broadcaster_connections")

            async with asyncio.timeout(DEADLINE):
                while await left():
                    await asyncio.sleep(0.05)
        assert (await scrape(node))[("broadcaster_audiences",)] == 1
        assert "Traceback" not in node.log


# Bursts of news.


@contextmanager
def stopped(node: Program) -> Iterator[None]:
    """The process does nothing meanwhile; what comes for it waits."""
    node.pause()
    try:
        yield
    finally:
        node.resume()


@asynccontextmanager
async def flipping(folder: Path, **node: object) -> AsyncIterator[tuple[Stack, Flipper]]:
    """A node without a worker, and somebody who makes news of one service."""
    async with (
        run_stack(folder, worker=False, changes={"node": node}) as stack,
        RedisStore.connect(stack.redis.url, timeout=DEADLINE) as store,
    ):
        flipper = Flipper(store, "analytics")
        await flipper.seed()
        async with asyncio.timeout(DEADLINE):
            while (await handshake(stack.nodes[0].status_url)).welcome.position != flipper.position:
                await asyncio.sleep(0.02)
        yield stack, flipper


async def test_a_burst_reaches_everybody_whole_and_in_order(tmp_path: Path) -> None:
    """Fifty changes at once: everybody gets every one of them, once and in order."""
    async with (
        flipping(tmp_path) as (stack, flipper),
        connect(stack.nodes[0].ws_url) as client,
        connect(f"{stack.nodes[0].ws_url}?services=analytics") as part,
    ):
        with stopped(stack.nodes[0]):
            for _ in range(50):
                await flipper.flip()
        for each in (client, part):
            await each.until_notices("analytics", 50)
            assert [message.position.revision for message in each.notices()] == list(range(1, 51))


async def test_a_burst_that_is_too_long_becomes_a_snapshot(tmp_path: Path) -> None:
    """More bytes at once than a client may have to read: the truth at their end, in place of all of them."""
    async with (
        flipping(tmp_path, write_limit_bytes=1000) as (stack, flipper),  # three notices, in a turn of the loop
        connect(stack.nodes[0].ws_url) as client,
        connect(f"{stack.nodes[0].ws_url}?services=auth") as other,
    ):
        with stopped(stack.nodes[0]):
            for _ in range(500):
                await flipper.flip()
        last = flipper.position
        await client.until(lambda: getattr(client.messages[-1], "position", None) == last)
        newcomer = await handshake(stack.nodes[0].status_url)
        await client.until(lambda: client.truth() == newcomer.truth())
        told = [each for each in client.messages if isinstance(each, (Notice, SnapshotMessage))]
        assert any(isinstance(each, SnapshotMessage) for each in told)
        assert len(told) < last.revision / 2, "a burst was told piece by piece"
        revisions = [each.position.revision for each in told if each.position.epoch == last.epoch]
        assert revisions == sorted(revisions)
        await flipper.flip()  # and goes on as before
        await client.until(lambda: client.notices("analytics")[-1:] and client.notices()[-1].position > last)
        assert [type(each) for each in other.messages[1:] if not isinstance(each, SnapshotMessage)] == []


# The first moment of a node.


async def first_client(exits: ExitStack, node: Program) -> socket.socket:
    """Starts a node, and connects in the moment in which it begins to listen. With little room for what it gets."""
    await node.start(wait=False)
    async with asyncio.timeout(DEADLINE):
        while True:
            made = socket.socket()
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            if made.connect_ex((LOOPBACK, node.port)) == 0:
                made.setblocking(False)
                return exits.enter_context(made)
            made.close()
            await asyncio.sleep(0)


def connected(exits: ExitStack, node: Program, number: int) -> list[socket.socket]:
    """So many clients that try to connect; those of them for which the kernel has done so."""
    trying = [exits.enter_context(socket.socket()) for _ in range(number)]
    waiting = select.poll()
    for each in trying:
        each.setblocking(False)
        each.connect_ex((LOOPBACK, node.port))
        waiting.register(each, select.POLLOUT)
    ready = {descriptor for descriptor, events in waiting.poll(1000) if events == select.POLLOUT}
    return [each for each in trying if each.fileno() in ready]


@pytest.mark.parametrize("backlog", [20, 2000])
async def test_so_many_wait_to_be_accepted_as_the_settings_say(tmp_path: Path, backlog: int) -> None:
    """While a node is busy the kernel completes that many connections for it, and no more."""
    changes = {"node": {"backlog": backlog}}
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(run_stack(tmp_path, worker=False, changes=changes))
        await handshake(stack.nodes[0].status_url)
        with stopped(stack.nodes[0]):
            found = connected(exits.enter_context(ExitStack()), stack.nodes[0], backlog + 200)
        assert backlog <= len(found) <= backlog + 20


async def test_a_node_that_starts_into_a_storm_has_its_whole_backlog(tmp_path: Path) -> None:
    """Clients that a restart sent away come back before the node is ready: as many can wait as at any other time."""
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(run_stack(tmp_path, worker=False))
        node, sockets = stack.nodes[0], exits.enter_context(ExitStack())
        await node.kill()
        await first_client(sockets, node)
        with stopped(node):
            found = connected(sockets, node, 1000)
            for each in found:
                each.send(upgrade("/ws/status"))
        assert len(found) == 1000
        async with asyncio.timeout(DEADLINE):
            for each in found:
                assert (await asyncio.get_running_loop().sock_recv(each, 1 << 16)).startswith(b"HTTP/1.1 101 ")


async def test_whoever_comes_in_the_first_moment_may_cost_no_more_than_others(tmp_path: Path) -> None:
    """Also a client that connects before the node is ready is taken off when it does not read."""
    async with AsyncExitStack() as exits:
        stack, flipper = await exits.enter_async_context(flipping(tmp_path))
        node, sockets = stack.nodes[0], exits.enter_context(ExitStack())
        await node.kill()
        lazy = await first_client(sockets, node)
        await asyncio.get_running_loop().sock_sendall(lazy, upgrade("/ws/status"))
        reader = await exits.enter_async_context(connect(node.status_url))
        told = sent = 0
        while not (await scrape(node))["broadcaster_connections", "paused"]:
            for _ in range(50):
                await flipper.flip()
            await reader.until(lambda: getattr(reader.messages[-1], "position", None) == flipper.position)
            sent += sum(len(frame) for frame in reader.frames[told:])
            told = len(reader.frames)
            assert sent < 1_000_000, "it is not taken off, whatever waits for it"


# The end of a node.


async def test_a_node_that_ends_under_many_clients_says_goodbye_to_all(tmp_path: Path) -> None:
    """Users, observers, parts: each has a goodbye and 1012, and the more there are the wider they are spread."""
    changes = {"node": {"reconnect_rate": 50, "drain_delay": "1s"}}
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(run_stack(tmp_path, changes=changes))
        node, sockets = stack.nodes[0], exits.enter_context(ExitStack())
        crowds = [
            Crowd(sockets, node, number, target)
            for number, target in ((300, "/ws"), (100, "/ws/status"), (100, "/ws?services=auth"))
        ]
        for crowd in crowds:
            await crowd.read(has_message)
        os.kill(node.pid, signal.SIGTERM)
        for crowd in crowds:
            await crowd.read(has_close)
        told = [messages for crowd in crowds for messages in crowd.said()]
        assert Counter(tuple(type(each) for each in messages) for messages in told) == {(Welcome, Goodbye): 500}
        waits = [messages[-1].retry_after_ms for messages in told if isinstance(messages[-1], Goodbye)]
        assert_spread(waits, 2000, 8000)  # five hundred at fifty a second
        assert {close for crowd in crowds for close in crowd.closes()} == {
            (1012, "this node restarts; please reconnect")
        }
        sockets.close()
        await until(lambda: not node.is_running, "the end of the node")
        assert "Traceback" not in node.log
