"""Cancellation that gets through libraries which lose it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def insisting() -> Iterator[None]:
    """Raises CancelledError at the end if the task was cancelled within and the block ended as if it had not been.

    Libraries turn a cancellation into an error of their own, and ``asyncio.wait_for`` drops one that arrives in the
    turn of the loop in which its awaitable finishes (CPython before 3.12, gh-86296; redis-py sends through it): the
    loop around the call would go on for ever.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        yield
    except Exception as error:
        if task and task.cancelling() > before:
            raise asyncio.CancelledError from error
        raise
    if task and task.cancelling() > before:
        raise asyncio.CancelledError
