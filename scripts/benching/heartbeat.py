"""Stands for a probe worker beside a node: ``python -m scripts.benching.heartbeat REDIS_URL``.

Every second it says that it is there and has observed every service, so that the node has no reason to tell its
clients of anything but what a benchmark commits.
"""

from __future__ import annotations

import asyncio
import sys
import time

from broadcaster.domain.model import Position
from broadcaster.store.redis import RedisStore
from scripts.benching.application import settings


async def beat(redis_url: str) -> None:
    watched = settings()
    async with RedisStore.connect(redis_url, watched.namespace, timeout=10) as store:
        while True:
            now = time.time()
            await store.heartbeat("bench", now, dict.fromkeys(watched.services, now), Position())
            await asyncio.sleep(watched.feed.heartbeat_interval)


if __name__ == "__main__":
    asyncio.run(beat(sys.argv[1]))
