#!/usr/bin/env python3
"""What one notice to everybody costs a node, beside a bare ``socket.send`` loop and other servers.

    scripts/setup dev && .venv/bin/python scripts/bench_fanout.py

All servers run one after the other in each of ``--rounds`` rounds, each as one process; for every server and number of
clients there are:

- CPU per delivery: user+sys time of the server's process by the kernel's account, divided by frames that arrived. The
  node's part is the whole way: the feed of a commit in Redis, the replica, the notice's encoding, the fan-out. The
  peers send a frame of the same size when they are told to.
- To the last client: from the commit, or the command, until every client has the frame, which is when the next begins.
- The load client's own CPU per delivery, which is spent on another core: where it is below the server's, the client
  waits for the server and not the other way about.

``--stuck`` asks something else: how much later the others get their notices while 1 % of the clients never read and
1 % read a byte a second, once the node has everything in its buffers that it is willing to hold for them.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from dataclasses import dataclass

from scripts.benching import report
from scripts.benching.load import Load
from scripts.benching.percentiles import percentiles
from scripts.benching.running import Server, running, sizes_of_node, warm_up, watched_redis
from scripts.benching.system import cpu_seconds, raise_limits, rss_bytes
from scripts.benching.unruly import Stuck

DELIVERIES = 1_500_000
"""About as many are measured of each server, over all rounds."""

FEWEST_MESSAGES = 30
WARM_MESSAGES = 20
"""After which a young connection's every segment is no longer acknowledged at once, at the sender's cost."""

MOST_COMMITS = 3000
"""After which buffers of stuck clients count as full, whatever the node says."""

PATIENCE = 86_400.0
"""Seconds that the node keeps stuck clients here; by itself it would send them away."""

ALLOWED = 1.15
"""Times the bare loop's CPU: the most that ``--check`` lets the node have."""


@dataclass(frozen=True)
class Round:
    """What one server came to in one round."""

    figures: report.Figures
    times: list[float]
    """Seconds to the last client, of every message."""


async def broadcast(server: Server, load: Load, messages: int, stuck: Stuck | None = None) -> Round:
    """Measures so many messages, each begun when every client of ``load`` has the one before."""
    for _ in range(WARM_MESSAGES):
        await server.publish()
        load.read_frame_each()
    times = []
    with load.verified():
        cpu, own, began = cpu_seconds(server.pid), time.process_time(), time.perf_counter()
        for _ in range(messages):
            if stuck:
                stuck.sip()
            started = time.perf_counter()
            await server.publish()
            load.read_frame_each()
            times.append(time.perf_counter() - started)
        took = time.perf_counter() - began
        cpu, own = cpu_seconds(server.pid) - cpu, time.process_time() - own
    deliveries = messages * len(load)
    return Round({"cpu": cpu / deliveries, "client_cpu": own / deliveries, "wall": took / deliveries}, times)


async def measure(kind: str, clients: int, messages: int, redis_url: str, size: int) -> Round:
    async with running(kind, redis_url, size, clients=clients) as server:
        await warm_up(server)
        load = Load(server.port)
        load.connect(clients)
        found = await broadcast(server, load, messages)
        load.close()
        return found


async def measure_beside_stuck(clients: int, messages: int, redis_url: str, size: int, stuck: int) -> Round:
    """The node with ``clients`` that read, beside ``stuck`` that never do and as many that hardly do."""
    async with running("node", redis_url, size, clients=clients + 2 * stuck, patience=PATIENCE) as server:
        await warm_up(server)
        held = Stuck(server.port, never=stuck, slow=stuck)
        rss = rss_bytes(server.pid)
        commits = 0
        while held.paused() < stuck and commits < MOST_COMMITS:
            for _ in range(10):
                await server.publish()
            commits += 10
            held.sip()
        await asyncio.sleep(0.2)
        grown = (rss_bytes(server.pid) - rss) / (2 * stuck) if stuck else 0.0
        load = Load(server.port)
        load.connect(clients)
        found = await broadcast(server, load, messages, held)
        figures = found.figures | {"rss": grown, "commits": commits, "paused": held.paused()}
        load.close()
        held.close()
        return Round(figures, found.times)


def summary(rounds: list[Round]) -> report.Figures:
    """Medians of the rounds, and the percentiles of all their messages."""
    within = percentiles([each for found in rounds for each in found.times])
    return report.medians([found.figures for found in rounds]) | {"p50": within.p50, "p99": within.p99}


