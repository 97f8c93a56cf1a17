"""``broadcaster up`` as a person runs it: what it prints is tried, and what it started ends with it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import shlex
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.support.clients import connect, handshake
from tests.support.commands import Command, finished, running, running_command
from tests.support.ports import LOOPBACK, free_port
from tests.support.stack import DEADLINE, until

Process = tuple[int, str]
"""A process: its id, and when it started, as ids are used again."""


@pytest.fixture(autouse=True)
def one_at_a_time() -> Iterator[None]:
    """The sample services have ports of their own: two starting at the same moment would want the same."""
    with (Path(tempfile.gettempdir()) / f"broadcaster-test-up-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Up:
    """``broadcaster up`` that has said where to look."""

    def __init__(self, command: Command, port: int, state: Path) -> None:
        self.command = command
        self.port = port
        self.state = state

    @property
    def ws_url(self) -> str:
        return f"ws://{LOOPBACK}:{self.port}/ws"

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE) as client:
            return await client.get(f"http://{LOOPBACK}:{self.port}{path}")

    def printed(self, pattern: str) -> str:
        """What stands in the group of a pattern in what was printed."""
        found = re.search(pattern, self.command.told, re.MULTILINE)
        assert found, self.command.told
        return found[1]


def flags(port: int, state: Path) -> list[str]:
    return ["--port", str(port), "--state-dir", str(state)]


@asynccontextmanager
async def running_up(tmp_path: Path) -> AsyncIterator[Up]:
    """Starts it and waits until it says where to look."""
    port, state = free_port(), tmp_path / "state"
    async with running("up", *flags(port, state)) as command:
        await command.until(lambda: "Ctrl-C ends everything" in command.told, "it says where to look")
        yield Up(command, port, state)


def processes() -> dict[int, tuple[int, str]]:
    """Every process that is not a zombie: its parent, and when it started (proc(5), /proc/pid/stat)."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if fields[0] != "Z":
                found[int(entry.name)] = (int(fields[1]), fields[19])
    return found


def descendants(ancestor: int) -> dict[Process, str]:
    """The processes below one, with their command lines."""
    everything = processes()
    below: set[int] = set()
    added = {ancestor}
    while added:
        added = {pid for pid, (parent, _) in everything.items() if parent in added}
        below |= added
    return {(pid, everything[pid][1]): command_line(pid) for pid in below}


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def alive(family: dict[Process, str]) -> dict[Process, str]:
    now = processes()
    return {(pid, began): line for (pid, began), line in family.items() if pid in now and now[pid][1] == began}


@contextmanager
def ended_at_last(family: dict[Process, str]) -> Iterator[None]:
    """Whatever a failing test leaves of a family is killed: processes without a parent would stay for ever."""
    try:
        yield
    finally:
        for pid, _ in alive(family):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


