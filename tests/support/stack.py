"""The whole product as real processes: services to hurt, Redis, a worker and nodes, on free ports.

::

    async with run_stack(tmp_path, services=("auth", "analytics"), nodes=2) as stack:
        await stack.services["auth"].kill()
        async with connect(stack.nodes[0].ws_url) as client:
            await client.until(lambda: client.notices("auth"))

Everything dies with the process that started it, also when that is killed.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.ports import LOOPBACK, free_port
from tests.support.servers import RedisServer, ServerProcess, redis_server

DEADLINE = 30.0
"""Seconds: generous, for machines that are busy with something else."""

OPTIONAL = ("analytics", "assistant")
TITLES = {
    "auth": "Sign-in",
    "backend": "Chat backend",
    "analytics": "Analytics",
    "assistant": "AI assistant",
    "postgres": "Message store",
    "redis": "Live updates",
}
PACE = {"interval": "300ms", "fast_interval": "100ms", "timeout": "1s", "retries": 1, "fall": 2, "rise": 2}
CALM, SOON = "20s", "2s"
"""When an observation expires: so late that a busy machine makes no news of its own, or soon enough to wait for."""


async def until(condition: Callable[[], object], what: str = "", seconds: float = DEADLINE) -> None:
    """Waits for a condition. Raises TimeoutError that names ``what``."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            raise TimeoutError(f"not within {seconds} s: {what}")
        await asyncio.sleep(0.01)


class Program(ServerProcess):
    """A Python module of the product as a process with a port (0 for none)."""

    def __init__(
        self, folder: Path, name: str, arguments: Sequence[str], *, port: int = 0, env: Mapping[str, str] | None = None
    ) -> None:
        data = folder / name
        data.mkdir(parents=True, exist_ok=True)
        super().__init__(data, port)
        self.name = name
        self._arguments = list(arguments)
        self._env = dict(env or {})

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://{LOOPBACK}:{self.port}/ws"

    @property
    def status_url(self) -> str:
        return f"{self.ws_url}/status"

    def _command(self) -> list[str]:
        variables = [f"{name}={value}" for name, value in self._env.items()]
        return ["/usr/bin/env", *variables, sys.executable, "-m", *self._arguments]

    async def _is_ready(self) -> bool:
        if not self.port:
            return True
        try:
            _, writer = await asyncio.open_connection(LOOPBACK, self.port)
        except OSError:
            return False
        writer.close()
        return True

    async def get(self, path: str, **headers: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE) as client:
            return await client.get(self.url + path, headers=headers)


