"""Clients that do not read, or do not answer: bounded, told why, and nobody else's trouble."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from broadcaster.config.settings import NodeSettings
from broadcaster.store.redis import RedisStore
from tests.support.clients import connect
from tests.support.commits import Flipper
from tests.support.metrics import scrape
from tests.support.ports import LOOPBACK
from tests.support.raw import GOOD, close_code
from tests.support.stack import DEADLINE, Stack, run_stack

NODE = NodeSettings()

MOST = 5_000
"""Transitions after which the buffers of both kernels' ends must be full."""

KEPT = 2 * NODE.send_buffer_bytes + 2 * NODE.write_limit_bytes + 32_768
"""Bytes that a client may have to read when it reads again, as documented: what the node's kernel keeps (which doubles
what it is asked for), what the node does (the limit, and one burst at most), and some of its own."""


async def paused(stack: Stack) -> float:
    return (await scrape(stack.nodes[0]))["broadcaster_connections", "paused"]


@asynccontextmanager
async def lazy_client(stack: Stack) -> AsyncIterator[socket.socket]:
    """A connected client that has not read anything yet."""
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(lazy, (LOOPBACK, stack.nodes[0].port))
        await loop.sock_sendall(lazy, GOOD)
        yield lazy


async def fill(stack: Stack, flipper: Flipper) -> None:
    """Makes news until the lazy client is taken off the fan-out."""
    while not await paused(stack):
        for _ in range(50):
            await flipper.flip()
        assert flipper.position.revision < MOST, "the lazy client was never paused"


async def read_all(lazy: socket.socket, end: bytes | None = None) -> bytes:
    """Reads to the end of the stream, or until ``end`` was seen."""
    received = b""
    async with asyncio.timeout(DEADLINE):
        while chunk := await asyncio.get_running_loop().sock_recv(lazy, 1 << 20):
            received += chunk
            if end is not None and end in received[-len(chunk) - len(end) :]:
                break
    return received


async def test_a_slow_client_catches_up_with_one_snapshot_and_slows_nobody(tmp_path: Path) -> None:
    """It misses notices while it does not read, and has the whole truth when it does; others miss nothing."""
    async with (
        run_stack(tmp_path, worker=False) as stack,
        RedisStore.connect(stack.redis.url, timeout=DEADLINE) as store,
        lazy_client(stack) as lazy,
        connect(stack.nodes[0].ws_url) as reader,
    ):
        flipper = Flipper(store, "analytics")
        await flipper.seed()
        await fill(stack, flipper)
        for _ in range(50):
            await flipper.flip()
        last = flipper.position.revision
        await reader.until(lambda: reader.notices()[-1].position.revision == last)
        assert [each.position.revision for each in reader.notices()] == list(range(1, last + 1))
        received = await read_all(lazy, b'"type":"snapshot","v":1,"position":{"epoch":"e1","revision":%d}' % last)
        assert received.count(b'"type":"notice"') < last
        assert len(received) <= KEPT
        await flipper.flip()
        await read_all(lazy, b'"revision":%d}' % (last + 1))
        assert await paused(stack) == 0


async def test_a_stuck_client_is_closed_with_a_reason(tmp_path: Path) -> None:
    """A limit in seconds: close 3000, at the end of what it did not read."""
    async with (
        run_stack(tmp_path, worker=False, changes={"node": {"stuck_after": "1s"}}) as stack,
        RedisStore.connect(stack.redis.url, timeout=DEADLINE) as store,
        lazy_client(stack) as lazy,
        connect(stack.nodes[0].ws_url) as reader,
    ):
        flipper = Flipper(store, "analytics")
        await flipper.seed()
        await fill(stack, flipper)
        while await paused(stack):
            await asyncio.sleep(0.05)
        assert close_code(await read_all(lazy)) == 3000
        assert not reader.is_closed


async def test_a_client_that_answers_no_ping_is_closed(tmp_path: Path) -> None:
    """Found within two intervals: close 3001; one that answers stays."""
    async with (
        run_stack(tmp_path, services=("auth",), changes={"node": {"ping_interval": "1s"}}) as stack,
        lazy_client(stack) as silent,
        connect(stack.nodes[0].ws_url) as alive,
    ):
        received = await read_all(silent)
        assert b"\x89\x00" in received
        assert close_code(received) == 3001
        assert not alive.is_closed
