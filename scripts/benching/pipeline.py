"""Nodes and plain subscribers as processes of their own, and the sockets on which this process hears of them.

Both end the way of a message alike: with bytes that a uvloop process writes to each of its connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from typing import NamedTuple

import redis.asyncio
import uvloop
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from broadcaster.node import server as node_server
from broadcaster.store.children import end, spawn
from broadcaster.store.redis import RedisStore
from scripts.benching.application import settings
from scripts.benching.system import raise_limits

STEP_SECONDS = 30.0
"""What a server may take to start, or a message to arrive, before this is no measurement any more."""

LAST_WORDS = 3000
"""Characters of what servers wrote that are shown where something went wrong."""

TIMEOUT = 10.0
"""Seconds for a reply of Redis: a node of a busy machine is not to lose its carrier here."""

REQUEST = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Origin: http://127.0.0.1:{port}\r\n\r\n"
)
READINESS = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
HEAD_END = b"\r\n\r\n"
TEXT, PING = 0x81, 0x89
PONG = b"\x8a\x80\x00\x00\x00\x00"


class Server(NamedTuple):
    """A process that listens on a loopback port."""

    pid: int
    port: int


@asynccontextmanager
async def nodes(redis_url: str, namespace: str, count: int) -> AsyncIterator[list[Server]]:
    """Nodes of the sample application, each ready: it has read its snapshot."""
    async with _serving(["node", redis_url, namespace], count, _is_ready) as servers:
        yield servers


@asynccontextmanager
async def subscribers(redis_url: str, channels: Sequence[str], count: int) -> AsyncIterator[list[Server]]:
    """Processes that write one byte to each of their connections for each message on ``channels``."""
    async with _serving(["subscriber", redis_url, ",".join(channels)], count, _listens) as servers:
        yield servers


@asynccontextmanager
async def _serving(what: Sequence[str], count: int, is_up: Callable[[int], bool]) -> AsyncIterator[list[Server]]:
    with tempfile.TemporaryFile() as output:
        children: list[subprocess.Popen[bytes]] = []
        try:
            servers = []
            for port in _free_ports(count):
                children.append(spawn([sys.executable, "-m", __spec__.name, *what, str(port)], output=output))
                servers.append(Server(children[-1].pid, port))
            deadline = time.monotonic() + STEP_SECONDS
            for child, server in zip(children, servers, strict=True):
                while not is_up(server.port):
                    if child.poll() is not None or time.monotonic() > deadline:
                        raise SystemExit(f"a {what[0]} did not start")
                    await asyncio.sleep(0.05)
            yield servers
        except SystemExit as stopped:
            output.seek(0)
            raise SystemExit(f"{stopped}\n{output.read().decode()[-LAST_WORDS:]}") from None
        finally:
            await asyncio.gather(*map(end, children))


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on right now, all different."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        call(port).close()
        return True
    return False


def _is_ready(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0) as one:
        one.sendall(READINESS)
        return one.recv(4096).startswith(b"HTTP/1.1 200 ")
    return False


# What this process hears.


def payload_of(data: bytes | bytearray, at: int = 0) -> slice | None:
    """Where the payload of the server's frame that begins ``at`` is; None if the frame is not there to its end."""
    if len(data) < at + 2:
        return None
    length = data[at + 1]
    begin = at + 2 + {126: 2, 127: 8}.get(length, 0)
    if length > 125:
        length = int.from_bytes(data[at + 2 : begin], "big")
    return slice(begin, begin + length) if len(data) >= begin + length else None


def shake_hands(port: int, path: str) -> tuple[socket.socket, bytes]:
    """A WebSocket connection, and the first message on it (the frame's payload)."""
    one = socket.create_connection(("127.0.0.1", port), timeout=STEP_SECONDS)
    one.sendall(REQUEST.format(path=path, port=port).encode())
    data = b""
    while True:
        got = one.recv(65536)
        if not got:
            raise SystemExit(f"the node closed a connection to {path}: {data!r}")
        data += got
        head = data.find(HEAD_END)
        if head >= 0 and (payload := payload_of(data, head + len(HEAD_END))) is not None:
            return one, data[payload]