class Stack:
    """What runs. ``config`` is the file that worker and nodes read."""

    def __init__(self, folder: Path, redis: RedisServer, config: Path) -> None:
        self.folder = folder
        self.redis = redis
        self.config = config
        self.services: dict[str, Program] = {}
        self.nodes: list[Program] = []
        self.worker: Program | None = None

    @property
    def flags(self) -> list[str]:
        """What every command of the product needs to find this stack."""
        return ["--config", str(self.config), "--redis-url", self.redis.url]

    def program(self, name: str, command: str, *arguments: str, port: int = 0, env: Mapping[str, str]) -> Program:
        return Program(self.folder, name, ["broadcaster", command, *self.flags, *arguments], port=port, env=env)

    async def statuses(self, node: int = 0) -> dict[str, str]:
        """What a node says of every service."""
        checks = (await self.nodes[node].get("/health/dependencies")).json()["checks"]
        return {check["componentId"]: check["observedValue"] for [check] in checks.values()}

    async def until_status(self, expected: Mapping[str, str], *, node: int = 0) -> None:
        """Waits until a node says at least this of these services."""
        deadline = asyncio.get_running_loop().time() + DEADLINE
        while True:
            found = await self.statuses(node)
            if expected.items() <= found.items():
                return
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"expected {dict(expected)}, node {node} says {found}\n{self.logs()}")
            await asyncio.sleep(0.02)

    async def until_feed(self, state: str, *, node: int = 0) -> None:
        """Waits until a node's feed is in this state."""
        deadline = asyncio.get_running_loop().time() + DEADLINE
        while (found := (await self.nodes[node].get("/readyz")).json()["feed"]) != state:
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"expected feed {state}, node {node} says {found}\n{self.logs()}")
            await asyncio.sleep(0.02)

    async def edit(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Changes the file in one step, and waits until worker and nodes follow it."""
        programs = [*([self.worker] if self.worker else []), *self.nodes]
        before = [each.log.count("settings_reloaded") for each in programs]
        described = yaml.safe_load(self.config.read_text())
        change(described)
        new = self.config.with_suffix(".new")
        new.write_text(yaml.safe_dump(described, sort_keys=False, allow_unicode=True))
        new.replace(self.config)
        await until(
            lambda: all(each.log.count("settings_reloaded") > was for each, was in zip(programs, before, strict=True)),
            "the file is followed",
        )

    def logs(self) -> str:
        """What worker and nodes have written, for the report of a failure."""
        running = [*([self.worker] if self.worker else []), *self.nodes]
        return "\n".join(f"--- {each.name}\n{each.log[-3000:]}" for each in running)


def describe(
    services: Mapping[str, Mapping[str, Any]], *, changes: Mapping[str, Any] | None = None, stale_after: str = CALM
) -> dict[str, Any]:
    """A services.yaml for these services (name -> probe), at a test's pace."""
    described: dict[str, Any] = {
        name: {
            "title": TITLES.get(name, name),
            "criticality": "optional" if name in OPTIONAL else "critical",
            "probe": probe,
            **PACE,
            "stale_after": stale_after,
        }
        for name, probe in services.items()
    }
    critical = [name for name in described if name not in OPTIONAL]
    features: dict[str, Any] = {"chat": {"title": "Chat", "requires": critical}}
    if "analytics" in described:
        features["analytics"] = {"title": "Usage reports", "requires": ["analytics"]}
    if "assistant" in described:
        features["assistant"] = {"title": "Assistant answers", "requires": ["assistant"]}
    return {"services": described, "features": features, **(changes or {})}


@asynccontextmanager
async def run_stack(
    folder: Path,
    *,
    services: Sequence[str] = ("auth", "analytics"),
    probes: Mapping[str, Mapping[str, Any]] | None = None,
    carrier: bool = False,
    nodes: int = 1,
    worker: bool = True,
    env: Mapping[str, str] | None = None,
    changes: Mapping[str, Any] | None = None,
    redis_data: Path | None = None,
    start_redis: bool = True,
    stale_after: str = CALM,
) -> AsyncIterator[Stack]:
    """Starts everything and waits until every node has seen every service up.

    ``services`` become HTTP services of the stack, ``probes`` adds services that the test brings itself. With
    ``carrier`` the stack's Redis is a service too, and bound to the carrier. ``changes`` are merged over the file.
    """
    env = env or {}
    async with AsyncExitStack() as exits:
        redis = await exits.enter_async_context(redis_server(data_dir=redis_data, start=start_redis))
        stack = Stack(folder, redis, folder / "services.yaml")
        for name in services:
            port = free_port()
            stack.services[name] = Program(
                folder, name, ["broadcaster.sample", _part(name), "--port", str(port)], port=port
            )
        found: dict[str, Mapping[str, Any]] = {
            name: {"kind": "http", "url": f"{each.url}/health"} for name, each in stack.services.items()
        }
        found |= probes or {}
        changed = dict(changes or {})
        if carrier:
            found["redis"] = {"kind": "redis", "url": redis.url}
            changed["redis"] = {"service": "redis"}
        stack.config.write_text(
            yaml.safe_dump(describe(found, changes=changed, stale_after=stale_after), sort_keys=False)
        )
        for each in stack.services.values():
            exits.push_async_callback(each.kill)
        await asyncio.gather(*(each.start() for each in stack.services.values()))
        if worker:
            stack.worker = stack.program("worker", "probe", env=env)
            exits.push_async_callback(stack.worker.kill)
            await stack.worker.start()
        for number in range(nodes):
            port = free_port()
            node = stack.program(f"node{number}", "serve", "--host", LOOPBACK, "--port", str(port), port=port, env=env)
            stack.nodes.append(node)
            exits.push_async_callback(node.kill)
            await node.start()
        if worker and start_redis:
            for number in range(nodes):
                await stack.until_status(dict.fromkeys(found, "up"), node=number)
                await stack.until_feed("live", node=number)
        yield stack


def _part(name: str) -> str:
    """The part of the sample that stands for a service of this name: one that stands on nothing itself."""
    return name if name in ("analytics", "assistant") else "auth"
