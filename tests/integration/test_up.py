"""``broadcaster up``: everything starts, shows what it is for, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.clients import connect, handshake
from tests.support.ports import free_port
from tests.support.servers import tied_command
from tests.support.stack import DEADLINE, until


class Up:
    """A running ``broadcaster up`` and what it printed."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self._log = log

    @property
    def printed(self) -> str:
        return self._log.read_text()

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    def victim(self, kind: str) -> int:
        """The process id that the terminal suggests to kill."""
        found = re.search(rf"{kind}\s+kill (\d+)", self.printed)
        assert found, self.printed
        return int(found[1])

    def descendants(self) -> set[int]:
        parents = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                parents[int(stat.parent.name)] = int(fields[1])
        found = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return found


@asynccontextmanager
async def run_up(tmp_path: Path, *arguments: str) -> AsyncIterator[Up]:
    """Started, and it has printed where to look."""
    port = free_port()
    command = [sys.executable, "-m", "broadcaster", "up", "--port", str(port), "--state-dir", str(tmp_path / "state")]
    env = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
    # The defaults are one set of ports; tests that run side by side must not meet on it.
    env |= {f"SAMPLE_{name}_PORT": str(free_port()) for name in ("BACKEND", "AUTH", "ANALYTICS", "ASSISTANT")}
    log = tmp_path / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(tied_command([*command, *arguments]), stdout=output, stderr=output, env=env)
    up = Up(process, port, log)
    try:
        await until(lambda: "Watching." in up.printed or process.poll() is not None, "up is ready", 60)
        assert process.poll() is None, up.printed
        yield up
    finally:
        process.kill()
        process.wait()


def alive(pids: set[int]) -> set[int]:
    found = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z":
            found.add(pid)
    return found


async def test_the_suggested_kill_is_announced_and_the_suggested_command_brings_it_back(tmp_path: Path) -> None:
    """What the terminal says to try works: a user is told, refused with reasons, told again and let in."""
    async with run_up(tmp_path) as up, connect(up.ws_url) as client:
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(f"http://127.0.0.1:{up.port}/")).status_code == 200
        os.kill(up.victim("critical"), signal.SIGTERM)
        await client.until(lambda: client.notices("auth"))
        assert [each.name for each in (await handshake(up.ws_url)).rejected.services] == ["auth"]
        await until(lambda: "Start it again with:" in up.printed, "the command is printed")
        line = re.search(r"and back\s+(.*?) &", up.printed)
        assert line
        again = subprocess.Popen(tied_command(line[1].split()), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            await client.until(lambda: len(client.notices("auth")) == 2)
            assert (await handshake(up.ws_url)).welcome.text == ""
        finally:
            again.kill()
            again.wait()


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)],
)
async def test_nothing_outlives_it(tmp_path: Path, number: signal.Signals, status: int) -> None:
    """However it ends, Redis, samples, worker and node end with it."""
    async with run_up(tmp_path) as up:
        started = up.descendants()
        assert len(started) >= 8, up.printed
        os.kill(up.process.pid, number)
        assert await asyncio.to_thread(up.process.wait, DEADLINE) == status
        await until(lambda: not alive(started), f"all are gone: {started}")
        assert "Traceback" not in up.printed


async def test_a_crashed_worker_is_started_again(tmp_path: Path) -> None:
    """The node says that nobody watches; the worker comes back by itself, and so does the feed."""
    async with run_up(tmp_path) as up, connect(up.ws_url) as client:
        workers = [pid for pid in up.descendants() if b"\0probe\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        assert len(workers) == 1
        os.kill(workers[0], signal.SIGKILL)
        await until(lambda: "starting it again" in up.printed, "the restart is told")
        os.kill(up.victim("optional"), signal.SIGKILL)
        await client.until(lambda: client.notices("analytics"))


async def test_a_taken_port_is_a_clear_error(tmp_path: Path) -> None:
    """It names the port and the flag, and exits with 1."""
    async with run_up(tmp_path) as up:
        command = [sys.executable, "-m", "broadcaster", "up", "--port", str(up.port)]
        done = await asyncio.to_thread(
            subprocess.run,
            [*command, "--state-dir", str(tmp_path / "other")],
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert done.returncode == 1
        assert f"cannot listen on 127.0.0.1:{up.port}" in done.stderr
        assert "--port" in done.stderr
        assert "Traceback" not in done.stderr
