#!/usr/bin/env python3
"""How long news takes from a worker's commit to the last client, beside a bare PUBLISH and SUBSCRIBE, in one run.

    scripts/setup dev && .venv/bin/python scripts/bench_pipeline.py

A sample begins just before the message is handed to redis-py (asyncio, on uvloop, as workers use it) and ends when the
last of all connections has its message, all of them read in the same process. The ways that are compared:

- ``commit → node``: a transition committed by the product's Lua script, followed by nodes that are processes of their
  own, each of which tells its ``--clients`` WebSocket clients. The whole product, but for the probe.
- ``commit → SUBSCRIBE``: the same commits, heard by plain subscribers: what the script costs beside a PUBLISH.
- ``PUBLISH → SUBSCRIBE``, the floor that ratios are to: a message of the same size by the same kind of client, heard by
  as many processes as there are nodes, which are redis-py's ``listen()`` on uvloop and nothing else. They write a byte
  to each of as many connections, so that a way's last step and what this process does to notice it are the same for
  all: what lies between the clock's two readings is this process, Redis and the servers, whatever is measured.
- ``raw sockets``: PUBLISH and SUBSCRIBE spoken by hand over two blocking sockets of this process: the least that Redis
  itself takes. No program that does something with the message can be that fast.

One message at a time. In each round every way takes its turn with a block of messages, so that what else the machine
does hits all alike; a first block of each is dropped. Heartbeats go out between messages, as a worker's would. With
more processes than cores, and on a machine that is busy otherwise, p99 is the scheduler's: its ratios go towards 1, and
those of the medians tell more.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import json
import random
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

try:
    import uvloop
    from rich.console import Console
    from rich.table import Table
except ImportError as error:
    sys.exit(f"{error.name} is missing: run scripts/setup dev, then .venv/bin/python scripts/bench_pipeline.py")

from broadcaster.domain.model import Position
from broadcaster.store.embedded import EmbeddedRedis
from broadcaster.store.keys import Keys
from broadcaster.store.redis import RedisStore
from scripts.benching.application import Committer, seed
from scripts.benching.percentiles import percentiles
from scripts.benching.pipeline import (
    STEP_SECONDS,
    TIMEOUT,
    Arrivals,
    Server,
    Take,
    call,
    connect,
    nodes,
    shake_hands,
    subscribers,
    take_byte,
    take_notice,
)
from scripts.benching.system import cpu_seconds, raise_limits

RAW, FLOOR, SCRIPT, NODE = "raw sockets", "PUBLISH → SUBSCRIBE", "commit → SUBSCRIBE", "commit → node"
LIMIT = 1.5
"""What p99 of one node with one client may be, in p99 of the floor."""

BLOCK = 100
HEARTBEAT_SECONDS = 0.5
SETTLE_SECONDS = 0.02


@dataclass(kw_only=True)
class Way:
    """One way for a message to take, and what was measured of it. ``sample`` sends one and returns its seconds."""

    name: str
    sample: Callable[[], Awaitable[float]]
    servers: Sequence[Server] = ()
    clients: int = 0
    latencies: list[float] = field(default_factory=list)
    cpu: float = 0.0

    async def take(self, number: int, between: Callable[[], Awaitable[None]]) -> None:
        """A block of messages."""
        before = self._cpu()
        for _ in range(number):
            await between()
            self.latencies.append(await self.sample())
        self.cpu += self._cpu() - before

    def forget(self) -> None:
        """Drops what was measured so far."""
        self.latencies.clear()
        self.cpu = 0.0

    def figures(self) -> dict[str, Any]:
        """Times are seconds; ``cpu`` is one process's for one message."""
        its = percentiles(self.latencies)._asdict()
        cpu = self.cpu / max(1, len(self.servers)) / len(self.latencies)
        return {"way": self.name, "nodes": len(self.servers), "clients": self.clients, **its, "cpu": cpu}

    def _cpu(self) -> float:
        return sum(cpu_seconds(server.pid) for server in self.servers)


