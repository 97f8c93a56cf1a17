"""News to everybody, in slices of time: the loop's other work waits for a slice, and never for all.

A ``Circle`` are members who are told the same. A round writes what a circle was told since its last one, joined into
one write, to everybody who was there when it began. What is told during a round waits for the next. So each member
gets everything once, in order and in few writes. Whoever joins or comes back has been given the truth of that moment
by another way, and gets what is told from then on. The ``Fanout`` gives the circles their turns.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import structlog

log = structlog.get_logger()

SLICE = 0.004
"""Seconds of writing after which the loop gets a turn: an answer to a handshake waits no longer for news than that."""

CHECK_EVERY = 32
"""Writes between looks at the clock."""


M = TypeVar("M")
"""Whoever is told."""


class Fanout:
    """Whose turn it is. For use on its event loop only."""

    __slots__ = ("_busy", "_loop", "_slice", "_time")

    def __init__(self, loop: asyncio.AbstractEventLoop, *, slice_seconds: float = SLICE) -> None:
        self._loop = loop
        self._time = loop.time
        self._slice = slice_seconds
        self._busy: deque[Circle[Any]] = deque()  # with something to tell; the first of them is at it

    def __repr__(self) -> str:
        return f"Fanout({len(self._busy)} circles with something to tell)"

    @property
    def is_idle(self) -> bool:
        """Whether everybody has been told everything."""
        return not self._busy

    def enqueue(self, circle: Circle[Any]) -> None:
        """Gives a circle its turns until it has told everything. For ``Circle`` only, once each time."""
        self._busy.append(circle)
        if len(self._busy) == 1:
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """One slice."""
        busy, ends = self._busy, self._time() + self._slice
        while busy:
            circle = busy[0]
            try:
                if not circle.go_on(self._time, ends):
                    break
            except Exception:  # one circle's failure must not silence the others, nor its own next round
                log.exception("fanout_failed", circle=repr(circle))
                circle.give_up()
            busy.popleft()
            if not circle.is_idle:
                busy.append(circle)
            if self._time() >= ends:
                break
        if busy:
            self._loop.call_soon(self._go_on)


class Circle(Generic[M]):
    """Members who are told the same, and what they have yet to be told.

    A burst of more than ``most_bytes`` is not told piece by piece: ``truth`` is asked for the state of things instead,
    when it can be told. So neither a flood of news nor its length in a client's buffer has no bound. ``write`` hands
    a frame to some members; it never raises, and may take any of them off at once.
    """

    __slots__ = (
        "_at", "_fanout", "_gone", "_is_flooded", "_late", "_members", "_most_bytes", "_round", "_told", "_told_bytes",
        "_truth", "_write",
    )  # fmt: skip

    def __init__(
        self,
        fanout: Fanout,
        *,
        truth: Callable[[], bytes],
        most_bytes: int,
        write: Callable[[Sequence[M], bytes], None],
    ) -> None:
        self._fanout = fanout
        self._write = write
        self._truth = truth
        self._most_bytes = most_bytes
        self._members: dict[M, None] = {}
        self._told: list[bytes] = []  # and not yet on its way
        self._told_bytes = 0
        self._is_flooded = False  # what was told is too much: it becomes the truth, once
        self._late: dict[M, int] = {}  # came after so many of these
        self._round: list[tuple[bytes, list[M]]] = []  # what is written to whom; the last of them is under way
        self._at = 0
        self._gone: set[M] = set()  # since the round began

    def __repr__(self) -> str:
        return f"Circle({len(self._members)} members, {len(self._told)} to tell)"

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[M]:
        return iter(self._members)

    def __contains__(self, member: M) -> bool:
        return member in self._members

    @property
    def is_idle(self) -> bool:
        """Whether its members have been told everything."""
        return not (self._round or self._told or self._is_flooded)

    def add(self, member: M) -> None:
        """Tells ``member`` what comes from now on."""
        self._members[member] = None
        if self._told:
            self._late[member] = len(self._told)

    def remove(self, member: M) -> bool:
        """Tells ``member`` nothing more; whether it was one."""
        if member not in self._members:
            return False
        del self._members[member]
        self._late.pop(member, None)
        if self._round:
            self._gone.add(member)
        return True

    def send(self, frame: bytes) -> None:
        """Tells all members, soon: what is told in one turn of the loop goes out together."""
        is_busy = not self.is_idle
        if self._is_flooded:
            return
        self._told_bytes += len(frame)
        if self._told and self._told_bytes > self._most_bytes:
            self._is_flooded = True
            self._told.clear()
            self._late.clear()
        else:
            self._told.append(frame)
        if not is_busy:
            self._fanout.enqueue(self)

    def go_on(self, time: Callable[[], float], ends: float) -> bool:
        """Goes on with the round, or begins one, until it is over or ``ends`` is past; whether it is over."""
        if not self._round:
            self._begin()
        gone = self._gone
        while self._round:
            frame, members = self._round[-1]
            at, count = self._at, len(members)
            while at < count:
                until = min(at + CHECK_EVERY, count)
                some = members[at:until]
                self._write([member for member in some if member not in gone] if gone else some, frame)
                at = until
                if time() >= ends:
                    break
            if at < count:
                self._at = at
                return False
            self._round.pop()
            self._at = 0
            if self._round and time() >= ends:
                return False
        gone.clear()
        return True

    def give_up(self) -> None:
        """Leaves the round as it is: members that it did not reach are told what comes next."""
        self._round = []
        self._at = 0
        self._gone.clear()

    def _begin(self) -> None:
        told, late = self._told, self._late
        self._told, self._late, self._told_bytes = [], {}, 0
        if self._is_flooded:
            self._is_flooded = False
            told = [self._truth()]
        together: dict[int, list[M]] = {0: [member for member in self._members if member not in late]}
        for member, missed in late.items():
            if missed < len(told):
                together.setdefault(missed, []).append(member)
        self._round = [(b"".join(told[missed:]), members) for missed, members in together.items()]
        self._at = 0
