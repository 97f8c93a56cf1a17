"""The chat as a FastAPI application, with the manager at its heart."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import structlog
from fastapi import Depends, FastAPI, HTTPException, Request, Response, WebSocket

from broadcaster.integrations.fastapi import ServiceUnavailable, available, install
from broadcaster.manager import ServiceAvailabilityManager, asked_locale, asks_for_notices
from broadcaster.node.pages.files import file_route, sdk_directory, web_directory
from broadcaster.node.pages.routes import PAGE_HEADERS
from broadcaster.protocol import codec
from broadcaster.protocol.messages import SUBPROTOCOL, Message
from broadcaster.sample.chat.activity import Activity, ReportAway
from broadcaster.sample.chat.agent import Agent
from broadcaster.sample.chat.events import MOST_ID_LETTERS, MOST_LETTERS, Ack, ChatMessage, Joined, Problem, Say
from broadcaster.sample.chat.history import MOST_WAITING, History, open_history
from broadcaster.sample.chat.parts import parts
from broadcaster.sample.chat.people import NotSignedIn, People, SignInFailed
from broadcaster.sample.chat.rooms import Member, Rooms
from broadcaster.sample.postgres import url as postgres_url

log = structlog.get_logger()

NEEDS = ("auth", "postgres", "redis")
"""The critical services, but for the chat backend itself, which is this."""

PROMPTLY = 0.3
"""Seconds in which a message is stored, or its author is told that it will be later."""

ASSISTANT = "@assistant "
MOST_QUESTIONS = 3
"""Questions of one connection that wait for the assistant; it answers one after the other."""

MOST_ROOM_LETTERS = 100
UNAUTHORIZED = 3500  # ours to choose: reconnecting with the same token cannot help

QUEUED = "Your message is kept, and will be stored as soon as the archive is back."
BUSY = "The assistant is still busy with your earlier questions."
FULL = "The archive has been away for too long to keep more messages. Please send it again later."


class Backend:
    """What the routes share, from the application's start to its end."""

    manager: ServiceAvailabilityManager
    people: People
    history: History
    rooms: Rooms
    activity: Activity
    agent: Agent


async def validate_startup(config: Path, env: Mapping[str, str] = os.environ) -> None:
    """Waits for what the chat cannot do without; see ``ServiceAvailabilityManager.validate_startup``.

    Before there is a server: one that starts heeds no SIGTERM until its application has started.
    """
    await ServiceAvailabilityManager.from_config(config, env=env).validate_startup(NEEDS)


def make_app(config: Path, env: Mapping[str, str] = os.environ) -> FastAPI:
    """The chat for a services.yaml, and services on the ports that ``SAMPLE_*_PORT`` in ``env`` name."""
    manager = ServiceAvailabilityManager.from_config(config, env=env)
    backend = Backend()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(manager)
            await manager.wait_loaded(timeout=5)
            await _open(backend, manager, env, stack)
            yield

    app = FastAPI(title="Sample chat", lifespan=lifespan)
    install(app, manager)
    _add_routes(app, manager, backend)
    _add_page(app, env)
    return app


async def _open(
    backend: Backend, manager: ServiceAvailabilityManager, env: Mapping[str, str], stack: AsyncExitStack
) -> None:
    def local(name: str, port: int) -> str:
        return f"http://127.0.0.1:{env.get(f'SAMPLE_{name}_PORT', port)}"

    backend.manager = manager
    backend.people = People(manager, local("AUTH", 8081))
    backend.rooms = Rooms(manager, env.get("REDIS_URL", "redis://127.0.0.1:6379/0"))
    backend.activity = Activity(manager, local("ANALYTICS", 8090))
    for each in (backend.people, backend.rooms, backend.activity):
        stack.push_async_callback(each.aclose)
    database = postgres_url(int(env.get("SAMPLE_POSTGRES_PORT", "5432")))
    most = int(env.get("SAMPLE_MOST_WAITING", MOST_WAITING))
    backend.history = await stack.enter_async_context(open_history(manager, database, most=most))
    backend.agent = Agent(
        manager,
        models={"assistant": local("ASSISTANT", 8091), "spare": local("SPARE", 8092)},
        history=backend.history,
        rooms=backend.rooms,
        activity=backend.activity,
    )
    stack.push_async_callback(backend.agent.aclose)
    for name, work in (("rooms", backend.rooms.run()), ("activity", backend.activity.outbox.run())):
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(_note_end)
        stack.callback(task.cancel)


