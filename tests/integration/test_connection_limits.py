"""Nobody takes all that a node has: limits in number, in all and of one address; later requests have theirs, too."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from broadcaster.node.crowd import SPARE
from broadcaster.protocol.messages import Goodbye, Welcome
from tests.support.clients import connect, handshake
from tests.support.metrics import scrape
from tests.support.ports import LOOPBACK
from tests.support.stack import DEADLINE, Program, Stack, run_stack, until

REQUEST = b"GET /livez HTTP/1.1\r\nHost: node\r\n\r\n"

Pipe = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def limited(folder: Path, **node: object) -> AsyncIterator[Stack]:
    async with run_stack(folder, services=("auth",), changes={"node": node}) as stack:
        yield stack


@asynccontextmanager
async def pipe(node: Program) -> AsyncIterator[Pipe]:
    reader, writer = await asyncio.open_connection(LOOPBACK, node.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def ended(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the node closes."""
    async with asyncio.timeout(DEADLINE):
        return await reader.read()


async def test_one_address_has_its_share_and_no_more(tmp_path: Path) -> None:
    """One too many is told so and closed with 1013; the others stay, and when one goes there is room again."""
    async with limited(tmp_path, max_connections_per_address=3) as stack, AsyncExitStack() as exits:
        url = stack.nodes[0].ws_url
        clients = [await exits.enter_async_context(connect(url)) for _ in range(3)]
        refused = await handshake(url)
        assert (await refused.closed())[0] == 1013
        [goodbye] = refused.messages
        assert isinstance(goodbye, Goodbye)
        assert goodbye.retry_after_ms >= 1000
        async with pipe(stack.nodes[0]) as (reader, writer):
            writer.write(REQUEST)
            assert (await ended(reader)).startswith(b"HTTP/1.1 429 ")
        assert not any(client.is_closed for client in clients)
        await clients.pop().aclose()

        async def is_welcome() -> bool:
            return isinstance((await handshake(url)).messages[0], Welcome)

        async with asyncio.timeout(DEADLINE):
            while not await is_welcome():
                await asyncio.sleep(0.05)
        assert stack.nodes[0].log.count("connections_turned_away") >= 1


async def test_connections_that_say_nothing_do_not_take_all_there_is(tmp_path: Path) -> None:
    """Beyond the most, and some to be told, a connection is ended at once; the clients that are there stay."""
    async with limited(tmp_path, max_connections=10, handshake_timeout="1m") as stack, AsyncExitStack() as exits:
        node = stack.nodes[0]
        client = await exits.enter_async_context(connect(node.ws_url))
        silent = [await exits.enter_async_context(pipe(node)) for _ in range(10 + SPARE - 1)]
        async with pipe(node) as (reader, _):
            answer = await ended(reader)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: " in answer
        for _ in range(20):
            async with pipe(node) as (reader, _):
                await ended(reader)
        assert node.log.count("request_refused") < 20, "a line for each of a flood"
        assert not client.is_closed
        for _, writer in silent:
            writer.close()

        async def counted() -> float:
            with contextlib.suppress(Exception):
                return (await scrape(node))["broadcaster_refused_requests_total", "503"]
            return 0

        async with asyncio.timeout(DEADLINE):
            while await counted() < 21:
                await asyncio.sleep(0.05)


async def test_a_later_request_has_its_deadline_too(tmp_path: Path) -> None:
    """On a connection that is kept, half a request and half a body end with 408."""
    async with limited(tmp_path, handshake_timeout="1s") as stack:
        for half in (REQUEST[:20], b"POST /livez HTTP/1.1\r\nHost: node\r\nContent-Length: 9\r\n\r\nhalf"):
            async with pipe(stack.nodes[0]) as (reader, writer):
                writer.write(REQUEST)
                async with asyncio.timeout(DEADLINE):
                    await reader.readuntil(b"ok\n")
                writer.write(half)
                assert b"HTTP/1.1 408 " in await ended(reader)
        await until(lambda: stack.nodes[0].log.count("request_refused") == 2, "both are logged")


async def test_a_later_request_has_its_limit_of_size_too(tmp_path: Path) -> None:
    """An endless header ends with 431, whatever came before."""
    async with limited(tmp_path) as stack, pipe(stack.nodes[0]) as (reader, writer):
        writer.write(REQUEST)
        async with asyncio.timeout(DEADLINE):
            await reader.readuntil(b"ok\n")
        writer.write(REQUEST[:-2] + b"X: " + b"x" * 16_000)
        await asyncio.sleep(0)
        writer.write(b"x" * 1000)  # nothing is left unread, which would reset the connection
        assert b"HTTP/1.1 431 " in await ended(reader)


async def test_requests_one_after_the_other_are_served(tmp_path: Path) -> None:
    """Pipelined or not, each has its answer, and none the deadline of another."""
    async with limited(tmp_path, handshake_timeout="1s") as stack, pipe(stack.nodes[0]) as (reader, writer):
        writer.write(REQUEST * 3)
        async with asyncio.timeout(DEADLINE):
            for _ in range(3):
                await reader.readuntil(b"ok\n")
        for _ in range(3):
            await asyncio.sleep(0.7)
            writer.write(REQUEST)
            async with asyncio.timeout(DEADLINE):
                await reader.readuntil(b"ok\n")
