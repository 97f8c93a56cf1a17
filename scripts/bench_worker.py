#!/usr/bin/env python
"""What a worker costs: CPU per check, and how late checks begin, with a thousand services on one process.

The product's own worker, with its leases and heartbeats on a real Redis, against a cheap local server in a process of
its own; next to loops that do nothing but the same checks, which is the least that they can cost, and to Prometheus'
blackbox exporter where one is installed.

    bench_worker.py                       1,000 services every 5 s for 30 s, over TCP and HTTP; about 2 minutes
    bench_worker.py --check               exit 1 if checks begin later than 250 ms at p99
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import cast

import httpx
import uvloop
from rich.console import Console
from rich.table import Table

from broadcaster.config.settings import Duration, HttpProbe, ServiceSettings, Settings, TcpProbe, WorkerSettings
from broadcaster.domain.model import Status
from broadcaster.store.children import end, spawn
from broadcaster.store.embedded import EmbeddedRedis, free_port
from broadcaster.store.redis import RedisStore
from broadcaster.worker.metrics import WorkerMetrics
from broadcaster.worker.worker import Worker

LIMIT = 0.250
"""Seconds: the most that 99 of 100 checks may begin late."""

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"

WARM_UP = 6.0
"""Seconds before the measurement: every service was seen, and the first spread is over."""


BLACKBOX = ("blackbox_exporter", "prometheus-blackbox-exporter")
"""The names that Prometheus' blackbox exporter has; it is measured beside the worker where one is on PATH."""

ROLES = {"floor": "only the checks", "worker": "the worker", "blackbox": "blackbox exporter"}


def cpu() -> float:
    """Seconds of user and system time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Target(asyncio.Protocol):
    """Answers whatever comes, and hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop has classes of its own

    def data_received(self, data: bytes) -> None:
        self._transport.write(ANSWER)
        self._transport.close()


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Target, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


class Lateness(WorkerMetrics):
    """Keeps every lateness, for percentiles of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[float] = []

    def started(self, lateness: float) -> None:
        super().started(lateness)
        self.seen.append(lateness)


async def measure_worker(kind: str, port: int, redis_url: str, services: int, interval: float, seconds: float) -> None:
    """Runs the worker; prints what it cost as JSON."""
    probe = HttpProbe(url=f"http://127.0.0.1:{port}/") if kind == "http" else TcpProbe(host="127.0.0.1", port=port)
    settings = Settings(
        services={
            f"s{number}": ServiceSettings(probe=probe, interval=Duration(interval), timeout=Duration(4))
            for number in range(services)
        },
        worker=WorkerSettings(host_rate=1e6),
    )
    metrics = Lateness()
    async with RedisStore.connect(redis_url, f"{kind}-{port}", timeout=5) as store:
        worker = asyncio.create_task(Worker(settings, store, metrics=metrics).run())
        await asyncio.sleep(WARM_UP)
        metrics.seen.clear()
        before = cpu()
        await asyncio.sleep(seconds)
        used, late = cpu() - before, sorted(metrics.seen)
        seen = (await store.read()).snapshot.services.values()
        worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await worker
    well = sum(each.status is Status.UP for each in seen)
    if well != services:
        others = {(each.status.value, each.detail) for each in seen if each.status is not Status.UP}
        raise SystemExit(f"{well} of {services} services were seen up: this measured something else; {others}")
    cuts = statistics.quantiles(late, n=100, method="inclusive")
    _report(used, len(late), p50=cuts[49], p99=cuts[98], most=late[-1])


async def measure_floor(kind: str, port: int, services: int, interval: float, seconds: float) -> None:
    """The same checks, evenly spaced, and nothing else; prints what they cost as JSON."""
    checks = 0
    context = httpx.create_ssl_context() if kind == "http" else None

    async def over_http() -> None:
        async with httpx.AsyncClient(trust_env=False, verify=context or True) as client:
            (await client.get(f"http://127.0.0.1:{port}/")).raise_for_status()

    async def over_tcp() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        await writer.wait_closed()

    check: Callable[[], Awaitable[None]] = over_http if kind == "http" else over_tcp
    loop = asyncio.get_running_loop()

    async def watch(number: int) -> None:
        nonlocal checks
        due = loop.time() + interval * number / services
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            await check()
            checks += 1
            due += interval

    tasks = [asyncio.create_task(watch(number)) for number in range(services)]
    await asyncio.sleep(WARM_UP)
    before, done = cpu(), checks
    await asyncio.sleep(seconds)
    _report(cpu() - before, checks - done)
    if any(task.done() for task in tasks):
        raise SystemExit("a check failed: this measured something else")
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def measure_blackbox(kind: str, port: int, services: int, interval: float, seconds: float) -> None:
    """Prometheus' blackbox exporter, asked as Prometheus asks it; prints what its own process cost as JSON."""
    binary = next(filter(None, map(shutil.which, BLACKBOX)), None)
    if binary is None:
        raise SystemExit("no blackbox exporter")
    module, its_port, checks = {"http": "http_2xx", "tcp": "tcp_connect"}[kind], free_port(), 0
    target = f"http://127.0.0.1:{port}/" if kind == "http" else f"127.0.0.1:{port}"
    url = f"http://127.0.0.1:{its_port}/probe"
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as config:
        config.write(f"modules: {{{module}: {{prober: {kind}, timeout: 4s}}}}\n")
        config.flush()
        quiet = [f"--config.file={config.name}", f"--web.listen-address=127.0.0.1:{its_port}", "--log.level=error"]
        exporter = spawn([binary, *quiet])
        try:
            await _until_it_listens(its_port)
            async with httpx.AsyncClient(trust_env=False, timeout=10, limits=httpx.Limits()) as client:

                async def watch(number: int) -> None:
                    nonlocal checks
                    due = time.monotonic() + interval * number / services
                    while True:
                        await asyncio.sleep(max(0.0, due - time.monotonic()))
                        answer = await client.get(url, params={"module": module, "target": target})
                        if "probe_success 1" not in answer.text:
                            raise SystemExit(f"a check failed: this measured something else; {answer.text[:200]}")
                        checks += 1
                        due += interval

                tasks = [asyncio.create_task(watch(number)) for number in range(services)]
                await asyncio.sleep(WARM_UP)
                before, done = cpu_of(exporter.pid), checks
                await asyncio.sleep(seconds)
                used, made, peak = cpu_of(exporter.pid) - before, checks - done, peak_of(exporter.pid)
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
        finally:
            await end(exporter)
    print(json.dumps({"cpu": used, "checks": made, "rss": peak}))


