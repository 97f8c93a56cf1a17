"""A gate for servers of the ``websockets`` library, with real clients: who passes, and what the others are told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
import websockets
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from broadcaster.config.settings import GateSettings
from broadcaster.domain.admission import Enforcement, is_chosen
from broadcaster.domain.model import Status
from broadcaster.integrations.websockets import WebSocketGate, select_subprotocol
from broadcaster.protocol import codec
from broadcaster.protocol.messages import Rejected
from tests.support.applications import told
from tests.support.managers import SETTINGS, World, in_german, running_world, until
from tests.support.ports import LOOPBACK
from tests.support.stack import DEADLINE


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with running_world() as made:
        yield made


async def become(world: World, service: str, status: Status) -> None:
    await world.commit(service, status)
    await until(lambda: world.manager.status(service) is status)


@asynccontextmanager
async def serving(handler: Callable[[ServerConnection], Awaitable[None]], **options: Any) -> AsyncIterator[str]:
    async with serve(handler, LOOPBACK, 0, **options) as server:
        yield f"ws://{LOOPBACK}:{server.sockets[0].getsockname()[1]}"


async def chat(client: ServerConnection) -> None:
    await client.send("hello")


async def test_while_all_is_well_everybody_passes(world: World) -> None:
    """Through either gate."""
    gate = WebSocketGate(world.manager)
    async with serving(gate.guard(chat)) as guarded, serving(chat, process_request=gate.process_request) as upgraded:
        for url in (guarded, upgraded):
            assert await told(url) == (["hello"], 1000, "")


async def test_who_cannot_be_served_is_told_why(world: World) -> None:
    """A message with what is missing and when to come back, then 1011 with a reason; and served again afterwards."""
    async with serving(WebSocketGate(world.manager).guard(chat)) as url:
        await become(world, "auth", Status.DOWN)
        [message], code, reason = await told(url)
        rejected = codec.decode_message(message)
        assert isinstance(rejected, Rejected)
        assert [each.name for each in rejected.services] == ["auth"]
        assert rejected.retry_after_ms >= 5000
        assert (code, reason) == (1011, "auth is unavailable; please retry in a few seconds")
        await become(world, "auth", Status.UP)
        assert (await told(url))[0] == ["hello"]


async def test_the_query_says_in_which_language(world: World) -> None:
    """Through either gate."""
    gate = WebSocketGate(world.manager)
    world.manager.use(in_german("auth"))
    await become(world, "auth", Status.DOWN)
    async with serving(gate.guard(chat)) as guarded, serving(chat, process_request=gate.process_request) as upgraded:
        [message], _, _ = await told(f"{guarded}/?locale=de-AT")
        rejected = codec.decode_message(message)
        assert isinstance(rejected, Rejected)
        assert (rejected.text, rejected.lang) == ("Niemand kann sich anmelden.", "de")
        with pytest.raises(websockets.InvalidStatus) as refused:
            await told(f"{upgraded}/?x=1&locale=de")
        problem = json.loads(refused.value.response.body)
        assert (problem["detail"], problem["lang"]) == (rejected.text, "de")


async def test_an_upgrade_that_is_refused_says_why(world: World) -> None:
    """503 with a time and a problem, to a WebSocket client and to plain HTTP."""
    gate = WebSocketGate(world.manager)
    async with serving(chat, process_request=gate.process_request) as url:
        await become(world, "auth", Status.DOWN)
        with pytest.raises(websockets.InvalidStatus) as refused:
            await told(url)
        response = refused.value.response
        assert response.status_code == 503
        assert response.headers.get_all("content-type") == ["application/problem+json"]
        problem = json.loads(response.body)
        assert problem["services"][0]["name"] == "auth"
        assert int(response.headers["retry-after"]) == max(1, round(problem["retry_after_ms"] / 1000))
        async with httpx.AsyncClient(trust_env=False) as client:
            plain = await client.get(url.replace("ws:", "http:"))
        assert plain.status_code == 503
        assert plain.json()["services"][0]["name"] == "auth"


async def test_the_gate_stands_in_a_function_of_ones_own(world: World) -> None:
    """Which answers health checks itself."""
    gate = WebSocketGate(world.manager)

    def process_request(connection: ServerConnection, request: Request) -> Response | None:
        if request.path == "/livez":
            return connection.respond(200, "ok\n")
        return gate.process_request(connection, request)

    async with serving(chat, process_request=process_request) as url, httpx.AsyncClient(trust_env=False) as client:
        await become(world, "auth", Status.DOWN)
        assert (await client.get(url.replace("ws:", "http:") + "/livez")).text == "ok\n"
        with pytest.raises(websockets.InvalidStatus):
            await told(url)


async def test_a_path_is_judged_by_what_it_needs(world: World) -> None:
    """The longest path counts, whatever its query and spelling; what is not named passes."""
    gate = WebSocketGate(world.manager, paths={"/ws": None, "/ws/open": (), "/ws/cache": ("redis",)})
    async with serving(gate.guard(chat)) as url:
        await become(world, "auth", Status.DOWN)
        for path in ("/ws", "/ws/deeper", "/ws?token=1", "/%77s"):
            assert (await told(url + path))[1] == 1011, path
        for path in ("/ws/open", "/ws/cache", "/other", "/wsx"):
            assert (await told(url + path))[0] == ["hello"], path
        await become(world, "redis", Status.DOWN)
        assert (await told(url + "/ws/cache?notices=1"))[1] == 1011


async def test_one_requirement_holds_for_every_path(world: World) -> None:
    async with serving(WebSocketGate(world.manager, requires=("redis",)).guard(chat)) as url:
        await become(world, "auth", Status.DOWN)
        assert (await told(url + "/any"))[0] == ["hello"]
        await become(world, "redis", Status.DOWN)
        assert (await told(url + "/any"))[1] == 1011


async def test_a_handlers_further_arguments_reach_it(world: World) -> None:
    """As the library's router passes them."""
    gate = WebSocketGate(world.manager)

    @gate.guard
    async def room(client: ServerConnection, name: str, *, greeting: str) -> None:
        await client.send(f"{greeting} {name}")

    async def routed(client: ServerConnection) -> None:
        await room(client, "attic", greeting="welcome to the")

    async with serving(routed) as url:
        assert (await told(url))[0] == ["welcome to the attic"]
        await become(world, "auth", Status.DOWN)
        assert (await told(url))[1] == 1011


