"""The sample's analytics service: takes events, keeps them in ClickHouse, and counts them for reports."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from broadcaster.sample.outbox import Outbox

TABLE = "CREATE TABLE IF NOT EXISTS events (at DateTime, kind String, room String) ENGINE = MergeTree() ORDER BY at"
TIMEOUT = 2.0


class Event(msgspec.Struct):
    """Something that happened at ``at``, in Unix seconds."""

    at: int
    kind: str
    room: str = ""


def make_app(env: Mapping[str, str] = os.environ) -> Starlette:
    """``POST /events`` with a list of them, ``GET /report`` and ``/health``. Events wait while ClickHouse is away."""
    url = f"http://127.0.0.1:{env.get('SAMPLE_CLICKHOUSE_PORT', '8123')}/"
    client = httpx.AsyncClient(timeout=TIMEOUT, trust_env=False)

    async def query(text: str, rows: bytes = b"") -> str:
        answer = (
            await client.post(url, params={"query": text}, content=rows)
            if rows
            else await client.post(url, content=text.encode())
        )
        answer.raise_for_status()
        return answer.text

    async def write(events: list[Event]) -> None:
        await query(TABLE)
        await query("INSERT INTO events FORMAT JSONEachRow", b"\n".join(map(msgspec.json.encode, events)))

    outbox = Outbox("events", write, is_failure=lambda error: isinstance(error, httpx.HTTPError))

    async def take(request: Request) -> Response:
        try:
            events = msgspec.json.decode(await request.body(), type=list[Event])
        except msgspec.DecodeError as error:
            return JSONResponse({"detail": str(error)}, 422)
        try:
            for event in events:
                outbox.put(event).add_done_callback(asyncio.Future.exception)  # logged where it was raised
        except OverflowError as error:
            return JSONResponse({"detail": str(error)}, 503, {"Retry-After": "5"})
        return JSONResponse({"taken": len(events)}, 202)

    async def report(request: Request) -> Response:
        try:
            await query(TABLE)
            lines = await query("SELECT kind, count() FROM events GROUP BY kind ORDER BY kind FORMAT TabSeparated")
        except httpx.HTTPError as error:
            return JSONResponse({"detail": f"ClickHouse: {error or type(error).__name__}"}, 503, {"Retry-After": "5"})
        counts = dict(line.split("\t") for line in lines.splitlines())
        return JSONResponse({"events": {kind: int(count) for kind, count in counts.items()}})

    async def health(request: Request) -> Response:
        return JSONResponse({"service": "analytics", "status": "ok", "waiting": len(outbox)})

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        writing = asyncio.create_task(outbox.run(), name="events")
        yield {}
        await outbox.flush(TIMEOUT)
        writing.cancel()
        await client.aclose()

    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/events", take, methods=["POST"]),
            Route("/report", report),
            Route("/health", health),
        ],
    )
