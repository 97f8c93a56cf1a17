"""A user of the sample chat in a terminal: what is typed is said, what is heard is printed."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
import uuid
from urllib.parse import quote

import httpx
import websockets

from broadcaster.protocol.closing import NORMAL, RESTART

AGAIN = 2.0
"""Seconds before it connects again where nobody said when."""


async def chat(name: str, port: int) -> None:
    """Until standard input ends: signs in, joins the lobby, and comes back after whatever ends the connection."""
    lines: asyncio.Queue[str | None] = asyncio.Queue()
    reading = threading.Thread(target=_read, args=(lines, asyncio.get_running_loop()), daemon=True)
    reading.start()
    _print("Type and press Enter; '@assistant ...' asks the assistant. Ctrl-D ends.")
    while True:
        wait = await _session(name, port, lines)
        if wait is None:
            return
        if not reading.is_alive() and lines.qsize() == 1:
            return  # that standard input ended is all that is left to hear
        _print(f"(connecting again in {wait:.0f} s)")
        await asyncio.sleep(wait)


async def _session(name: str, port: int, lines: asyncio.Queue[str | None]) -> float | None:
    """One connection; the seconds to wait before the next, None where the user has ended it."""
    base = f"127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(base_url=f"http://{base}", timeout=10, trust_env=False) as client:
            answer = await client.post("/login", json={"name": name})
        body = answer.json()
        if answer.status_code != 200:
            _print(f"! {body.get('detail')}")
            return float(answer.headers.get("retry-after", AGAIN))
        async with websockets.connect(f"ws://{base}/ws?notices=1&token={quote(body['token'])}", proxy=None) as socket:
            return await _talk(socket, lines)
    except (httpx.HTTPError, OSError, websockets.WebSocketException, ValueError) as error:
        _print(f"! no connection: {error or type(error).__name__}")
        return AGAIN


async def _talk(socket: websockets.ClientConnection, lines: asyncio.Queue[str | None]) -> float | None:
    wait = AGAIN
    speaking = asyncio.create_task(_speak(socket, lines))
    try:
        async for text in socket:
            event = json.loads(text)
            if event.get("type") == "rejected":
                wait = event["retry_after_ms"] / 1000
            if words := _words(event):
                _print(words)
    except websockets.ConnectionClosedError:
        pass
    finally:
        speaking.cancel()
    if socket.close_code == NORMAL.code:
        return None
    restarts = socket.close_code == RESTART.code
    _print(f"! closed: {socket.close_reason or ('the chat restarts' if restarts else 'the connection broke')}")
    return wait


async def _speak(socket: websockets.ClientConnection, lines: asyncio.Queue[str | None]) -> None:
    while (line := await lines.get()) is not None:
        await socket.send(json.dumps({"event": "say", "id": uuid.uuid4().hex, "text": line}))
    await asyncio.sleep(1.0)  # what was asked last may still be answered
    await socket.close(NORMAL.code)


def _read(lines: asyncio.Queue[str | None], loop: asyncio.AbstractEventLoop) -> None:
    """Standard input may be anything, also a file, which no event loop can wait for: this has a thread of its own."""
    for line in sys.stdin:
        if said := line.strip():
            loop.call_soon_threadsafe(lines.put_nowait, said)
    loop.call_soon_threadsafe(lines.put_nowait, None)


def _words(event: dict[str, object]) -> str:
    """An event as a line for a person; '' for one that is no news to them."""
    less = f" ({event['degraded']})" if event.get("degraded") else ""
    match event.get("event") or event.get("type"):
        case "joined":
            reduced = event["reduced"]
            return f"-- you are {event['name']}" + (f"; less than usual of: {', '.join(reduced)}" if reduced else "")  # type: ignore[arg-type]
        case "message":
            return f"{event['author']}: {event['text']}"
        case "ack" if event["state"] != "stored":
            return f"-- {event['text']}"
        case "notice":
            notice = event["notice"]
            assert isinstance(notice, dict)
            is_known = notice.get("quiet") or notice.get("type") == "welcome"  # "joined" has said it
            return "" if is_known or not notice.get("text") else f"** {notice['text']}"
        case "tool_completed" if less:
            return f"-- {event['tool']}: {event['result']}{less}"
        case "agent_completed":
            return f"assistant: {event['text']}{less}"
        case "problem" | "rejected":
            return f"! {event['text']}"
    return ""


def _print(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)  # noqa: T201