def call(port: int) -> socket.socket:
    """A connection to a subscriber, which has taken it: it says so by one byte."""
    one = socket.create_connection(("127.0.0.1", port), timeout=STEP_SECONDS)
    one.recv(1)
    return one


Answer = Callable[[bytes], object]
Take = Callable[[bytearray, Answer], bool]
"""Takes what is complete off what came on a socket, answers what wants an answer; whether a message was there."""


def take_byte(data: bytearray, answer: Answer) -> bool:
    """What a subscriber writes."""
    taken = bool(data)
    data.clear()
    return taken


def take_notice(data: bytearray, answer: Answer) -> bool:
    """What a node writes: of all frames only a notice is a message, and a ping wants its pong."""
    found = False
    while (payload := payload_of(data)) is not None:
        if data[0] == PING:
            answer(PONG)
        found = found or (data[0] == TEXT and b'"type":"notice"' in data[payload])
        del data[: payload.stop]
    return found


class Arrivals:
    """Non-blocking sockets on one epoll within the event loop, and when the last of them had its message."""

    def __init__(self, sockets: Sequence[socket.socket], take: Take) -> None:
        self._take = take
        self._sockets = {each.fileno(): each for each in sockets}
        self._data = {number: bytearray() for number in self._sockets}
        self._missing: set[int] = set()
        self._last: asyncio.Future[float] | None = None
        self._poller = select.epoll()
        for each in sockets:
            each.setblocking(False)
            self._poller.register(each, select.EPOLLIN)
        asyncio.get_running_loop().add_reader(self._poller.fileno(), self._read)

    def __len__(self) -> int:
        return len(self._sockets)

    def expect(self) -> asyncio.Future[float]:
        """Begins to wait for one message on each socket: the time by ``time.perf_counter`` when the last was there.

        ConnectionError if a socket ends before that.
        """
        self._missing = set(self._sockets)
        self._last = asyncio.get_running_loop().create_future()
        return self._last

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._poller.fileno())
        self._poller.close()
        for each in self._sockets.values():
            each.close()

    def _read(self) -> None:
        for number, _ in self._poller.poll(0):
            one, data = self._sockets[number], self._data[number]
            got = one.recv(65536)
            if not got:
                self._poller.unregister(number)
                if self._last is not None and not self._last.done():
                    self._last.set_exception(ConnectionError("a connection was closed"))
                continue
            data += got
            if self._take(data, one.send):
                self._missing.discard(number)
        if not self._missing and self._last is not None and not self._last.done():
            self._last.set_result(time.perf_counter())


# What runs in the processes.


def connect(redis_url: str) -> redis.asyncio.Redis:
    """A client as the product's store has it."""
    retry = Retry(NoBackoff(), 0)
    return redis.asyncio.Redis.from_url(redis_url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, retry=retry)


async def serve_node(redis_url: str, namespace: str, port: int) -> None:
    async with RedisStore.connect(redis_url, namespace, timeout=TIMEOUT) as store:
        await node_server.serve_on(node_server.listen("127.0.0.1", port), settings(), store)


async def serve_subscriber(redis_url: str, channels: Sequence[str], port: int) -> None:
    """redis-py's own way, and nothing else: ``listen``, and a byte for each connection."""
    writers: set[asyncio.StreamWriter] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"!")
        writers.add(writer)
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writers.discard(writer)
        writer.close()

    async with connect(redis_url) as client, client.pubsub() as pubsub:
        await pubsub.subscribe(*channels)
        for _ in channels:
            await pubsub.get_message(timeout=TIMEOUT)
        async with await asyncio.start_server(accept, "127.0.0.1", port):
            async for message in pubsub.listen():
                if message["type"] == "message":
                    for writer in writers:
                        writer.write(b"!")


if __name__ == "__main__":
    raise_limits()
    kind, url, where, number = sys.argv[1:]
    if kind == "node":
        uvloop.run(serve_node(url, where, int(number)))
    else:
        uvloop.run(serve_subscriber(url, where.split(","), int(number)))
