"""``broadcaster up``: everything on one machine, for a first look or a small installation."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import httpx
import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape

from broadcaster.cli.supervisor import Child, Supervisor, with_variables
from broadcaster.config.loader import load_settings
from broadcaster.config.settings import Settings
from broadcaster.node.server import listen
from broadcaster.sample.chat.parts import write_parts
from broadcaster.sample.postgres import public_folder
from broadcaster.store.embedded import EmbeddedRedis, free_port

SAMPLES = {
    "postgres": 5432,
    "clickhouse": 8123,
    "auth": 8081,
    "analytics": 8090,
    "assistant": 8091,
    "spare": 8092,
    "backend": 8000,
}
"""The sample's parts, those that others stand on first, and the ports they get if these are free."""

WITH_DATA = ("postgres", "clickhouse")
WITH_PEERS = ("analytics", "backend")
"""The parts that speak to others."""

PORT_SECONDS = 20.0
"""How long the sample's parts may take to listen before they are watched all the same."""

READY_SECONDS = 30.0
QUIET_EVENTS = frozenset({"transition", "feed_state"})
"""What children say below a warning that is worth a line."""


async def up(
    *,
    config: Annotated[Path | None, Parameter(alias="-c")] = None,
    redis_url: str | None = None,
    host: str | None = None,
    port: int | None = None,
    state_dir: Path | None = None,
) -> int:
    """Runs Redis, sample services, a probe worker and a node on this machine, until Ctrl-C.

    Parameters
    ----------
    config
        Your services.yaml; without it the sample services are started and watched.
    redis_url
        A Redis of yours; without it (and without REDIS_URL or redis.url) an embedded one is started.
    host
        Where the node listens.
    port
        The node's port.
    state_dir
        Where the embedded Redis keeps its data.
    """
    console = Console(stderr=True, highlight=False)
    stopping = _Stopping()
    supervisor = Supervisor(say=_Voice(console).say, tell=lambda text: _tell(console, text))
    with stopping.handling_signals(supervisor):
        async with AsyncExitStack() as stack:
            path = config or stack.enter_context(as_file(files("broadcaster.sample").joinpath("services.yaml")))
            env = dict(os.environ)
            if config is None:
                for name, wanted in SAMPLES.items():
                    env.setdefault(f"SAMPLE_{name.upper()}_PORT", str(_port(wanted)))
            given = redis_url or env.get("REDIS_URL") or load_settings(path, env).redis.url
            if not given:
                redis = await stack.enter_async_context(EmbeddedRedis(state_dir or _default_state_dir()))
                given = redis.url
                watching = asyncio.create_task(_watch(redis, console), name="embedded redis")
                stack.callback(watching.cancel)
            env["REDIS_URL"] = given
            settings = load_settings(path, env)
            where = (host or settings.node.host, settings.node.port if port is None else port)
            listen(*where).close()  # says at once what the node's process could only say in its log
            samples = []
            if config is None:
                data = stack.enter_context(_data_folder())
                env["SAMPLE_PARTS"] = str(data / "parts.json")
                samples = [_sample(name, env, data) for name in SAMPLES]
            stack.push_async_callback(supervisor.stop)
            ready = asyncio.create_task(_start(supervisor, settings, where, samples, _processes(path, env, where)))
            await asyncio.wait({ready, stopping.task}, return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                unseen = await ready
                if samples:
                    write_parts(Path(env["SAMPLE_PARTS"]), [_shown(each) for each in samples])
                _print_where_to_look(console, where, path, env, samples, unseen)
            else:
                ready.cancel()
                await asyncio.wait({ready})
            await stopping.task
            console.print("Ending what was started ...", style="dim")
    return stopping.exit_code


def _processes(path: Path, env: Mapping[str, str], where: tuple[str, int]) -> list[Child]:
    base = [sys.executable, "-m", "broadcaster"]
    common = ["--config", str(path), "--redis-url", env["REDIS_URL"]]
    host, port = where
    return [
        Child("probe", [*base, "probe", *common], env, restart=True),
        Child("serve", [*base, "serve", *common, "--host", host, "--port", str(port)], env, restart=True),
    ]


def _sample(name: str, env: Mapping[str, str], data: Path) -> Child:
    command = [sys.executable, "-m", "broadcaster.sample", name, "--port", env[f"SAMPLE_{name.upper()}_PORT"]]
    if name in WITH_DATA:
        command += ["--data", str(data / name)]
    needs = _needed(env) if name in WITH_PEERS else []
    if name == "backend":
        needs.append("SAMPLE_PARTS")
    return Child(name, command, env, restart=False, needs=needs)


def _shown(child: Child) -> tuple[str, int, str]:
    """A part as the chat's page shows it; a Redis of the user's may need a password, which is not for a page."""
    is_secret = "REDIS_URL" in child.needs and "@" in child.env["REDIS_URL"]
    return child.name, child.pid, "" if is_secret else child.command_line


def _needed(env: Mapping[str, str]) -> list[str]:
    """The variables that programs of the sample need to find each other: what differs from the defaults."""
    ports = [f"SAMPLE_{name.upper()}_PORT" for name in SAMPLES]
    moved = [name for name, port in zip(ports, SAMPLES.values(), strict=True) if env[name] != str(port)]
    return ["REDIS_URL", *moved]


@contextlib.contextmanager
def _data_folder() -> Iterator[Path]:
    """Where the sample's databases are as long as it runs."""
    with tempfile.TemporaryDirectory(
        prefix="broadcaster-sample-", dir=public_folder(), ignore_cleanup_errors=True
    ) as folder:
        os.chmod(folder, 0o755)  # noqa: S103 - another user may have to reach what is in it; nothing secret is
        yield Path(folder)


async def _start(
    supervisor: Supervisor,
    settings: Settings,
    where: tuple[str, int],
    samples: Sequence[Child],
    processes: Sequence[Child],
) -> list[str]:
    """Starts the sample, and what watches it when it is there: a part that is only starting is not down. Then waits
    until all is ready; the names of services that are not."""
    for child in samples:
        supervisor.start(child)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PORT_SECONDS):
            for child in samples:
                while not (supervisor.has_ended(child.name) or await _is_listening(_port_of(child))):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
    for child in processes:
        supervisor.start(child)
    return await _wait_ready(settings, where, ("unknown", "down") if samples else ("unknown",))


