"""Starts one of the servers in a process of its own, and makes it tell its clients something."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from broadcaster.store.children import end, spawn
from broadcaster.store.embedded import EmbeddedRedis, free_port
from broadcaster.store.redis import RedisStore
from scripts.benching.application import Committer, seed
from scripts.benching.load import Load
from scripts.benching.servers import text_frame

START_SECONDS = 30.0

SETTLE_SECONDS = 1.0
"""For imports, garbage and first ticks, before anything is read off a process."""

WARM_CLIENTS = 100
"""Connections that are opened and closed again before anything is measured: what a first one costs once is not its."""


@dataclass(frozen=True)
class Server:
    """One that runs. ``pid`` is the process that serves; ``publish`` makes it tell everybody something."""

    pid: int
    port: int
    publish: Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Sizes:
    """Bytes of the node's frames."""

    welcome: int
    notice: int


@asynccontextmanager
async def watched_redis() -> AsyncIterator[str]:
    """The URL of a Redis of our own, on which a worker is heard."""
    with tempfile.TemporaryDirectory() as folder:
        async with EmbeddedRedis(Path(folder)) as redis:
            heartbeat = spawn([sys.executable, "-m", "scripts.benching.heartbeat", redis.url])
            try:
                yield redis.url
            finally:
                await end(heartbeat)


@asynccontextmanager
async def running(
    kind: str, redis_url: str, size: int, *, clients: int, patience: float = 0.0
) -> AsyncIterator[Server]:
    """A server whose frames have ``size`` bytes, for so many clients; the node bears stuck ones for ``patience``."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as output:
        async with RedisStore.connect(redis_url, timeout=10) as store:
            known = await seed(store)
            await store.heartbeat("bench", time.time(), {}, known)  # a node would tell its clients that it heard none
            port, control = free_port(), free_port()
            command = [sys.executable, "-m", "scripts.benching.servers", kind, "--port", str(port)]
            command += ["--control", str(control), "--size", str(size), "--redis", redis_url, "--folder", folder]
            command += ["--most", str(clients + clients // 10), "--patience", str(patience)]
            child = spawn(command, output=output)
            try:
                await _until_it_listens(child, port)
                if kind == "node":
                    await _until_ready(port)
                    yield Server(child.pid, port, Committer(store, known))
                    return
                await _until_it_listens(child, control)
                with contextlib.closing(socket.create_connection(("127.0.0.1", control))) as commands:
                    if kind == "nchan":
                        post = _Post(commands, size)
                        await post()  # what the first newcomers are welcomed by
                        yield Server(await _worker(child.pid), port, post)
                    else:
                        yield Server(child.pid, port, _Byte(commands))
            except SystemExit as stopped:
                output.seek(0)
                said = output.read().decode(errors="replace").strip()
                raise SystemExit(f"{kind}: {stopped}\n{said[-4000:]}".rstrip()) from None
            finally:
                await end(child)


async def warm_up(server: Server) -> None:
    """Lets a server settle, and have had some clients."""
    await asyncio.sleep(SETTLE_SECONDS)
    warm = Load(server.port)
    warm.connect(WARM_CLIENTS)
    warm.close()
    await asyncio.sleep(SETTLE_SECONDS / 2)


async def sizes_of_node(redis_url: str) -> Sizes:
    """What a client of the node gets, on an average of a few notices."""
    async with running("node", redis_url, 0, clients=1) as server:
        client = Load(server.port)
        client.connect(1)
        welcome = client.size
        notices = []
        for _ in range(11):
            await server.publish()
            client.read_frame_each()
            notices.append(client.size)
        client.close()
        return Sizes(welcome, round(statistics.mean(notices[1:])))  # the first is of another kind


class _Byte:
    """Tells a server that broadcasts for every byte."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    async def __call__(self) -> None:
        self._connection.send(b"!")


class _Post:
    """Publishes to nchan; the answer is read before the next one, so that nobody waits for it."""

    def __init__(self, connection: socket.socket, size: int) -> None:
        self._connection = connection
        body = text_frame(size)[4:]
        self._request = (
            "POST /publish HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body
        self._is_asked = False

    async def __call__(self) -> None:
        if self._is_asked:
            answer = self._connection.recv(65536)
            if not answer.startswith(b"HTTP/1.1 20"):
                raise SystemExit(f"a publication was answered by {answer!r}")
        self._connection.sendall(self._request)
        self._is_asked = True


async def _until_it_listens(child: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError as error:
            if child.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"it did not start: {error}") from None
            await asyncio.sleep(0.05)


async def _until_ready(port: int) -> None:
    """Returns when a node has read its snapshot: before, it would tell its clients that it has not."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=START_SECONDS):
                return
        except urllib.error.HTTPError as refusal:
            if time.monotonic() > deadline:
                raise SystemExit(f"it is not ready: {refusal.read().decode()}") from None
        await asyncio.sleep(0.05)


async def _worker(master: int) -> int:
    """The only child of a process, which listens already before it has one."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        found = [number for number in map(int, filter(str.isdigit, os.listdir("/proc"))) if _parent(number) == master]
        if len(found) == 1:
            return found[0]
        if time.monotonic() > deadline:
            raise SystemExit(f"there are {len(found)} workers, not one")
        await asyncio.sleep(0.05)


def _parent(pid: int) -> int:
    """0 of a process that is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
