"""Whatever bytes arrive: a clear HTTP error or close, logged once, no trace in the log, nothing left open."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from tests.support.clients import handshake
from tests.support.ports import LOOPBACK
from tests.support.raw import GOOD, MASK, close_code
from tests.support.stack import DEADLINE, Program, Stack, run_stack, until

REFUSED = [
    pytest.param(GOOD.replace(b"/ws", b"/elsewhere"), 404, id="unknown path"),
    pytest.param(GOOD.replace(b"\r\n\r\n", b"\r\nX: " + b"x" * 20_000 + b"\r\n\r\n"), 431, id="oversized header"),
    pytest.param(b"GET /ws HTTP/1.1\r\nX: " + b"x" * 40_000, 431, id="endless header"),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100), 400, id="a TLS hello"),
    pytest.param(b"\x00\xff" * 50, 400, id="garbage"),
    pytest.param(GOOD.replace(b"GET", b"POST"), 405, id="POST"),
    pytest.param(GOOD.replace(b"Version: 13", b"Version: 12"), 426, id="wrong version"),
    pytest.param(GOOD.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"tooshort"), 400, id="bad key"),
    pytest.param(GOOD.replace(b"\r\n\r\n", b"\r\nOrigin: https://evil.example\r\n\r\n"), 403, id="foreign origin"),
    pytest.param(GOOD.replace(b"HTTP/1.1", b"HTTP/1.0"), 505, id="HTTP/1.0"),
]


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """One for all: none of these tests leaves a mark on it."""
    folder = tmp_path_factory.mktemp("malformed")
    async with run_stack(folder, services=("auth",), changes={"node": {"handshake_timeout": "1s"}}) as running:
        yield running


def descriptors(node: Program) -> int:
    """How many files and sockets the product's process holds; it is the one below env and our shim."""
    return len(os.listdir(f"/proc/{node.pid}/fd"))


@asynccontextmanager
async def unharmed(stack: Stack) -> AsyncIterator[None]:
    """The node holds as many descriptors afterwards as before, wrote no trace, and serves."""
    node = stack.nodes[0]
    await handshake(node.ws_url)
    await asyncio.sleep(0)
    before = descriptors(node)
    yield
    await until(lambda: descriptors(node) <= before, "every connection is closed")
    assert "Traceback" not in node.log, node.log
    assert (await handshake(node.ws_url)).welcome.feed.value == "live"


async def send(node: Program, data: bytes) -> bytes:
    """Sends, and reads until the node closes."""
    reader, writer = await asyncio.open_connection(LOOPBACK, node.port)
    try:
        writer.write(data)
        async with asyncio.timeout(DEADLINE):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(("data", "status"), REFUSED)
async def test_a_request_that_is_no_handshake_gets_a_clear_http_error(stack: Stack, data: bytes, status: int) -> None:
    """Status and a sentence, the connection closed, one line in the log."""
    node = stack.nodes[0]
    before = node.log.count("request_refused")
    async with unharmed(stack):
        answer = await send(node, data)
        assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer
        assert answer.partition(b"\r\n\r\n")[2].strip()
    assert node.log.count("request_refused") == before + 1


@pytest.mark.parametrize("first", [b"", b"GET /livez HTTP/1.1\r\nHost: node\r\n\r\n"], ids=["first", "second"])
async def test_a_client_that_is_still_sending_reads_why_it_was_refused(stack: Stack, first: bytes) -> None:
    """What arrives after the answer is dropped, not answered with a reset, until the client or the node closes."""
    node = stack.nodes[0]
    before = node.log.count("request_refused")
    async with unharmed(stack):
        reader, writer = await asyncio.open_connection(LOOPBACK, node.port)
        async with asyncio.timeout(DEADLINE):
            if first:
                writer.write(first)
                await reader.readuntil(b"ok\n")
            writer.write(b"GET /ws HTTP/1.1\r\nX: " + b"x" * 40_000)
            await until(lambda: node.log.count("request_refused") == before + 1, "the node refuses")
            for _ in range(20):
                writer.write(b"x" * 1000)
                await writer.drain()
                await asyncio.sleep(0)
            assert b"HTTP/1.1 431 " in await reader.read()
        writer.close()


