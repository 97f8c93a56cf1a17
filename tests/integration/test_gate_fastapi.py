"""FastAPI routes that name what they require, on a real server: who passes, and what the others are told."""

# Annotations are evaluated where they stand: FastAPI could not find what is local to a function by its name later.

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import msgspec
import pytest
import websockets
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from starlette.requests import HTTPConnection, Request

from broadcaster.config.settings import GateSettings
from broadcaster.domain.admission import Enforcement, Verdict, is_chosen
from broadcaster.domain.model import Status
from broadcaster.integrations.fastapi import RESPONSES, Admission, ServiceUnavailable, available, install, lifespan
from broadcaster.manager.manager import ServiceAvailabilityManager
from broadcaster.protocol import codec
from broadcaster.protocol.messages import Rejected
from broadcaster.store.base import Reading
from broadcaster.store.memory import MemoryStore
from broadcaster.store.redis import RedisStore
from tests.support.applications import Served, serving
from tests.support.managers import SETTINGS, World, in_german, running_world, until
from tests.support.ports import LOOPBACK, free_port


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with running_world() as made:
        yield made


async def become(world: World, service: str, status: Status) -> None:
    await world.commit(service, status)
    await until(lambda: world.manager.status(service) is status)


def make_app(world: World, *, installs: Callable[[FastAPI], None] | None = None) -> FastAPI:
    """Routes of every kind, that need redis, auth, or all critical services."""
    manager = world.manager
    app = FastAPI()
    (installs or (lambda app: install(app, manager, operator_token="secret")))(app)
    needs_redis = Depends(available(manager, "redis"))

    @app.get("/reports", responses=RESPONSES)
    async def reports(admission: Annotated[Admission, needs_redis]) -> str:
        return admission.verdict.value

    @app.get("/sync", dependencies=[needs_redis])
    def sync(request: Request) -> str:
        admission: Admission = request.state.availability
        return admission.verdict.value

    @app.get("/open")
    async def free() -> str:
        return "everybody's"

    router = APIRouter(prefix="/orders", dependencies=[Depends(available(manager, "auth"))])

    @router.get("/{number}")
    async def order(number: int) -> int:
        return number

    app.include_router(router)

    @app.websocket("/ws")
    async def chat(socket: WebSocket, admission: Annotated[Admission, Depends(available(manager))]) -> None:
        await socket.accept(subprotocol=next(iter(socket.scope["subprotocols"]), None))
        await socket.send_text(admission.verdict.value)
        await socket.close()

    async def signed_in(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("who are you?")
        await socket.receive_text()

    @app.websocket("/ws/signed-in", dependencies=[Depends(signed_in), Depends(available(manager))])
    async def private(socket: WebSocket) -> None:
        await socket.close()

    async def gone(socket: WebSocket) -> None:
        await socket.accept()
        assert (await socket.receive())["type"] == "websocket.disconnect"

    app.add_api_websocket_route("/ws/gone", private, dependencies=[Depends(gone), Depends(available(manager))])
    return app


@asynccontextmanager
async def application(world: World, **options: Any) -> AsyncIterator[Served]:
    manager = world.manager
    async with serving(make_app(world, installs=lambda app: install(app, manager, **options))) as served:
        yield served


async def test_while_all_is_well_everybody_passes(world: World) -> None:
    """And a route finds its admission."""
    async with application(world) as served:
        assert (await served.get("/reports")).json() == "accept"
        assert (await served.get("/sync")).json() == "accept"
        assert (await served.get("/orders/7")).json() == 7
        assert await served.told("/ws") == (["accept"], 1000, "")


async def test_a_route_is_judged_by_what_it_needs(world: World) -> None:
    """503 with a time and a problem, for routes of every kind; what needs something else goes on, and is told so."""
    async with application(world) as served:
        await become(world, "redis", Status.DOWN)
        for path in ("/reports", "/sync"):
            answer = await served.get(path)
            assert answer.status_code == 503
            assert answer.headers["content-type"] == "application/problem+json"
            problem = answer.json()
            assert [each["name"] for each in problem["services"]] == ["redis"]
            assert int(answer.headers["retry-after"]) == max(1, round(problem["retry_after_ms"] / 1000))
        assert (await served.get("/open")).status_code == (await served.get("/orders/7")).status_code == 200
        await become(world, "redis", Status.UP)
        await become(world, "auth", Status.DOWN)
        assert (await served.get("/orders/7")).status_code == 503
        assert (await served.get("/reports")).json() == "accept_degraded"


@pytest.mark.parametrize("offered", [None, ["chat.v2"]])
async def test_a_socket_that_cannot_be_served_is_told_why(world: World, offered: Any) -> None:
    """Before the route sees it: a message, then 1011; with a subprotocol of those that it offered."""
    async with application(world) as served:
        await become(world, "auth", Status.DOWN)
        async with websockets.connect(served.ws_url + "/ws", subprotocols=offered) as client:
            assert client.subprotocol == (offered[0] if offered else None)
        [message], code, reason = await served.told("/ws", subprotocols=offered)
        rejected = codec.decode_message(message)
        assert isinstance(rejected, Rejected)
        assert [each.name for each in rejected.services] == ["auth"]
        assert (code, reason) == (1011, "auth is unavailable; please retry in a few seconds")


async def test_the_query_says_in_which_language(world: World) -> None:
    """Of a route, and of a socket."""
    world.manager.use(in_german("auth"))
    async with application(world) as served:
        await become(world, "auth", Status.DOWN)
        [message], _, _ = await served.told("/ws?locale=de-AT")
        rejected = codec.decode_message(message)
        assert isinstance(rejected, Rejected)
        assert (rejected.text, rejected.lang) == ("Niemand kann sich anmelden.", "de")
        problem = (await served.get("/orders/7?locale=de")).json()
        assert (problem["detail"], problem["lang"]) == (rejected.text, "de")


async def test_a_socket_that_was_accepted_already_is_told_why(world: World) -> None:
    """Where a dependency accepted it to ask who is there."""
    async with application(world) as served:
        await become(world, "auth", Status.DOWN)
        async with websockets.connect(served.ws_url + "/ws/signed-in") as client:
            assert await client.recv() == "who are you?"
            await client.send("anna")
            assert isinstance(codec.decode_message(await client.recv()), Rejected)
            await client.wait_closed()
            assert client.close_code == 1011


async def test_a_socket_that_went_away_is_not_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """And nothing is logged of it."""
    async with application(world) as served:
        await become(world, "auth", Status.DOWN)
        async with websockets.connect(served.ws_url + "/ws/gone"):
            pass
    assert [each for each in caplog.records if each.levelname == "ERROR"] == []


async def test_a_denial_where_the_client_can_see_it(world: World) -> None:
    """Status 503 with Retry-After in place of the upgrade."""
    async with application(world, deny=True) as served:
        await become(world, "auth", Status.DOWN)
        with pytest.raises(websockets.InvalidStatus) as refused:
            await served.told("/ws")
        response = refused.value.response
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) >= 5
        assert json.loads(response.body)["services"][0]["name"] == "auth"


