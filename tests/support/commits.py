"""Transitions on demand: writers that commit through the real store what no worker observed."""

from __future__ import annotations

from collections.abc import Callable

from broadcaster.domain.detection import Decision
from broadcaster.domain.model import Position, Snapshot, Status, Transition, event_kind
from broadcaster.store.base import Outcome, Store
from broadcaster.store.redis import RedisStore


async def transitions(store: Store) -> list[Transition]:
    """The history without changes of plans."""
    return [each for each in await store.history() if isinstance(each, Transition)]


class Writer:
    """Commits any service's next status, observed by ``clock`` (default: long ago); ``seed`` first."""

    def __init__(self, store: RedisStore, *, clock: Callable[[], float] | None = None) -> None:
        self._store = store
        self._clock = clock or (lambda: float(self.position.revision + 1))
        self._known: dict[str, tuple[Status, int]] = {}
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

    def status(self, service: str) -> Status:
        """What was committed last."""
        return self._known.get(service, (Status.UNKNOWN, 0))[0]

    async def commit(self, service: str, status: Status) -> Position:
        """One more transition; its position."""
        before, revision = self._known.get(service, (Status.UNKNOWN, 0))
        written = await self._store.commit(
            Decision(
                service=service,
                kind=event_kind(before, status),
                previous=before,
                status=status,
                at=self._clock(),
            ),
            commit=f"after {self.position}",
            expected_revision=revision,
            known=self.position,
        )
        assert written.outcome is Outcome.DONE, written
        self.position = written.position
        self._known[service] = (status, written.position.revision)
        return self.position


class Flipper(Writer):
    """Commits up, degraded, up, ... of one service; ``seed`` first."""

    def __init__(self, store: RedisStore, service: str) -> None:
        super().__init__(store)
        self._service = service

    async def flip(self) -> Position:
        """One more transition; its position."""
        return await self.commit(
            self._service, Status.DEGRADED if self.status(self._service) is Status.UP else Status.UP
        )