async def test_a_refusal_that_overtakes_an_answer_leaves_no_trace(stack: Stack) -> None:
    """A request that is answered, and right behind it one that is too large: the answer to the first has no place."""
    async with unharmed(stack):
        for _ in range(20):
            answer = await send(
                stack.nodes[0],
                b"GET /livez HTTP/1.1\r\nHost: node\r\n\r\n" + b"GET /livez HTTP/1.1\r\nX: " + b"x" * 20_000,
            )
            assert answer.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 200 "))


async def test_a_request_that_does_not_come_is_ended(stack: Stack) -> None:
    """Half a handshake, or nothing at all: 408 after the deadline."""
    async with unharmed(stack):
        answers = await asyncio.gather(*(send(stack.nodes[0], GOOD[:size]) for size in (0, 1, 40, len(GOOD) - 2)))
        for answer in answers:
            assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_handshake_that_comes_byte_by_byte_is_as_good_as_any(stack: Stack) -> None:
    """Segments have no meaning."""
    async with unharmed(stack):
        reader, writer = await asyncio.open_connection(LOOPBACK, stack.nodes[0].port)
        for number in range(len(GOOD)):
            writer.write(GOOD[number : number + 1])
            await writer.drain()
            await asyncio.sleep(0)
        async with asyncio.timeout(DEADLINE):
            assert (await reader.readline()).startswith(b"HTTP/1.1 101 ")
            await reader.readuntil(b'"type":"welcome"')
        writer.close()


async def test_a_handshake_after_an_ordinary_request_on_one_connection(stack: Stack) -> None:
    """A proxy may keep a connection and use it for an upgrade later."""
    async with unharmed(stack):
        reader, writer = await asyncio.open_connection(LOOPBACK, stack.nodes[0].port)
        async with asyncio.timeout(DEADLINE):
            writer.write(b"GET /livez HTTP/1.1\r\nHost: node\r\n\r\n")
            await reader.readuntil(b"ok\n")
            writer.write(GOOD)
            await reader.readuntil(b"101 Switching Protocols")
            await reader.readuntil(b'"type":"welcome"')
        writer.close()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"\x81\x05hello", 1002, id="unmasked frame"),
        pytest.param(b"\x83\x80" + MASK, 1002, id="reserved opcode"),
        pytest.param(b"\x81\xfe\x20\x00" + MASK + b"x" * 8192, 1009, id="oversized message"),
        pytest.param(b"\x81\x82" + MASK + b"\xff\xff", 1007, id="not UTF-8"),
        pytest.param(b"\x88\x82" + MASK + b"\x03\xe8", 1000, id="an orderly close"),
    ],
)
async def test_frames_that_break_the_protocol_are_answered_with_a_code(stack: Stack, data: bytes, code: int) -> None:
    """The close frame says what was wrong (RFC 6455, section 7.4.1)."""
    async with unharmed(stack):
        for parts in ([GOOD + data], [GOOD, data]):
            reader, writer = await asyncio.open_connection(LOOPBACK, stack.nodes[0].port)
            for part in parts:
                writer.write(part)
                await writer.drain()
            async with asyncio.timeout(DEADLINE):
                assert close_code(await reader.read()) == code
            writer.close()


async def test_a_message_nobody_asked_for_changes_nothing(stack: Stack) -> None:
    """Text, pings and pongs from a client: pings are answered, the rest is read and dropped."""
    async with unharmed(stack):
        reader, writer = await asyncio.open_connection(LOOPBACK, stack.nodes[0].port)
        writer.write(GOOD + b"\x81\x82" + MASK + b"hi" + b"\x8a\x80" + MASK + b"\x89\x82" + MASK + b"yo")
        async with asyncio.timeout(DEADLINE):
            await reader.readuntil(b"\x8a\x02yo")
        writer.close()


async def test_connections_that_vanish_leave_nothing(stack: Stack) -> None:
    """Reset before, during and after the handshake."""
    async with unharmed(stack):
        for data in (b"", GOOD[:50], GOOD):
            for _ in range(20):
                _, writer = await asyncio.open_connection(LOOPBACK, stack.nodes[0].port)
                writer.write(data)
                writer.transport.abort()
