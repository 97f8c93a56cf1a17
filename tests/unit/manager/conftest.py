"""A manager that follows a carrier."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.managers import World, running_world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with running_world() as made:
        yield made
