"""The sample chat on real services: what it does on a good day, and how much less on a bad one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio
import websockets
from websockets.asyncio.client import ClientConnection

from broadcaster.sample.postgres import public_folder
from scripts.rehearse import play
from scripts.rehearsing.stage import Stage, running_stage
from scripts.rehearsing.users import Crowd
from tests.support.assistants import assistants
from tests.support.stack import DEADLINE

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage() -> AsyncIterator[Stage]:
    """One for all; each test leaves it well."""
    with tempfile.TemporaryDirectory(prefix="sample-", dir=public_folder(), ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        async with running_stage(Path(folder)) as running:
            yield running


@pytest_asyncio.fixture(loop_scope="module")
async def http(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://{stage.backend}", timeout=DEADLINE, trust_env=False) as client:
        yield client


async def token(http: httpx.AsyncClient, name: str = "ada") -> str:
    found: str = (await http.post("/login", json={"name": name})).raise_for_status().json()["token"]
    return found


@asynccontextmanager
async def joined(
    stage: Stage, http: httpx.AsyncClient, room: str, name: str = "ada"
) -> AsyncIterator[ClientConnection]:
    """A user who has joined a room."""
    url = f"ws://{stage.backend}/ws?room={room}&token={quote(await token(http, name))}"
    async with websockets.connect(url, proxy=None) as socket:
        assert (await event(socket, "joined"))["name"] == name
        yield socket


async def event(socket: ClientConnection, name: str, **fields: Any) -> dict[str, Any]:
    """The next event of this name and with these fields."""
    async with asyncio.timeout(DEADLINE):
        while True:
            found: dict[str, Any] = json.loads(await socket.recv())
            if found.get("event") == name and fields.items() <= found.items():
                return found


async def say(socket: ClientConnection, text: str, identity: str) -> None:
    await socket.send(json.dumps({"event": "say", "id": identity, "text": text}))


async def test_a_message_reaches_the_room_and_the_archive(stage: Stage, http: httpx.AsyncClient) -> None:
    """The author has it acknowledged, somebody else reads it, the history keeps it, and reports count it."""
    async with joined(stage, http, "hall") as ada, joined(stage, http, "hall", "bob") as bob:
        await say(ada, "good morning", "m1")
        assert (await event(bob, "message"))["text"] == "good morning"
        await event(ada, "ack", id="m1", state="stored")
    history = (await http.get("/history/hall")).json()
    assert [(each["author"], each["text"]) for each in history["messages"]] == [("ada", "good morning")]
    assert history["is_complete"]
    async with asyncio.timeout(DEADLINE):
        while (await http.get("/reports")).json().get("message", 0) < 1:
            await asyncio.sleep(0.1)


async def test_what_makes_no_sense_is_answered_in_words(stage: Stage, http: httpx.AsyncClient) -> None:
    """Garbage, bytes, and what no archive takes: each has its answer, and neither it nor anybody else waits."""
    async with joined(stage, http, "hall") as ada:
        for garbage in ("{", b"bytes", json.dumps({"event": "say", "id": "x" * 4000, "text": "hello"})):
            await ada.send(garbage)
            assert "not understood" in (await event(ada, "problem"))["text"]
        for text in ("  ", "nul \0 here", "x" * 3000):
            await say(ada, text, "m2")
            assert (await event(ada, "ack", id="m2", state="refused", reason="invalid"))["text"]
        for number in range(20):
            await say(ada, "@assistant why", f"q{number}")
        assert "busy" in (await event(ada, "ack", state="refused", reason="busy"))["text"]
        await say(ada, "still here", "m3")
        await event(ada, "ack", id="m3", state="stored")
    for bad in ("nobody.0", "", "%C3%A9", "a%0Ab", "x%20y"):
        async with websockets.connect(f"ws://{stage.backend}/ws?token={bad}", proxy=None) as stranger:
            with pytest.raises(websockets.ConnectionClosedError) as closed:
                await stranger.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (
            3500,
            "please sign in again: this token is not valid",
        )
    assert (await http.post("/login", json={"name": ""})).status_code == 422


async def test_who_asks_for_notices_is_told_first_how_things_stand(stage: Stage, http: httpx.AsyncClient) -> None:
    """A welcome after joining; who does not ask gets none. A path that is none is no WebSocket."""
    url = f"ws://{stage.backend}/ws?room=tower&token={quote(await token(http))}"
    async with (
        websockets.connect(f"{url}&notices=1", proxy=None) as asking,
        websockets.connect(url, proxy=None) as other,
    ):
        welcome = (await event(asking, "notice"))["notice"]
        assert welcome["type"] == "welcome"
        assert {each["status"] for each in welcome["services"]} == {"up"}
        async with websockets.connect(f"{url}&notices=1&locale=de", proxy=None) as german:
            titles = [each["title"] for each in (await event(german, "notice"))["notice"]["services"]]
        assert "Anmeldung" in titles
        await say(other, "is anybody told anything?", "t1")
        assert [json.loads(await other.recv())["event"] for _ in range(3)] == ["joined", "message", "ack"]
    with pytest.raises(websockets.InvalidStatus):
        await websockets.connect(f"ws://{stage.backend}/nothing", proxy=None)


async def test_an_id_is_an_author_s_own_in_a_room(stage: Stage, http: httpx.AsyncClient) -> None:
    """The same id in another room is another message."""
    for room in ("east", "west"):
        async with joined(stage, http, room) as ada:
            await say(ada, f"in the {room}", "same")
            await event(ada, "ack", id="same", state="stored")
        messages = (await http.get(f"/history/{room}")).json()["messages"]
        assert [each["text"] for each in messages] == [f"in the {room}"]


async def test_the_agent_tells_its_steps_and_what_is_less(stage: Stage, http: httpx.AsyncClient) -> None:
    """The model, then the other one, then what it said before, then words for that there is none."""

    async def ask(socket: ClientConnection, question: str) -> tuple[str, str]:
        await say(socket, f"@assistant {question}", f"{question}-{time.monotonic()}")
        for step in ("agent_started", "tool_executing", "tool_completed", "agent_thinking"):
            await event(socket, step)
        answer = await event(socket, "agent_completed")
        return answer["text"], answer["degraded"]

    async with joined(stage, http, "study") as ada:
        usual = await ask(ada, "why")
        assert "“why”" in usual[0]
        assert usual[1] == ""
        async with assistants(stage, assistant="broken"):
            assert await ask(ada, "why") == (usual[0], "answered by the spare assistant")
        async with assistants(stage, assistant="broken", spare="broken"):
            assert await ask(ada, "why") == (usual[0], "an earlier answer to the same question")
            assert (await ask(ada, "how"))[1] == "no model answers"


async def test_who_meets_a_hanging_sign_in_first_is_told_why(stage: Stage, http: httpx.AsyncClient) -> None:
    """Before anybody announced it: accepted, told, closed with 1011 and a reason; no handshake hangs."""
    key = quote(await token(http))
    stage.processes["auth"].signal(signal.SIGSTOP)
    try:
        async with asyncio.timeout(DEADLINE):
            async with websockets.connect(f"ws://{stage.backend}/ws?token={key}", proxy=None) as socket:
                told = json.loads(await socket.recv())
                await socket.wait_closed()
            login = await http.post("/login", json={"name": "eve"})
    finally:
        stage.processes["auth"].signal(signal.SIGCONT)
    assert (told["type"], told["services"][0]["name"], socket.close_code) == ("rejected", "auth", 1011)
    assert told["text"].startswith("Sign-in")
    assert told["retry_after_ms"] > 0
    assert (socket.close_reason or "").startswith("Sign-in")
    assert login.status_code == 503
    assert login.headers["content-type"] == "application/problem+json"
    assert int(login.headers["retry-after"]) >= 1
    await stage.until_well()


async def test_messages_wait_for_the_archive(stage: Stage, http: httpx.AsyncClient) -> None:
    """With PostgreSQL dead they are heard at once, acknowledged as queued, and stored, once, when it is back."""
    async with joined(stage, http, "cellar") as ada:
        await stage.processes["postgres"].kill()
        for number in range(5):
            await say(ada, f"number {number}", f"c{number}")
            await event(ada, "message", id=f"c{number}")
        await event(ada, "ack", id="c4", state="queued")
        history = (await http.get("/history/cellar")).json()
        assert (len(history["messages"]), history["is_complete"]) == (5, False)
        stage.processes["postgres"].start()
        await event(ada, "ack", id="c4", state="stored")
        await stage.until_well()
        async with joined(stage, http, "cellar", "bob") as bob:
            await say(ada, "sent again", "c4")
            await event(ada, "ack", id="c4", state="stored")
            await say(ada, "said once", "c5")
            assert (await event(bob, "message"))["id"] == "c5"
            await event(ada, "ack", id="c5", state="stored")
    history = (await http.get("/history/cellar")).json()
    assert [each["text"] for each in history["messages"]] == [*(f"number {number}" for number in range(5)), "said once"]
    assert history["is_complete"]


async def test_reports_say_why_there_are_none_and_catch_up(stage: Stage, http: httpx.AsyncClient) -> None:
    """With ClickHouse dead nobody in the chat notices; what happened meanwhile is counted when it is back."""
    before = (await http.get("/reports")).json().get("message", 0)
    async with joined(stage, http, "office") as ada:
        await stage.processes["clickhouse"].kill()
        refused = await http.get("/reports")
        await say(ada, "does anybody count this?", "o1")
        await event(ada, "ack", id="o1", state="stored")
    assert (refused.status_code, refused.headers["content-type"]) == (503, "application/problem+json")
    assert refused.json()["detail"].startswith("Analytics database is unavailable")
    stage.processes["clickhouse"].start()
    await stage.until_well()
    async with asyncio.timeout(DEADLINE):
        # A stand-in has forgotten what was before; the real one has not.
        while (counted := (await http.get("/reports")).json().get("message", 0)) in (0, before):
            await asyncio.sleep(0.1)
    assert counted >= 1


async def test_outages_are_survived_under_load(stage: Stage) -> None:
    """The rehearsal on a small scale: a critical service killed and an optional one hung, and no finding."""
    crowd = Crowd(stage.backend, 20)
    everybody = asyncio.Event()
    chatting = asyncio.create_task(crowd.run(everybody))
    try:
        await asyncio.wait_for(everybody.wait(), DEADLINE)
        killed = await play(stage, crowd, "auth", "killed", 4.0)
        hung = await play(stage, crowd, "analytics", "hung", 4.0)
    finally:
        chatting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await chatting
        await crowd.aclose()
    assert killed.findings == []
    assert hung.findings == []
    assert killed.refused > 0
    assert killed.told_after is not None
    assert min(killed.messages, hung.messages) > 0
