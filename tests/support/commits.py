"""Transitions on demand: a writer that flips one service through the real store."""

from __future__ import annotations

from broadcaster.domain.detection import Decision
from broadcaster.domain.model import Position, Snapshot, Status, Transition, event_kind
from broadcaster.store.base import Outcome, Store
from broadcaster.store.redis import RedisStore


async def transitions(store: Store) -> list[Transition]:
    """The history without changes of plans."""
    return [each for each in await store.history() if isinstance(each, Transition)]


class Flipper:
    """Commits up, degraded, up, ... of one service; ``seed`` first."""

    def __init__(self, store: RedisStore, service: str) -> None:
        self._store = store
        self._service = service
        self._status = Status.UNKNOWN
        self._revision = 0
        self.position = Position()

    async def seed(self, epoch: str = "e1") -> None:
        """Begins an epoch in which nothing is known."""
        written = await self._store.seed(
            Snapshot(),
            epoch=epoch,
            worker="test",
            now=1.0,
            reason="test",
            replaces=(await self._store.snapshot()).position,
        )
        assert written.outcome is Outcome.DONE
        self.position = written.position

    async def flip(self) -> Position:
        """One more transition; its position."""
        before, self._status = self._status, Status.DEGRADED if self._status is Status.UP else Status.UP
        written = await self._store.commit(
            Decision(
                service=self._service,
                kind=event_kind(before, self._status),
                previous=before,
                status=self._status,
                at=float(self.position.revision + 1),
            ),
            commit=f"flip {self.position}",
            expected_revision=self._revision,
            known=self.position,
        )
        assert written.outcome is Outcome.DONE, written
        self.position, self._revision = written.position, written.position.revision
        return self.position
