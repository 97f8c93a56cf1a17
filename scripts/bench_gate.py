#!/usr/bin/env python3
"""What admission costs a handshake: the decision alone, and as a client meets it, in one run on one machine.

    scripts/setup dev && .venv/bin/python scripts/bench_gate.py

- The decision is ``ServiceAvailabilityManager.admit()``, of a manager that follows a store in memory, for catalogues of
  several sizes with a feature for every two services, and every sixth service down or degraded. ``warm``: nothing
  changed since it was asked last. ``cold``: it is asked for the first time since a transition of a critical service,
  that goes down and comes back in turns. A call's time includes reading the clock, some 50 ns.
- A handshake is a whole one, against a node process on uvloop that follows a Redis: from before the client connects, on
  a blocking socket, until it has the first message to its end. ``/ws`` is gated, ``/ws/status`` is not and does all
  else alike; each pair takes both, in random order, and the next begins when the node has closed the one before. The
  same while a critical service is down, when the first message on ``/ws`` is the rejection.

What admission adds is the difference of the paths' percentiles; the plan allows it 500 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import logging
import os
import random
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

try:
    import structlog
    import uvloop
    from rich.console import Console
    from rich.table import Table
except ImportError as error:
    sys.exit(f"{error.name} is missing: run scripts/setup dev, then .venv/bin/python scripts/bench_gate.py")

from broadcaster.config.settings import Duration, FeatureSettings, ServiceSettings, Settings, TcpProbe
from broadcaster.domain.admission import Verdict
from broadcaster.domain.detection import Decision
from broadcaster.domain.model import Criticality, Position, ServiceState, Snapshot, Status, event_kind
from broadcaster.manager.manager import ServiceAvailabilityManager
from broadcaster.store.base import Outcome
from broadcaster.store.embedded import EmbeddedRedis
from broadcaster.store.memory import MemoryStore
from broadcaster.store.redis import RedisStore
from scripts.benching import application
from scripts.benching.percentiles import percentiles
from scripts.benching.pipeline import STEP_SECONDS, TIMEOUT, nodes, shake_hands
from scripts.benching.system import raise_limits

GATED, OPEN = "/ws", "/ws/status"
WARM, COLD = "warm", "cold"
WELCOME, REJECTED = b'"type":"welcome"', b'"type":"rejected"'

WARM_LIMIT = 100e-6
"""Seconds that p99 of the warm decision may be."""

HANDSHAKE_LIMIT = 1.5
"""What p99 of the gated handshake may be, in p99 of the one that is not."""

BLOCK = 100
"""Pairs of handshakes between two changes of the critical service."""

WARM_UP = 20

COLD_PART = 50
"""Warm decisions for each cold one."""


class Figures(NamedTuple):
    """One row: seconds within which the samples stay. ``beside`` is the row that it is compared with."""

    what: str
    case: str
    samples: int
    p50: float
    p90: float
    p99: float
    max: float
    beside: str = ""


def figures(what: str, case: str, samples: Sequence[float], beside: str = "") -> Figures:
    its = percentiles(samples)
    return Figures(what, case, len(samples), its.p50, its.p90, its.p99, its.max, beside)


async def commit(store: MemoryStore | RedisStore, service: str, status: Status) -> None:
    """One transition, as a worker would commit it."""
    snapshot = await store.snapshot()
    previous = snapshot.status(service)
    written = await store.commit(
        Decision(service=service, kind=event_kind(previous, status), previous=previous, status=status, at=time.time()),
        commit=os.urandom(8).hex(),
        expected_revision=snapshot.state(service).revision,
        known=snapshot.position,
    )
    if written.outcome is not Outcome.DONE:
        raise SystemExit(f"a commit came to {written.outcome}")


# The decision alone.


def catalogue_of(size: int) -> Settings:
    """So many services, in groups of five of which each stands on the one before; every third is optional."""
    never = Duration(86_400)
    services = {
        f"service-{number}": ServiceSettings(
            probe=TcpProbe(host="127.0.0.1", port=1),
            criticality=Criticality.OPTIONAL if number % 3 == 1 else Criticality.CRITICAL,
            depends_on=(f"service-{number - 1}",) if number % 5 else (),
            stale_after=never,
        )
        for number in range(size)
    }
    features = {
        f"feature-{number}": FeatureSettings(
            requires=tuple(f"service-{each % size}" for each in range(2 * number, 2 * number + 3))
        )
        for number in range(size // 2)
    }
    return Settings(services=services, features=features)


def status_of(number: int) -> Status:
    """Optional services are down and degraded in turns, two of three are well; critical ones are."""
    return {1: Status.DOWN, 4: Status.DEGRADED}.get(number % 12, Status.UP)


async def decisions(size: int, warm_calls: int, cold_calls: int) -> list[Figures]:
    settings, store, now = catalogue_of(size), MemoryStore(), time.time()
    services = {
        name: ServiceState(service=name, status=status_of(number), since=now, observed_at=now)
        for number, name in enumerate(settings.services)
    }
    begun = Snapshot(services=services)
    await store.seed(begun, epoch="1", worker="bench", now=now, reason="bench", replaces=Position())
    async with ServiceAvailabilityManager(settings, store) as manager:
        await manager.wait_loaded(STEP_SECONDS)
        cold = []
        for status in itertools.islice(itertools.cycle((Status.DOWN, Status.UP)), cold_calls):
            await commit(store, "service-0", status)
            async with asyncio.timeout(STEP_SECONDS):
                while manager.status("service-0") is not status:
                    await asyncio.sleep(0)
            cold.append(timed(manager.admit))
            if (manager.admit().verdict is Verdict.REJECT) is not (status is Status.DOWN):
                raise SystemExit(f"{status} came to {manager.admit().verdict}")
        warm = [timed(manager.admit) for _ in range(warm_calls)]
    what = f"admit(), {size} services"
    return [figures(what, WARM, warm), figures(what, COLD, cold)]


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


# The handshake.


class Door:
    """One node, its carrier, and its critical service that is up or down."""

    def __init__(self, store: RedisStore, port: int) -> None:
        self._store = store
        self._port = port

    async def set(self, status: Status) -> None:
        """Commits it, with a heartbeat; returns when the node judges by it."""
        await commit(self._store, "backend", status)
        now, position = time.time(), (await self._store.snapshot()).position
        await self._store.heartbeat("bench", now, dict.fromkeys(application.settings().services, now), position)
        expected = REJECTED if status is Status.DOWN else WELCOME
        deadline = time.monotonic() + STEP_SECONDS
        while expected not in self.greeting(GATED)[1]:
            if time.monotonic() > deadline:
                raise SystemExit(f"the node does not answer as it should while backend is {status}")
            await asyncio.sleep(0.005)

    def greeting(self, path: str) -> tuple[float, bytes]:
        """A handshake's seconds and first message; the connection is gone afterwards, on the node's side too."""
        began = time.perf_counter()
        one, message = shake_hands(self._port, path)
        took = time.perf_counter() - began
        with one:
            one.shutdown(socket.SHUT_WR)
            while one.recv(65536):
                pass
        return took, message

    def pairs(self, number: int, expected: bytes) -> dict[str, list[float]]:
        """Handshakes on both paths, and what the gated one must be told."""
        took: dict[str, list[float]] = {GATED: [], OPEN: []}
        for _ in range(number):
            for path in random.sample((GATED, OPEN), 2):
                seconds, message = self.greeting(path)
                if (expected if path == GATED else WELCOME) not in message:
                    raise SystemExit(f"{path} said {message!r}")
                took[path].append(seconds)
        return took


async def handshakes(number: int) -> list[Figures]:
    """So many on each path while all is well, and as many while a critical service is down, in blocks."""
    cases = {Status.UP: ("all up", WELCOME), Status.DOWN: ("one down", REJECTED)}
    took: dict[tuple[Status, str], list[float]] = {(status, path): [] for status in cases for path in (OPEN, GATED)}
    with tempfile.TemporaryDirectory() as folder:
        async with (
            EmbeddedRedis(Path(folder)) as redis,
            RedisStore.connect(redis.url, "gate", timeout=TIMEOUT) as store,
        ):
            await application.seed(store)
            for name in application.settings().services:
                await commit(store, name, Status.UP)
            async with nodes(redis.url, "gate", 1) as [node]:
                door = Door(store, node.port)
                for begun in range(0, number, BLOCK):
                    for status, (_, expected) in reversed(cases.items()):
                        await door.set(status)
                        door.pairs(WARM_UP, expected)
                        for path, seconds in door.pairs(min(BLOCK, number - begun), expected).items():
                            took[status, path] += seconds
    rows = []
    for status, (case, _) in cases.items():
        rows.append(figures(OPEN, case, took[status, OPEN]))
        told = case if status is Status.UP else f"{case}: rejected"
        rows.append(figures(GATED, told, took[status, GATED], beside=case))
    return rows


# What is shown.


async def bench(chosen: argparse.Namespace) -> int:
    raise_limits()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    rows: list[Figures] = []
    for size in chosen.services:
        rows += await decisions(size, chosen.calls, max(1, chosen.calls // COLD_PART))
    rows += await handshakes(chosen.handshakes)
    console = Console(width=None if sys.stdout.isatty() else 150)
    show(console, rows)
    if chosen.json:
        print(json.dumps([each._asdict() for each in rows]))
    failures = list(too_slow(rows)) if chosen.check else []
    for failure in failures:
        console.print(f"[red]{failure}[/]")
    return 1 if failures else 0


def too_slow(rows: Sequence[Figures]) -> Iterator[str]:
    """What ``--check`` refuses, in words."""
    for each in rows:
        if each.case == WARM and each.p99 > WARM_LIMIT:
            yield f"{each.what}: p99 of the warm decision is above {WARM_LIMIT * 1e6:g} µs."
    gated = next(each for each in rows if each.beside)
    if gated.p99 > HANDSHAKE_LIMIT * beside(rows, gated).p99:
        yield f"p99 of the gated handshake is above {HANDSHAKE_LIMIT:g} x that of the one that is not."


def beside(rows: Sequence[Figures], gated: Figures) -> Figures:
    """The row of the handshake that is not gated, of the same blocks."""
    return next(each for each in rows if (each.what, each.case) == (OPEN, gated.beside))


def show(console: Console, rows: Sequence[Figures]) -> None:
    table = Table(title="What admission costs")
    table.add_column("what")
    table.add_column("while")
    for name in ("samples", "p50", "p90", "p99", "max", "p50 added", "p99 added", "p99 ratio"):
        table.add_column(name, justify="right")
    for its in rows:
        if its.case == WARM or its.what == OPEN:
            table.add_section()
        added = ["", "", ""]
        if its.beside:
            other = beside(rows, its)
            added = [_micro(its.p50 - other.p50, "+"), _micro(its.p99 - other.p99, "+"), f"{its.p99 / other.p99:.2f}"]
        times = map(_micro, (its.p50, its.p90, its.p99, its.max))
        style = "bold" if its.what == GATED else ""
        table.add_row(its.what, its.case, f"{its.samples:,}", *times, *added, style=style)
    console.print(table)


def _micro(seconds: float, sign: str = "") -> str:
    micro = seconds * 1e6
    digits = 2 if abs(micro) < 10 else 1 if abs(micro) < 100 else 0
    return f"{micro:{sign},.{digits}f} µs"


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=_positive, nargs="+", default=[5, 50, 200], help="sizes of catalogues")
    parser.add_argument("--calls", type=_positive, default=100_000, help="warm decisions each; cold ones are fewer")
    parser.add_argument("--handshakes", type=_positive, default=3000, help="how many on each path in each state")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON, too; times are seconds")
    parser.add_argument("--check", action="store_true", help="exit 1 if the gate costs more than it should")
    return uvloop.run(bench(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
