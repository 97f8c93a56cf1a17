"""How many connections there are, whatever they are yet, and from where: nobody can take all that a process has."""

from __future__ import annotations

import asyncio
from enum import StrEnum, auto

SPARE = 1000
"""Connections beyond the most that are kept long enough to be told so, and ordinary requests."""

UNKNOWN = "unknown"


class Address:
    """Where connections come from; ``count`` are those that are open."""

    __slots__ = ("count", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.count = 0


class Room(StrEnum):
    """What there is for one more connection."""

    ENOUGH = auto()
    TOLD = auto()
    """None, and it may stay until it has been told so in words its user sees."""
    NONE = auto()


class Crowd:
    """All connections that are open, of which ``most`` may stay, and ``most_each`` of one address (None: as many).

    Behind a proxy all come from one address; there the proxy has to count.
    """

    def __init__(self, most: int, most_each: int | None) -> None:
        self._most = most + SPARE
        self._most_each = most_each
        self._addresses: dict[str, Address] = {}
        self._anywhere = Address("")
        self.open = 0

    def __repr__(self) -> str:
        return f"Crowd({self.open} from {len(self._addresses)} addresses)"

    def enter(self, transport: asyncio.Transport) -> Address:
        """Counts one more; to be given back to ``leave`` when the connection is lost."""
        self.open += 1
        if self._most_each is None:
            return self._anywhere
        peer = transport.get_extra_info("peername")
        name = peer[0] if peer else UNKNOWN
        address = self._addresses.get(name)
        if address is None:
            address = self._addresses[name] = Address(name)
        address.count += 1
        return address

    def leave(self, address: Address) -> None:
        self.open -= 1
        if address is self._anywhere:
            return
        address.count -= 1
        if not address.count:
            del self._addresses[address.name]

    def room(self, address: Address) -> Room:
        """For a connection that has entered already."""
        if self.open > self._most:
            return Room.NONE
        if self._most_each is None or address.count <= self._most_each:
            return Room.ENOUGH
        return Room.TOLD if address.count <= 2 * self._most_each else Room.NONE