def messages_for(clients: int, chosen: argparse.Namespace) -> int:
    """In one round."""
    given: int = chosen.messages
    return given or max(FEWEST_MESSAGES, DELIVERIES // (clients * chosen.rounds))


async def bench(chosen: argparse.Namespace) -> int:
    kinds = report.installed(chosen.servers)
    found: dict[int, dict[str, report.Figures]] = {}
    async with watched_redis() as redis_url:
        size = (await sizes_of_node(redis_url)).notice
        for clients in chosen.clients:
            messages = messages_for(clients, chosen)

            async def one(kind: str, clients: int = clients, messages: int = messages) -> Round:
                return await measure(kind, clients, messages, redis_url, size)

            rounds = await report.interleaved(chosen.rounds, kinds, one, f"{clients:,} clients, ")
            found[clients] = {kind: summary(each) for kind, each in rounds.items()}
    show(chosen, found, size)
    if chosen.json:
        report.print_json({"frame_bytes": size, "fanout": found})
    return report.failed(objections(found[max(found)])) if chosen.check else 0


def objections(figures: dict[str, report.Figures]) -> list[str]:
    """What speaks against the node at one number of clients."""
    if "node" not in figures:
        return ["the node did not run"]
    node = figures["node"]["cpu"]
    reasons = []
    if "bare loop" in figures and node > ALLOWED * figures["bare loop"]["cpu"]:
        reasons.append(f"the node is above {ALLOWED} x the bare loop")
    for kind, its in figures.items():
        if kind not in ("node", "bare loop") and node >= its["cpu"]:
            reasons.append(f"the node is not below {kind}")
    return reasons


def show(chosen: argparse.Namespace, found: dict[int, dict[str, report.Figures]], size: int) -> None:
    table = report.table(
        f"Messages of {size} bytes to every client, median of {chosen.rounds} rounds",
        (
            "server",
            "clients",
            "messages",
            "CPU per delivery",
            "ratio",
            "wall per delivery",
            "to the last client, p50",
            "p99",
            "load client's CPU",
        ),
    )
    for clients, figures in found.items():
        floor = figures.get("bare loop", {}).get("cpu")
        for kind, its in figures.items():
            report.add_row(
                table,
                kind,
                f"{clients:,}",
                f"{messages_for(clients, chosen) * chosen.rounds:,}",
                report.microseconds(its["cpu"]),
                report.ratio(its["cpu"], floor),
                report.microseconds(its["wall"]),
                report.milliseconds(its["p50"]),
                report.milliseconds(its["p99"]),
                report.microseconds(its["client_cpu"]),
                is_last=kind == list(figures)[-1],
            )
    report.console().print(table)


async def bench_stuck(chosen: argparse.Namespace) -> int:
    clients = max(chosen.clients)
    messages, stuck = messages_for(clients, chosen), max(1, clients // 100)
    numbers = {"node": 0, "node, with stuck clients": stuck}
    async with watched_redis() as redis_url:
        size = (await sizes_of_node(redis_url)).notice

        async def one(kind: str) -> Round:
            return await measure_beside_stuck(clients, messages, redis_url, size, numbers[kind])

        rounds = await report.interleaved(chosen.rounds, list(numbers), one)
    found = {kind: summary(each) for kind, each in rounds.items()}
    without = found["node"]
    table = report.table(
        f"{clients:,} clients that read, {messages * chosen.rounds:,} messages; beside them {stuck:,} that never do "
        f"and {stuck:,} that read a byte a second",
        (
            "server",
            "CPU per delivery",
            "to the last that reads, p50",
            "ratio",
            "p99",
            "ratio",
            "paused",
            "commits until then",
            "RSS per stuck client",
        ),
    )
    for kind, its in found.items():
        report.add_row(
            table,
            kind,
            report.microseconds(its["cpu"]),
            report.milliseconds(its["p50"]),
            report.ratio(its["p50"], without["p50"]),
            report.milliseconds(its["p99"]),
            report.ratio(its["p99"], without["p99"]),
            *((f"{its['paused']:,.0f}", f"{its['commits']:,.0f}") if numbers[kind] else (report.DASH,) * 2),
            report.kibibytes(its["rss"]) if numbers[kind] else report.DASH,
        )
    report.console().print(table)
    if chosen.json:
        with_stuck = found["node, with stuck clients"]
        report.print_json({"frame_bytes": size, "stuck": {"clients": stuck, "without": without, "with": with_stuck}})
    return 0


def main() -> int:
    raise_limits()
    parser = report.parser(__doc__)
    parser.add_argument("--clients", type=int, nargs="+", default=[1000, 5000, 15_000], metavar="N")
    parser.add_argument(
        "--messages",
        type=int,
        default=0,
        metavar="N",
        help=f"in each round (default: {DELIVERIES:,} deliveries over all rounds, but at least {FEWEST_MESSAGES})",
    )
    parser.add_argument("--stuck", action="store_true", help="the node only: the largest number, beside stuck clients")
    chosen = parser.parse_args()
    if chosen.stuck and chosen.check:
        parser.error("--check judges what is measured without --stuck")
    report.require_room(max(chosen.clients) * (51 if chosen.stuck else 50) // 50)
    return asyncio.run(bench_stuck(chosen) if chosen.stuck else bench(chosen))


if __name__ == "__main__":
    sys.exit(main())
