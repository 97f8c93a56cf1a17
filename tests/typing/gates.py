"""What a type checker makes of gates, and of notices on one's own sockets. Checked, never run: see test_typing.py."""

from __future__ import annotations

from typing import Annotated, assert_type

from fastapi import APIRouter, Depends, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Route
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request

from broadcaster.integrations import asgi
from broadcaster.integrations.asgi import ServiceGate, health_routes
from broadcaster.integrations.fastapi import RESPONSES, Admission, ServiceUnavailable, available, install, lifespan
from broadcaster.integrations.websockets import WebSocketGate, select_subprotocol
from broadcaster.manager import ServiceAvailabilityManager
from broadcaster.manager.attachments import Attachment
from broadcaster.manager.refusals import Refusal
from broadcaster.protocol.messages import Message, Notice

manager = ServiceAvailabilityManager.from_config("services.yaml")


# FastAPI

app = FastAPI(lifespan=lifespan(manager), responses=RESPONSES)
install(app, manager, health=False, operator_token="secret", deny=True)
install(Starlette(), manager)  # type: ignore[arg-type]  # FastAPI only
install(app)  # type: ignore[call-arg]


def named(connection: HTTPConnection) -> str | None:
    return connection.headers.get("x-user")


def numbered(connection: HTTPConnection) -> int:
    return 7


needs_clickhouse = available(manager, "clickhouse", "postgres", user=named)
available(manager, ["clickhouse"])  # type: ignore[arg-type]  # one by one
available(manager, user=numbered)  # type: ignore[arg-type]
router = APIRouter(dependencies=[Depends(needs_clickhouse)], responses=RESPONSES)


@app.get("/reports")
async def reports(admission: Annotated[Admission, Depends(available(manager, "clickhouse"))]) -> str:
    assert_type(admission, Admission)
    return admission.verdict


@app.websocket("/ws", dependencies=[Depends(available(manager))])
async def chat(socket: WebSocket) -> None:
    assert_type(await needs_clickhouse(socket), Admission)
    async with manager.attach(socket):
        pass


def telling(error: ServiceUnavailable) -> None:
    assert_type(error.refusal, Refusal)


# Starlette, and anything else that speaks ASGI

starlette = Starlette(routes=health_routes(manager), lifespan=asgi.lifespan(manager))
assert_type(health_routes(manager), list[Route])
gated = ServiceGate(starlette, manager, {"/ws": None, "/login": ("auth",), "/open": []})
assert_type(gated, ServiceGate)
ServiceGate(app, manager, {"/ws": None}, deny=True)
ServiceGate(starlette, manager, {"/ws": 7})  # type: ignore[dict-item]
ServiceGate(starlette, manager)  # type: ignore[call-arg]
app.add_middleware(ServiceGate, manager=manager, paths={"/ws": None})


# websockets

gate = WebSocketGate(manager, paths={"/ws": None}, user=lambda request: request.headers.get("x-user"))
WebSocketGate(manager, ("auth",))  # type: ignore[call-arg]  # by name only


@gate.guard
async def talk(connection: ServerConnection) -> None: ...


@gate.guard
async def talk_in(connection: ServerConnection, room: str) -> None: ...


@gate.guard  # type: ignore[arg-type]
async def talk_to_a_client(connection: ClientConnection) -> None: ...


async def serving(connection: ServerConnection, request: Request) -> None:
    async with (
        serve(talk),
        serve(gate.guard(talk), process_request=gate.process_request, select_subprotocol=select_subprotocol("chat")),
    ):
        pass
    serve(talk_in)  # type: ignore[arg-type]  # it takes a room, too
    assert_type(await talk(connection), None)
    await talk_in(connection, "attic")
    await talk_in(connection)  # type: ignore[call-arg]


# Notices


def in_our_words(message: Message) -> str | None:
    return message.text if isinstance(message, Notice) else None


async def noticing(socket: WebSocket, connection: ServerConnection, client: ClientConnection) -> None:
    async def send(text: str) -> None: ...

    async with manager.attach(socket, format=in_our_words) as attachment:
        assert_type(attachment, Attachment)
    manager.attach(connection)
    manager.attach(client, in_our_words, greet=False)
    manager.attach(send)
    manager.attach(7)  # type: ignore[arg-type]
    manager.attach(socket, format="json")  # type: ignore[arg-type]
