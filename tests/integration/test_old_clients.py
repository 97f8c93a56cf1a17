"""A chat client from before there was any of this: it goes on as ever, in whatever state the services are."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import websockets
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection

from broadcaster.domain.model import Criticality, Status
from broadcaster.integrations.asgi import ServiceGate
from broadcaster.manager import ServiceAvailabilityManager, asks_for_notices
from tests.support.applications import serving
from tests.support.clients import connect
from tests.support.managers import SETTINGS, World, running_world
from tests.support.stack import DEADLINE, run_stack, until


class OldClient:
    """Knows the messages of its own application, asks for nothing, and ignores what it does not know."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.said = 0
        self.answered: list[int] = []
        self.not_known: list[str] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            async for data in self.socket:
                message = json.loads(data)
                if message.get("kind") == "answer":
                    self.answered.append(message["to"])
                else:
                    self.not_known.append(str(data))

    @property
    def is_connected(self) -> bool:
        return not self._reading.done()

    async def say(self, text: str) -> None:
        self.said += 1
        await self.socket.send(json.dumps({"kind": "chat", "text": text, "number": self.said}))

    async def chat(self) -> None:
        """Says something, and waits for the answer."""
        await self.say("hello")
        await until(lambda: self.said in self.answered, "an answer")

    async def hears(self, number: int) -> None:
        """Waits for so many messages that it does not know."""
        await until(lambda: len(self.not_known) >= number, "a message that it does not know")

    async def closed(self) -> tuple[int | None, str | None]:
        async with asyncio.timeout(DEADLINE):
            await self._reading
        return self.socket.close_code, self.socket.close_reason


@asynccontextmanager
async def old_client(url: str) -> AsyncIterator[OldClient]:
    async with websockets.connect(url, proxy=None) as socket:
        assert socket.subprotocol is None
        client = OldClient(socket)
        yield client
    await client.closed()


def chat_application(manager: ServiceAvailabilityManager) -> ServiceGate:
    """A chat that answers every message, behind a gate; who asks for notices gets them on the same socket."""

    async def talk(socket: WebSocket) -> None:
        async for text in socket.iter_text():
            message = json.loads(text)
            if message["kind"] == "chat":
                await socket.send_json({"kind": "answer", "to": message["number"]})

    async def chat(socket: WebSocket) -> None:
        await socket.accept()
        if asks_for_notices(socket.scope["subprotocols"], socket.url.query):
            async with manager.attach(socket):
                await talk(socket)
        else:
            await talk(socket)

    return ServiceGate(Starlette(routes=[WebSocketRoute("/ws", chat)]), manager, {"/ws": None})


@asynccontextmanager
async def application() -> AsyncIterator[tuple[World, str]]:
    """It cannot do without auth, and can without redis."""
    async with running_world() as world:
        optional = msgspec.structs.replace(SETTINGS.services["redis"], criticality=Criticality.OPTIONAL)
        services = {"auth": SETTINGS.services["auth"], "redis": optional}
        world.manager.use(msgspec.structs.replace(SETTINGS, services=services))
        async with serving(chat_application(world.manager)) as served:
            yield world, served.ws_url + "/ws"


async def test_it_chats_through_every_outage() -> None:
    """Each of its messages is answered, in order, and it gets nothing else; a new client hears of everything."""
    async with application() as (world, url), old_client(url) as old, connect(url + "?notices=1") as new:
        await old.chat()
        for service, status in (
            ("redis", Status.DOWN),
            ("auth", Status.DOWN),
            ("auth", Status.UP),
            ("redis", Status.UP),
        ):
            heard = len(new.notices(service))
            for _ in range(3):
                await old.say("while it happens")
            await world.commit(service, status)
            await new.until_notices(service, heard + 1)
            await old.chat()
        assert old.is_connected
        assert old.answered == list(range(1, old.said + 1))
        assert old.not_known == []


async def test_refused_by_the_application_it_is_told_by_the_close() -> None:
    """1011 with a reason, which it may show; what came before is JSON that it ignores. Later it is served again."""
    async with application() as (world, url):
        await world.commit("auth", Status.DOWN)
        await until(lambda: world.manager.status("auth") is Status.DOWN)
        async with old_client(url) as refused:
            assert await refused.closed() == (1011, "auth is unavailable; please retry in a few seconds")
            assert refused.answered == []
            assert len(refused.not_known) == 1
        await world.commit("auth", Status.UP)
        await until(lambda: world.manager.status("auth") is Status.UP)
        await world.commit("redis", Status.DOWN)
        await until(lambda: world.manager.status("redis") is Status.DOWN)
        async with old_client(url) as served:
            await served.chat()
            assert served.not_known == []


async def test_on_a_node_it_stays_connected_through_every_outage(tmp_path: Path) -> None:
    """Whatever the node says is JSON without a word of its own; a node minds nothing that it says. Refused, it gets
    1011 with a reason."""
    async with run_stack(tmp_path, services=("auth", "analytics")) as stack:
        url = stack.nodes[0].ws_url
        async with old_client(url) as old:
            for service in ("analytics", "auth"):
                await old.say("hello")
                heard = len(old.not_known)
                await stack.services[service].kill()
                await stack.until_status({service: "down"})
                await old.hears(heard + 1)
            async with old_client(url) as refused:
                code, reason = await refused.closed()
                assert (code, reason) == (1011, "Sign-in is unavailable; please retry in a few seconds")
            for service in ("auth", "analytics"):
                await old.say("hello")
                await stack.services[service].start()
                await stack.until_status({service: "up"})
            await (await old.socket.ping())
            assert old.is_connected
            assert old.answered == []
            async with old_client(url) as again:
                await again.hears(1)
                assert again.is_connected
