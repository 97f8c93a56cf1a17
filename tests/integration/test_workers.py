"""Several node processes on one port: spread, told the same, counted together, restarted, ended in order."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from broadcaster.cli.cluster import reserved
from tests.support.clients import RecordingClient, connect
from tests.support.commands import finished
from tests.support.ports import LOOPBACK, free_port
from tests.support.stack import DEADLINE, Program, Stack, run_stack

CLIENTS = 40


@asynccontextmanager
async def cluster(folder: Path, *, workers: int = 3) -> AsyncIterator[tuple[Stack, Program]]:
    """A stack whose node is several processes, all of them ready."""
    async with run_stack(folder, nodes=0) as stack:
        port = free_port()
        arguments = ["--host", LOOPBACK, "--port", str(port), "--workers", str(workers)]
        node = stack.program("node", "serve", *arguments, port=port, env={})
        stack.nodes.append(node)
        await node.start()
        try:
            await until_counted(node, workers)
            await stack.until_status({"auth": "up", "analytics": "up"})
            yield stack, node
        finally:
            await node.stop()


async def samples(node: Program, name: str) -> dict[str, dict[tuple[str, ...], float]]:
    """The samples of this name, by process and the values of the other labels."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families((await node.get("/metrics")).text):
        for sample in family.samples:
            if sample.name == name:
                labels = dict(sample.labels)
                found.setdefault(labels.pop("process"), {})[tuple(labels.values())] = sample.value
    return found


async def until_counted(node: Program, processes: int) -> None:
    """Until a scrape has an answer of so many, which are live."""
    async with asyncio.timeout(DEADLINE):
        while True:
            states = await samples(node, "broadcaster_feed_state")
            if sum(its.get(("live",)) == 1 for its in states.values()) == processes:
                return
            await asyncio.sleep(0.05)


def children(node: Program) -> set[int]:
    """The processes of a node."""
    # env(1) is replaced by what it starts.
    listed = Path(f"/proc/{node.pid}/task/{node.pid}/children").read_text()
    return {int(pid) for pid in listed.split()}


async def connected(opened: AsyncExitStack, node: Program, number: int) -> list[RecordingClient]:
    return [await opened.enter_async_context(connect(node.ws_url)) for _ in range(number)]


async def test_clients_are_spread_and_told_the_same(tmp_path: Path) -> None:
    """Whichever process a client comes to; and one scrape, of whichever, counts them all."""
    async with cluster(tmp_path) as (stack, node), AsyncExitStack() as opened:
        clients = await connected(opened, node, CLIENTS)
        active = {name: its["active",] for name, its in (await samples(node, "broadcaster_connections")).items()}
        assert sum(active.values()) == CLIENTS
        assert min(active.values()) > 0
        await stack.services["analytics"].kill()
        for each in clients:
            await each.until_notices("analytics", 1)
        assert Counter(each.notices("analytics")[0].position for each in clients).total() == CLIENTS
        assert len({each.notices("analytics")[0].position for each in clients}) == 1


async def test_a_crashed_process_is_replaced_and_the_others_do_not_notice(tmp_path: Path) -> None:
    """SIGKILL of one: its clients are gone, the others' stay, and the port has as many processes as before."""
    async with cluster(tmp_path) as (stack, node), AsyncExitStack() as opened:
        clients = await connected(opened, node, CLIENTS)
        before = children(node)
        assert len(before) == 3
        os.kill(victim := min(before), signal.SIGKILL)
        async with asyncio.timeout(DEADLINE):
            while victim in children(node) or len(children(node)) < 3:
                await asyncio.sleep(0.05)
        await until_counted(node, 3)
        alive = [each for each in clients if not each.is_closed]
        assert 0 < len(alive) < CLIENTS
        await connected(opened, node, CLIENTS)
        await stack.services["analytics"].kill()
        for each in alive:
            await each.until_notices("analytics", 1)
        assert "process_ended" in node.log


async def test_all_are_drained_at_once(tmp_path: Path) -> None:
    """SIGTERM to the parent: everybody is sent away with 1012, no process is left, and the exit code is 0."""
    async with cluster(tmp_path) as (_, node), AsyncExitStack() as opened:
        clients = await connected(opened, node, CLIENTS)
        process, pids = node._process, children(node)
        await node.stop()
        assert [(await each.closed())[0] for each in clients] == [1012] * CLIENTS
        assert process is not None
        assert process.returncode == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
        assert "Traceback" not in node.log


async def test_the_processes_die_with_their_parent(tmp_path: Path) -> None:
    async with cluster(tmp_path, workers=2) as (_, node):
        pids = children(node)
        await node.kill()
        async with asyncio.timeout(DEADLINE):
            while any(Path(f"/proc/{pid}").exists() for pid in pids):
                await asyncio.sleep(0.02)


async def test_a_hangup_reaches_every_process(tmp_path: Path) -> None:
    async with cluster(tmp_path, workers=2) as (_, node):
        os.kill(node.pid, signal.SIGHUP)
        async with asyncio.timeout(DEADLINE):
            while node.log.count("settings_unchanged") < 2:
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_port_is_not_shared_with_strangers(tmp_path: Path, workers: int) -> None:
    """Another node, or another of several processes, is told that the port is taken."""
    async with cluster(tmp_path, workers=2) as (stack, node):
        where = ["--host", LOOPBACK, "--port", str(node.port)]
        done = await finished("serve", *stack.flags, *where, "--workers", str(workers))
        assert done.code == 1
        assert "cannot listen on" in done.err
        assert "Traceback" not in done.err


def test_a_port_that_is_only_reserved_takes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is taken before the first process is there would be cut off, and think that the node had been ready."""
    listened: list[int] = []
    monkeypatch.setattr(socket.socket, "listen", lambda self, *_: listened.append(self.getsockname()[1]))
    with reserved(LOOPBACK, port := free_port()) as chosen, socket.socket() as client:
        assert chosen == port
        assert client.connect_ex((LOOPBACK, port)) == errno.ECONNREFUSED
        assert listened == []
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind((LOOPBACK, port))


async def test_nonsense_is_refused(tmp_path: Path) -> None:
    done = await finished("serve", "--workers", "0")
    assert done.code == 2
    assert "workers" in done.err.lower()