def _add_routes(app: FastAPI, manager: ServiceAvailabilityManager, backend: Backend) -> None:
    @app.post("/login", dependencies=[Depends(available(manager, "auth"))])
    async def login(request: Request) -> Response:
        """The sign-in service's answer, or why there is none."""
        try:
            body = msgspec.json.decode(await request.body(), type=dict[str, str])
            answer = await backend.people.login(body.get("name", ""))
        except msgspec.DecodeError as error:
            raise HTTPException(422, str(error)) from error
        except SignInFailed as error:
            raise ServiceUnavailable(manager.refuse_without("auth")) from error
        return Response(answer.content, answer.status_code, media_type="application/json")

    @app.get("/history/{room}")
    async def recent(room: str) -> dict[str, Any]:
        """What was said; from memory, and less of it, while the archive is away."""
        messages, is_complete = await backend.agent.recent(room)
        return {"messages": msgspec.to_builtins(messages), "is_complete": is_complete}

    @app.get("/reports", dependencies=[Depends(available(manager, "analytics", "clickhouse"))])
    async def reports() -> Response:
        """How often what happened."""
        try:
            counts = await backend.activity.report()
        except ReportAway as error:
            raise ServiceUnavailable(manager.refuse_without(error.service)) from error
        return Response(msgspec.json.encode(counts), media_type="application/json")

    @app.websocket("/ws", dependencies=[Depends(available(manager, *NEEDS))])
    async def chat(socket: WebSocket, token: str = "", room: str = "lobby") -> None:
        try:
            name = await backend.people.verify(token)
        except SignInFailed as error:
            # Before everybody knows that it is down, somebody is the first to meet it.
            refusal = manager.refuse_without("auth", locale=asked_locale(socket.url.query))
            raise ServiceUnavailable(refusal) from error
        except NotSignedIn:
            await _accept(socket)
            await socket.close(UNAUTHORIZED, "please sign in again: this token is not valid")
            return
        await _accept(socket)
        await _serve(backend, socket, Member(socket, name, room.replace("\0", "")[:MOST_ROOM_LETTERS]))


async def _accept(socket: WebSocket) -> None:
    """With the subprotocol if it is offered: a browser drops a connection for which none that it named is chosen."""
    await socket.accept(SUBPROTOCOL if SUBPROTOCOL in socket.scope.get("subprotocols", ()) else None)


def _add_page(app: FastAPI, env: Mapping[str, str]) -> None:
    """The page, for which everything is on one port: files, requests, and the WebSocket."""

    @app.get("/parts")
    async def running() -> Response:
        """What the sample consists of, and what to type to end it and to start it again, where that is known."""
        return Response(msgspec.json.encode(parts(env.get("SAMPLE_PARTS"))), media_type="application/json")

    demo = web_directory("broadcaster.sample", "demo", checkout="demo")
    app.router.routes.append(file_route("/sdk", sdk_directory(), PAGE_HEADERS))
    app.router.routes.append(file_route("", demo, PAGE_HEADERS, index="index.html"))