def _port_of(child: Child) -> int:
    return int(child.command[child.command.index("--port") + 1])


async def _is_listening(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def _tell(console: Console, text: str) -> None:
    console.print(escape(text), style="yellow", soft_wrap=True)  # commands are to be copied


async def _watch(redis: EmbeddedRedis, console: Console) -> None:
    command = shlex.join(redis.command)
    pid = redis.pid
    await redis.ended()
    _tell(console, f"redis (pid {pid}) ended. Start it again with:\n    {command}")


async def _wait_ready(settings: Settings, where: tuple[str, int], missing: tuple[str, ...]) -> list[str]:
    """Waits until the node is ready and no service's status is one of ``missing``; the names of those for which that
    took too long."""
    unseen = list(settings.services)
    async with httpx.AsyncClient(base_url=_base_url(where), timeout=2, trust_env=False) as client:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_SECONDS):
                while unseen:
                    with contextlib.suppress(httpx.HTTPError, msgspec.DecodeError):
                        ready = await client.get("/readyz")
                        checks = msgspec.json.decode((await client.get("/health/dependencies")).content)["checks"]
                        if ready.status_code == 200:
                            unseen = [
                                check["componentId"] for [check] in checks.values() if check["observedValue"] in missing
                            ]
                    await asyncio.sleep(0.1)
    return unseen


