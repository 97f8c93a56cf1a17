"""The documents of docs/how-to, run as they stand.

The first ``python`` block of a document is a whole program, its first ``yaml`` block the ``services.yaml`` beside it;
each further ``python`` block is a variation that goes on from the program. That all of them run is tested for every
document; what they do, in tests of its own, which begin with ``Document("name")`` and its ``world``.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
import yaml

from broadcaster.config.loader import load_settings
from broadcaster.domain.model import Status
from broadcaster.manager import ServiceAvailabilityManager
from broadcaster.protocol import codec
from broadcaster.protocol.messages import Notice, Rejected, Welcome
from tests.support.applications import Served, serving, told
from tests.support.listeners import Listener
from tests.support.ports import LOOPBACK, free_port
from tests.support.stack import DEADLINE, PACE

FOLDER = Path(__file__).parents[2] / "docs" / "how-to"
DOCUMENTS = sorted(path.stem for path in FOLDER.glob("*.md"))


class Document:
    """A how-to. ``port`` is put in the place of the one that its programs listen on (8765)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = free_port()
        text = (FOLDER / f"{name}.md").read_text()
        self.settings = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)[0]
        code = text.replace("8765", str(self.port))
        self._program, *self.variations = re.findall(r"```python\n(.*?)```", code, re.DOTALL)

    def run(self) -> dict[str, Any]:
        """The program's names."""
        return self._execute(self._program, {})

    def vary(self, program: Mapping[str, Any], having: str) -> dict[str, Any]:
        """The names of the program with the one variation in which this text stands."""
        [variation] = [each for each in self.variations if having in each]
        return self._execute(variation, dict(program))

    def _execute(self, code: str, namespace: dict[str, Any]) -> dict[str, Any]:
        exec(compile(code, f"docs/how-to/{self.name}.md", "exec"), namespace)
        return namespace


class World:
    """The services that a document names: each is a port that a test opens and closes."""

    def __init__(self, services: Mapping[str, Listener]) -> None:
        self.services = services

    async def become(self, manager: ServiceAvailabilityManager, service: str, status: Status) -> None:
        listener = self.services[service]
        listener.close() if status is Status.DOWN else listener.open()
        await manager.wait_until(service, status, timeout=DEADLINE)


@contextmanager
def world(document: Document, folder: Path) -> Iterator[World]:
    """All its services are up; its file, with their ports and at a test's pace, lies in ``folder``."""
    settings = yaml.safe_load(document.settings)
    listeners = {name: Listener() for name in settings["services"]}
    for name, service in settings["services"].items():
        service |= PACE | {"probe": {"kind": "tcp", "host": LOOPBACK, "port": listeners[name].port}}
    (folder / "services.yaml").write_text(yaml.safe_dump(settings))
    with ExitStack() as exits:
        for listener in listeners.values():
            listener.open()
            exits.callback(listener.close)
        yield World(listeners)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where programs look for their file."""
    monkeypatch.chdir(tmp_path)


async def until_up(manager: ServiceAvailabilityManager) -> None:
    for service in manager.catalogue.services:
        await manager.wait_until(service, "up", timeout=DEADLINE)


@asynccontextmanager
async def running(main: Any, manager: ServiceAvailabilityManager, port: int) -> AsyncIterator[str]:
    """A program's coroutine function that serves for ever, until it is left; where it serves."""
    task = asyncio.create_task(main())
    try:
        await until_up(manager)
        async with asyncio.timeout(DEADLINE):
            while not await is_listening(port):
                await asyncio.sleep(0.01)
        yield f"{LOOPBACK}:{port}"
    finally:
        task.cancel()
        await asyncio.wait([task])