async def test_what_it_prints_works(tmp_path: Path) -> None:
    """Chat, page, health document and table answer; killing a service and starting it again is told to users."""
    async with running_up(tmp_path) as up:
        page = await up.get("/")
        assert page.status_code == 200
        assert "<!doctype html>" in page.text.lower()
        health = await up.get("/health/dependencies")
        assert (health.status_code, health.json()["status"]) == (200, "pass")
        chat = up.printed(r"^Open the chat: +(\S+)$")
        async with httpx.AsyncClient(base_url=chat, trust_env=False, timeout=DEADLINE) as client:
            assert "<title>Chat</title>" in (await client.get("/")).text
            assert (await client.get("/sdk/index.js")).status_code == 200
            parts = {part["name"]: part for part in (await client.get("/parts")).json()}
        assert parts["auth"]["end"] == up.printed(r"(kill \d+) +\(auth")
        assert parts["auth"]["start"] == up.printed(r"^  and back +(.*)$")
        program, *arguments = shlex.split(up.printed(r"^  table +(.*)$"))
        async with running_command([shutil.which(program) or program, *arguments]) as table:
            assert await table.ended() == 0, table.told
        assert len(table.out) == 9
        assert "other settings" not in table.told
        async with connect(up.printed(r"^  as a user +(\S+)$")) as client:
            assert client.welcome.text == ""
            os.kill(int(up.printed(r"kill (\d+) +\(auth")), signal.SIGTERM)
            await client.until(lambda: client.notices("auth"))
            [notice] = client.notices("auth")
            assert notice.kind.value == "down"
            assert notice.text == "Signing in does not work right now. If you are signed in, you stay signed in."
            refused = await handshake(up.ws_url)
            assert [each.title for each in refused.rejected.services] == ["Sign-in"]
            async with running_command(shlex.split(up.printed(r"^  and back +(.*) &$"))):
                await client.until(lambda: len(client.notices("auth")) == 2)
                assert client.notices("auth")[1].kind.value == "recovered"
                assert (await handshake(up.ws_url)).welcome.text == ""
        assert "Traceback" not in up.command.told


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
async def test_it_ends_all_that_it_started(tmp_path: Path, number: int, code: int) -> None:
    """Ctrl-C and SIGTERM: the node says goodbye, nothing is left running, no trace is shown."""
    async with running_up(tmp_path) as up, connect(up.ws_url) as client:
        family = descendants(up.command.pid)
        for part in ("redis", "sample auth", "sample backend", "broadcaster probe", "broadcaster serve"):
            assert any(part in line for line in family.values()), family
        with ended_at_last(family):
            assert await up.command.signal(number) == code
            assert alive(family) == {}
        assert (await client.closed())[0] == 1012
        assert type(client.messages[-1]).__name__ == "Goodbye"
        assert "Traceback" not in up.command.told


async def test_ctrl_c_while_it_starts(tmp_path: Path) -> None:
    """As soon as there is anything to end it can be ended."""
    async with running("up", *flags(free_port(), tmp_path / "state")) as command:
        await until(lambda: any("serve" in line for line in descendants(command.pid).values()), "the node is started")
        family = descendants(command.pid)
        with ended_at_last(family):
            assert await command.interrupt() == 130
            assert alive(family) == {}
        assert "Traceback" not in command.told


async def test_its_children_end_with_it_when_it_is_killed(tmp_path: Path) -> None:
    """SIGKILL leaves it no time: the kernel ends the children, and the next start finds data and port free."""
    async with running_up(tmp_path) as up:
        family = descendants(up.command.pid)
        assert len(family) >= 7
        await up.command.kill()
        with ended_at_last(family):
            await until(lambda: not alive(family), f"everything is gone: {family}")
        async with running("up", *flags(up.port, up.state)) as again:
            await again.until(lambda: "Ctrl-C ends everything" in again.told, "it starts again on the same data")
            assert await again.interrupt() == 130


@pytest.mark.parametrize("part", ["broadcaster probe", "broadcaster serve"])
async def test_its_own_parts_are_started_again(tmp_path: Path, part: str) -> None:
    """A worker or node that is killed is back after a while; that is said, and clients find it watching."""
    async with running_up(tmp_path) as up:
        [victim] = [pid for (pid, _), line in descendants(up.command.pid).items() if part in line]
        os.kill(victim, signal.SIGKILL)
        name = part.split()[1]
        await up.command.until(lambda: f"{name} (pid {victim}) ended with status -9" in up.command.told)
        async with asyncio.timeout(DEADLINE):
            while True:
                others = [pid for (pid, _), line in descendants(up.command.pid).items() if part in line]
                try:
                    ready = others and (await up.get("/readyz")).json()["feed"] == "live"
                except httpx.TransportError:
                    ready = False
                if ready:
                    break
                await asyncio.sleep(0.05)
        assert others != [victim]
        assert (await handshake(up.ws_url)).welcome.feed.value == "live"
        assert await up.command.interrupt() == 130


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    """An error in one line that says what to do, and nothing left running."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), LOOPBACK, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        refused = await finished("up", *flags(port, tmp_path / "state"))
    assert (refused.code, refused.out) == (1, "")
    assert f"cannot listen on {LOOPBACK}:{port}" in refused.err
    assert "--port" in refused.err
    assert "Traceback" not in refused.err
