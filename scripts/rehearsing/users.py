"""Users of the sample chat who hold it to its word, and count what became of everything they did."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
import websockets
from websockets.asyncio.client import ClientConnection

HANDSHAKE_SECONDS = 8.0
"""A handshake that has neither been welcomed nor refused by then is left hanging."""

ACK_SECONDS = 10.0
"""A message of which nothing is known by then was answered with nothing."""

STORED_SECONDS = 60.0
"""A message that was kept for later must be stored by then."""

ANSWER_SECONDS = 20.0
AGENT_SHARE = 0.03
HISTORY_SHARE = 0.1
STAY = (4.0, 10.0)
"""Seconds a user stays connected."""
PAUSE = (2.0, 6.0)
"""Seconds between two messages of a user."""
MOST_WAIT = 3.0
"""Seconds that a refused user waits at most, whatever it was told: more handshakes are to be seen."""


@dataclass
class Counts:
    """What became of everything that began within one scenario."""

    welcomed: int = 0
    refused: int = 0
    silent: list[str] = field(default_factory=list)
    """Handshakes that were left hanging, or refused without a reason: how each ended."""
    handshakes: list[float] = field(default_factory=list)
    """Seconds each took, welcomed or refused."""
    said: int = 0
    stored: int = 0
    stored_later: int = 0
    bare: list[str] = field(default_factory=list)
    """Messages and requests that met an error without a reason, or nothing at all."""
    explained: int = 0
    """Messages and requests that were refused with a reason."""
    broken: int = 0
    """Connections that ended by themselves."""
    open: int = 0
    """Handshakes and messages of which it is not known yet what becomes of them."""
    kept: dict[str, str] = field(default_factory=dict)
    """Every message that was acknowledged, by id: its room."""
    asked: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    """Of the assistant: by what they said of themselves."""


class Crowd:
    """``size`` users in rooms of ten, each room with a listener who stays. ``counts`` may be replaced at any time."""

    def __init__(self, address: str, size: int) -> None:
        self.address = address
        self.counts = Counts()
        self.heard: dict[str, set[str]] = {}
        """By room: the ids of the messages that its listener has heard."""
        self.notices: list[tuple[float, dict[str, Any]]] = []
        """Of the first listener: when (monotonic) and what."""
        self.size = size
        self.listening = 0
        self._http = httpx.AsyncClient(
            base_url=f"http://{address}", timeout=10, trust_env=False, limits=httpx.Limits(max_connections=50)
        )

    @property
    def rooms(self) -> list[str]:
        return [f"room-{number}" for number in range(max(1, self.size // 10))]

    async def run(self, everybody_joined: asyncio.Event) -> None:
        """Until it is cancelled."""
        tokens = [await self._login(f"user-{number}") for number in range(self.size)]
        async with asyncio.TaskGroup() as tasks:
            for number, room in enumerate(self.rooms):
                tasks.create_task(self._listen(tokens[0], room, is_first=number == 0))
            for number, token in enumerate(tokens):
                tasks.create_task(self._use(token, self.rooms[number % len(self.rooms)]))
            while self.listening < len(self.rooms):
                await asyncio.sleep(0.05)
            everybody_joined.set()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _login(self, name: str) -> str:
        answer = await self._http.post("/login", json={"name": name})
        token: str = answer.raise_for_status().json()["token"]
        return token

    def _connect(self, token: str, room: str, query: str = "") -> Any:
        return websockets.connect(
            f"ws://{self.address}/ws?room={room}&token={quote(token)}{query}",
            proxy=None,
            compression=None,
            ping_interval=None,
            open_timeout=HANDSHAKE_SECONDS,
            max_queue=None,
        )

    async def _listen(self, token: str, room: str, *, is_first: bool) -> None:
        """Hears all that is said in a room; comes back if it has to, and counts that."""
        heard = self.heard.setdefault(room, set())
        while True:
            try:
                async with self._connect(token, room, "&notices=1" if is_first else "") as socket:
                    async for text in socket:
                        event = json.loads(text)
                        match event.get("event"):
                            case "joined":
                                self.listening += 1
                            case "message":
                                heard.add(event["id"])
                            case "notice":
                                self.notices.append((time.monotonic(), event["notice"]))
            except (OSError, websockets.WebSocketException, TimeoutError):
                pass
            self.counts.broken += 1
            await asyncio.sleep(0.5)

    async def _use(self, token: str, room: str) -> None:
        await asyncio.sleep(random.uniform(0, STAY[1]))
        while True:
            await asyncio.sleep(await self._visit(token, room))

    async def _visit(self, token: str, room: str) -> float:
        """One connection, counted; seconds to wait until the next."""
        began, counts = time.monotonic(), self.counts
        counts.open += 1
        is_open = True
        deadline = asyncio.get_running_loop().time() + HANDSHAKE_SECONDS
        try:
            async with self._connect(token, room) as socket:
                async with asyncio.timeout_at(deadline):
                    first = json.loads(await socket.recv())
                    if first.get("type") == "rejected":
                        await socket.wait_closed()
                if first.get("type") == "rejected":
                    return self._refused(counts, first, socket, time.monotonic() - began)
                if first.get("event") != "joined":
                    counts.silent.append(f"first message: {first}")
                    return 1.0
                counts.welcomed += 1
                counts.handshakes.append(time.monotonic() - began)
                counts.open -= 1
                is_open = False
                await Visit(self, socket, room).stay(random.uniform(*STAY))
        except (OSError, websockets.WebSocketException, TimeoutError) as error:
            if is_open:
                counts.silent.append(f"{type(error).__name__}: {error} after {time.monotonic() - began:.1f} s")
            else:
                self.counts.broken += 1
            return 1.0
        finally:
            counts.open -= is_open
        if random.random() < HISTORY_SHARE:
            await self._read_history(room)
        return 0.0

    @staticmethod
    def _refused(counts: Counts, said: dict[str, Any], socket: ClientConnection, seconds: float) -> float:
        is_explained = said["text"] and said["services"] and said["retry_after_ms"] > 0
        if not (is_explained and socket.close_code == 1011 and socket.close_reason):
            counts.silent.append(f"refused with {said} and close {socket.close_code} {socket.close_reason!r}")
        else:
            counts.refused += 1
            counts.handshakes.append(seconds)
        return min(MOST_WAIT, float(said["retry_after_ms"]) / 1000)

    async def _read_history(self, room: str) -> None:
        counts = self.counts
        counts.open += 1
        try:
            answer = await self._http.get(f"/history/{room}")
        except httpx.HTTPError as error:
            counts.bare.append(f"history: {type(error).__name__}: {error}")
            return
        finally:
            counts.open -= 1
        if answer.status_code != 200 and not (answer.status_code == 503 and answer.json().get("detail")):
            counts.bare.append(f"history: status {answer.status_code}: {answer.text[:100]}")


class Visit:
    """One connection that was welcomed."""

    def __init__(self, crowd: Crowd, socket: ClientConnection, room: str) -> None:
        self._crowd = crowd
        self._socket = socket
        self._room = room
        self._acks: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._stored: dict[str, asyncio.Future[None]] = {}
        self._questions: dict[str, asyncio.Future[dict[str, Any]]] = {}

    async def stay(self, seconds: float) -> None:
        """Chats for so long, and leaves when everything that was said has been answered."""
        reading = asyncio.create_task(self._read())
        ends = time.monotonic() + seconds
        waiting: list[asyncio.Task[None]] = []
        try:
            while time.monotonic() < ends and not reading.done():
                waiting.append(asyncio.create_task(self._say()))
                await asyncio.wait({reading}, timeout=random.uniform(*PAUSE))
            await asyncio.gather(*waiting)
        finally:
            for task in (reading, *waiting):
                task.cancel()
            if reading.done() and not reading.cancelled():
                self._crowd.counts.broken += 1

    async def _read(self) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            async for text in self._socket:
                event = json.loads(text)
                match event.get("event"):
                    case "ack":
                        _settle(self._acks.get(event["id"]), event)
                        if event["state"] == "stored":
                            _settle(self._stored.get(event["id"]), None)
                    case "agent_completed":
                        _settle(self._questions.pop(next(iter(self._questions), ""), None), event)

    async def _say(self) -> None:
        counts, identity = self._crowd.counts, uuid.uuid4().hex
        loop = asyncio.get_running_loop()
        is_question = random.random() < AGENT_SHARE
        acked = self._acks[identity] = loop.create_future()
        stored = self._stored[identity] = loop.create_future()
        text = f"@assistant what about {random.randint(1, 300)}" if is_question else f"it is {time.time():.0f}"
        counts.said += 1
        counts.open += 1
        try:
            if is_question:
                counts.asked += 1
                self._questions[identity] = loop.create_future()
                answered = self._questions[identity]
            await self._socket.send(json.dumps({"event": "say", "id": identity, "text": text}))
            async with asyncio.timeout(ACK_SECONDS):
                ack = await acked
            if ack["state"] == "refused":
                counts.explained += bool(ack["text"])
                if not ack["text"]:
                    counts.bare.append(f"refused without a reason: {ack}")
                return
            counts.kept[identity] = self._room
            async with asyncio.timeout(STORED_SECONDS):
                await stored
            if ack["state"] == "stored":
                counts.stored += 1
            else:
                counts.stored_later += 1
            if is_question:
                async with asyncio.timeout(ANSWER_SECONDS):
                    answer = await answered
                counts.answers[answer["degraded"] or "as usual"] += 1
        except (TimeoutError, websockets.ConnectionClosed) as error:
            counts.bare.append(f"no answer: {type(error).__name__}: {error}")
        finally:
            counts.open -= 1


def _settle(future: asyncio.Future[Any] | None, value: Any) -> None:
    if future is not None and not future.done():
        future.set_result(value)