async def is_listening(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_every_example_runs(name: str, tmp_path: Path) -> None:
    """The settings are settings as they stand; the program and its variations find everything that they name."""
    document = Document(name)
    (tmp_path / "services.yaml").write_text(document.settings)
    assert load_settings(tmp_path / "services.yaml", {}).services
    program = document.run()
    for variation in document.variations:
        document.vary(program, variation)


async def test_fastapi(tmp_path: Path) -> None:
    """A route is refused while its service is down; what it says when another is; health pages."""
    document = Document("fastapi")
    with world(document, tmp_path) as services:
        program = document.run()
        manager = program["manager"]
        async with serving(program["app"]) as served:
            await until_up(manager)
            assert (await served.get("/reports")).json() == {"reports": ["visitors"], "reduced": []}
            await services.become(manager, "clickhouse", Status.DOWN)
            answer = await served.get("/reports")
            assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
            assert int(answer.headers["retry-after"]) >= 1
            assert (await served.get("/livez")).status_code == 200
            await services.become(manager, "clickhouse", Status.UP)
            assert (await served.get("/reports")).status_code == 200


async def test_variations_of_fastapi(tmp_path: Path) -> None:
    """WebSockets, routers, users that are named, notices, tests and a lifespan of one's own."""
    document = Document("fastapi")
    with world(document, tmp_path) as services:
        program = document.run()
        manager = program["manager"]
        sockets = document.vary(program, "async def chat(")
        document.vary(program, "APIRouter(")
        document.vary(program, "user=user")
        document.vary(sockets, "manager.attach(")
        document.vary(program, "dependency_overrides")
        async with serving(program["app"]) as served:
            await until_up(manager)
            await check_chat(served.ws_url + "/ws")
            assert (await served.get("/orders/7")).json() == 7
            assert (await served.get("/profile")).json() == "yours"
            assert "503" in (await served.get("/openapi.json")).json()["paths"]["/orders/{number}"]["get"]["responses"]
            await check_notices(served, services, manager)
            await services.become(manager, "postgres", Status.DOWN)
            await check_refusal(served.ws_url + "/ws")
            for path in ("/orders/7", "/profile"):
                assert (await served.get(path)).status_code == 503
            assert (await served.get("/invoices")).json() == "paid"
        own = document.vary(document.run(), "async def opened(")
        async with serving(own["app"]):
            assert own["manager"].is_loaded


async def test_starlette(tmp_path: Path) -> None:
    """Paths are judged by what they need; the verdict is at hand; health pages; notices."""
    document = Document("starlette")
    with world(document, tmp_path) as services:
        program = document.run()
        manager = program["manager"]
        document.vary(program, "manager.attach(")
        async with serving(program["app"]) as served:
            await until_up(manager)
            assert (await served.get("/reports")).json() == {"reduced": []}
            await check_chat(served.ws_url + "/ws")
            await check_notices(served, services, manager)
            await services.become(manager, "clickhouse", Status.DOWN)
            assert (await served.get("/reports")).status_code == 503
            await check_chat(served.ws_url + "/ws")
            await services.become(manager, "postgres", Status.DOWN)
            await check_refusal(served.ws_url + "/ws")
            assert (await served.get("/health")).status_code == 503


async def test_variations_of_starlette(tmp_path: Path) -> None:
    """Any ASGI application behind the gate, and upgrades that are denied."""
    document = Document("starlette")
    with world(document, tmp_path) as services:
        program = document.run()
        manager = program["manager"]
        gated = document.vary(program, "async def another(")["gated"]
        denying = document.vary(program, "deny=True")["denying"]
        async with serving(denying) as served, serving(gated) as other:
            await until_up(manager)
            assert (await other.get("/")).text == "accept"
            await services.become(manager, "postgres", Status.DOWN)
            assert (await other.get("/")).status_code == 503
            with pytest.raises(websockets.InvalidStatus, match="503"):
                await told(served.ws_url + "/ws")


async def test_websockets(tmp_path: Path) -> None:
    """The whole program: an echo, a refusal, and an echo again."""
    document = Document("websockets")
    with world(document, tmp_path) as services:
        program = document.run()
        manager = program["manager"]
        async with running(program["main"], manager, document.port) as where:
            await check_chat(f"ws://{where}", answer="hello")
            await services.become(manager, "postgres", Status.DOWN)
            await check_refusal(f"ws://{where}")
            await services.become(manager, "postgres", Status.UP)
            await check_chat(f"ws://{where}", answer="hello")


async def test_variations_of_websockets(tmp_path: Path) -> None:
    """Paths, a gate before the upgrade, and notices."""
    document = Document("websockets")
    with world(document, tmp_path) as services:
        program = document.run()
        manager = program["manager"]
        async with running(document.vary(program, "paths=")["serve_by_path"], manager, document.port) as where:
            await check_chat(f"ws://{where}/reports", answer="hello")
            await services.become(manager, "clickhouse", Status.DOWN)
            await check_refusal(f"ws://{where}/reports")
            await check_chat(f"ws://{where}/chat", answer="hello")

    with world(document, tmp_path) as services:
        program = document.run()
        manager = program["manager"]
        async with running(document.vary(program, "def before(")["serve_before"], manager, document.port) as where:
            await check_chat(f"ws://{where}", answer="hello")
            await services.become(manager, "postgres", Status.DOWN)
            with pytest.raises(websockets.InvalidStatus, match="503"):
                await told(f"ws://{where}")
            async with httpx.AsyncClient(trust_env=False) as client:
                assert (await client.get(f"http://{where}/livez")).text == "ok\n"

    with world(document, tmp_path) as services:
        program = document.run()
        manager = program["manager"]
        async with running(document.vary(program, "manager.attach(")["serve_rooms"], manager, document.port) as where:
            await check_chat(f"ws://{where}", answer="hello")
            for options in ({"subprotocols": ["availability.v1"]}, {}):
                url = f"ws://{where}" if options else f"ws://{where}/?notices=1"
                async with websockets.connect(url, **options) as client:  # type: ignore[arg-type]
                    assert isinstance(codec.decode_message(await client.recv()), Welcome)


async def check_chat(url: str, *, answer: str = "HELLO") -> None:
    """Somebody who asked for nothing is answered, and gets nothing else."""
    async with websockets.connect(url) as client:
        await client.send("hello")
        assert await client.recv() == answer


async def check_refusal(url: str) -> None:
    [message], code, reason = await told(url)
    assert isinstance(codec.decode_message(message), Rejected)
    assert code == 1011
    assert reason


async def check_notices(served: Served, services: World, manager: ServiceAvailabilityManager) -> None:
    """Who asks is greeted, and told what changes; who does not, is not."""
    async with (
        websockets.connect(served.ws_url + "/ws/rooms") as silent,
        websockets.connect(served.ws_url + "/ws/rooms?notices=1") as client,
    ):
        assert isinstance(codec.decode_message(await client.recv()), Welcome)
        await services.become(manager, "clickhouse", Status.DOWN)
        async with asyncio.timeout(DEADLINE):
            while not isinstance(codec.decode_message(await client.recv()), Notice):
                pass
        await silent.send("hello")
        assert await silent.recv() == "HELLO"
    await services.become(manager, "clickhouse", Status.UP)
