"""Keeps a connection: opens it, reads it, judges how it ended, waits, and opens the next.

What is read and what becomes of the connection goes to a ``Follower`` at once; nothing is kept here.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from broadcaster_client.connection import Socket
from broadcaster_client.errors import Closed, ProtocolError, UnknownName, UnknownType
from broadcaster_client.failures import Lost
from broadcaster_client.languages import OURS
from broadcaster_client.messages import AnyMessage, Goodbye, Rejected, View, decode
from broadcaster_client.notices import Link
from broadcaster_client.reconnects import SETTLED, UNKNOWN_NAME, Reconnect, Reconnects, rule
from broadcaster_client.replica import Applied


class Follower(Protocol):
    """Who is told. Neither call may wait."""

    def hear(self, message: AnyMessage) -> Applied:
        """A message came: what became of it."""

    def lost(self, link: Link, *, reason: str, retry_in: float, said: Rejected | Goodbye | None) -> None:
        """An attempt has ended, for a reason in words, and the connection is this until the next, in ``retry_in``
        seconds. ``said`` is what the node said of it, if it did."""


class Keeper:
    """Follows one target until it is cancelled, or until that is over for good.

    ``patience`` is how many seconds a node may take from the first step of connecting to the whole truth. ``sleep``,
    ``clock`` and ``chance`` are there for tests.
    """

    def __init__(
        self,
        opener: Callable[[], Awaitable[Socket]],
        follower: Follower,
        *,
        patience: float,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._open = opener
        self._follower = follower
        self._patience = patience
        self._sleep = sleep
        self._clock = clock
        self._chance = chance
        self._reconnects = Reconnects()
        self._told_at: float | None = None
        self._said: Rejected | Goodbye | None = None

    async def run(self) -> None:
        """Raises Ended where connecting again cannot help. Cancelled, it closes its connection first, which takes
        ``CLOSE_SECONDS`` at most."""
        while True:
            self._said, self._told_at = None, None
            try:
                lost = await self._attempt()
            except TimeoutError:
                lost = Lost(f"nothing was heard for {self._patience:g} s")
            if lost.code is not None and rule(lost.code) is Reconnect.NO:
                kind = UnknownName if lost.code == UNKNOWN_NAME else Closed
                text, lang = (self._said.text, self._said.lang) if self._said else ("", OURS)
                raise kind(lost.code, lost.reason, text, lang)
            if self._told_at is not None and self._clock() - self._told_at >= SETTLED:
                self._reconnects.settled()
            wait = self._reconnects.next(self._chance(), at_least=lost.at_least)
            self._follower.lost(
                self._judge(lost),
                reason=lost.reason or (f"closed with {lost.code}" if lost.code else ""),
                retry_in=wait,
                said=self._said,
            )
            await self._sleep(wait)

    def _judge(self, lost: Lost) -> Link:
        if isinstance(self._said, Rejected):
            return Link.REJECTED
        return Link.OFFLINE if lost.is_offline else Link.LOST

    async def _attempt(self) -> Lost:
        """One connection, from its first step to its end. Raises TimeoutError if the node says nothing, and Ended."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._patience) as deadline:
            try:
                socket = await self._open()
                try:
                    while True:
                        message = await self._next(socket)
                        if isinstance(message, View):
                            deadline.reschedule(None)
                        elif isinstance(message, Rejected | Goodbye):
                            deadline.reschedule(loop.time() + self._patience)  # a close must follow
                finally:
                    await socket.close()
            except Lost as lost:
                return lost

    async def _next(self, socket: Socket) -> AnyMessage | None:
        """Reads one message and passes it on; None for one of a type that is not known. Raises Lost where what is held
        is no ground to go on from, and a new connection brings the whole truth."""
        try:
            message = decode(await socket.receive())
        except UnknownType:
            return None
        except ProtocolError as error:
            raise Lost(str(error)) from error
        # "Wait retry_after_ms if the last message had it."
        self._reconnects.asked_for(message.retry_after_ms if isinstance(message, Rejected | Goodbye) else 0)
        if isinstance(message, Rejected | Goodbye):
            self._said = message
        elif isinstance(message, View):
            self._said = None  # whatever the end is, it is another one
        outcome = self._follower.hear(message)
        if outcome is Applied.GAP:
            raise Lost("news came before the whole truth")
        if outcome is Applied.NEW_EPOCH:
            raise Lost("another order of changes has begun")
        if isinstance(message, View) and self._told_at is None:
            self._told_at = self._clock()
        return message
