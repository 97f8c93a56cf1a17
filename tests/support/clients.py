"""A WebSocket client that records what it is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection

from broadcaster.protocol import codec
from broadcaster.protocol.messages import (
    AnyMessage,
    FeatureView,
    FeedNotice,
    Notice,
    PlanNotice,
    Rejected,
    ServiceView,
    SnapshotMessage,
    Waiting,
    Welcome,
)
from tests.support.stack import DEADLINE


class RecordingClient:
    """Collects messages until the connection closes."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.messages: list[AnyMessage] = []
        self.frames: list[str] = []
        """The same, as it came."""
        self._more = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            async for data in self.socket:
                self.frames.append(data if isinstance(data, str) else data.decode())
                self.messages.append(codec.decode_message(data))
                self._more.set()
        self._more.set()

    @property
    def is_closed(self) -> bool:
        return self._reading.done()

    async def until(self, condition: Callable[[], object], seconds: float = DEADLINE) -> None:
        """Waits for a condition on what was received. Raises TimeoutError with everything received so far."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            raise TimeoutError("received: " + "\n".join(str(each) for each in self.messages)) from None

    async def until_notices(self, service: str, number: int, *, local: bool | None = None) -> None:
        """Waits for at least so many notices of a service."""
        await self.until(lambda: len(self.notices(service, local=local)) >= number)

    async def closed(self) -> tuple[int | None, str | None]:
        """Waits for the end; code and reason."""
        async with asyncio.timeout(DEADLINE):
            await self._reading
        return self.socket.close_code, self.socket.close_reason

    async def aclose(self) -> None:
        await self.socket.close()
        await self._reading

    @property
    def welcome(self) -> Welcome:
        found = self.messages[0]
        assert isinstance(found, Welcome)
        return found

    @property
    def rejected(self) -> Rejected:
        found = self.messages[0]
        assert isinstance(found, Rejected)
        return found

    def notices(self, service: str | None = None, *, local: bool | None = None) -> list[Notice]:
        return [
            each
            for each in self.messages
            if isinstance(each, Notice) and service in (None, each.service.name) and local in (None, each.local)
        ]

    def planned(self, service: str) -> list[PlanNotice]:
        return [each for each in self.messages if isinstance(each, PlanNotice) and each.service.name == service]

    @property
    def feed_states(self) -> list[str]:
        return [each.feed.value for each in self.messages if isinstance(each, FeedNotice)]

    def truth(self) -> dict[str, str]:
        """What this client believes of every service, by the rules of the protocol."""
        known: dict[str, ServiceView] = {}
        for message in self.messages:
            match message:
                case Welcome() | Waiting() | SnapshotMessage():
                    known = {each.name: each for each in message.services}
                case Notice() | PlanNotice():
                    known[message.service.name] = message.service
        return {name: each.status.value for name, each in known.items()}


def reduced(features: tuple[FeatureView, ...]) -> dict[str, str]:
    """The features that are not available, by name."""
    return {each.name: each.status.value for each in features if each.status.value != "available"}


@asynccontextmanager
async def connect(url: str, **options: Any) -> AsyncIterator[RecordingClient]:
    """A connected client that has its first message."""
    async with websockets.connect(url, compression=None, open_timeout=DEADLINE, proxy=None, **options) as socket:
        client = RecordingClient(socket)
        try:
            await client.until(lambda: client.messages or client.is_closed)
            yield client
        finally:
            await client.aclose()


async def handshake(url: str) -> RecordingClient:
    """A handshake whose connection is closed again; what was received."""
    async with connect(url) as client:
        return client