def _print_where_to_look(
    console: Console,
    where: tuple[str, int],
    path: Path,
    env: Mapping[str, str],
    samples: list[Child],
    unseen: list[str],
) -> None:
    url = _base_url(where)
    # The sample's file goes by these variables: without them, other settings would be compared with ours.
    variables = with_variables(env, _needed(env) if samples else ["REDIS_URL"])
    program = shlex.join([*variables, str(Path(sys.executable).parent / "broadcaster")])
    flags = f"--config {shlex.quote(str(path))}"
    victims = {child.name: child for child in samples}
    chat = victims["backend"].env["SAMPLE_BACKEND_PORT"] if victims else ""
    console.print()
    if victims:
        console.print(f"[bold green]Open the chat:[/] [bold]http://127.0.0.1:{chat}/[/]")
    console.print(f"[bold green]Watching.[/] The status page is at [bold]{url}/[/]")
    if unseen:
        console.print(f"[yellow]Not here yet: {', '.join(unseen)}[/]")
    console.print(f"\n  health       curl {url}/health/dependencies", soft_wrap=True)
    console.print(f"  table        {program} status {flags}", soft_wrap=True)
    console.print(f"  events       {program} tail {flags}", soft_wrap=True)
    console.print(f"  as a user    ws://{where[0]}:{where[1]}/ws", soft_wrap=True)
    if victims:
        console.print(
            f"  in terminal  {Path(sys.executable)} -m broadcaster.sample user YOUR-NAME --port {chat}", soft_wrap=True
        )
        console.print("\n[bold]Try it:[/] kill a service, and watch the chat, the page and the events.")
        console.print(f"  optional     kill {victims['analytics'].pid}     (analytics: users go on with less)")
        console.print(f"  critical     kill {victims['auth'].pid}     (auth: new handshakes are refused, with reasons)")
        console.print(f"  and back     {victims['auth'].command_line} &", soft_wrap=True)
        knob = f"http://127.0.0.1:{victims['assistant'].env['SAMPLE_ASSISTANT_PORT']}/control"
        slow = """-X PUT -H 'Authorization: Bearer sample-key' -d '{"mode": "slow"}'"""
        console.print(f"  slow model   curl {slow} {knob}     (also: broken, hang, ok)", soft_wrap=True)
    console.print("\nCtrl-C ends everything that was started here.\n", style="dim")


class _Voice:
    """What children say, in a person's format: their JSON log lines below a warning are kept to what matters."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, name: str, line: str) -> None:
        try:
            fields = msgspec.json.decode(line)
        except msgspec.DecodeError:
            self._print(name, line)
            return
        if not isinstance(fields, dict):
            self._print(name, line)
            return
        level, event = str(fields.pop("level", "info")), str(fields.pop("event", ""))
        fields.pop("timestamp", None)
        if level in ("debug", "info") and event not in QUIET_EVENTS:
            return
        told = " ".join(f"{key}={value}" for key, value in fields.items() if value not in (None, ""))
        self._print(name, f"{event} {told}", "" if level in ("debug", "info") else "yellow")

    def _print(self, name: str, text: str, style: str = "") -> None:
        self._console.print(f"[dim]{name:>9} │[/] {escape(text)}", style=style, soft_wrap=True)


class _Stopping:
    """The first SIGINT or SIGTERM asks for an orderly end, a second SIGINT kills."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.task = asyncio.create_task(self._wait(), name="stopping")
        self.exit_code = 0

    async def _wait(self) -> None:
        await self._event.wait()

    @contextlib.contextmanager
    def handling_signals(self, supervisor: Supervisor) -> Iterator[None]:
        loop = asyncio.get_running_loop()

        def handle(number: int) -> None:
            if self._event.is_set():
                supervisor.kill()
                return
            self.exit_code = 130 if number == signal.SIGINT else 0
            self._event.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, handle, number)
        try:
            yield
        finally:
            self.task.cancel()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)


def _port(wanted: int) -> int:
    """``wanted`` if nobody listens there, else a free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return free_port()
    return wanted


def _base_url(where: tuple[str, int]) -> str:
    host, port = where
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


def _default_state_dir() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "status-broadcaster"
