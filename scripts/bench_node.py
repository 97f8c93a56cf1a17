#!/usr/bin/env python3
"""What the node costs beside a bare ``socket.send`` loop, ``websockets`` and picows, in one run on one machine.

    scripts/setup dev && .venv/bin/python scripts/bench_node.py

Three figures per server, each the median over ``--rounds`` interleaved rounds:

- CPU per delivered message: user+sys nanoseconds of the server process (the kernel's own account,
  /proc/PID/task/*/schedstat) for ``--messages`` broadcasts to ``--clients`` connections, divided by deliveries. The
  next broadcast starts when every client has the one before, so nothing is coalesced. The node's are real: a commit
  through Redis, the feed, the replica and the notice's encoding are in its figure; the peers are told by one byte.
- CPU per handshake: accept, parse, answer and a welcome of the same size; the node's with Origin check and admission.
- RSS per idle connection: growth of the process by ``--clients`` connections that have had their handshake.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import select
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

try:
    import picows
    import uvloop
    import websockets
    from rich.console import Console
    from rich.table import Table
except ImportError as error:
    sys.exit(f"{error.name} is missing: run scripts/setup dev, then .venv/bin/python scripts/bench_node.py")

from broadcaster.config.settings import FeatureSettings, RedisSettings, ServiceSettings, Settings, TcpProbe
from broadcaster.domain.detection import Decision
from broadcaster.domain.model import Criticality, Position, Snapshot, Status, event_kind
from broadcaster.node import server as node_server
from broadcaster.store.base import Outcome
from broadcaster.store.children import end, spawn
from broadcaster.store.embedded import EmbeddedRedis, free_port
from broadcaster.store.redis import RedisStore

SERVERS = ("bare loop", "node", "picows", "websockets")
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
REQUEST = (
    "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\nOrigin: http://127.0.0.1:{{port}}\r\n\r\n"
)
ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
BATCH = 250
STEP_SECONDS = 60.0


def settings() -> Settings:
    """A small application: five services, four features, one bound to the carrier."""
    probe = TcpProbe(host="127.0.0.1", port=1)
    services = {
        name: ServiceSettings(
            probe=probe,
            title=name.title(),
            criticality=Criticality.CRITICAL if name in ("backend", "auth", "redis") else Criticality.OPTIONAL,
        )
        for name in ("backend", "auth", "redis", "assistant", "analytics")
    }
    features = {
        "chat": FeatureSettings(title="Chat", requires=("backend", "auth")),
        "history": FeatureSettings(title="History", requires=("backend",)),
        "assistant": FeatureSettings(title="Assistant", requires=("assistant",)),
        "analytics": FeatureSettings(title="Usage reports", requires=("analytics",)),
    }
    return Settings(services=services, features=features, redis=RedisSettings(service="redis"))


# The servers. Each runs in a process of its own: `bench_node.py --serve KIND ...`.


def text_frame(size: int) -> bytes:
    """A text frame of ``size`` bytes in all (126..65535 of payload)."""
    payload = size - 4
    return bytes([0x81, 126]) + payload.to_bytes(2, "big") + b"x" * payload


def serve_bare(port: int, control: int, size: int) -> None:
    """The floor: accept, one recv, one send; and to broadcast, a loop of send() calls."""
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    commands = socket.create_server(("127.0.0.1", control))
    frame = text_frame(size)
    answer = ANSWER + text_frame(size)
    poller = select.epoll()
    for each in (listener, commands):
        poller.register(each, select.EPOLLIN)
    clients: dict[int, socket.socket] = {}
    waiting: dict[int, socket.socket] = {}
    controllers: dict[int, socket.socket] = {}
    while True:
        for number, _ in poller.poll():
            if number == listener.fileno():
                client, _ = listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                waiting[client.fileno()] = client
                poller.register(client, select.EPOLLIN)
            elif number == commands.fileno():
                controller, _ = commands.accept()
                controllers[controller.fileno()] = controller
                poller.register(controller, select.EPOLLIN)
            elif number in controllers:
                if not controllers[number].recv(1):
                    return
                for client in clients.values():
                    client.send(frame)
            elif number in waiting:
                client = waiting.pop(number)
                client.recv(4096)
                client.send(answer)
                clients[number] = client
            else:
                poller.unregister(number)
                clients.pop(number).close()


async def listen_to(control: int, broadcast: Callable[[], None]) -> None:
    async def commands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1):
            broadcast()
        writer.close()

    await asyncio.start_server(commands, "127.0.0.1", control)


async def serve_websockets(port: int, control: int, size: int) -> None:
    """websockets' own way: ``serve`` and ``broadcast``, without compression."""
    text = "x" * (size - 4)

    async def handler(connection: websockets.ServerConnection) -> None:
        await connection.send(text)
        await connection.wait_closed()

    async with websockets.serve(handler, "127.0.0.1", port, compression=None, backlog=4096) as server:
        await listen_to(control, lambda: websockets.broadcast(server.connections, text))
        await server.wait_closed()


