"""What happens to a Redis, and how it comes back."""

from __future__ import annotations

import shutil

from tests.support.stack import Stack


async def kill_and_keep_data(stack: Stack) -> None:
    """SIGKILL, and back with what its append-only file held."""
    await stack.redis.kill()


async def kill_and_lose_data(stack: Stack) -> None:
    """SIGKILL, and back without anything it held."""
    await stack.redis.kill()
    for entry in stack.redis.data_dir.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


async def pause(stack: Stack) -> None:
    """SIGSTOP: connections stay open and mute."""
    stack.redis.pause()


async def come_back(stack: Stack) -> None:
    if stack.redis.is_running:
        stack.redis.resume()
    else:
        await stack.redis.start()
