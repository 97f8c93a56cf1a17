#!/usr/bin/env python3
"""How long until every node knows that a model's API fails, at a probe interval of 30 s: with passive evidence and
without.

    scripts/setup dev && .venv/bin/python scripts/bench_evidence.py

A stand-in for the API begins to answer every call with 500. An application, this process, calls it ``--rate`` times a
second through the circuit breaker of its manager, which reports what fails; or by itself, which reports nothing. A
sample begins with the first call that fails and ends when clients of all ``--nodes`` have been told ``down``. Redis,
the worker, the nodes and the stand-in are processes of their own; all settings but the interval are the defaults. The
worker is started anew for each sample, at a moment of its own, so that samples fall anywhere in the interval.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

try:
    import httpx
    import uvloop
    import websockets
    import yaml
    from rich.console import Console
    from rich.table import Table
except ImportError as error:
    sys.exit(f"{error.name} is missing: run scripts/setup dev, then .venv/bin/python scripts/bench_evidence.py")

from broadcaster.domain.errors import CallNotPermitted
from broadcaster.manager import ServiceAvailabilityManager
from broadcaster.sample.assistant import KEY
from broadcaster.store.embedded import EmbeddedRedis, free_port
from scripts.rehearsing.stage import Process

SERVICE = "openai"
HEADERS = {"Authorization": f"Bearer {KEY}"}


class Bench:
    """What runs for all samples."""

    def __init__(self, folder: Path, redis_url: str, interval: float, nodes: int) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        config = folder / "services.yaml"
        probe = {"kind": "llm_api", "url": f"{self.url}/v1/models", "api_key": KEY}
        # Samples are a service that comes and goes; nobody is to take it for one that flaps.
        service = {"criticality": "optional", "interval": f"{interval:g}s", "flap_detection": False, "probe": probe}
        config.write_text(yaml.safe_dump({"services": {SERVICE: service}}))
        self.config, self.redis_url, self.interval = config, redis_url, interval
        self.ports = [free_port() for _ in range(nodes)]
        flags = ["--config", str(config), "--redis-url", redis_url]
        base = [sys.executable, "-m", "broadcaster"]
        sample = [sys.executable, "-m", "broadcaster.sample", "assistant", "--port", str(self.port)]
        self.standing = [Process("assistant", sample, os.environ, folder)] + [
            Process(f"node{number}", [*base, "serve", *flags, "--port", str(port)], os.environ, folder)
            for number, port in enumerate(self.ports)
        ]
        self.worker = Process("worker", [*base, "probe", *flags], os.environ, folder)

    async def behave(self, client: httpx.AsyncClient, mode: str) -> None:
        (await client.put("/control", json={"mode": mode})).raise_for_status()

    async def told(self, port: int, ready: asyncio.Event) -> float:
        """When (monotonic) a client of the node there was told that the service is down."""
        async with websockets.connect(f"ws://127.0.0.1:{port}/ws", proxy=None) as socket:
            async for text in socket:
                ready.set()
                said = json.loads(text)
                if said["type"] == "notice" and said["kind"] == "down":
                    return time.monotonic()
        raise RuntimeError("the node hung up")


async def sample(bench: Bench, client: httpx.AsyncClient, *, is_reported: bool, rate: float) -> float:
    """Seconds from the first call that fails to the last node's notice."""
    await bench.behave(client, "ok")
    bench.worker.start()
    manager = ServiceAvailabilityManager.from_config(bench.config, redis_url=bench.redis_url)
    try:
        async with manager:
            await manager.wait_until(SERVICE, "up", timeout=60)
            ready = [asyncio.Event() for _ in bench.ports]
            told = [asyncio.create_task(bench.told(*each)) for each in zip(bench.ports, ready, strict=True)]
            for each in ready:
                await each.wait()
            # Within the interval, and not so late that a probe of its own would be the first to see it.
            await asyncio.sleep(random.uniform(2, min(12, bench.interval * 0.8)))
            await bench.behave(client, "broken")
            first: float | None = None
            while not all(each.done() for each in told):
                try:
                    async with manager.breaker(SERVICE) if is_reported else contextlib.nullcontext():
                        answer = await client.get("/v1/models")
                        answer.raise_for_status()
                except (httpx.HTTPError, CallNotPermitted):
                    first = first or time.monotonic()
                await asyncio.sleep(1 / rate)
            assert first is not None
            return max(each.result() for each in told) - first
    finally:
        await bench.worker.kill()


async def measure(arguments: argparse.Namespace, console: Console) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"with evidence": [], "without": []}
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = await stack.enter_async_context(EmbeddedRedis(folder / "redis"))
        bench = Bench(folder, redis.url, arguments.interval, arguments.nodes)
        for process in bench.standing:
            process.start()
            stack.push_async_callback(process.stop)
        client = httpx.AsyncClient(base_url=bench.url, headers=HEADERS, trust_env=False)
        await stack.enter_async_context(client)
        for port in (bench.port, *bench.ports):
            await _listening(port)
        for way, count in (("with evidence", arguments.samples), ("without", arguments.without)):
            for _ in range(count):
                seconds = await sample(bench, client, is_reported=way == "with evidence", rate=arguments.rate)
                console.print(f"{way}: {seconds:.2f} s", style="dim")
                found[way].append(seconds)
    return found


async def _listening(port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.05)


def table(found: dict[str, list[float]], interval: float) -> Table:
    shown = Table(title=f"From the first failing call until all nodes know, at an interval of {interval:g} s")
    for column in ("", "samples", "median", "most"):
        shown.add_column(column, justify="left" if not column else "right")
    for way, seconds in found.items():
        if seconds:
            shown.add_row(way, str(len(seconds)), f"{statistics.median(seconds):.2f} s", f"{max(seconds):.2f} s")
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=20, help="with evidence")
    parser.add_argument("--without", type=int, default=5, metavar="N", help="samples without")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--interval", type=float, default=30.0, help="seconds between probes")
    parser.add_argument("--rate", type=float, default=20.0, help="calls a second")
    chosen = parser.parse_args(arguments)
    console = Console()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        console.print(table(runner.run(measure(chosen, console)), chosen.interval))
    return 0


if __name__ == "__main__":
    sys.exit(main())
