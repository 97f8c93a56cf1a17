#!/usr/bin/env python3
"""What one more client costs a node, beside a bare loop of accept, recv and send and other servers.

    scripts/setup dev && .venv/bin/python scripts/bench_handshake.py

All servers run one after the other in each of ``--rounds`` rounds, each as one process. A handshake is accept, parse,
answer and a welcome, of the same size with all; the node's includes the check of the Origin and admission. CPU is
user+sys time of the server's process by the kernel's account. Handshakes a second are what one load client, which has
{batch} of them under way at once, gets through; where its own CPU is above the server's, it is the client that needs
the time.

``--storm`` asks something else: {storm:,} clients come at once, as after a node's end. None waits for another, so that
the server's queue overflows and the kernel lets the rest try again after a second, and more. What counts is when the
last has its welcome, and that none has to be told to come back.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from scripts.benching import report
from scripts.benching.load import BATCH, Load
from scripts.benching.running import running, sizes_of_node, warm_up, watched_redis
from scripts.benching.system import cpu_seconds, raise_limits
from scripts.benching.unruly import storm

STORM_CLIENTS = 10_000

ALLOWED = 30e-6
"""Seconds of CPU: what ``--check`` lets a handshake cost, and more only where nchan's costs more, too."""


async def measure(kind: str, clients: int, redis_url: str, size: int) -> report.Figures:
    async with running(kind, redis_url, size, clients=clients) as server:
        await warm_up(server)
        load = Load(server.port)
        cpu, own, began = cpu_seconds(server.pid), time.process_time(), time.perf_counter()
        load.connect(clients)
        took = time.perf_counter() - began
        cpu, own = cpu_seconds(server.pid) - cpu, time.process_time() - own
        load.close()
        return {"cpu": cpu / clients, "client_cpu": own / clients, "rate": clients / took}


async def measure_storm(kind: str, clients: int, redis_url: str, size: int) -> report.Figures:
    async with running(kind, redis_url, size, clients=clients) as server:
        await warm_up(server)
        cpu, own = cpu_seconds(server.pid), time.process_time()
        found = storm(server.port, clients)
        cpu, own = cpu_seconds(server.pid) - cpu, time.process_time() - own
        for reason in found.reasons:
            report.progress().print(f"{kind}: {reason}", highlight=False)
        return {
            "cpu": cpu / clients,
            "client_cpu": own / clients,
            "seconds": found.seconds,
            "rate": (clients - found.failed) / found.seconds if found.seconds else 0.0,
            "failed": found.failed,
        }


async def bench(chosen: argparse.Namespace) -> int:
    kinds = report.installed(chosen.servers)
    clients, chosen_measure = (chosen.storm, measure_storm) if chosen.storm else (chosen.clients, measure)
    async with watched_redis() as redis_url:
        size = (await sizes_of_node(redis_url)).welcome

        async def one(kind: str) -> report.Figures:
            return await chosen_measure(kind, clients, redis_url, size)

        rounds = await report.interleaved(chosen.rounds, kinds, one)
    found = {kind: report.medians(each) for kind, each in rounds.items()}
    if chosen.storm:
        for kind, each in rounds.items():
            found[kind]["failed"] = max(figures["failed"] for figures in each)
    (show_storm if chosen.storm else show)(chosen, found, size)
    if chosen.json:
        mode = "storm" if chosen.storm else "handshake"
        report.print_json({"welcome_bytes": size, "clients": clients, mode: found})
    return report.failed(objections(found, in_storm=bool(chosen.storm))) if chosen.check else 0


def objections(found: dict[str, report.Figures], *, in_storm: bool) -> list[str]:
    """What speaks against the node."""
    if "node" not in found:
        return ["the node did not run"]
    node = found["node"]
    if in_storm:
        return [f"the node failed {node['failed']:,.0f} clients"] if node["failed"] else []
    nchan = found["nchan"]["cpu"] if "nchan" in found else 0.0
    if node["cpu"] <= max(ALLOWED, nchan):
        return []
    beside = " and above nchan" if nchan else ""
    return [f"a handshake of the node is above {report.microseconds(ALLOWED)}{beside}"]


def show(chosen: argparse.Namespace, found: dict[str, report.Figures], size: int) -> None:
    table = report.table(
        f"{chosen.clients:,} handshakes with a welcome of {size} bytes, median of {chosen.rounds} rounds",
        ("server", "CPU per handshake", "ratio", "handshakes a second", "load client's CPU per handshake"),
    )
    floor = found.get("bare loop", {}).get("cpu")
    for kind, its in found.items():
        report.add_row(
            table,
            kind,
            report.microseconds(its["cpu"]),
            report.ratio(its["cpu"], floor),
            f"{its['rate']:,.0f}",
            report.microseconds(its["client_cpu"]),
        )
    report.console().print(table)


def show_storm(chosen: argparse.Namespace, found: dict[str, report.Figures], size: int) -> None:
    table = report.table(
        f"{chosen.storm:,} clients at once, a welcome of {size} bytes, median of {chosen.rounds} rounds",
        (
            "server",
            "to the last welcome",
            "handshakes a second",
            "failed, at most",
            "CPU per handshake",
            "ratio",
            "load client's CPU per handshake",
        ),
    )
    floor = found.get("bare loop", {}).get("cpu")
    for kind, its in found.items():
        report.add_row(
            table,
            kind,
            f"{its['seconds']:.2f} s",
            f"{its['rate']:,.0f}",
            f"{its['failed']:,.0f}",
            report.microseconds(its["cpu"]),
            report.ratio(its["cpu"], floor),
            report.microseconds(its["client_cpu"]),
        )
    report.console().print(table)


def main() -> int:
    raise_limits()
    parser = report.parser((__doc__ or "").format(batch=BATCH, storm=STORM_CLIENTS))
    parser.add_argument("--clients", type=int, default=5000, metavar="N")
    parser.add_argument(
        "--storm", type=int, nargs="?", const=STORM_CLIENTS, default=0, metavar="N", help="all at once, and so many"
    )
    chosen = parser.parse_args()
    report.require_room(chosen.storm or chosen.clients)
    return asyncio.run(bench(chosen))


if __name__ == "__main__":
    sys.exit(main())
