"""The sample's stand-ins for models, made to behave."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from broadcaster.sample.assistant import KEY
from scripts.rehearsing.stage import Stage


@asynccontextmanager
async def assistants(stage: Stage, **modes: str) -> AsyncIterator[None]:
    """The models behave like this meanwhile."""
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {KEY}"}, trust_env=False) as client:

        async def turn(name: str, mode: str) -> None:
            url = f"http://127.0.0.1:{stage.ports[name]}/control"
            (await client.put(url, json={"mode": mode})).raise_for_status()

        try:
            for name, mode in modes.items():
                await turn(name, mode)
            yield
        finally:
            for name in modes:
                await turn(name, "ok")
            await stage.until_well()