async def _serve(backend: Backend, socket: WebSocket, member: Member) -> None:
    """One connection, from its joining to its end."""
    reduced = [each.feature for each in backend.manager.admit(requires=NEEDS).reduced]
    member.tell(Joined(member.name, member.room, reduced))
    async with AsyncExitStack() as stack:
        if asks_for_notices(socket.scope.get("subprotocols", ()), socket.url.query):
            locale = asked_locale(socket.url.query)
            await stack.enter_async_context(backend.manager.attach(member.tell_notice, _as_event, locale=locale))
        stack.enter_context(backend.rooms.joined(member))
        backend.activity.note("joined", member.room)
        acknowledging: set[asyncio.Task[None]] = set()
        questions: asyncio.Queue[str] = asyncio.Queue(MOST_QUESTIONS)
        for name, work in (("sending", member.run()), ("assistant", _answer(backend, member, questions))):
            task = asyncio.create_task(work, name=name)
            task.add_done_callback(_note_end)
            stack.callback(task.cancel)
        stack.callback(lambda: [each.cancel() for each in acknowledging])
        async for said in _heard(socket, member):
            stored = _say(backend, member, said, questions)
            if stored is not None:
                task = asyncio.create_task(_acknowledge(member, said.id, stored))
                acknowledging.add(task)
                task.add_done_callback(acknowledging.discard)


async def _heard(socket: WebSocket, member: Member) -> AsyncIterator[Say]:
    """What a client says, until it is gone; what makes no sense is answered in words."""
    while (received := await socket.receive())["type"] == "websocket.receive":
        text = received.get("text")
        try:
            if text is None:
                raise msgspec.DecodeError("messages are text, not binary")
            said = msgspec.json.decode(text, type=Say)
            if not 0 < len(said.id) <= MOST_ID_LETTERS or "\0" in said.id:
                raise msgspec.DecodeError(f"an id has 1 to {MOST_ID_LETTERS} letters")
        except msgspec.DecodeError as error:
            member.tell(Problem(f"not understood: {error}"))
        else:
            yield said


def _say(backend: Backend, member: Member, said: Say, questions: asyncio.Queue[str]) -> asyncio.Future[None] | None:
    """Tells the room; what is done when it is stored, None for a message that was refused."""
    if not said.text.strip() or len(said.text) > MOST_LETTERS or "\0" in said.text:
        member.tell(Ack(said.id, "refused", f"A message has 1 to {MOST_LETTERS} letters, and no NUL.", "invalid"))
        return None
    is_question = said.text.startswith(ASSISTANT)
    if is_question and questions.full():
        member.tell(Ack(said.id, "refused", BUSY, "busy"))
        return None
    message = ChatMessage(said.id, member.room, member.name, said.text, time.time())
    try:
        stored = backend.history.keep(message)
    except OverflowError:
        member.tell(Ack(said.id, "refused", FULL, "full"))
        return None
    backend.rooms.say(message)
    backend.activity.note("message", member.room)
    if is_question:
        questions.put_nowait(said.text.removeprefix(ASSISTANT))
    return stored


async def _answer(backend: Backend, member: Member, questions: asyncio.Queue[str]) -> None:
    while True:
        await backend.agent.answer(await questions.get(), member.room, member.tell)


async def _acknowledge(member: Member, message: str, stored: asyncio.Future[None]) -> None:
    await asyncio.wait({stored}, timeout=PROMPTLY)
    if not stored.done():
        member.tell(Ack(message, "queued", QUEUED))
    try:
        await asyncio.shield(stored)
    except Exception:  # noqa: BLE001 - logged where it was raised
        member.tell(Ack(message, "refused", "This message could not be stored.", "failed"))
    else:
        member.tell(Ack(message, "stored"))


def _note_end(task: asyncio.Task[None]) -> None:
    """Work that goes on for as long as something else does not end by itself; if it does, somebody must hear of it."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("task_failed", task=task.get_name(), exc_info=error)


def _as_event(message: Message) -> str:
    """What the manager has to tell, as one of the chat's own events."""
    return f'{{"event":"notice","notice":{codec.encode(message).decode()}}}'
