"""An ASGI application on a real server, on a free port, within the test's process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn
import websockets

from tests.support.managers import until
from tests.support.ports import LOOPBACK


class Served:
    """Where it answers, and what it says there."""

    def __init__(self, port: int) -> None:
        self.url = f"http://{LOOPBACK}:{port}"
        self.ws_url = f"ws://{LOOPBACK}:{port}"

    async def get(self, path: str, **headers: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(self.url + path, headers=headers)

    async def told(self, path: str, **options: Any) -> tuple[list[str], int | None, str | None]:
        """Everything that a WebSocket client is told until its end; see ``told``."""
        return await told(self.ws_url + path, **options)


async def told(url: str, **options: Any) -> tuple[list[str], int | None, str | None]:
    """Everything that a WebSocket client is told until its end: messages, close code and reason."""
    async with websockets.connect(url, **options) as client:
        messages = []
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                messages.append(str(await client.recv()))
        return messages, client.close_code, client.close_reason


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[Served]:
    """Serves the application, lifespan included, until it is left."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        config = uvicorn.Config(app, ws="websockets-sansio", lifespan="auto", log_config=None)
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started or running.done())
        try:
            yield Served(listener.getsockname()[1])
        finally:
            server.should_exit = True
            await running
