"""The sample's outbox: in order, again until it is done, and no item stands in the way of others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from broadcaster.sample.outbox import Outbox


class Writer:
    """Takes what it is given, but for what is bad; and nothing while it is away."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.failures = 0

    async def write(self, items: list[str]) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("away")
        if "bad" in items:
            raise ValueError("this cannot be written")
        self.written += items


def outbox(writer: Writer, most: int = 100) -> Outbox[str]:
    return Outbox("test", writer.write, is_failure=lambda error: isinstance(error, OSError), most=most)


async def running(box: Outbox[str], check: Callable[[], object]) -> None:
    task = asyncio.create_task(box.run())
    try:
        async with asyncio.timeout(20):
            while not check():
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_what_fails_is_tried_again_in_order() -> None:
    writer = Writer()
    writer.failures = 2
    box = outbox(writer)
    stored = [box.put(item) for item in "abc"]
    await running(box, lambda: not len(box))
    assert writer.written == ["a", "b", "c"]
    assert all(each.done() and each.exception() is None for each in stored)


async def test_one_that_cannot_be_written_is_dropped_alone() -> None:
    """Its future says so; those before it and behind it are written."""
    writer = Writer()
    box = outbox(writer)
    first, bad, last = box.put("a"), box.put("bad"), box.put("b")
    await running(box, lambda: not len(box))
    assert writer.written == ["a", "b"]
    assert (first.exception(), last.exception()) == (None, None)
    assert isinstance(bad.exception(), ValueError)


async def test_there_is_a_bound() -> None:
    box = outbox(Writer(), most=2)
    box.put("a")
    box.put("b")
    with pytest.raises(OverflowError, match="2 items wait"):
        box.put("c")


async def test_at_the_end_what_waits_is_written() -> None:
    """Within a time; what is not, is named in the log."""
    writer = Writer()
    box = outbox(writer)
    box.put("a")
    task = asyncio.create_task(box.run())
    await box.flush(20)
    assert (writer.written, len(box)) == (["a"], 0)
    task.cancel()
    await asyncio.wait([task])
    box.put("b")
    await box.flush(0.01)
    assert len(box) == 1
