"""The status page in a real browser, fed by the real stack: services die, the node dies, the worker dies."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.support.stack import DEADLINE, SOON, Stack, run_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = "<img src=x onerror=\"document.title='broken'\"><b>Chat</b>"
MILLISECONDS = DEADLINE * 1000


class Watched:
    """A page on a node, and everything its console had to complain about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.set_default_timeout(MILLISECONDS)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console",
            lambda message: (
                self.complaints.append(message.text) if message.type in ("error", "warning", "assert") else None
            ),
        )

    async def says(self, element: str, text: str) -> None:
        """Waits until the element with this id contains the text."""
        await expect(self.page.locator(f"#{element}")).to_contain_text(text, timeout=MILLISECONDS)

    async def shows(self, kind: str, name: str, level: str) -> None:
        """Waits until a row (of "services" or "features") has this level, in a word and not by colour alone."""
        row = self.page.locator(f'#{kind} [data-name="{name}"][data-level="{level}"]')
        await expect(row).to_be_visible(timeout=MILLISECONDS)
        await expect(row.locator(".word")).not_to_be_empty()
        await expect(row.locator("use")).to_have_attribute("href", f"#icon-{level}")


async def opened(browser: Browser, stack: Stack) -> Watched:
    """The page of the stack's first node, live and well."""
    watched = Watched(await browser.new_page())
    await watched.page.goto(stack.nodes[0].url)
    await watched.says("headline", "All systems operational")
    await watched.says("freshness-text", "Live")
    return watched


async def test_an_outage_comes_and_goes_on_the_page(browser: Browser, tmp_path: Path) -> None:
    """A killed service shows with its features, its event and its headline; back again, all is well; no complaints."""
    async with run_stack(tmp_path) as stack:
        watched = await opened(browser, stack)
        await stack.services["analytics"].kill()
        await watched.shows("services", "analytics", "down")
        await watched.shows("features", "analytics", "down")
        await watched.shows("features", "chat", "up")
        await watched.says("headline", "Usage reports unavailable")
        await watched.says("subline", "Everything else works.")
        await watched.says("happened", "Analytics Down")
        await watched.says("announcer", "Analytics is unavailable")

        await stack.services["auth"].kill()
        await watched.shows("services", "auth", "down")
        await watched.shows("features", "chat", "down")
        await watched.says("headline", "Nothing works right now")
        await expect(watched.page).to_have_title("Nothing works right now – Service status")

        await stack.services["auth"].start()
        await stack.services["analytics"].start()
        await watched.says("headline", "All systems operational")
        await watched.says("happened", "Sign-in Recovered")
        await watched.says("happened", "Analytics Recovered")
        await expect(watched.page.locator("#incidents .updates li")).to_have_count(4, timeout=MILLISECONDS)
        await expect(watched.page.locator("#events .event").filter(has_text="Recovered")).to_have_count(0)
        assert watched.complaints == []


async def test_a_killed_node_is_admitted_and_forgiven(browser: Browser, tmp_path: Path) -> None:
    """Without its server the page does not claim to know anything; with it back, it shows what changed meanwhile."""
    async with run_stack(tmp_path) as stack:
        watched = await opened(browser, stack)
        await stack.nodes[0].kill()
        await watched.says("headline", "Connection to the server lost")
        await watched.says("subline", "What you see is from")
        await watched.says("announcer", "Connection to the server lost")
        await stack.services["analytics"].kill()
        await stack.nodes[0].start()
        await watched.says("freshness-text", "Live")
        await watched.says("headline", "Usage reports unavailable")
        await watched.says("happened", "Connected to the server again.")
        await watched.says("happened", "Analytics Down")


async def test_a_frozen_node_is_noticed(browser: Browser, tmp_path: Path) -> None:
    """A server that keeps the connection and says nothing is found out, which a WebSocket alone never does."""
    async with run_stack(tmp_path) as stack:
        watched = await opened(browser, stack)
        stack.nodes[0].pause()
        try:
            await watched.says("headline", "Connection to the server lost")
        finally:
            stack.nodes[0].resume()
        await watched.says("headline", "All systems operational")


async def test_a_dead_worker_is_not_passed_off_as_health(browser: Browser, tmp_path: Path) -> None:
    """With nobody watching, the page says so in place of "operational"."""
    async with run_stack(tmp_path, stale_after=SOON) as stack:
        watched = await opened(browser, stack)
        assert stack.worker is not None
        await stack.worker.kill()
        await watched.says("freshness-text", "not being watched")
        await expect(watched.page.locator("#headline")).not_to_contain_text("operational")
        await stack.worker.start()
        await watched.says("headline", "All systems operational")
        await watched.says("freshness-text", "Live")
        assert watched.complaints == []


async def test_a_hostile_title_is_text(browser: Browser, tmp_path: Path) -> None:
    """Markup in services.yaml is shown as it is written, and runs nothing."""
    chat = {"title": HOSTILE, "requires": ["auth"], "texts": {"down": HOSTILE}}
    async with run_stack(tmp_path, services=("auth",), changes={"features": {"chat": chat}}) as stack:
        watched = await opened(browser, stack)
        await stack.services["auth"].kill()
        await watched.shows("features", "chat", "down")
        await watched.says("features", HOSTILE)
        await watched.says("headline", HOSTILE)
        assert await watched.page.locator("img, b").count() == 0
        assert HOSTILE in await watched.page.title()
        assert watched.complaints == []
