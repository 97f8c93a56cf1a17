"""Pictures of the chat page, for whoever looks at them: phone and desktop, light and dark, in its main states."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from scripts.rehearsing.stage import Stage
from tests.browser.chat_page import (
    DESKTOP,
    MILLISECONDS,
    PHONE,
    arriving,
    killed,
    once,
    running_sample,
)
from tests.support.assistants import assistants
from tests.support.pictures import pictures

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.pictures]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with running_sample() as running:
        yield running


async def test_pictures_of_every_state(browser: Browser, stage: Stage, tmp_path: Path) -> None:
    """Each state in turn, in four rooms at once."""
    folder = pictures("chat", tmp_path)
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    looks = [(size, scheme) for size in (PHONE, DESKTOP) for scheme in schemes]
    rooms = ("Design", "Research", "Support", "Harbour")
    people = []
    for (size, scheme), room in zip(looks, rooms, strict=True):
        context = await browser.new_context(viewport=size, color_scheme=scheme)
        people.append(await arriving(context, stage, room))

    async def shoot(name: str) -> None:
        for person, (size, scheme) in zip(people, looks, strict=True):
            await person.still()
            path = folder / f"{name}-{size['width']}-{scheme}.png"
            await person.page.screenshot(path=path, animations="disabled")

    async def all_of_them(name: str, *arguments: Any) -> None:
        for person in people:
            await getattr(person, name)(*arguments)

    async def others(*said: tuple[str, str]) -> None:
        for room in rooms:
            for name, text in said:
                await once(stage, room, name, text)

    await shoot("entrance")
    await all_of_them("sign_in", "Ada")
    await all_of_them("until_connected")
    await shoot("empty")
    await others(("Grace", "Good morning! Does anybody know why the report came late?"))
    await all_of_them("say", "The analytics database was away for ten minutes. It caught up by itself.")
    await all_of_them("sees", "It caught up", "stored")
    await others(
        ("Grace", "Thank you. Is there anything to read about it?"),
        ("Grace", "https://status.example.org/incidents/42, I see."),
        ("ليلى", "صباح الخير، شكرًا على التوضيح"),
    )
    await all_of_them("say", "@assistant What should we do next time?")
    for person in people:
        await expect(person.page.locator("article.answer .meta")).to_have_count(1, timeout=MILLISECONDS)
    await shoot("well")
    async with assistants(stage, assistant="broken"):
        await all_of_them("say", "@assistant Who knows more about it?")
        await all_of_them("answer", "Answered by the spare assistant.")
        for person in people:
            await expect(person.notices).to_contain_text("AI assistant", timeout=MILLISECONDS)
        await shoot("spare-assistant")
    await shoot("recovered")
    async with killed(stage, "postgres"):
        await all_of_them("sending", "queued")
        await all_of_them("say", "I will write it down for everybody.")
        for person in people:
            await expect(person.page.locator("article.mine.queued")).to_have_count(1, timeout=MILLISECONDS)
        await shoot("archive-away")
        for person in people:
            await person.page.reload()
            await person.connection("Not let in")
        await all_of_them("sending", "blocked")
        for person in people:
            await person.field.fill("And I will tell you as soon as I am back.")
        await shoot("refused")
    await all_of_them("until_connected")
    async with killed(stage, "backend"):
        await all_of_them("connection", "Reconnecting")
        await all_of_them("say", "Written while nobody was there.")
        await all_of_them("sending", "queued", "no connection")
        for person in people:
            await expect(person.notices).to_contain_text("kept and sent", timeout=MILLISECONDS)
        await shoot("no-connection")
    await all_of_them("until_connected")
    for person in people[:2]:
        await person.page.get_by_role("button", name="Try it").click()
    await shoot("tour")
    async with killed(stage, "auth"):
        for room, (size, scheme) in zip(rooms, looks, strict=True):
            context = await browser.new_context(viewport=size, color_scheme=scheme)
            newcomer = await arriving(context, stage, room)
            await newcomer.sign_in("Linus")
            people[looks.index((size, scheme))] = newcomer
        for person in people:
            await expect(person.page.locator("#entrance-words")).to_contain_text("Sign", timeout=MILLISECONDS)
        await shoot("entrance-refused")
