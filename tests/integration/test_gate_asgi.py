"""A gate before an application of one's own, on a real server: who passes, and what the others are told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn
import websockets
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from broadcaster.config.settings import GateSettings
from broadcaster.domain.admission import Enforcement
from broadcaster.domain.model import Status
from broadcaster.integrations.asgi import ServiceGate, health_routes
from broadcaster.integrations.asgi.gate import STATE
from broadcaster.protocol import codec
from broadcaster.protocol.messages import Rejected
from tests.support.managers import World, in_german, running_world, until
from tests.support.ports import LOOPBACK

PATHS: Mapping[str, Sequence[str] | None] = {"/ws": None, "/ws/open": (), "/ws/cache": ("redis",), "/orders": ("auth",)}


async def chat(client: WebSocket) -> None:
    """Says what the gate found, and ends."""
    await client.accept(subprotocol=next(iter(client.scope["subprotocols"]), None))
    await client.send_text(client.scope.get("state", {})[STATE].verdict.value)
    await client.close()


async def orders(request: Request) -> PlainTextResponse:
    return PlainTextResponse("yours")


class Application:
    """Behind the gate, on a port."""

    def __init__(self, world: World, port: int) -> None:
        self.world = world
        self.url = f"http://{LOOPBACK}:{port}"
        self.ws_url = f"ws://{LOOPBACK}:{port}"

    async def become(self, service: str, status: Status) -> None:
        await self.world.commit(service, status)
        await until(lambda: self.world.manager.status(service) is status)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(self.url + path, headers=headers)


@asynccontextmanager
async def serving(world: World, *, deny: bool = False) -> AsyncIterator[Application]:
    routes = [
        Route("/orders/{number}", orders),
        Route("/other", orders),
        *(WebSocketRoute(path, chat) for path in ("/ws", "/ws/open", "/ws/cache", "/ws/deeper")),
        *health_routes(world.manager, operator_token="secret"),
    ]
    app = ServiceGate(Starlette(routes=routes), world.manager, PATHS, deny=deny)
    with socket.create_server((LOOPBACK, 0)) as listener:
        config = uvicorn.Config(app, ws="websockets-sansio", lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started)
        yield Application(world, listener.getsockname()[1])
        server.should_exit = True
        await running


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with running_world() as made:
        yield made


@pytest.fixture
async def application(world: World) -> AsyncIterator[Application]:
    async with serving(world) as made:
        yield made


async def told(url: str, **options: Sequence[str]) -> tuple[list[str], int | None, str | None]:
    """Everything that a client is told: messages, close code and reason."""
    async with websockets.connect(url, **options) as client:  # type: ignore[arg-type]
        messages = []
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                messages.append(str(await client.recv()))
        return messages, client.close_code, client.close_reason


async def test_while_all_is_well_everybody_passes(application: Application) -> None:
    """And the application finds the verdict."""
    assert await told(application.ws_url + "/ws") == (["accept"], 1000, "")
    assert (await application.get("/orders/1")).text == "yours"


async def test_a_socket_that_cannot_be_served_is_told_why(application: Application) -> None:
    """A message with what is missing and when to come back, then 1011 with a reason; below the path as well."""
    await application.become("auth", Status.DOWN)
    for path in ("/ws", "/ws/deeper"):
        [message], code, reason = await told(application.ws_url + path)
        rejected = codec.decode_message(message)
        assert isinstance(rejected, Rejected)
        assert [each.name for each in rejected.services] == ["auth"]
        assert rejected.retry_after_ms >= 5000
        assert (code, reason) == (1011, "auth is unavailable; please retry in a few seconds")
    await application.become("auth", Status.UP)
    assert (await told(application.ws_url + "/ws"))[0] == ["accept"]


async def test_the_query_says_in_which_language(world: World, application: Application) -> None:
    """Over WebSocket and over HTTP; a query of somebody else's makes no difference."""
    world.manager.use(in_german("auth"))
    await application.become("auth", Status.DOWN)
    for query, text in (
        ("?locale=de-AT", "Niemand kann sich anmelden."),
        ("?locale=%ff&x=1", "auth is unavailable, and we cannot connect you without it."),
    ):
        [message], code, _ = await told(f"{application.ws_url}/ws{query}")
        rejected = codec.decode_message(message)
        assert isinstance(rejected, Rejected)
        assert rejected.text.startswith(text)
        assert code == 1011
        problem = (await application.get(f"/orders/1{query}")).json()
        assert problem["detail"].startswith(text)
        assert problem["lang"] == rejected.lang == ("de" if "de" in query else "en")


