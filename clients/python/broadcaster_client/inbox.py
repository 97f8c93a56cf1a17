"""What is kept for a reader who is slower than the news: so many notices, and then one that stands for all."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

from broadcaster_client.notices import FellBehind, Notice, Snapshot


class Inbox:
    """A bounded queue. One notice too many empties it, and the reader gets a ``FellBehind`` with the newest snapshot
    (as of the moment of reading) in place of them all."""

    def __init__(self, most: int, newest: Callable[[], Snapshot]) -> None:
        if most < 1:
            raise ValueError(f"backlog must be at least 1: {most}")
        self._most = most
        self._newest = newest
        self._kept: deque[Notice] = deque()
        self._dropped = 0
        self._end: Exception | None = None
        self._more = asyncio.Event()

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, notice: Notice) -> None:
        """Keeps a notice, or counts it among those that were too many."""
        if self._dropped:
            self._dropped += 1
        elif len(self._kept) == self._most:
            self._dropped = self._most + 1
            self._kept.clear()
        else:
            self._kept.append(notice)
        self._more.set()

    def end(self, why: Exception) -> None:
        """Nothing more comes; ``why`` is raised to whoever takes what is not there. The first reason counts."""
        self._end = self._end or why
        self._more.set()

    async def take(self) -> Notice:
        """The oldest notice; waits for one. When all are taken, raises what it ended with. Cancelled, it takes none."""
        while True:
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                snapshot = self._newest()
                return FellBehind(
                    at=datetime.now(UTC), text=snapshot.text, lang=snapshot.lang, dropped=dropped, snapshot=snapshot
                )
            if self._kept:
                return self._kept.popleft()
            if self._end is not None:
                raise self._end.with_traceback(None)
            self._more.clear()
            await self._more.wait()
