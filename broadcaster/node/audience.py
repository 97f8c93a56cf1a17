"""Connections that are told the same, and the frames that are encoded once for all of them.

Most are users who are told everything that users may know; operators, those who asked for a part, and those who read
another language, are audiences of their own. What differs is how much of the catalogue an audience is told, and in
which language (``Scope``), never who is in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import structlog

from broadcaster.domain.admission import admit
from broadcaster.domain.model import Catalogue, FeedState, Snapshot
from broadcaster.domain.scope import Scope
from broadcaster.manager.changes import Change
from broadcaster.manager.manager import ServiceAvailabilityManager
from broadcaster.manager.telling import message
from broadcaster.node.connection import Connection, write_all
from broadcaster.node.fanout import Circle, Fanout
from broadcaster.node.frames import text_frame
from broadcaster.protocol import notices
from broadcaster.protocol.messages import Message

log = structlog.get_logger()

EVERYTHING = Scope()
"""What users are told who ask for nothing else."""


class Audience:
    """Those of one scope. ``circle`` are the connections that keep up, ``count`` all that there are."""

    __slots__ = (
        "_catalogue", "_clock", "_manager", "_narrowed", "_snapshot", "_waiting", "_welcome",
        "circle", "count", "scope",
    )  # fmt: skip

    def __init__(
        self,
        scope: Scope,
        manager: ServiceAvailabilityManager,
        fanout: Fanout,
        *,
        clock: Callable[[], float],
        most_bytes: int,
    ) -> None:
        self.scope = scope
        self.circle: Circle[Connection] = Circle(fanout, truth=self.snapshot, most_bytes=most_bytes, write=write_all)
        self.count = 0
        self._manager = manager
        self._clock = clock
        self._catalogue: Catalogue | None = None  # of which _narrowed is this scope's part
        self._narrowed: Catalogue | None = None
        self._welcome = _Prepared()
        self._waiting = _Prepared()
        self._snapshot = _Prepared()

    def __repr__(self) -> str:
        return f"Audience({self.scope!r}, {self.count} connections)"

    @property
    def catalogue(self) -> Catalogue:
        """What of the dependency matrix it is told."""
        if self._narrowed is None or self._catalogue is not self._manager.catalogue:
            self._catalogue = self._manager.catalogue
            self._narrowed = self.scope.narrow(self._catalogue)
        return self._narrowed

    # Frames, encoded at most once a second and state of things.

    def welcome(self) -> bytes:
        prepared, manager = self._welcome, self._manager
        if prepared.is_outdated(manager):
            prepared.keep(manager, notices.welcome(*self._truth(), internal=self.scope.internal))
        return prepared.frame

    def snapshot(self) -> bytes:
        prepared, manager = self._snapshot, self._manager
        if prepared.is_outdated(manager):
            prepared.keep(manager, notices.snapshot_message(*self._truth(), internal=self.scope.internal))
        return prepared.frame

    def waiting(self) -> bytes:
        prepared, manager = self._waiting, self._manager
        if prepared.is_outdated(manager):
            message = notices.waiting(
                *self._truth(),
                blocked=notices.blocked(
                    manager.catalogue.told_in(self.catalogue.language),
                    admit(manager.catalogue, manager.snapshot),
                    manager.snapshot,
                    self._clock(),
                ),
                internal=self.scope.internal,
            )
            prepared.keep(manager, message)
        return prepared.frame

    def _truth(self) -> tuple[Catalogue, Snapshot, FeedState, float]:
        return self.catalogue, self._manager.snapshot, self._manager.feed_state, self._clock()

    def outdate(self) -> None:
        """Prepares everything anew when it is needed: what stands in them as the present grows old."""
        self._welcome.snapshot = self._waiting.snapshot = self._snapshot.snapshot = None

    # News.

    def message(self, change: Change) -> Message | None:
        """What this audience is told of a change; None where it is none of its business."""
        return message(self.catalogue, change, self._manager.feed_state, self._clock(), internal=self.scope.internal)


class Audiences:
    """The audiences of one node: everybody, and at most ``most`` others, for as long as they have connections."""

    def __init__(
        self,
        manager: ServiceAvailabilityManager,
        loop: asyncio.AbstractEventLoop,
        *,
        clock: Callable[[], float],
        most: int,
        most_bytes: int,
    ) -> None:
        self._manager = manager
        self.fanout = Fanout(loop)
        self._clock = clock
        self._most = most
        self._most_bytes = most_bytes
        self.everybody = self._make(EVERYTHING)
        self._others: dict[Scope, Audience] = {}
        self._is_full_logged = False

    def __repr__(self) -> str:
        return f"Audiences(everybody and {len(self._others)} others)"

    def __len__(self) -> int:
        return 1 + len(self._others)

    def __iter__(self) -> Iterator[Audience]:
        yield self.everybody
        yield from self._others.values()

    def enter(self, scope: Scope) -> Audience:
        """The audience of one more connection, to be given back to ``leave``.

        Where there are too many, it is the whole of what was asked for a part of, in the same language: somebody who
        asks for ever other parts makes every piece of news dearer, but only so far. Languages are as many as the
        settings have.
        """
        asked, scope = scope, scope.settled(self._manager.catalogue)
        if len(self._others) >= self._most and not scope.is_whole and scope not in self._others:
            if not self._is_full_logged:
                log.warning("audiences_full", audiences=len(self), most=self._most)
                self._is_full_logged = True
            scope = asked.whole.settled(self._manager.catalogue)
        if scope is EVERYTHING or scope == EVERYTHING:
            audience = self.everybody
        else:
            audience = self._others.get(scope) or self._others.setdefault(scope, self._make(scope))
        audience.count += 1
        return audience

    def leave(self, audience: Audience) -> None:
        audience.count -= 1
        if not audience.count and audience is not self.everybody:
            del self._others[audience.scope]

    def outdate(self) -> None:
        self._is_full_logged = False
        for audience in self:
            audience.outdate()

    def _make(self, scope: Scope) -> Audience:
        return Audience(scope, self._manager, self.fanout, clock=self._clock, most_bytes=self._most_bytes)


class _Prepared:
    """A frame, and what it was made of."""

    __slots__ = ("feed", "frame", "snapshot")

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None
        self.feed: FeedState | None = None
        self.frame = b""

    def is_outdated(self, manager: ServiceAvailabilityManager) -> bool:
        return self.snapshot is not manager.snapshot or self.feed is not manager.feed_state

    def keep(self, manager: ServiceAvailabilityManager, message: Message) -> None:
        self.snapshot, self.feed, self.frame = manager.snapshot, manager.feed_state, text_frame(message)
