"""Real workers that share services on a real Redis, and die, freeze and lose it at the worst moment."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import redis.asyncio
import yaml

from broadcaster.domain.model import EventKind, Status, Transition
from broadcaster.store.keys import Keys
from broadcaster.store.redis import RedisStore
from tests.support.commits import transitions
from tests.support.listeners import Listener
from tests.support.ports import LOOPBACK, free_port
from tests.support.servers import RedisServer, redis_server
from tests.support.stack import Program

LEASE_TTL = 1.0
DEADLINE = 45.0
VICTIM = "victim"


class Gate:
    """A way to Redis that can be shut in the middle of a commit: the bytes of one are held back here."""

    def __init__(self, redis: RedisServer) -> None:
        self.port = free_port()
        self._redis = redis
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_armed = False
        self.holds = asyncio.Event()
        self.open = asyncio.Event()
        self.answers = b""

    @property
    def url(self) -> str:
        return f"redis://{LOOPBACK}:{self.port}/0"

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(LOOPBACK, self._redis.port)
        self._writers += [writer, back]
        for each in (self._forward(reader, back), self._return(there, writer)):
            task = asyncio.create_task(each)
            self._tasks.add(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if self.is_armed and b'"kind":"down"' in data:
                    self.is_armed = False
                    self.holds.set()
                    await self.open.wait()
                writer.write(data)

    async def _return(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if self.open.is_set():
                    self.answers += data
                writer.write(data)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        for writer in self._writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


class Crew:
    """Workers on one Redis that share one file."""

    def __init__(self, folder: Path, server: RedisServer, store: RedisStore, names: list[str]) -> None:
        self.folder = folder
        self.server = server
        self.store = store
        self.names = names
        self.victim = Listener()
        self.workers: list[Program] = []
        self._client = redis.asyncio.Redis.from_url(server.url)

    async def start(self, *, redis_url: str = "") -> Program:
        config = self.folder / "services.yaml"
        command = ["broadcaster", "probe", "--config", str(config), "--redis-url", redis_url or self.server.url]
        worker = Program(self.folder, f"worker{len(self.workers)}", command)
        self.workers.append(worker)
        await worker.start()
        return worker

    async def owners(self) -> dict[str, str]:
        """Who holds what."""
        held: dict[bytes, bytes] = await self._client.hgetall(Keys("default").leases)  # type: ignore[assignment]
        return {name.decode(): value.decode().split(" ", 1)[1] for name, value in held.items() if name != b":token"}

    async def empty_redis(self) -> None:
        await self._client.flushall()

    async def owned_by(self, worker: Program) -> set[str]:
        return {name for name, owner in (await self.owners()).items() if f"-{worker.pid}-" in owner}

    async def owner(self, service: str) -> Program:
        for worker in self.workers:
            if worker.is_running and service in await self.owned_by(worker):
                return worker
        raise AssertionError(f"nobody owns {service}")

    async def until_shared(self) -> None:
        """Until every service is owned by a worker that runs, and each of these owns some."""
        running = [worker for worker in self.workers if worker.is_running]
        async with asyncio.timeout(DEADLINE):
            while True:
                shares = [await self.owned_by(worker) for worker in running]
                if all(shares) and sum(map(len, shares)) == len(self.names):
                    return
                await asyncio.sleep(0.02)

    async def until_status(self, status: Status, *names: str) -> None:
        async with asyncio.timeout(DEADLINE):
            while True:
                snapshot = (await self.store.read()).snapshot
                if all(snapshot.status(name) is status for name in names or self.names):
                    return
                await asyncio.sleep(0.02)

    async def until_seen_again(self) -> None:
        """Until every service was observed once more from now on: what is wrong by now has shown."""
        now = time.time()
        async with asyncio.timeout(DEADLINE):
            while True:
                snapshot = (await self.store.read()).snapshot
                if all((snapshot.state(name).observed_at or 0) > now for name in self.names):
                    return
                await asyncio.sleep(0.05)

    async def events(self) -> list[tuple[str, EventKind]]:
        """Everything told of services that had been seen before."""
        history: list[Transition] = await transitions(self.store)
        return [(each.service, each.kind) for each in history if each.kind is not EventKind.UP]

    async def aclose(self) -> None:
        for worker in self.workers:
            if worker.is_running:
                worker.resume()
            await worker.kill()
        self.victim.close()
        await self._client.aclose()


@asynccontextmanager
async def crew(folder: Path, *, services: int) -> AsyncIterator[Crew]:
    """A Redis and a file with so many services, of which the victim has a listener of its own."""
    async with AsyncExitStack() as exits:
        server = await exits.enter_async_context(redis_server())
        store = await exits.enter_async_context(RedisStore.connect(server.url, timeout=5))
        names = [VICTIM, *(f"s{number}" for number in range(1, services))]
        opened = Crew(folder, server, store, names)
        exits.push_async_callback(opened.aclose)
        others = Listener()
        exits.callback(others.close)
        others.open()
        opened.victim.open()
        pace = {"interval": "1s", "fast_interval": "200ms", "timeout": "2s", "fall": 3, "rise": 2}
        described = {
            name: {
                "probe": {
                    "kind": "tcp",
                    "host": LOOPBACK,
                    "port": opened.victim.port if name == VICTIM else others.port,
                },
                **pace,
            }
            for name in names
        }
        settings = {
            "services": described,
            "worker": {"lease_ttl": f"{LEASE_TTL}s", "host_rate": 1000},
            "feed": {"heartbeat_interval": "250ms"},
        }
        (folder / "services.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
        yield opened


async def test_the_owner_of_many_services_is_killed(tmp_path: Path) -> None:
    """All of its services have an owner again; one that died with it is told once, and nothing else is."""
    async with crew(tmp_path, services=200) as workers:
        for _ in range(3):
            await workers.start()
        await workers.until_status(Status.UP)
        await workers.until_shared()
        owner = await workers.owner(VICTIM)
        workers.victim.close()
        await owner.kill()
        started = time.monotonic()
        await workers.until_shared()
        print(f"all owned again after {(time.monotonic() - started) / LEASE_TTL:.2f} x lease_ttl")
        await workers.until_status(Status.DOWN, VICTIM)
        await workers.until_seen_again()
        assert await workers.events() == [(VICTIM, EventKind.DOWN)]
        workers.victim.open()
        await workers.until_status(Status.UP, VICTIM)
        await workers.until_seen_again()
        assert await workers.events() == [(VICTIM, EventKind.DOWN), (VICTIM, EventKind.RECOVERED)]


async def test_an_owner_that_wakes_up_cannot_commit(tmp_path: Path) -> None:
    """Frozen in the middle of a commit until others have its services, it is refused by its token, and told so."""
    async with crew(tmp_path, services=20) as workers:
        gate = Gate(workers.server)
        server = await asyncio.start_server(gate.accept, LOOPBACK, gate.port)
        try:
            sleeper = await workers.start(redis_url=gate.url)
            await workers.until_status(Status.UP)
            gate.is_armed = True
            workers.victim.close()
            async with asyncio.timeout(DEADLINE):
                await gate.holds.wait()
            sleeper.pause()
            workers.victim.open()
            successor = await workers.start()
            async with asyncio.timeout(DEADLINE):
                while await workers.owned_by(successor) != set(workers.names):
                    await asyncio.sleep(0.02)
            await workers.until_seen_again()
            gate.open.set()
            async with asyncio.timeout(DEADLINE):
                while b"unleased" not in gate.answers:
                    await asyncio.sleep(0.02)
            assert await workers.events() == []
            sleeper.resume()
            await workers.until_shared()
            await workers.until_seen_again()
            assert await workers.events() == []
        finally:
            server.close()
            await gate.close()


async def test_workers_come_and_go_while_a_service_fails(tmp_path: Path) -> None:
    """Hand-overs in good order, and new workers: every change is told exactly once."""
    async with crew(tmp_path, services=30) as workers:
        await workers.start()
        await workers.until_status(Status.UP)
        for number in range(3):
            await workers.start()
            await workers.until_shared()
            workers.victim.close()
            owner = await workers.owner(VICTIM)
            os.kill(owner.pid, signal.SIGTERM)
            await workers.until_status(Status.DOWN, VICTIM)
            await owner.stop()
            workers.victim.open()
            await workers.until_status(Status.UP, VICTIM)
            assert await workers.events() == [(VICTIM, EventKind.DOWN), (VICTIM, EventKind.RECOVERED)] * (number + 1)


async def test_redis_is_emptied_under_the_workers(tmp_path: Path) -> None:
    """State, leases and presence come back from what the workers know, and no event with them."""
    async with crew(tmp_path, services=30) as workers:
        for _ in range(3):
            await workers.start()
        await workers.until_status(Status.UP)
        await workers.until_shared()
        await workers.empty_redis()
        await workers.until_status(Status.UP)
        await workers.until_shared()
        await workers.until_seen_again()
        assert await workers.events() == []
        workers.victim.close()
        await workers.until_status(Status.DOWN, VICTIM)
        assert await workers.events() == [(VICTIM, EventKind.DOWN)]
