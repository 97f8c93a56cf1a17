"""Notices on sockets of an application's own."""

from __future__ import annotations

import asyncio
import json

import pytest
import structlog

from broadcaster.domain.model import Status
from broadcaster.manager.attachments import MOST_PENDING, asks_for_notices
from broadcaster.protocol import codec
from broadcaster.protocol.messages import Message, Notice, SnapshotMessage, Welcome
from tests.support.managers import World, until


class Socket:
    """Takes what it is sent, unless it is held up, or gone."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.is_gone = False

    async def send_text(self, data: str) -> None:
        await self.may_go_on.wait()
        if self.is_gone:
            raise RuntimeError("Unexpected ASGI message 'websocket.send'")
        self.sent.append(data)

    @property
    def messages(self) -> list[Message]:
        return [codec.decode_message(each) for each in self.sent]


def chat(message: Message) -> str | None:
    """An application's own words; all else is left out."""
    if isinstance(message, Notice):
        return json.dumps({"kind": "system", "body": message.text})
    return None


async def test_a_socket_is_greeted_and_told_what_changes(world: World) -> None:
    """In order, in the protocol's own format; and nothing more once it is left."""
    socket = Socket()
    async with world.manager.attach(socket):
        await world.commit("auth", Status.DOWN)
        await world.commit("auth", Status.UP)
        await until(lambda: len(socket.sent) == 3)
    await world.commit("auth", Status.DOWN)
    await until(lambda: world.manager.status("auth") is Status.DOWN)
    assert [type(each) for each in socket.messages] == [Welcome, Notice, Notice]


async def test_an_application_s_format_is_kept(world: World) -> None:
    """It leaves out what it does not want, and is asked once for all sockets that share it."""
    asked = 0

    def counting(message: Message) -> str | None:
        nonlocal asked
        asked += 1
        return chat(message)

    sockets = [Socket() for _ in range(20)]
    attachments = [world.manager.attach(each, format=counting, greet=False) for each in sockets]
    for each in attachments:
        await each.__aenter__()
    await world.commit("auth", Status.DOWN)
    await until(lambda: all(socket.sent for socket in sockets))
    assert {tuple(socket.sent) for socket in sockets} == {
        ('{"kind": "system", "body": "auth is unavailable. We will tell you as soon as it is back."}',)
    }
    assert asked == 1
    for each in attachments:
        await each.__aexit__(None, None, None)


async def test_a_slow_socket_is_told_how_things_stand(world: World) -> None:
    """When it reads again, once; and delays nobody."""
    slow, quick = Socket(), Socket()
    slow.may_go_on.clear()
    async with world.manager.attach(slow, greet=False), world.manager.attach(quick, greet=False):
        for number in range(MOST_PENDING + 10):
            await world.commit("auth", Status.UP if number % 2 else Status.DOWN)
            await until(lambda told=number + 1: len(quick.sent) == told)  # type: ignore[misc]
        slow.may_go_on.set()
        await until(lambda: any(isinstance(each, SnapshotMessage) for each in slow.messages))
    assert len(slow.sent) <= 3
    last = slow.messages[-1]
    assert isinstance(last, SnapshotMessage)
    assert last.position == world.manager.position


async def test_a_socket_that_is_gone_is_left_alone(world: World) -> None:
    """Logged, and never raised into the application."""
    gone, other = Socket(), Socket()
    gone.is_gone = True
    with structlog.testing.capture_logs() as logs:
        async with world.manager.attach(gone), world.manager.attach(other):
            await until(lambda: any(each["event"] == "attached_socket_gone" for each in logs))
            await world.commit("auth", Status.DOWN)
            await until(lambda: len(other.sent) == 2)


async def test_a_format_that_fails_is_logged(world: World) -> None:
    def broken(message: Message) -> str:
        raise KeyError("mine")

    socket, other = Socket(), Socket()
    with structlog.testing.capture_logs() as logs:
        async with world.manager.attach(socket, format=broken), world.manager.attach(other):
            await world.commit("auth", Status.DOWN)
            await until(lambda: len(other.sent) == 2)
    assert socket.sent == []
    assert [each["event"] for each in logs if each["event"] == "format_failed"] == ["format_failed"] * 2


async def test_a_coroutine_function_and_websockets_send_will_do(world: World) -> None:
    """Whatever an application sends by; and what cannot send is refused at once."""
    sent: list[str] = []

    async def send(text: str) -> None:
        sent.append(text)

    class Plain:
        async def send(self, message: str) -> None:
            sent.append(message)

    async with world.manager.attach(send), world.manager.attach(Plain()):
        await until(lambda: len(sent) == 2)
    with pytest.raises(TypeError, match="neither"):
        world.manager.attach(7)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("subprotocols", "query", "expected"),
    [
        ((), "", False),
        (("chat.v2",), "token=x", False),
        (("chat.v2", "availability.v1"), "", True),
        ((), "notices=1", True),
        ((), "a=b&notices=yes", True),
        ((), "notices=0", False),
    ],
)
def test_clients_that_never_asked_are_not_surprised(subprotocols: tuple[str, ...], query: str, expected: bool) -> None:
    assert asks_for_notices(subprotocols, query) is expected