async def serve_picows(port: int, control: int, size: int) -> None:
    """picows, a WebSocket library in Cython, with a loop over its transports."""
    payload = b"x" * (size - 4)
    transports: set[picows.WSTransport] = set()

    class Listener(picows.WSListener):
        def on_ws_connected(self, transport: Any) -> None:
            transports.add(transport)
            transport.send(picows.WSMsgType.TEXT, payload)

        def on_ws_disconnected(self, transport: Any) -> None:
            transports.discard(transport)

    def broadcast() -> None:
        for transport in transports:
            transport.send(picows.WSMsgType.TEXT, payload)

    server = await picows.ws_create_server(lambda request: Listener(), "127.0.0.1", port, backlog=4096)
    await listen_to(control, broadcast)
    await server.serve_forever()


async def serve_node(redis_url: str, port: int) -> None:
    async with RedisStore.connect(redis_url) as store:
        await node_server.serve_on(node_server.listen("127.0.0.1", port), settings(), store)


def serve(arguments: argparse.Namespace) -> None:
    raise_limits()
    kind, port, control, size = arguments.serve, arguments.port, arguments.control, arguments.size
    if kind == "bare loop":
        serve_bare(port, control, size)
    elif kind == "node":
        uvloop.run(serve_node(arguments.redis, port))
    elif kind == "picows":
        uvloop.run(serve_picows(port, control, size))
    else:
        uvloop.run(serve_websockets(port, control, size))


# The load, and what is measured.


class Clients:
    """Non-blocking sockets on one epoll; payloads are counted and dropped."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._request = REQUEST.format(port=port).encode()
        self._poller = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._buffer = bytearray(65536)
        self.received = 0

    def connect(self, number: int) -> None:
        """Opens ``number`` connections, a batch at a time, and reads every handshake to its end."""
        for start in range(0, number, BATCH):
            opened = []
            for _ in range(min(BATCH, number - start)):
                one = socket.create_connection(("127.0.0.1", self._port))
                one.setblocking(False)
                one.send(self._request)
                self._sockets[one.fileno()] = one
                self._poller.register(one, select.EPOLLIN)
                opened.append(one.fileno())
            self._read(dict.fromkeys(opened, 2))

    def read_one_each(self) -> None:
        """Returns when every connection has got something more."""
        self._read(dict.fromkeys(self._sockets, 1))

    def _read(self, missing: dict[int, int]) -> None:
        """Reads until every descriptor has shown this many parts: a frame, or an answer's end and the frame after it.

        An answer and a welcome that come in one segment are told by their size.
        """
        deadline = time.monotonic() + STEP_SECONDS
        while missing:
            if time.monotonic() > deadline:
                raise SystemExit(f"{len(missing)} clients still wait after {STEP_SECONDS:g} s")
            for fd, _ in self._poller.poll(1.0):
                got = self._sockets[fd].recv_into(self._buffer)
                if not got:
                    raise SystemExit(f"the server on port {self._port} closed a connection")
                self.received += got
                if fd not in missing:
                    continue
                missing[fd] -= 2 if missing[fd] == 2 and not self._buffer[:got].endswith(b"\r\n\r\n") else 1
                if missing[fd] <= 0:
                    del missing[fd]

    def close(self) -> None:
        for each in self._sockets.values():
            each.close()
        self._sockets.clear()
        self._poller.close()


def cpu_seconds(pid: int) -> float:
    """User+sys time of all threads, from the scheduler's nanoseconds."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def rss_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("no Rss in smaps_rollup")


def raise_limits() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Committer:
    """Makes the node deliver: each call commits the next change of one service."""

    def __init__(self, store: RedisStore, known: Position) -> None:
        self._store = store
        self._known = known
        self._revision = 0
        self._status = Status.UNKNOWN

    async def __call__(self) -> None:
        before = self._status
        self._status = Status.UP if before is not Status.UP else Status.DEGRADED
        written = await self._store.commit(
            Decision(
                service="analytics",
                kind=event_kind(before, self._status),
                previous=before,
                status=self._status,
                at=time.time(),
            ),
            commit=os.urandom(8).hex(),
            expected_revision=self._revision,
            known=self._known,
        )
        if written.outcome is not Outcome.DONE:
            raise SystemExit(f"the commit came to {written.outcome}")
        self._known, self._revision = written.position, written.position.revision


async def seed(store: RedisStore) -> Position:
    reading = await store.read()
    written = await store.seed(
        Snapshot(),
        epoch=os.urandom(8).hex(),
        worker="bench",
        now=time.time(),
        reason="bench",
        replaces=reading.snapshot.position,
    )
    return written.position


