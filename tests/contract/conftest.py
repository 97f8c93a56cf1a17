"""One store a kind: the memory twin, and every Redis server that this machine has."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from broadcaster.store.base import Store
from broadcaster.store.memory import MemoryStore
from broadcaster.store.redis import RedisStore
from tests.support.servers import redis_binaries, redis_server

_namespaces = itertools.count()


@asynccontextmanager
async def _open(kind: str, stream_length: int) -> AsyncIterator[Store]:
    if kind == "memory":
        yield MemoryStore(stream_length=stream_length)
        return
    async with (
        redis_server(binary=redis_binaries()[kind]) as server,
        RedisStore.connect(server.url, f"t{next(_namespaces)}", timeout=5, stream_length=stream_length) as store,
    ):
        yield store


@pytest.fixture(params=["memory", *redis_binaries()])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """An empty, unseeded store."""
    async with _open(request.param, 10_000) as opened:
        yield opened


@pytest.fixture(params=["memory", *redis_binaries()])
async def small_store(request: pytest.FixtureRequest, stream_length: int) -> AsyncIterator[Store]:
    """An empty store whose stream keeps about ``stream_length`` transitions."""
    async with _open(request.param, stream_length) as opened:
        yield opened
