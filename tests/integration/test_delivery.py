"""A thousand clients on two nodes: everybody gets everything once, in one order."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import websockets

from broadcaster.domain.model import Position
from broadcaster.store.redis import RedisStore
from tests.support.commits import Flipper
from tests.support.stack import DEADLINE, run_stack

CLIENTS_PER_NODE = 500
TRANSITIONS = 30


class _Head(msgspec.Struct):
    type: str
    position: Position = Position()


_head = msgspec.json.Decoder(_Head)


async def listen(url: str, ready: asyncio.Semaphore, connecting: asyncio.Semaphore, last: int) -> list[Position]:
    """Connects, and returns the positions of all notices up to revision ``last``."""
    async with connecting:
        socket = await websockets.connect(url, compression=None, ping_interval=None, open_timeout=DEADLINE, proxy=None)
    try:
        positions: list[Position] = []
        assert _head.decode(await socket.recv()).type == "welcome"
        ready.release()
        while not positions or positions[-1].revision < last:
            message = _head.decode(await socket.recv())
            if message.type == "notice":
                positions.append(message.position)
        return positions
    finally:
        await socket.close()


async def test_a_thousand_clients_on_two_nodes_get_every_transition_once_and_in_order(tmp_path: Path) -> None:
    """Commits as fast as they go; both nodes end at the same position, and so does every client."""
    async with (
        run_stack(tmp_path, services=("auth", "analytics"), nodes=2, worker=False) as stack,
        RedisStore.connect(stack.redis.url, timeout=DEADLINE) as store,
    ):
        flipper = Flipper(store, "analytics")
        await flipper.seed()
        ready, connecting = asyncio.Semaphore(0), asyncio.Semaphore(50)
        async with asyncio.timeout(3 * DEADLINE), asyncio.TaskGroup() as clients:
            listening = [
                clients.create_task(listen(node.ws_url, ready, connecting, TRANSITIONS))
                for node in stack.nodes
                for _ in range(CLIENTS_PER_NODE)
            ]
            for _ in listening:
                await ready.acquire()
            for _ in range(TRANSITIONS):
                await flipper.flip()
        expected = [Position("e1", number) for number in range(1, TRANSITIONS + 1)]
        assert len(listening) == 2 * CLIENTS_PER_NODE
        for task in listening:
            assert task.result() == expected
        positions = [(await node.get("/health/dependencies")).json()["position"] for node in stack.nodes]
        assert positions == [{"epoch": "e1", "revision": TRANSITIONS}] * 2
