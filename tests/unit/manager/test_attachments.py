"""Notices on sockets of an application's own."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack

import pytest
import structlog

from broadcaster.domain.model import Status
from broadcaster.manager.attachments import MOST_PENDING, asked_locale, asks_for_notices
from broadcaster.protocol import codec
from broadcaster.protocol.messages import Message, Notice, SnapshotMessage, Welcome
from tests.support.managers import World, in_german, until


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


async def test_each_socket_is_told_in_its_language(world: World) -> None:
    """A format is asked once for each language that there are words in, however many tags are asked by."""
    asked = 0

    def counting(message: Message) -> str | None:
        nonlocal asked
        asked += 1
        return chat(message)

    world.manager.use(in_german("auth"))
    sockets = {
        locale: [Socket(), Socket()] for locale in ("", "de", "de-AT", "DE-ch", "fr", "en-GB", "de_AT", "no tag at all")
    }
    async with AsyncExitStack() as attached:
        for locale, together in sockets.items():
            for each in together:
                await attached.enter_async_context(
                    world.manager.attach(each, format=counting, greet=False, locale=locale)
                )
        await world.commit("auth", Status.DOWN)
        await until(lambda: all(socket.sent for together in sockets.values() for socket in together))
    for locale, together in sockets.items():
        is_german = locale in ("de", "de-AT", "DE-ch")
        body = (
            "Niemand kann sich anmelden."
            if is_german
            else "auth is unavailable. We will tell you as soon as it is back."
        )
        assert [socket.sent for socket in together] == [[json.dumps({"kind": "system", "body": body})]] * 2
    assert asked == 2


async def test_a_socket_is_greeted_and_caught_up_in_its_language(world: World) -> None:
    """And told in another from the moment that there are words in it, or no longer are."""
    world.manager.use(in_german("auth"))
    german, slow = Socket(), Socket()
    slow.may_go_on.clear()
    async with world.manager.attach(german, locale="de"), world.manager.attach(slow, locale="de-AT"):
        for number in range(MOST_PENDING + 10):
            await world.commit("auth", Status.UP if number % 2 else Status.DOWN)
            await until(lambda told=number + 2: len(german.sent) == told)  # type: ignore[misc]
        slow.may_go_on.set()
        await until(lambda: any(isinstance(each, SnapshotMessage) for each in slow.messages))
        greeting, *_, caught_up = slow.messages
        assert isinstance(greeting, Welcome)
        assert isinstance(caught_up, SnapshotMessage)
        assert [each.services[0].title for each in (greeting, caught_up)] == ["Anmeldung", "Anmeldung"]
        notice = german.messages[1]
        assert isinstance(notice, Notice)
        assert (notice.text, notice.lang, notice.service.title) == ("Niemand kann sich anmelden.", "de", "Anmeldung")
        world.manager.use(in_german())
        await until(lambda: isinstance(german.messages[-1], SnapshotMessage))
        last = german.messages[-1]
        assert isinstance(last, SnapshotMessage)
        assert last.services[0].title == "auth"


async def test_a_refusal_is_in_the_language_that_was_asked_for(world: World) -> None:
    """Judged, or met by a call; and what is no tag asks for none."""
    world.manager.use(in_german("auth"))
    await world.commit("auth", Status.DOWN)
    await until(lambda: world.manager.status("auth") is Status.DOWN)
    for locale, text, lang in (
        ("de-AT", "Niemand kann sich anmelden.", "de"),
        ("", "auth is unavailable, and we cannot connect you without it.", "en"),
        ("?", "auth is unavailable, and we cannot connect you without it.", "en"),
    ):
        for refusal in (
            world.manager.refuse(world.manager.admit(), locale=locale),
            world.manager.refuse_without("auth", locale=locale),
        ):
            assert refusal.message.text.startswith(text)
            assert refusal.message.lang == lang
            problem = refusal.problem()
            assert (problem["detail"], problem["lang"]) == (refusal.message.text, lang)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ""),
        ("locale=de", "de"),
        ("notices=1&locale=DE-at", "de-AT"),
        ("locale=fr&locale=de", "de"),
        ("locale=?", ""),
    ],
)
def test_a_client_asks_for_its_language_in_the_query(query: str, expected: str) -> None:
    """As it asks a node."""
    assert asked_locale(query) == expected


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