async def test_without_handlers_the_answers_still_make_sense(world: World) -> None:
    """FastAPI's own: 503 with Retry-After and words, in place of an upgrade as well."""
    async with serving(make_app(world, installs=lambda app: None)) as served:
        await become(world, "auth", Status.DOWN)
        answer = await served.get("/orders/7")
        assert (answer.status_code, int(answer.headers["retry-after"]) >= 5) == (503, True)
        assert "auth is unavailable" in answer.json()["detail"]
        with pytest.raises(websockets.InvalidStatus) as refused:
            await served.told("/ws")
        assert refused.value.response.status_code == 503
        assert int(refused.value.response.headers["retry-after"]) >= 5


async def test_a_mounted_application_installs_for_itself(world: World) -> None:
    """Its routes then answer as those of the one that it is mounted in."""
    outer = FastAPI()
    outer.mount("/inner", make_app(world))
    async with serving(outer) as served:
        await become(world, "auth", Status.DOWN)
        assert (await served.get("/inner/orders/7")).headers["content-type"] == "application/problem+json"
        assert (await served.told("/inner/ws"))[1] == 1011


async def test_a_route_may_raise_it(world: World) -> None:
    """What it finds out by itself is answered in the same way, over a socket as well."""
    manager = world.manager
    app = FastAPI()
    install(app, manager)

    @app.get("/late")
    async def late() -> None:
        raise ServiceUnavailable(manager.refuse(manager.admit()))

    @app.websocket("/late")
    async def late_socket(socket: WebSocket) -> None:
        await socket.accept()
        raise ServiceUnavailable(manager.refuse(manager.admit()))

    async with serving(app) as served:
        await become(world, "auth", Status.DOWN)
        assert (await served.get("/late")).headers["content-type"] == "application/problem+json"
        assert (await served.told("/late"))[1] == 1011


