#!/usr/bin/env python3
"""What clients that only stay cost a node: memory for each, CPU while nothing happens, and what is left when many go.

    scripts/setup dev && .venv/bin/python scripts/bench_memory.py

- RSS per idle connection: growth of the server's process by ``--clients`` connections that have had their handshake,
  after a hundred others came and went. What the kernel holds for a connection is not in it, and is the same for all.
- The node's CPU while nothing happens, for ``--idle`` seconds in which clients answer its pings: user+sys time by the
  kernel's account. It includes the heartbeats of a worker.

``--churn`` asks something else, of the node only: whether memory stays where it is while, beside the idle clients,
waves of a tenth as many come and go for so many seconds, some in an orderly way, some by a reset, some with half of
their request, and everybody gets notices. RSS is read between waves; the figures are of the time after the first
tenth, in the middle and at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from scripts.benching import report
from scripts.benching.load import Load
from scripts.benching.running import Server, running, sizes_of_node, warm_up, watched_redis
from scripts.benching.system import cpu_seconds, raise_limits, rss_bytes
from scripts.benching.unruly import Halves

SETTLE_SECONDS = 1.0
"""After the last handshake, before memory is read."""

SAMPLE_SECONDS = 3.0
"""Between readings of memory during the churn, at least."""

ALLOWED_BYTES = 2048
"""Of an idle connection: the most that ``--check`` lets the node have."""

ALLOWED_GROWTH = 0.05
"""Of the node's memory over the churn: the most that ``--check`` allows."""

PER_CLIENTS = 10_000
PER_CONNECTIONS = 100_000


@dataclass(frozen=True)
class Sample:
    """The node's memory at one time of the churn."""

    seconds: float
    connections: int
    """That were opened until then, the halves included."""

    rss: int


async def measure(kind: str, clients: int, idle: float, redis_url: str, size: int) -> report.Figures:
    async with running(kind, redis_url, size, clients=clients) as server:
        await warm_up(server)
        rss = rss_bytes(server.pid)
        load = Load(server.port)
        load.connect(clients)
        load.answer_pings(SETTLE_SECONDS)
        grown = rss_bytes(server.pid)
        figures = {"before": float(rss), "after": float(grown), "memory": (grown - rss) / clients}
        if kind == "node" and idle:
            figures["idle_cpu"] = _idle_cpu(server, load, idle) / clients * PER_CLIENTS
        load.close()
        return figures


def _idle_cpu(server: Server, load: Load, seconds: float) -> float:
    """Seconds of CPU a second."""
    cpu, began = cpu_seconds(server.pid), time.perf_counter()
    load.answer_pings(seconds)
    return (cpu_seconds(server.pid) - cpu) / (time.perf_counter() - began)


async def bench(chosen: argparse.Namespace) -> int:
    kinds = report.installed(chosen.servers)
    async with watched_redis() as redis_url:
        size = (await sizes_of_node(redis_url)).welcome

        async def one(kind: str) -> report.Figures:
            return await measure(kind, chosen.clients, chosen.idle, redis_url, size)

        rounds = await report.interleaved(chosen.rounds, kinds, one)
    found = {kind: report.medians(each) for kind, each in rounds.items()}
    show(chosen, found)
    if chosen.json:
        report.print_json({"clients": chosen.clients, "memory": found})
    if not chosen.check:
        return 0
    return report.failed(too_large(found["node"]["memory"]) if "node" in found else ["the node did not run"])


def too_large(memory: float) -> list[str]:
    """What speaks against so many bytes per idle connection."""
    allowed = report.kibibytes(ALLOWED_BYTES)
    return [f"an idle connection of the node takes more than {allowed}"] if memory > ALLOWED_BYTES else []


def show(chosen: argparse.Namespace, found: dict[str, report.Figures]) -> None:
    table = report.table(
        f"{chosen.clients:,} idle connections, median of {chosen.rounds} rounds",
        ("server", "RSS per idle connection", "RSS before", "RSS with them", f"idle CPU per {PER_CLIENTS:,} clients"),
    )
    for kind, its in found.items():
        report.add_row(
            table,
            kind,
            report.kibibytes(its["memory"]),
            report.mebibytes(its["before"]),
            report.mebibytes(its["after"]),
            f"{report.milliseconds(its['idle_cpu'])} a second" if "idle_cpu" in its else report.DASH,
        )
    report.console().print(table)