def cpu_of(pid: int) -> float:
    """Seconds of user and system time of another process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_of(pid: int) -> int:
    """Bytes of memory that another process had at most."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def _report(used: float, checks: int, **lateness: float) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"cpu": used, "checks": checks, "rss": peak, **lateness}))


async def main(chosen: argparse.Namespace) -> int:
    port = free_port()
    target = spawn([sys.executable, __file__, "--serve", str(port)])
    rows: list[tuple[str, str, dict[str, float]]] = []
    try:
        await _until_it_listens(port)
        with tempfile.TemporaryDirectory() as folder:
            async with EmbeddedRedis(Path(folder)) as redis:
                for kind in chosen.kinds:
                    for role in chosen_roles():
                        command = [sys.executable, __file__, "--measure", role, "--kinds", kind, "--port", str(port)]
                        command += ["--redis", redis.url, "--services", str(chosen.services)]
                        command += ["--interval", str(chosen.interval), "--seconds", str(chosen.seconds)]
                        done = await asyncio.to_thread(subprocess.run, command, stdout=subprocess.PIPE, check=True)
                        rows.append((kind, role, json.loads(done.stdout.splitlines()[-1])))
    finally:
        await end(target)
    _show(chosen, rows)
    late = max(its["p99"] for _, role, its in rows if role == "worker")
    if chosen.check and late > LIMIT:
        print(f"checks begin {late * 1000:.0f} ms late at p99, above {LIMIT * 1000:.0f} ms", file=sys.stderr)
        return 1
    return 0


def chosen_roles() -> list[str]:
    """What can be measured here."""
    return ["floor", "worker", *(["blackbox"] if any(map(shutil.which, BLACKBOX)) else [])]


async def _until_it_listens(port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.02)


def _show(chosen: argparse.Namespace, rows: Sequence[tuple[str, str, dict[str, float]]]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(f"{chosen.services:,} services every {chosen.interval:g} s, {chosen.seconds:g} s measured")
    table = Table()
    for title in (
        "checks",
        "what",
        "a second",
        "CPU per check",
        "ratio",
        "late p50",
        "late p99",
        "late max",
        "peak RSS",
    ):
        table.add_column(title, justify="left" if title in ("checks", "what") else "right")
    floors = {kind: its["cpu"] / its["checks"] for kind, role, its in rows if role == "floor"}
    for kind, role, its in rows:
        each = its["cpu"] / its["checks"]
        lateness = [f"{its[name] * 1000:.1f} ms" if name in its else "" for name in ("p50", "p99", "most")]
        table.add_row(
            kind,
            ROLES[role],
            f"{its['checks'] / chosen.seconds:.0f}",
            f"{each * 1e6:.0f} µs",
            f"{each / floors[kind]:.2f}",
            *lateness,
            f"{its['rss'] / 2**20:.0f} MiB",
        )
    console.print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--interval", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--kinds", nargs="+", choices=("tcp", "http"), default=("tcp", "http"))
    parser.add_argument("--check", action="store_true")
    for internal in ("--serve", "--port"):
        parser.add_argument(internal, type=int, default=0, help=argparse.SUPPRESS)
    for internal in ("--measure", "--redis"):
        parser.add_argument(internal, default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        uvloop.run(serve(arguments.serve))
    elif arguments.measure == "worker":
        rest = (arguments.services, arguments.interval, arguments.seconds)
        uvloop.run(measure_worker(arguments.kinds[0], arguments.port, arguments.redis, *rest))
    elif arguments.measure:
        rest = (arguments.services, arguments.interval, arguments.seconds)
        measure = measure_floor if arguments.measure == "floor" else measure_blackbox
        uvloop.run(measure(arguments.kinds[0], arguments.port, *rest))
    else:
        sys.exit(asyncio.run(main(arguments)))
