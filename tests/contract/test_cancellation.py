"""A store's call that is cancelled, at whatever step of it, ends the loop that made it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from broadcaster.domain.model import Position, Snapshot, Status
from broadcaster.domain.quorum import Vote
from broadcaster.store.base import Presence, Store

STEPS = 40
"""Turns of the event loop after which a call is cancelled: more than the sending takes."""

CALLS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "read": lambda store: store.read(),
    "lease": lambda store: store.lease("w", Presence(), ttl=3, keep={}, release=(), claim=("a",)),
    "heartbeat": lambda store: store.heartbeat("w", 1.0, {"a": 1.0}, Position("e", 0)),
    "vote": lambda store: store.vote("w", {"a": Vote(worker="w", status=Status.UP, at=1.0)}),
    "votes": lambda store: store.votes(("a", "b")),
}


@pytest.mark.parametrize("call", CALLS)
async def test_no_cancellation_is_lost(store: Store, call: str) -> None:
    await store.seed(Snapshot(), epoch="e", worker="w", now=1.0, reason="test", replaces=Position())

    async def forever() -> None:
        while True:
            await CALLS[call](store)
            await asyncio.sleep(0)

    for steps in range(1, STEPS):
        task = asyncio.create_task(forever())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=5)
        if not done:
            task.cancel()
            await asyncio.wait({task})
        assert done, f"cancelled after {steps} turns, the loop went on"
        assert task.cancelled()
