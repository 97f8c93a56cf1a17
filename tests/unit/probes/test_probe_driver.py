"""The driver that all probes have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from broadcaster.domain.model import Category, Outcome
from broadcaster.probes.base import DrivenProbe
from broadcaster.probes.classify import Finding, failed


class Scripted(DrivenProbe):
    """Looks the way a test says."""

    def __init__(self, look: Callable[[], Awaitable[Finding]]) -> None:
        super().__init__("sample", secrets={"topsecret"}, clock=lambda: 1234.5)
        self._script = look

    async def _look(self) -> Finding:
        return await self._script()

    def _meaning(self, error: Exception) -> Finding | None:
        return failed(Category.QUOTA, str(error)) if isinstance(error, KeyError) else None


async def forever() -> Finding:
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_look_becomes_an_observation() -> None:
    """The observation names the service, and has the clock's time and the seconds it took."""

    async def look() -> Finding:
        return Finding()

    observation = await Scripted(look).observe(5)
    assert (
        observation.service,
        observation.at,
        observation.outcome,
        observation.category,
        observation.detail,
    ) == ("sample", 1234.5, Outcome.OK, None, "")
    assert 0 <= observation.latency < 5


@pytest.mark.parametrize(
    ("error", "category"),
    [
        (ConnectionResetError(), Category.RESET),
        (KeyError("its own meaning"), Category.QUOTA),
        (ZeroDivisionError(), Category.INTERNAL),
    ],
)
async def test_every_error_becomes_an_observation(error: Exception, category: Category) -> None:
    """The kind's own meaning of an error comes first, then the common rules; nothing is raised."""

    async def look() -> Finding:
        raise error

    observation = await Scripted(look).observe(5)
    assert (Outcome.FAILED, category) == (observation.outcome, observation.category)


async def test_the_deadline_ends_a_look() -> None:
    """A look that does not end in time is a timeout."""
    observation = await Scripted(forever).observe(0.01)
    assert (observation.outcome, observation.category) == (Outcome.FAILED, Category.TIMEOUT)


async def test_the_deadline_holds_where_a_library_translates_it() -> None:
    """An error that a library makes of the deadline's cancellation is still a timeout."""

    async def look() -> Finding:
        try:
            return await forever()
        except asyncio.CancelledError:
            raise KeyError("translated") from None

    assert Category.TIMEOUT is (await Scripted(look).observe(0.01)).category


async def test_a_timeout_within_the_deadline_is_the_services() -> None:
    """A look that meets a timeout of its own is a timeout with its own words."""

    async def look() -> Finding:
        raise TimeoutError("the server gave up")

    observation = await Scripted(look).observe(5)
    assert (observation.category, observation.detail) == (Category.TIMEOUT, "TimeoutError: the server gave up")


@pytest.mark.parametrize("swallows", [False, True])
async def test_cancellation_is_raised(swallows: bool) -> None:
    """A cancelled observation raises CancelledError, also where a library makes something else of it."""
    started = asyncio.Event()

    async def look() -> Finding:
        started.set()
        try:
            return await forever()
        except asyncio.CancelledError:
            if swallows:
                raise KeyError("translated") from None
            raise

    task = asyncio.create_task(Scripted(look).observe(5))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_no_secret_is_told() -> None:
    """A secret of the settings does not reach the detail."""

    async def look() -> Finding:
        raise ValueError("the key topsecret is wrong")

    assert "the key *** is wrong" in (await Scripted(look).observe(5)).detail
