"""The node's process: replica, hub and HTTP behind one port, on uvicorn's chassis."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import resource
import signal
import socket
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from types import FrameType

import structlog
import uvicorn

from broadcaster.config.reload import SettingsFile
from broadcaster.config.settings import NodeSettings, Settings
from broadcaster.domain.errors import StartupError
from broadcaster.manager.manager import ServiceAvailabilityManager
from broadcaster.node.counts import NodeCounts
from broadcaster.node.crowd import SPARE, Crowd
from broadcaster.node.hub import TICK_SECONDS, Hub
from broadcaster.node.metrics import NodeCollector, registry_for
from broadcaster.node.pages.historian import Historian
from broadcaster.node.pages.latencies import Latencies
from broadcaster.node.routes import make_app
from broadcaster.node.siblings import Siblings
from broadcaster.node.upgrade import Doorway
from broadcaster.store.base import Store
from broadcaster.store.redis import RedisStore

log = structlog.get_logger()

PATHS = {"/ws": True, "/ws/status": False}
"""WebSocket paths, and whether admission gates them."""

FIRST_READ_SECONDS = 1.0
"""How long the start waits for the carrier to be read: whoever connects first is to be told something."""

OTHER_DESCRIPTORS = 200
"""What the process opens beside its clients' connections, at most."""


async def serve(
    file: SettingsFile,
    *,
    redis_url: str,
    host: str | None = None,
    port: int | None = None,
    meeting: Path | None = None,
) -> int:
    """Serves until SIGTERM or SIGINT; returns the exit code. Raises StartupError where the port cannot be had.

    What the file says of services and features is followed as it changes. ``meeting`` is this process's place among
    those that share the port: a directory that all of them have, and its number.
    """
    settings = file.settings
    where = (host or settings.node.host, settings.node.port if port is None else port)
    listener = listen(*where, settings=settings.node, is_shared=meeting is not None)
    siblings = None if meeting is None else Siblings(meeting.parent, int(meeting.name))
    store = RedisStore.connect(redis_url, settings.namespace, timeout=settings.redis.timeout)
    async with store:
        with file.reloading_on_hangup():
            return await serve_on(listener, settings, store, changes=file.changes, siblings=siblings)


async def serve_on(
    listener: socket.socket,
    settings: Settings,
    store: Store,
    *,
    changes: Callable[[], AsyncGenerator[Settings, None]] | None = None,
    siblings: Siblings | None = None,
) -> int:
    """Like ``serve``, on a socket that listens already and a store that is open."""
    counts = NodeCounts()
    async with ServiceAvailabilityManager(settings, store) as manager, AsyncExitStack() as exits:
        provide_descriptors(settings.node.max_connections + SPARE + OTHER_DESCRIPTORS)
        crowd = Crowd(settings.node.max_connections, settings.node.max_connections_per_address)
        hub = Hub(manager, settings.node, counts, crowd)
        door = Doorway(hub, settings.node, counts, crowd, PATHS)
        registry = registry_for(NodeCollector(counts, manager, hub))
        if siblings is not None:
            await exits.enter_async_context(siblings.answering(registry))
        historian, latencies = Historian(manager, store), Latencies(manager)
        app = make_app(
            manager,
            registry if siblings is None else siblings,
            historian,
            latencies,
            operator_token=settings.node.operator_token,
            namespace=settings.namespace,
            is_draining=lambda: hub.is_draining,
        )
        config = uvicorn.Config(
            app,
            http=door.protocol,  # type: ignore[arg-type]
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=settings.node.backlog,
            timeout_graceful_shutdown=2,
            ssl_certfile=settings.node.tls_certificate or None,
            ssl_keyfile=settings.node.tls_key or None,
            # Without a password a key that is encrypted would be asked for on the terminal.
            ssl_keyfile_password=settings.node.tls_key_password or "none",
        )
        _load(config, settings.node)
        # What is there by now stays for good: no collection needs to look at it again, which took 9 ms each time.
        gc.collect()
        gc.freeze()
        if not await manager.wait_loaded(FIRST_READ_SECONDS):
            log.warning("serving_unloaded", hint="the carrier was not read yet; clients are told so")
        server = _Server(config, hub)
        running = [
            asyncio.create_task(_tick(hub, door, latencies), name="node tick"),
            asyncio.create_task(historian.run(), name="node history"),
        ]
        if changes is not None:
            running.append(asyncio.create_task(_follow(manager, changes), name="node settings"))
        where = listener.getsockname()
        log.info("node_started", host=where[0], port=where[1], tls=config.is_ssl)
        try:
            await server.serve(sockets=[listener])
        finally:
            for task in running:
                task.cancel()
            await asyncio.wait(running)
        log.info("node_stopped")
        return 130 if server.signal_received == signal.SIGINT else 0


def provide_descriptors(needed: int) -> None:
    """Raises this process's limit of open files as far as it may; says so where that is not enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < needed:
        log.warning("descriptors_short", needed=needed, limit=most, hint="raise the limit or lower max_connections")


def listen(host: str, port: int, *, settings: NodeSettings | None = None, is_shared: bool = False) -> socket.socket:
    """A listening socket, with the backlog and the buffers of the settings from its first connection on. It may share
    its port with others that say so too (``is_shared``).

    Raises StartupError saying what to do where it cannot be had.
    """
    settings = settings or NodeSettings()
    listener = bind(host, port, is_shared=is_shared)
    try:
        # What is accepted inherits it, so that the kernel, too, keeps only so much for a client that does not read.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, settings.send_buffer_bytes)
        listener.listen(settings.backlog)
    except OSError as error:
        listener.close()
        raise _unavailable(host, port, error) from error
    return listener


def bind(host: str, port: int, *, is_shared: bool = False) -> socket.socket:
    """A socket that has the port and takes no connections yet. Raises StartupError where somebody else has it."""
    bound = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
    except OSError as error:
        if bound is not None:
            bound.close()
        raise _unavailable(host, port, error) from error
    return bound


def _unavailable(host: str, port: int, error: OSError) -> StartupError:
    return StartupError(
        f"cannot listen on {host}:{port}: {error.strerror or error}; choose another with --host and --port"
    )


def _load(config: uvicorn.Config, settings: NodeSettings) -> None:
    """Reads the TLS files. Raises StartupError naming what cannot be used."""
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        files = " and ".join(each for each in (settings.tls_certificate, settings.tls_key) if each)
        raise StartupError(f"cannot use the TLS files of the settings ({files}): {error.strerror or error}") from error


async def _tick(hub: Hub, door: Doorway, latencies: Latencies) -> None:
    for number in itertools.count():
        await asyncio.sleep(TICK_SECONDS)
        try:
            hub.tick(number)
            door.tick()
            latencies.tick()
        except Exception:
            log.exception("tick_failed")


async def _follow(manager: ServiceAvailabilityManager, changes: Callable[[], AsyncGenerator[Settings, None]]) -> None:
    async with aclosing(changes()) as followed:
        async for settings in followed:
            manager.use(settings)


class _Server(uvicorn.Server):
    """uvicorn's server, which drains our WebSockets before it shuts down and leaves the exit code to us."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub
        self._loop = asyncio.get_running_loop()
        self.signal_received: int | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        handled = (signal.SIGINT, signal.SIGTERM)
        before = {each: signal.signal(each, self.handle_exit) for each in handled}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.signal_received:
            self._loop.call_soon_threadsafe(self._hub.hurry)
        self.signal_received = self.signal_received or sig
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._hub.drain()
        await super().shutdown(sockets)
