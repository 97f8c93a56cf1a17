"""Who is in which room, here and on other backends. Nobody waits for a slow reader, and the room not for Redis."""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from collections import deque
from collections.abc import Iterator
from typing import Protocol

import msgspec
import redis.asyncio
import redis.exceptions
import structlog

from broadcaster.integrations.redis import guard
from broadcaster.manager import ServiceAvailabilityManager
from broadcaster.protocol.closing import SLOW
from broadcaster.sample.chat.events import ChatMessage, Event, encode

log = structlog.get_logger()

CHANNEL = "sample:chat"
PATIENCE = 1.5
RECENT = 50
"""Messages of a room that are kept here, for the time in which history is away."""

MOST_ROOMS = 1000
MOST_PENDING = 256
"""Texts that wait for one reader, before it is closed."""


class Socket(Protocol):
    """Starlette's WebSocket, as far as a member needs it."""

    async def send_text(self, data: str) -> None: ...

    async def close(self, code: int = 1000, reason: str | None = None) -> None: ...


class Member:
    """One connection in one room; texts are sent by ``run``, in order."""

    def __init__(self, socket: Socket, name: str, room: str) -> None:
        self.name = name
        self.room = room
        self._socket = socket
        self._pending: asyncio.Queue[str] = asyncio.Queue(MOST_PENDING)
        self._is_behind = asyncio.Event()

    def tell(self, event: Event) -> None:
        self.tell_text(encode(event))

    def tell_text(self, text: str) -> None:
        try:
            self._pending.put_nowait(text)
        except asyncio.QueueFull:
            self._is_behind.set()

    async def tell_notice(self, text: str) -> None:
        """For ``manager.attach``."""
        self.tell_text(text)

    async def run(self) -> None:
        """Sends until it is cancelled, the socket is gone, or the reader is too far behind."""
        sending = asyncio.create_task(self._send())
        behind = asyncio.create_task(self._is_behind.wait())
        try:
            await asyncio.wait({sending, behind}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
            behind.cancel()
        # Whatever else ended the sending, there is nobody to tell it to.
        with contextlib.suppress(Exception):
            await self._socket.close(SLOW.code, SLOW.reason)

    async def _send(self) -> None:
        with contextlib.suppress(Exception):  # whatever a framework raises for a socket that is gone
            while True:
                await self._socket.send_text(await self._pending.get())


class Rooms:
    """Members by room. Messages go to other backends by Redis, and come from them."""

    def __init__(self, manager: ServiceAvailabilityManager, url: str) -> None:
        client = redis.asyncio.Redis.from_url(url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE)
        self._redis = guard(client, manager.breaker("redis"))
        self._me = uuid.uuid4().hex
        self._members: dict[str, set[Member]] = {}
        self._recent: dict[str, deque[ChatMessage]] = {}
        self._outgoing: asyncio.Queue[ChatMessage] = asyncio.Queue(1000)

    async def aclose(self) -> None:
        await self._redis.aclose()

    @contextlib.contextmanager
    def joined(self, member: Member) -> Iterator[None]:
        """The member hears its room meanwhile."""
        together = self._members.setdefault(member.room, set())
        together.add(member)
        try:
            yield
        finally:
            together.discard(member)
            if not together and self._members.get(member.room) is together:
                del self._members[member.room]

    def say(self, message: ChatMessage) -> None:
        """To everybody here at once, and to other backends as soon as Redis takes it. What was said here lately is not
        said again: it is sent twice by clients that did not hear what became of it."""
        if not self._deliver(message):
            return
        try:
            self._outgoing.put_nowait(message)
        except asyncio.QueueFull:
            log.warning("not_passed_on", room=message.room, id=message.id)

    def recent(self, room: str) -> list[ChatMessage]:
        """What was said here lately, the oldest first."""
        return list(self._recent.get(room, ()))

    def _deliver(self, message: ChatMessage) -> bool:
        said = self._recent.pop(message.room, None) or deque(maxlen=RECENT)
        is_new = all((each.author, each.id) != (message.author, message.id) for each in said)
        if is_new:
            said.append(message)
        self._recent[message.room] = said  # the rooms that were quiet for longest come first
        if len(self._recent) > MOST_ROOMS:
            del self._recent[next(iter(self._recent))]
        if is_new:
            text = encode(message)
            for member in self._members.get(message.room, ()):
                member.tell_text(text)
        return is_new

    async def run(self) -> None:
        """Passes messages on to other backends, and theirs to us, until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pass_on())
            tasks.create_task(self._hear())

    async def _pass_on(self) -> None:
        """One that Redis does not take is not passed on: later it would be no news, and history has it."""
        while True:
            message = await self._outgoing.get()
            try:
                await self._redis.publish(CHANNEL, msgspec.json.encode((self._me, message)))
            except (redis.exceptions.RedisError, OSError) as error:
                log.info("not_passed_on", room=message.room, id=message.id, error=str(error))

    async def _hear(self) -> None:
        while True:
            with contextlib.suppress(redis.exceptions.RedisError, OSError):
                async with self._redis.pubsub() as subscription:
                    await subscription.subscribe(CHANNEL)
                    while True:
                        heard = await subscription.get_message(ignore_subscribe_messages=True, timeout=1.0)
                        if heard is not None:
                            self._heard(heard["data"])
            await asyncio.sleep(random.uniform(0.2, 1.0))  # noqa: S311

    def _heard(self, data: bytes) -> None:
        try:
            sender, message = msgspec.json.decode(data, type=tuple[str, ChatMessage])
        except msgspec.DecodeError as error:
            log.warning("not_understood", channel=CHANNEL, error=str(error))
            return
        if sender != self._me:
            self._deliver(message)