async def churn(server: Server, load: Load, wave: int, seconds: float) -> list[Sample]:
    """Waves beside the clients of ``load``: a third each leaves in order, by a reset, and before its handshake."""
    began, connections, samples = time.monotonic(), 0, list[Sample]()
    while (elapsed := time.monotonic() - began) < seconds or not samples:
        visitors = Load(server.port)
        halves = Halves(server.port, wave // 3)
        visitors.connect(wave - wave // 3)
        connections += wave
        await server.publish()
        load.read_frame_each()
        visitors.read_frame_each()
        halves.close()
        visitors.close_in_order(wave // 3)
        visitors.close()
        await asyncio.sleep(0.05)
        elapsed = time.monotonic() - began
        if not samples or elapsed - samples[-1].seconds >= SAMPLE_SECONDS or elapsed >= seconds:
            samples.append(Sample(elapsed, connections, rss_bytes(server.pid)))
    return samples


def growth(samples: Sequence[Sample]) -> report.Figures:
    """Memory after the first tenth, in the middle and at the end: each the median of a tenth of the time."""
    whole = samples[-1].seconds

    def between(start: float, end: float) -> float:
        within = [each.rss for each in samples if start * whole <= each.seconds <= end * whole]
        nearest = min(samples, key=lambda each: abs(each.seconds - (start + end) / 2 * whole))
        return float(statistics.median(within or [nearest.rss]))

    beginning, middle, end = between(0.1, 0.2), between(0.45, 0.55), between(0.9, 1.0)
    connections = samples[-1].connections
    return {
        "beginning": beginning,
        "middle": middle,
        "end": end,
        "growth": end / beginning - 1,
        "connections": connections,
        # From the middle of the one tenth to that of the other.
        "per_connections": (end - beginning) / (connections * 0.8) * PER_CONNECTIONS,
    }


async def bench_churn(chosen: argparse.Namespace) -> int:
    async with watched_redis() as redis_url, running("node", redis_url, 0, clients=chosen.clients) as server:
        await warm_up(server)
        rss = rss_bytes(server.pid)
        load = Load(server.port)
        load.connect(chosen.clients)
        load.answer_pings(SETTLE_SECONDS)
        memory = (rss_bytes(server.pid) - rss) / chosen.clients
        with load.verified():
            samples = await churn(server, load, max(3, chosen.clients // 10), chosen.churn)
        load.close()
    figures = growth(samples)
    table = report.table(
        f"The node with {chosen.clients:,} idle connections, and {figures['connections']:,.0f} that came and went "
        f"in {samples[-1].seconds:,.0f} s",
        (
            "server",
            "RSS per idle connection",
            "RSS after the first tenth",
            "in the middle",
            "at the end",
            "growth",
            f"growth per {PER_CONNECTIONS:,} connections",
        ),
    )
    report.add_row(
        table,
        "node",
        report.kibibytes(memory),
        report.mebibytes(figures["beginning"]),
        report.mebibytes(figures["middle"]),
        report.mebibytes(figures["end"]),
        f"{figures['growth']:+.1%}",
        report.mebibytes(figures["per_connections"]),
    )
    report.console().print(table)
    if chosen.json:
        course = [[round(each.seconds, 1), each.connections, each.rss] for each in samples]
        report.print_json({"clients": chosen.clients, "memory": memory, "churn": figures, "samples": course})
    reasons = too_large(memory)
    if figures["growth"] > ALLOWED_GROWTH:
        reasons.append(f"the node's memory grew by more than {ALLOWED_GROWTH:.0%}")
    return report.failed(reasons) if chosen.check else 0


def main() -> int:
    raise_limits()
    parser = report.parser(__doc__)
    parser.add_argument("--clients", type=int, default=15_000, metavar="N")
    parser.add_argument("--idle", type=float, default=25.0, metavar="SECONDS", help="0: not measured (default: 25)")
    parser.add_argument("--churn", type=float, default=0.0, metavar="SECONDS", help="the node only; 3600 for an hour")
    chosen = parser.parse_args()
    report.require_room(chosen.clients * 11 // 10 if chosen.churn else chosen.clients)
    return asyncio.run(bench_churn(chosen) if chosen.churn else bench(chosen))


if __name__ == "__main__":
    sys.exit(main())