async def test_a_path_is_judged_by_what_it_needs(application: Application) -> None:
    """The longest path counts: what needs nothing, or something else, passes."""
    await application.become("auth", Status.DOWN)
    assert (await told(application.ws_url + "/ws/open"))[0] == ["accept_degraded"]
    assert (await told(application.ws_url + "/ws/cache"))[0] == ["accept_degraded"]
    assert (await application.get("/other")).status_code == 200
    await application.become("redis", Status.DOWN)
    assert (await told(application.ws_url + "/ws/cache"))[1] == 1011


async def test_a_client_that_offers_subprotocols_gets_one(application: Application) -> None:
    """Browsers break off without; ours is taken where it is offered."""
    await application.become("auth", Status.DOWN)
    for offered, chosen in ((["chat.v2"], "chat.v2"), (["chat.v2", "availability.v1"], "availability.v1")):
        async with websockets.connect(application.ws_url + "/ws", subprotocols=offered) as client:  # type: ignore[arg-type]
            assert client.subprotocol == chosen
            assert isinstance(codec.decode_message(await client.recv()), Rejected)


async def test_http_gets_a_problem_and_a_time(application: Application) -> None:
    await application.become("auth", Status.DOWN)
    answer = await application.get("/orders/1")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert int(answer.headers["retry-after"]) == max(1, round(problem["retry_after_ms"] / 1000))
    assert problem["status"] == 503
    assert problem["services"][0]["name"] == "auth"
    assert "auth is unavailable" in problem["detail"]


async def test_a_denial_where_the_client_can_see_it(world: World) -> None:
    """Status 503 with Retry-After in place of the upgrade."""
    async with serving(world, deny=True) as application:
        await application.become("auth", Status.DOWN)
        with pytest.raises(websockets.InvalidStatus) as refused:
            await told(application.ws_url + "/ws")
        response = refused.value.response
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) >= 5
        assert json.loads(response.body)["services"][0]["name"] == "auth"


@pytest.mark.parametrize(
    ("mode", "percent", "verdict"),
    [(Enforcement.OBSERVE, 100, "accept_degraded"), (Enforcement.ENFORCE, 0, "accept_degraded"),
     (Enforcement.OFF, 100, "accept")],
)  # fmt: skip
async def test_what_is_not_enforced_is_counted(
    application: Application, mode: Enforcement, percent: float, verdict: str
) -> None:
    """Whoever would be refused passes; switched off, nobody is judged."""
    await application.become("auth", Status.DOWN)
    manager = application.world.manager
    manager.gate.use(manager.catalogue, GateSettings(mode=mode, enforce_percent=percent))
    assert (await told(application.ws_url + "/ws"))[0] == [verdict]
    assert manager.gate.unenforced == (0 if mode is Enforcement.OFF else 1)


async def test_health_pages(application: Application) -> None:
    """A summary, the whole with what only operators see, and what a load balancer asks."""
    assert (await application.get("/livez")).text == "ok\n"
    assert (await application.get("/readyz")).json()["status"] == "ready"
    summary = await application.get("/health")
    assert (summary.status_code, summary.json()["status"]) == (200, "pass")
    assert "checks" not in summary.json()
    assert summary.json()["stale"] is False
    assert 0 <= summary.json()["age_seconds"] < 60
    await application.become("auth", Status.DOWN)
    assert ((await application.get("/health")).status_code, (await application.get("/livez")).status_code) == (503, 200)
    public = (await application.get("/health/dependencies")).json()["checks"]["auth:availability"][0]
    internal = (await application.get("/health/dependencies", authorization="Bearer secret")).json()
    assert "revision" not in public
    assert internal["checks"]["auth:availability"][0]["revision"] > 0


async def test_a_gate_on_a_path_that_no_request_has_is_refused(world: World) -> None:
    with pytest.raises(ValueError, match="does not begin with '/'"):
        ServiceGate(Starlette(), world.manager, {"ws": None})


async def test_a_gate_for_a_service_that_there_is_not_is_refused(world: World) -> None:
    with pytest.raises(ValueError, match="nobody"):
        ServiceGate(Starlette(), world.manager, {"/ws": ("nobody",)})
