"""The sample's processes, each of which can be killed, hung, made slow or made to flap, and started again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import IO

import httpx

from broadcaster.sample import postgres
from broadcaster.store.children import end, spawn
from broadcaster.store.embedded import find_program, free_port

START_SECONDS = 60.0
SLOW = (0.8, 0.1)
"""Seconds that a slow process is stopped, and runs, in turn."""

SLOW_FACTOR = 2
"""A slow service is in trouble for longer than others: that it is slow, several probes have to see."""

FLAPS = 3
"""How often one that flaps is away within a scenario."""

STEADY = 2.0
"""Seconds for which all must be well before a scenario is over."""

SERVICES = ("auth", "postgres", "redis", "assistant", "spare", "analytics", "clickhouse")
"""What the chat stands on."""

CRITICAL = ("auth", "postgres", "redis")
TROUBLES = ("killed", "hung", "slow", "flapping")


class Process:
    """One part of the sample, with all processes that it has started itself."""

    def __init__(self, name: str, command: list[str], env: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self._command = command
        self._env = env
        self._folder = folder
        self._log: IO[bytes] = (folder / f"{name}.log").open("ab")
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return (self._folder / f"{self.name}.log").read_text(errors="replace")

    def start(self) -> None:
        self._child = spawn(self._command, env=self._env, cwd=self._folder, output=self._log)

    def tree(self) -> list[int]:
        """The ids of the process and everything below it, the parents first."""
        assert self._child is not None
        found = [self._child.pid]
        for pid in found:
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    found += [int(each) for each in (task / "children").read_text().split()]
        return found

    def signal(self, number: int) -> None:
        for pid in self.tree():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    async def kill(self) -> None:
        """SIGKILL, and gone when it returns."""
        assert self._child is not None
        self.signal(signal.SIGKILL)
        self._child.wait()
        await asyncio.sleep(0)

    async def stop(self) -> None:
        if self._child is not None and self._child.poll() is None:
            self.signal(signal.SIGCONT)
            await end(self._child)
        self._log.close()


class Stage:
    """Everything that runs. ``backend`` is the chat's address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {name: free_port() for name in (*SERVICES, "backend")}
        self.env = dict(os.environ) | {f"SAMPLE_{name.upper()}_PORT": str(port) for name, port in self.ports.items()}
        self.env["REDIS_URL"] = f"redis://127.0.0.1:{self.ports['redis']}/0"
        self.backend = f"127.0.0.1:{self.ports['backend']}"
        self.database = postgres.url(self.ports["postgres"])
        self.processes: dict[str, Process] = {}

    def add(self, name: str, command: list[str]) -> None:
        self.processes[name] = Process(name, command, self.env, self.folder)
        self.processes[name].start()

    async def statuses(self) -> dict[str, str]:
        """What the chat's own health document says of every service; empty while it says nothing."""
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            with contextlib.suppress(httpx.HTTPError, ValueError):
                checks = (await client.get(f"http://{self.backend}/health/dependencies")).json()["checks"]
                return {check["componentId"]: check["observedValue"] for [check] in checks.values()}
        return {}

    async def until_well(self, seconds: float = START_SECONDS) -> float:
        """Waits until everything has been up, and the feed live, for ``STEADY`` seconds; returns after how many seconds
        that began. Raises TimeoutError with what is not."""
        began = time.monotonic()
        well_since: float | None = None
        while True:
            now = time.monotonic()
            found = await self.statuses()
            if set(found.values()) != {"up"} or not await self._is_live():
                well_since = None
            elif well_since is None:
                well_since = now
            elif now - well_since >= STEADY:
                return well_since - began
            if now - began > seconds:
                log = self.processes["backend"].log[-2000:]
                raise TimeoutError(f"not everything is up after {seconds:g} s: {found}\n{log}")
            await asyncio.sleep(0.1)

    async def _is_live(self) -> bool:
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            with contextlib.suppress(httpx.HTTPError, ValueError):
                found: str = (await client.get(f"http://{self.backend}/readyz")).json()["feed"]
                return found == "live"
        return False

    def trouble(self, kind: str, service: str, seconds: float) -> Awaitable[None]:
        """Troubles a service for so long, and returns when it runs again."""
        ways: dict[str, Callable[[Process, float], Awaitable[None]]] = {
            "killed": _killed,
            "hung": _hung,
            "slow": _slow,
            "flapping": _flapping,
        }
        return ways[kind](self.processes[service], seconds)


async def _killed(process: Process, seconds: float) -> None:
    await process.kill()
    await asyncio.sleep(seconds)
    process.start()


async def _hung(process: Process, seconds: float) -> None:
    process.signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        process.signal(signal.SIGCONT)


async def _slow(process: Process, seconds: float) -> None:
    stopped, running = SLOW
    ends = time.monotonic() + SLOW_FACTOR * seconds
    while time.monotonic() < ends:
        await _hung(process, stopped)
        await asyncio.sleep(running)


async def _flapping(process: Process, seconds: float) -> None:
    for _ in range(FLAPS):
        await _killed(process, seconds / FLAPS / 2)
        await asyncio.sleep(seconds / FLAPS / 2)


@asynccontextmanager
async def running_stage(folder: Path) -> AsyncIterator[Stage]:
    """The sample with a worker, well and warm; everything ends with it."""
    stage = Stage(folder)
    ports = stage.ports

    def sample(name: str, *more: str) -> list[str]:
        return [sys.executable, "-m", "broadcaster.sample", name, "--port", str(ports[name]), *more]

    (folder / "redis").mkdir()
    options = ["--bind", "127.0.0.1", "--dir", str(folder / "redis"), "--appendonly", "yes", "--save", ""]
    config = files("broadcaster.sample").joinpath("services.yaml")
    try:
        stage.add("redis", [find_program(), "--port", str(ports["redis"]), *options])
        for name in ("postgres", "clickhouse"):
            stage.add(name, sample(name, "--data", str(folder / name)))
        for name in ("auth", "analytics", "assistant", "spare", "backend"):
            stage.add(name, sample(name))
        stage.add("probe", [sys.executable, "-m", "broadcaster", "probe", "--config", str(config)])
        await stage.until_well()
        yield stage
    finally:
        for process in reversed(stage.processes.values()):
            await process.stop()
