"""Connecting to one of several addresses."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest

from broadcaster.probes.dial import Address, connect_first, open_socket
from tests.support.peers import peer, silence
from tests.support.ports import free_port


def at(port: int, host: str = "127.0.0.1") -> Address:
    return (socket.AF_INET6 if ":" in host else socket.AF_INET, (host, port))


@contextlib.contextmanager
def full_listener() -> Iterator[int]:
    """A port that neither takes nor refuses connections: its backlog is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port: int = listener.getsockname()[1]
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        yield port


async def test_a_refusing_address_is_passed_over() -> None:
    """A host with one address that refuses and one that serves is reached."""
    async with peer(silence) as server:
        with await connect_first([at(free_port()), at(server.port)]) as connection:
            assert server.port == connection.getpeername()[1]


async def test_a_mute_address_is_passed_over() -> None:
    """A host with one address that never answers and one that serves is reached, well within a deadline."""
    with full_listener() as mute:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await connect_first([at(mute)])
        async with peer(silence) as server, asyncio.timeout(10):
            with await connect_first([at(mute), at(server.port)]) as connection:
                assert server.port == connection.getpeername()[1]


async def test_a_refusal_says_more_than_an_unreachable_address() -> None:
    """Where every address fails, the error is the refusal of the host, not that of our own network."""
    async with asyncio.timeout(30):
        with pytest.raises(ConnectionRefusedError):
            await connect_first([at(free_port()), at(free_port())])
        with pytest.raises(OSError):
            await connect_first([])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
async def test_names_and_literals_are_reached(host: str) -> None:
    """A host may be a name, an IPv4 or an IPv6 address."""
    try:
        async with peer(silence, host="::1" if host == "::1" else "127.0.0.1") as server:
            with await open_socket(host, server.port) as connection:
                assert server.port == connection.getpeername()[1]
    except OSError as error:
        if host != "::1":
            raise
        pytest.skip(f"no IPv6 here: {error}")


async def test_a_cancelled_connect_leaves_nothing() -> None:
    """Cancelled, it leaves no task behind."""
    with full_listener() as mute:
        task = asyncio.create_task(connect_first([at(mute), at(mute)]))
        before = asyncio.all_tasks() - {task}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.4):
                await asyncio.shield(task)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(5):
            while asyncio.all_tasks() - before:
                await asyncio.sleep(0)