def arriving(name: str, send: Callable[[], Awaitable[object]], servers: Sequence[Server], arrivals: Arrivals) -> Way:
    """A way that ends where ``arrivals`` looks."""

    async def sample() -> float:
        last = arrivals.expect()
        sent = time.perf_counter()
        await send()
        try:
            async with asyncio.timeout(STEP_SECONDS):
                return await last - sent
        except (TimeoutError, ConnectionError) as error:
            raise SystemExit(f"{name}: {error or f'a message did not arrive within {STEP_SECONDS:g} s'}") from None

    return Way(name=name, sample=sample, servers=servers, clients=len(arrivals) // len(servers))


def raw_sockets(publisher: socket.socket, subscriber: socket.socket, payload: bytes) -> Way:
    """Redis' protocol by hand (RESP2: a command and a message are arrays of bulk strings)."""
    channel = b"bench:raw"
    subscriber.sendall(_array(b"SUBSCRIBE", channel))
    subscriber.recv(4096)
    command, size = _array(b"PUBLISH", channel, payload), len(_array(b"message", channel, payload))

    async def sample() -> float:
        sent = time.perf_counter()
        publisher.sendall(command)
        missing = size
        while missing:
            if not (got := subscriber.recv(missing)):
                raise SystemExit(f"{RAW}: Redis closed a connection")
            missing -= len(got)
        arrived = time.perf_counter()
        publisher.recv(64)
        return arrived - sent

    return Way(name=RAW, sample=sample)


def _array(*parts: bytes) -> bytes:
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


class Setup:
    """Every way for each number of nodes, all at once: processes that are not asked do nothing but wait."""

    def __init__(self, redis: EmbeddedRedis, stack: AsyncExitStack) -> None:
        self._redis = redis
        self._stack = stack
        self._watched: list[tuple[RedisStore, Position]] = []
        self._beaten_at = 0.0
        self.ways: list[Way] = []
        self.size = 0

    async def prepare(self, counts: Sequence[int], clients: int) -> None:
        """Starts everything. Messages of the floor are as long as a record is."""
        enter = self._stack.enter_async_context
        client = await enter(connect(self._redis.url))
        store, position = await self._application("size")
        await Committer(store, position)()
        entries: Any = await client.xrevrange(Keys("size").stream, count=1)
        self.size = len(entries[0][1][b"r"])
        payload = b"x" * self.size
        publisher, subscriber = (self._stack.enter_context(self._connection()) for _ in range(2))
        self.ways.append(raw_sockets(publisher, subscriber, payload))
        for count in counts:
            channel, plain, watched = f"bench:{count}", f"plain-{count}", f"watched-{count}"
            servers = await enter(subscribers(self._redis.url, [channel, Keys(plain).channel], count))
            arrivals = self._arrivals([call(each.port) for each in servers for _ in range(clients)], take_byte)
            publish = functools.partial(client.publish, channel, payload)
            self.ways.append(arriving(FLOOR, publish, servers, arrivals))
            committer = Committer(*await self._application(plain))
            self.ways.append(arriving(SCRIPT, committer, servers, arrivals))
            store, position = await self._application(watched)
            self._watched.append((store, position))
            servers = await enter(nodes(self._redis.url, watched, count))
            ends = [shake_hands(each.port, "/ws")[0] for each in servers for _ in range(clients)]
            self.ways.append(arriving(NODE, Committer(store, position), servers, self._arrivals(ends, take_notice)))

    async def keep_alive(self) -> None:
        """The heartbeats that are due, and time for the nodes to hear them."""
        now = time.time()
        if now - self._beaten_at < HEARTBEAT_SECONDS:
            return
        self._beaten_at = now
        for store, position in self._watched:
            await store.heartbeat("bench", now, {"analytics": now}, position)
        await asyncio.sleep(SETTLE_SECONDS)

    async def _application(self, namespace: str) -> tuple[RedisStore, Position]:
        connected = RedisStore.connect(self._redis.url, namespace, timeout=TIMEOUT)
        store = await self._stack.enter_async_context(connected)
        return store, await seed(store)

    def _arrivals(self, sockets: Sequence[socket.socket], take: Take) -> Arrivals:
        return self._stack.enter_context(contextlib.closing(Arrivals(sockets, take)))

    def _connection(self) -> socket.socket:
        one = socket.create_connection(("127.0.0.1", self._redis.port), timeout=TIMEOUT)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return one


async def measure(redis: EmbeddedRedis, chosen: argparse.Namespace, clients: int) -> tuple[list[Way], int]:
    """All ways with so many clients of each node, and the size of a message."""
    async with AsyncExitStack() as stack:
        setup = Setup(redis, stack)
        await setup.prepare(chosen.nodes, clients)

        async def between() -> None:
            await setup.keep_alive()
            if chosen.pause:
                await asyncio.sleep(random.uniform(0, chosen.pause / 1000))

        async def round_of(number: int) -> None:
            for way in setup.ways:
                await way.take(number, between)

        block = min(BLOCK, chosen.messages)
        await round_of(block)
        for way in setup.ways:
            way.forget()
        left = chosen.messages
        while left:
            await round_of(min(block, left))
            left -= min(block, left)
        return setup.ways, setup.size


async def bench(chosen: argparse.Namespace) -> int:
    raise_limits()
    console = Console(width=None if sys.stdout.isatty() else 150)
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        async with EmbeddedRedis(Path(folder)) as redis, connect(redis.url) as client:
            version = (await client.info("server"))["redis_version"]
            for clients in chosen.clients:
                ways, size = await measure(redis, chosen, clients)
                found += compared([way.figures() for way in ways])
    show(console, found, f"{chosen.messages:,} messages of {size} bytes, one at a time, Redis {version}")
    if chosen.json:
        print(json.dumps(found))
    judged = {(its["way"], its["nodes"], its["clients"]): its["p99_ratio"] for its in found}
    if chosen.check and judged[NODE, 1, 1] > LIMIT:
        console.print(f"[red]p99 from a commit to one node's client is above {LIMIT:g} x the floor.[/]")
        return 1
    return 0


def compared(figures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With ratios to the floor of as many processes; what needs none is compared with that of the fewest."""
    floors = {its["nodes"]: its for its in figures if its["way"] == FLOOR}
    for its in figures:
        floor = floors.get(its["nodes"], floors[min(floors)])
        its.update({f"{name}_ratio": its[name] / floor[name] for name in ("p50", "p99")})
    return figures


def show(console: Console, found: Sequence[dict[str, Any]], title: str) -> None:
    table = Table(title=title)
    table.add_column("way")
    for name in ("nodes", "clients each", "p50", "p90", "p99", "max", "p50 ratio", "p99 ratio", "CPU of a process"):
        table.add_column(name, justify="right")
    for its in found:
        if its["way"] in (RAW, FLOOR):
            table.add_section()
        table.add_row(
            its["way"],
            f"{its['nodes'] or ''}",
            f"{its['clients'] or ''}",
            *(f"{its[name] * 1e3:.3f} ms" for name in ("p50", "p90", "p99", "max")),
            f"{its['p50_ratio']:.2f}",
            f"{its['p99_ratio']:.2f}",
            f"{its['cpu'] * 1e6:.0f} µs" if its["nodes"] else "",
            style="bold" if its["way"] == NODE else "",
        )
    console.print(table)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=_positive, default=2000, help="how many take each way")
    parser.add_argument("--nodes", type=_positive, nargs="+", default=[1, 2, 8], help="processes that follow the news")
    parser.add_argument("--clients", type=_positive, nargs="+", default=[1], help="connections of each of them")
    parser.add_argument("--pause", type=float, default=2.0, help="most milliseconds between messages, at random")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON, too; times are seconds")
    parser.add_argument("--check", action="store_true", help="exit 1 if one node with one client is too slow")
    chosen = parser.parse_args()
    chosen.nodes, chosen.clients = sorted(set(chosen.nodes)), sorted(set(chosen.clients))
    if chosen.check and not (1 in chosen.nodes and 1 in chosen.clients):
        parser.error("--check needs one node and one client among --nodes and --clients")
    return uvloop.run(bench(chosen))


if __name__ == "__main__":
    sys.exit(main())
