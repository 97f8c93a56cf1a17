"""Whoever asked for a language is told in it as soon as there are words in it, whatever becomes of the connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from broadcaster.config.settings import NodeSettings
from broadcaster.domain.model import Status
from broadcaster.domain.scope import Scope
from broadcaster.node.connection import Connection
from broadcaster.node.counts import NodeCounts
from broadcaster.node.crowd import Crowd
from broadcaster.node.hub import Hub
from tests.support.managers import World, in_german, running_world, until

GERMAN = Scope(locale="de-AT")


class Wire(asyncio.Transport):
    """Takes what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """The connection is called by the test."""

    def get_write_buffer_size(self) -> int:
        return 0

    def titles(self) -> list[str]:
        """What auth is called in each message with a view of it."""
        return [
            title
            for data in self.written
            for title in ("Anmeldung", "auth")
            if b'"title":"%s"' % title.encode() in data
        ]


class Node:
    """A hub, and the clients that came to it."""

    def __init__(self, world: World) -> None:
        # With a certificate nothing is written past the transport.
        settings = NodeSettings(tls_certificate="unused", tls_key="unused")
        self.crowd = Crowd(10, None)
        self.hub = Hub(world.manager, settings, NodeCounts(), self.crowd)

    def join(self, scope: Scope) -> tuple[Connection, Wire]:
        wire = Wire()
        return self.hub.join(wire, self.crowd.enter(wire), b"", gated=False, scope=scope), wire


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with running_world() as made:
        yield made


async def test_a_slow_client_catches_up_in_the_language_that_came_meanwhile(world: World) -> None:
    """Taken off while there were no words in it; and then told what comes, in it."""
    node = Node(world)
    slow, wire = node.join(GERMAN)
    node.hub.pause(slow)
    world.manager.use(in_german("auth"))
    assert (wire.titles(), node.hub.audiences) == (["auth"], 2)
    node.hub.resume(slow)
    assert wire.titles() == ["auth", "Anmeldung"]
    await world.commit("auth", Status.DOWN)
    await until(lambda: len(wire.titles()) == 3)
    assert wire.titles()[-1] == "Anmeldung"


async def test_one_that_is_gone_or_going_is_no_reader(world: World) -> None:
    """Languages that nobody reads any more are not told, and nothing is left of those who asked."""
    node = Node(world)
    leaving, wire = node.join(GERMAN)
    gone, _ = node.join(Scope(locale="de"))
    gone.connection_lost(None)
    node.hub.leave(leaving)
    world.manager.use(in_german("auth"))
    await asyncio.sleep(0)
    assert wire.titles() == ["auth"]
    leaving.connection_lost(None)
    assert (node.hub.audiences, node.crowd.open) == (1, 0)
    world.manager.use(in_german())
    assert node.hub.audiences == 1


async def test_what_was_told_before_the_change_is_not_told_after_it(world: World) -> None:
    """A client that changes its language gets one snapshot, and no news of before in the other words."""
    node = Node(world)
    _, german = node.join(GERMAN)
    _, english = node.join(Scope())
    world.manager.use(in_german("auth"))
    await until(lambda: bool(english.written[1:] and german.written[1:]))
    assert german.titles() == ["auth", "Anmeldung"]
    assert english.titles() == ["auth", "auth"]
    world.manager.use(in_german())
    await until(lambda: bool(english.written[2:] and german.written[2:]))
    assert german.titles() == ["auth", "Anmeldung", "auth"]
    assert node.hub.audiences == 1
