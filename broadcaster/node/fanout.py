"""One frame to everybody, in slices of time: the loop's other work waits for a slice, and never for a whole round.

A round writes what was told since the last one, joined into one write, to everybody who was there when it began. What
is told during a round waits for the next. So each member gets everything once, in order and in few writes. Whoever
joins or comes back has been given the truth of that moment by another way, and gets what is told from then on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

SLICE = 0.004
"""Seconds of writing after which the loop gets a turn: an answer to a handshake waits no longer for news than that."""

CHECK_EVERY = 32
"""Writes between looks at the clock."""


class Writer(Protocol):
    """Where a member's bytes go. Writing never raises, and may take the member off at once."""

    def write(self, data: bytes) -> None: ...


class Member(Protocol):
    """Somebody who is told."""

    @property
    def transport(self) -> Writer: ...


M = TypeVar("M", bound=Member)


class Fanout(Generic[M]):
    """The members that keep up, and what they have yet to be told. For use on its event loop only."""

    __slots__ = ("_at", "_frame", "_gone", "_is_scheduled", "_late", "_loop", "_members", "_round", "_slice", "_told")

    def __init__(self, loop: asyncio.AbstractEventLoop, *, slice_seconds: float = SLICE) -> None:
        self._loop = loop
        self._slice = slice_seconds
        self._members: dict[M, None] = {}
        self._told: list[bytes] = []  # and not yet on its way
        self._late: dict[M, int] = {}  # came after so many of these
        self._round: list[M] = []
        self._at = 0
        self._frame = b""
        self._gone: set[M] = set()  # since the round began
        self._is_scheduled = False

    def __repr__(self) -> str:
        return f"Fanout({len(self._members)} members, {len(self._told)} to tell)"

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[M]:
        return iter(self._members)

    def __contains__(self, member: M) -> bool:
        return member in self._members

    @property
    def is_idle(self) -> bool:
        """Whether everybody has been told everything."""
        return not self._is_scheduled

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
        """Tells everybody, soon: what is told in one turn of the loop goes out together."""
        self._told.append(frame)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """One slice."""
        if not self._round:
            self._begin()
        members, frame, gone = self._round, self._frame, self._gone
        at, count, time = self._at, len(members), self._loop.time
        ends = time() + self._slice
        while at < count:
            until = min(at + CHECK_EVERY, count)
            if gone:
                for member in members[at:until]:
                    if member not in gone:
                        member.transport.write(frame)
            else:
                for member in members[at:until]:
                    member.transport.write(frame)
            at = until
            if time() >= ends:
                break
        self._at = at
        if at == count:
            self._round = []
            self._gone.clear()
        if self._round or self._told:
            self._loop.call_soon(self._go_on)
        else:
            self._is_scheduled = False

    def _begin(self) -> None:
        told, late = self._told, self._late
        self._told, self._late = [], {}
        for member, missed in late.items():
            if missed < len(told):
                member.transport.write(b"".join(told[missed:]))
        self._frame = told[0] if len(told) == 1 else b"".join(told)
        # Whoever such a write took off is no member any more.
        self._round = [member for member in self._members if member not in late] if late else list(self._members)
        self._at = 0