async def test_who_asks_counts_where_some_are_refused(world: World) -> None:
    """With ``enforce_percent``, the users that are chosen, and nobody who is not named."""
    app = FastAPI()
    install(app, world.manager)

    def user(connection: HTTPConnection) -> str | None:
        return connection.headers.get("x-user")

    @app.get("/", dependencies=[Depends(available(world.manager, user=user))])
    async def home() -> str:
        return "home"

    async with serving(app) as served:
        await become(world, "auth", Status.DOWN)
        world.manager.gate.use(world.manager.catalogue, GateSettings(mode=Enforcement.ENFORCE, enforce_percent=50))
        chosen = next(name for name in map(str, range(100)) if is_chosen(name, 50))
        spared = next(name for name in map(str, range(100)) if not is_chosen(name, 50))
        assert (await served.get("/", **{"x-user": chosen})).status_code == 503
        assert (await served.get("/", **{"x-user": spared})).status_code == 200
        assert (await served.get("/")).status_code == 200


async def test_a_service_that_left_the_settings_is_missed_by_nobody(world: World) -> None:
    async with application(world) as served:
        await become(world, "redis", Status.DOWN)
        assert (await served.get("/reports")).status_code == 503
        left = {name: each for name, each in SETTINGS.services.items() if name != "redis"}
        world.manager.use(msgspec.structs.replace(SETTINGS, services=left, redis=type(SETTINGS.redis)()))
        assert (await served.get("/reports")).status_code == 200


async def test_health_pages(world: World) -> None:
    """They are there, with what only operators see, unless they are not wanted; and in no schema."""
    async with application(world, operator_token="secret") as served:
        assert (await served.get("/livez")).text == "ok\n"
        assert (await served.get("/readyz")).json()["status"] == "ready"
        assert (await served.get("/health")).json()["status"] == "pass"
        seen = (await served.get("/health/dependencies", authorization="Bearer secret")).json()
        assert "revision" in seen["checks"]["auth:availability"][0]
        assert "/livez" not in (await served.get("/openapi.json")).json()["paths"]
    async with application(world, health=False) as served:
        assert (await served.get("/livez")).status_code == 404


async def test_the_schema_knows_of_refusals(world: World) -> None:
    async with application(world) as served:
        described = (await served.get("/openapi.json")).json()["paths"]["/reports"]["get"]["responses"]["503"]
        schema = described["content"]["application/problem+json"]["schema"]
        assert "Retry-After" in described["headers"]
        await become(world, "redis", Status.DOWN)
        assert set(schema["required"]) == set(schema["properties"]) == set((await served.get("/reports")).json())


async def test_a_dependency_may_be_overridden(world: World) -> None:
    """As in an application's own tests."""
    needs_auth = available(world.manager, "auth")
    app = FastAPI()

    @app.get("/")
    async def home(admission: Annotated[Admission, Depends(needs_auth)]) -> str:
        return admission.verdict.value

    app.dependency_overrides[needs_auth] = lambda: Admission(verdict=Verdict.ACCEPT)
    async with serving(app) as served:
        await become(world, "auth", Status.DOWN)
        assert (await served.get("/")).json() == "accept"


class _Slow(MemoryStore):
    """A carrier that answers when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.is_asked = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def read(self) -> Reading:
        self.is_asked.set()
        await self.may_answer.wait()
        return await super().read()


async def test_the_manager_lives_as_long_as_the_application() -> None:
    """It is loaded before the first request, and leaves nothing running."""
    store = _Slow()
    manager = ServiceAvailabilityManager(SETTINGS, store)
    before = asyncio.all_tasks()
    alive = lifespan(manager)(None)
    entering = asyncio.create_task(alive.__aenter__())
    await store.is_asked.wait()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not entering.done()
    store.may_answer.set()
    await entering
    assert manager.is_loaded
    await alive.__aexit__(None, None, None)
    assert asyncio.all_tasks() == before


async def test_an_application_starts_without_the_carrier() -> None:
    """It does not wait for longer than it was told to."""
    async with RedisStore.connect(f"redis://{LOOPBACK}:{free_port()}/0", "nowhere") as store:
        manager = ServiceAvailabilityManager(SETTINGS, store)
        app = FastAPI(lifespan=lifespan(manager, load_timeout=0.01))
        install(app, manager)
        async with asyncio.timeout(4), serving(app) as served:
            assert (await served.get("/readyz")).status_code == 503
            assert (await served.get("/livez")).status_code == 200


async def test_a_route_for_a_service_that_there_is_not_is_refused(world: World) -> None:
    with pytest.raises(ValueError, match="nobody"):
        available(world.manager, "auth", "nobody")