async def test_who_asks_counts_where_some_are_refused(world: World) -> None:
    """With ``enforce_percent``: by a name in the request."""
    gate = WebSocketGate(world.manager, user=lambda request: request.headers.get("x-user"))
    chosen = next(name for name in map(str, range(100)) if is_chosen(name, 50))
    spared = next(name for name in map(str, range(100)) if not is_chosen(name, 50))
    async with serving(gate.guard(chat)) as url:
        await become(world, "auth", Status.DOWN)
        world.manager.gate.use(world.manager.catalogue, GateSettings(mode=Enforcement.ENFORCE, enforce_percent=50))
        assert (await told(url, additional_headers={"x-user": chosen}))[1] == 1011
        assert (await told(url, additional_headers={"x-user": spared}))[0] == ["hello"]
        assert (await told(url))[0] == ["hello"]


async def test_a_service_that_left_the_settings_is_missed_by_nobody(world: World) -> None:
    async with serving(WebSocketGate(world.manager, requires=("redis",)).guard(chat)) as url:
        await become(world, "redis", Status.DOWN)
        assert (await told(url))[1] == 1011
        left = {name: each for name, each in SETTINGS.services.items() if name != "redis"}
        world.manager.use(msgspec.structs.replace(SETTINGS, services=left, redis=type(SETTINGS.redis)()))
        assert (await told(url))[0] == ["hello"]


async def test_a_client_that_goes_away_while_it_is_told_leaves_no_trace(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """The library would log a handler that failed."""
    ended = asyncio.Event()
    guarded = WebSocketGate(world.manager).guard(chat)

    async def late(client: ServerConnection) -> None:
        await client.wait_closed()
        await guarded(client)
        ended.set()

    async with serving(late) as url:
        await become(world, "auth", Status.DOWN)
        async with websockets.connect(url):
            pass
        async with asyncio.timeout(DEADLINE):
            await ended.wait()
    assert [each for each in caplog.records if each.levelname == "ERROR"] == []


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(["chat.v1", "chat.v2"], "chat.v2"), (["availability.v1"], "availability.v1"),
     (["availability.v1", "chat.v1"], "chat.v1"), (["other"], None), (None, None)],
)  # fmt: skip
async def test_a_client_gets_a_subprotocol_that_both_speak(
    world: World, offered: list[Any] | None, chosen: str | None
) -> None:
    """The application's own first, in its order; and one that offers none is served all the same."""
    guarded = WebSocketGate(world.manager).guard(chat)
    async with serving(guarded, select_subprotocol=select_subprotocol("chat.v2", "chat.v1")) as url:
        for status in (Status.DOWN, Status.UP):
            await become(world, "auth", status)
            async with websockets.connect(url, subprotocols=offered) as client:
                assert client.subprotocol == chosen
                text = await client.recv()
                assert (text == "hello") is (status is Status.UP)


async def test_mistakes_are_found_at_once(world: World) -> None:
    with pytest.raises(ValueError, match="nobody"):
        WebSocketGate(world.manager, requires=("nobody",))
    with pytest.raises(ValueError, match="nobody"):
        WebSocketGate(world.manager, paths={"/": ("nobody",)})
    with pytest.raises(ValueError, match="requires is for all paths"):
        WebSocketGate(world.manager, requires=(), paths={})