@asynccontextmanager
async def running(kind: str, redis_url: str, size: int) -> AsyncIterator[tuple[int, int, int]]:
    """A server process; its pid, port and control port."""
    port, control = free_port(), free_port()
    command = [sys.executable, __file__, "--serve", kind, "--port", str(port), "--control", str(control)]
    with tempfile.TemporaryFile() as output:
        child = spawn([*command, "--size", str(size), "--redis", redis_url], output=output)
        try:
            deadline = time.monotonic() + STEP_SECONDS
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    if child.poll() is not None or time.monotonic() > deadline:
                        output.seek(0)
                        raise SystemExit(f"{kind} did not start:\n{output.read().decode()}") from None
                    await asyncio.sleep(0.05)
            await asyncio.sleep(1.0)  # let imports, garbage and first ticks settle before the first reading
            yield child.pid, port, control
        except SystemExit as stopped:
            output.seek(0)
            raise SystemExit(f"{kind}: {stopped}\n{output.read().decode()}") from None
        finally:
            await end(child)


async def measure(kind: str, arguments: argparse.Namespace, redis: EmbeddedRedis, size: int) -> dict[str, float]:
    async with (
        RedisStore.connect(redis.url, "default", timeout=10) as store,
        running(kind, redis.url, size) as (pid, port, control),
    ):
        committer = Committer(store, await seed(store)) if kind == "node" else None
        clients = Clients(port)
        warm = Clients(port)
        warm.connect(100)
        warm.close()
        await asyncio.sleep(0.3)
        rss, cpu = rss_bytes(pid), cpu_seconds(pid)
        clients.connect(arguments.clients)
        handshake = (cpu_seconds(pid) - cpu) / arguments.clients
        memory = (rss_bytes(pid) - rss) / arguments.clients
        trigger = None if committer else socket.create_connection(("127.0.0.1", control))

        async def broadcast() -> None:
            if committer:
                await committer()
            elif trigger:
                trigger.send(b"!")
            clients.read_one_each()

        for _ in range(5):
            await broadcast()
        cpu, own, started, before = cpu_seconds(pid), time.process_time(), time.monotonic(), clients.received
        for _ in range(arguments.messages):
            await broadcast()
        deliveries = arguments.messages * arguments.clients
        result = {
            "message": (cpu_seconds(pid) - cpu) / deliveries,
            "client": (time.process_time() - own) / deliveries,
            "wall": (time.monotonic() - started) / arguments.messages,
            "handshake": handshake,
            "memory": memory,
            "size": (clients.received - before) / deliveries,
        }
        if trigger:
            trigger.close()
        clients.close()
        return result


async def bench(arguments: argparse.Namespace) -> int:
    raise_limits()
    console = Console()
    results: dict[str, list[dict[str, float]]] = {kind: [] for kind in SERVERS}
    with tempfile.TemporaryDirectory() as folder:
        async with EmbeddedRedis(Path(folder)) as redis:
            size = round((await measure("node", arguments, redis, 500))["size"])
            for number in range(arguments.rounds):
                for kind in SERVERS:
                    results[kind].append(await measure(kind, arguments, redis, size))
                console.print(f"round {number + 1} of {arguments.rounds} done", style="dim")
    medians = {
        kind: {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
        for kind, rounds in results.items()
    }
    show(console, arguments, medians, size)
    if arguments.json:
        print(json.dumps(medians))
    node, floor = medians["node"]["message"], medians["bare loop"]["message"]
    beaten = all(node < medians[kind]["message"] for kind in ("picows", "websockets"))
    if arguments.check and not (node < 1.4 * floor and beaten):
        console.print("[red]The node is not below 1.4 x the bare loop and below every peer.[/]")
        return 1
    return 0


def show(console: Console, arguments: argparse.Namespace, medians: dict[str, dict[str, float]], size: int) -> None:
    table = Table(
        title=f"{arguments.clients:,} clients, {arguments.messages} messages of {size} bytes, "
        f"median of {arguments.rounds} rounds"
    )
    table.add_column("server")
    for name in ("CPU per delivery", "ratio", "CPU per handshake", "ratio", "RSS per connection", "to the last client"):
        table.add_column(name, justify="right")
    floor = medians["bare loop"]
    for kind, found in medians.items():
        table.add_row(
            kind,
            f"{found['message'] * 1e6:.2f} µs",
            f"{found['message'] / floor['message']:.2f}",
            f"{found['handshake'] * 1e6:.1f} µs",
            f"{found['handshake'] / floor['handshake']:.2f}",
            f"{found['memory'] / 1024:.2f} KiB",
            f"{found['wall'] * 1e3:.1f} ms",
            style="bold" if kind == "node" else "",
        )
    console.print(table)
    own = statistics.median(found["client"] for found in medians.values())
    console.print(f"The load client itself spends {own * 1e6:.2f} µs of its own CPU per delivery.", style="dim")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=2000)
    parser.add_argument("--messages", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print the medians as JSON, too")
    parser.add_argument("--check", action="store_true", help="exit 1 if the node is not where it should be")
    parser.add_argument("--serve", choices=SERVERS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--control", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--redis", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments)
        return 0
    return asyncio.run(bench(arguments))


if __name__ == "__main__":
    sys.exit(main())
