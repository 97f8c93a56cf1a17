"""A manager that follows a carrier."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from broadcaster.domain.model import FeedState
from tests.support.managers import World, until


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    await made.seed()
    async with made.manager:
        assert await made.manager.wait_loaded(5)
        await until(lambda: made.manager.feed_state is FeedState.LIVE)
        made.changes.clear()
        yield made
