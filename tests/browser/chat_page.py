"""People at the chat page, others in its rooms without a browser, and what happens to the sample meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import re
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import httpx
import pytest
import websockets
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Locator, Page, ViewportSize, expect
from websockets.asyncio.client import ClientConnection

from broadcaster.sample.chat.parts import write_parts
from broadcaster.sample.postgres import public_folder
from scripts.rehearsing.stage import Stage, running_stage
from tests.support.stack import DEADLINE

MILLISECONDS = DEADLINE * 1000
PHONE = ViewportSize(width=390, height=844)
DESKTOP = ViewportSize(width=1280, height=860)
MOST_WAITING = 12
EXPECTED_FAILURES = re.compile(r"net::ERR_|WebSocket connection to|status of 503")
"""What Chromium itself prints of requests that fail, as they must while a part is away."""
STILL = """
async () => {
  const roots = [document, document.querySelector("#notices").shadowRoot];
  const moving = roots.flatMap((root) => root.getAnimations({ subtree: true }));
  const ending = moving.filter(({ effect }) => effect.getComputedTiming().endTime < Infinity);
  await Promise.allSettled(ending.map(({ finished }) => finished));
}
"""


@asynccontextmanager
async def running_sample() -> AsyncIterator[Stage]:
    """The whole sample, as ``broadcaster up`` runs it, but with room for few messages that wait."""
    with (
        tempfile.TemporaryDirectory(prefix="chat-", dir=public_folder(), ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        os.chmod(folder, 0o755)
        parts = Path(folder) / "parts.json"
        patch.setenv("SAMPLE_PARTS", str(parts))
        patch.setenv("SAMPLE_MOST_WAITING", str(MOST_WAITING))
        async with running_stage(Path(folder)) as running:
            known = [(name, each.tree()[0]) for name, each in running.processes.items() if name in running.ports]
            command = ".venv/bin/python -m broadcaster.sample {} --port {}"
            write_parts(parts, [(name, pid, command.format(name, running.ports[name])) for name, pid in known])
            yield running


class Person:
    """Somebody at the chat page, in a tab of their own."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.printed: list[str] = []
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.printed.append(f"failed: {error}"))
        self.field = page.get_by_label("Message", exact=True)
        self.hint = page.locator("#hint")
        self.notices = page.locator("#notices")

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning") and not EXPECTED_FAILURES.search(message.text):
            self.printed.append(message.text)

    async def sign_in(self, name: str) -> None:
        await self.page.get_by_label("Your name").fill(name)
        await self.page.get_by_role("button", name="Join the chat").click()

    async def until_connected(self) -> None:
        await self.connection("Connected")

    async def connection(self, words: str) -> None:
        await expect(self.page.locator("#connection")).to_have_text(words, timeout=MILLISECONDS)

    async def say(self, text: str) -> None:
        await self.field.fill(text)
        await self.field.press("Enter")

    def message(self, text: str, state: str = "") -> Locator:
        return self.page.locator(f"article.message{state and '.' + state}", has_text=text)

    async def sees(self, text: str, state: str = "") -> None:
        await expect(self.message(text, state)).to_have_count(1, timeout=MILLISECONDS)

    async def sending(self, mode: str, words: str = "") -> None:
        await expect(self.page.locator("#composer")).to_have_attribute("data-mode", mode, timeout=MILLISECONDS)
        await expect(self.hint).to_contain_text(words, timeout=MILLISECONDS)

    async def still(self) -> None:
        """Waits until nothing moves any more."""
        await self.page.evaluate(STILL)

    async def flaws(self) -> list[str]:
        """What axe finds on the page, by day and by night, once nothing moves any more, in a line each."""
        schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
        flaws = []
        for scheme in schemes:
            await self.page.emulate_media(color_scheme=scheme)
            await self.still()
            found = (await Axe().run(self.page)).response["violations"]
            flaws += [f"{scheme}: {each['id']}: {[node['target'] for node in each['nodes']]}" for each in found]
        return flaws

    async def answer(self, label: str) -> Locator:
        """The last answer of the assistant, once it says this of itself."""
        last = self.page.locator("article.answer").last
        await expect(last.locator("p.less")).to_have_text(label, timeout=MILLISECONDS)
        return last


@asynccontextmanager
async def somebody(
    browser: Browser, stage: Stage, room: str, name: str = "Ada", **options: Any
) -> AsyncIterator[Person]:
    """Somebody in a room, in a browser of their own; nothing may fail in the page meanwhile."""
    context = await browser.new_context(**({"viewport": DESKTOP} | options))
    person = await arriving(context, stage, room)
    await person.sign_in(name)
    await person.until_connected()
    yield person
    await context.close()
    assert person.printed == []


async def arriving(context: BrowserContext, stage: Stage, room: str) -> Person:
    page = await context.new_page()
    person = Person(page)
    await page.goto(f"http://{stage.backend}/?room={room}")
    return person


@asynccontextmanager
async def killed(stage: Stage, *names: str) -> AsyncIterator[None]:
    """Parts of the sample are away meanwhile; afterwards all is well again."""
    for name in names:
        await stage.processes[name].kill()
    try:
        yield
    finally:
        for name in names:
            stage.processes[name].start()
        await stage.until_well()


@asynccontextmanager
async def listening(stage: Stage) -> AsyncIterator[ClientConnection]:
    """Somebody who is told of services, without a browser."""
    async with httpx.AsyncClient(trust_env=False) as client:
        token = (await client.post(f"http://{stage.backend}/login", json={"name": "watch"})).json()["token"]
    async with websockets.connect(f"ws://{stage.backend}/ws?notices=1&token={quote(token)}", proxy=None) as socket:
        yield socket


async def once(stage: Stage, room: str, name: str, text: str) -> None:
    """Somebody without a browser says one thing in a room, and has it stored."""
    async with httpx.AsyncClient(trust_env=False) as client:
        token = (await client.post(f"http://{stage.backend}/login", json={"name": name})).json()["token"]
    url = f"ws://{stage.backend}/ws?room={quote(room)}&token={quote(token)}"
    async with asyncio.timeout(DEADLINE), websockets.connect(url, proxy=None) as socket:
        await socket.send(json.dumps({"event": "say", "id": uuid.uuid4().hex, "text": text}))
        while json.loads(await socket.recv()).get("state") != "stored":
            pass


async def next_notice(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(DEADLINE):
        while True:
            notice: dict[str, Any] = json.loads(await socket.recv()).get("notice", {})
            if notice.get("type") == "notice":
                return notice


async def history(stage: Stage, room: str) -> list[str]:
    async with httpx.AsyncClient(base_url=f"http://{stage.backend}", timeout=DEADLINE, trust_env=False) as client:
        return [each["text"] for each in (await client.get(f"/history/{room}")).json()["messages"]]
