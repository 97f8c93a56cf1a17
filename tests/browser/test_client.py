"""The browser client in a real browser: a plain module script against the real stack, and the README's examples."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Route, expect

from tests.support.metrics import scrape
from tests.support.stack import DEADLINE, Program, run_stack, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

MILLISECONDS = DEADLINE * 1000
README = (Path(__file__).parents[2] / "clients" / "web" / "README.md").read_text()
PAGE = """
<!doctype html>
<script type="importmap">{"imports": {"status-broadcaster": "/sdk/index.js"}}</script>
<p id="standing">nothing yet</p>
<p id="connection"></p>
<ol id="happened"></ol>
<script type="module">
  import { AvailabilityClient } from "status-broadcaster";
  const find = (id) => document.getElementById(id);
  const client = new AvailabilityClient("/ws/status");
  window.client = client;
  client.addEventListener("change", () => {
    find("standing").textContent = client.standing;
    find("connection").textContent = client.connection;
  });
  for await (const { kind, service } of client) {
    const item = document.createElement("li");
    item.textContent = `${service?.name ?? "feed"} ${kind}`;
    find("happened").append(item);
  }
</script>
"""
EMPTY = PAGE[: PAGE.index("<p")]


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


async def showing(context: BrowserContext, node: Program, html: str) -> Page:
    """A tab that shows this on the node's origin. (A page that Playwright makes up may not connect to this machine.)"""
    page = await context.new_page()
    await page.goto(f"{node.url}/livez")
    await page.set_content(html)
    return page


async def opened(context: BrowserContext, node: Program, html: str = PAGE) -> Page:
    """A tab with the client, connected and well."""
    page = await showing(context, node, html)
    await says(page, "standing", "well")
    return page


async def ticket(route: Route) -> None:
    await route.fulfill(body="abc.def-ghi", content_type="text/plain")


def listened(page: Page) -> list[str]:
    """What the page prints, and what fails in it."""
    printed: list[str] = []
    page.on("console", lambda message: printed.append(message.text))
    page.on("pageerror", lambda error: printed.append(f"failed: {error}"))
    return printed


async def says(page: Page, element: str, text: str | list[str]) -> None:
    """Waits until the element, or its items, have exactly this text."""
    found = page.locator(f"#{element}") if isinstance(text, str) else page.locator(f"#{element} li")
    await expect(found).to_have_text(text, timeout=MILLISECONDS)


async def connections(node: Program) -> float:
    return (await scrape(node))["broadcaster_connections", "active"]


async def until_connections(node: Program, expected: int) -> None:
    """Waits until the node counts this many; it hears of a closed tab a moment later."""
    async with asyncio.timeout(DEADLINE):
        while await connections(node) != expected:
            await asyncio.sleep(0.05)


async def test_it_sees_a_notice_and_survives_a_killed_node(browser: Browser, tmp_path: Path) -> None:
    """An outage and its end are told as they happen; what happens while the node is away is told once it is back."""
    async with run_stack(tmp_path) as stack:
        context = await browser.new_context()
        page = await opened(context, stack.nodes[0])
        await stack.services["analytics"].kill()
        await says(page, "standing", "degraded")
        await says(page, "happened", ["analytics down"])
        await stack.nodes[0].kill()
        await says(page, "standing", "lost")
        await stack.services["analytics"].start()
        await stack.nodes[0].start()
        await says(page, "standing", "well")
        await says(page, "connection", "open")
        assert (await page.locator("#happened li").all_inner_texts())[:1] == ["analytics down"]
        assert await page.locator("#happened li", has_text="recovered").count() == 1


async def test_a_frozen_node_is_noticed(browser: Browser, tmp_path: Path) -> None:
    """A node that keeps the connection and says nothing is found out by the missed heartbeat."""
    async with run_stack(tmp_path) as stack:
        context = await browser.new_context()
        fast = PAGE.replace('"/ws/status")', '"/ws/status", { heartbeatMs: 1000 })')
        assert fast != PAGE
        page = await opened(context, stack.nodes[0], fast)
        stack.nodes[0].pause()
        try:
            await says(page, "standing", "lost")
        finally:
            stack.nodes[0].resume()
        await says(page, "standing", "well")


async def test_offline_is_not_a_lost_feed(browser: Browser, tmp_path: Path) -> None:
    """Without a network the client says so, and is back at once with it."""
    async with run_stack(tmp_path) as stack:
        context = await browser.new_context()
        page = await opened(context, stack.nodes[0])
        await context.set_offline(True)
        await says(page, "standing", "offline")
        await says(page, "connection", "offline")
        assert await page.evaluate("[client.isOffline, client.troubles.length]") == [True, 0]
        await stack.services["analytics"].kill()
        await stack.until_status({"analytics": "down"})
        await context.set_offline(False)
        await says(page, "standing", "degraded")
        await says(page, "happened", ["analytics down"])


async def test_tabs_share_one_connection(browser: Browser, tmp_path: Path) -> None:
    """Two tabs are one connection at the node; both hear the news; the second goes on without the first."""
    async with run_stack(tmp_path) as stack:
        [node] = stack.nodes
        context = await browser.new_context()
        first = await opened(context, node)
        second = await opened(context, node)
        await until_connections(node, 1)
        assert await first.evaluate("client.isLeading")
        assert not await second.evaluate("client.isLeading")
        await stack.services["analytics"].kill()
        for page in (first, second):
            await says(page, "happened", ["analytics down"])
        await first.close()
        await second.wait_for_function("client.isLeading && client.connection === 'open'", timeout=MILLISECONDS)
        await stack.services["analytics"].start()
        await says(second, "happened", ["analytics down", "analytics recovered"])
        await until_connections(node, 1)
        await opened(await browser.new_context(), node)
        await until_connections(node, 2)


async def test_a_stuck_tab_does_not_keep_the_connection(browser: Browser, tmp_path: Path) -> None:
    """Another tab takes it over, and the stuck one, once it runs again, hears from there."""
    async with run_stack(tmp_path) as stack:
        [node] = stack.nodes
        context = await browser.new_context()
        first = await opened(context, node)
        second = await opened(context, node)
        await first.evaluate("setTimeout(() => { for (const end = Date.now() + 10_000; Date.now() < end; ); })")
        await second.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await second.wait_for_function("client.isLeading && client.connection === 'open'", timeout=MILLISECONDS)
        await first.wait_for_function("!client.isLeading && client.connection === 'open'", timeout=MILLISECONDS)
        await until_connections(node, 1)
        await stack.services["analytics"].kill()
        for page in (first, second):
            await says(page, "happened", ["analytics down"])


async def test_the_readmes_page(browser: Browser, tmp_path: Path) -> None:
    """The whole page, as it stands: well, an outage in words, and well again."""
    [html] = examples("html")
    async with run_stack(tmp_path) as stack:
        context = await browser.new_context()
        page = await showing(context, stack.nodes[0], html)
        line = page.get_by_role("status")
        await expect(line).to_have_text("Everything works.", timeout=MILLISECONDS)
        await stack.services["analytics"].kill()
        await expect(line).to_have_text("Not everything works: Analytics.", timeout=MILLISECONDS)
        await stack.services["analytics"].start()
        await expect(line).to_have_text("Everything works.", timeout=MILLISECONDS)


EXPECTED = {
    "for await": "down analytics Analytics is unavailable",
    "services.get": "notice: Analytics is unavailable",
    "locale:": "the text is in en",
    "getTicket": "now closed",
    "new Replica": "Sign-in is down",
}


async def test_the_readmes_examples(browser: Browser, tmp_path: Path) -> None:
    """Each runs as it stands, and prints what it is about."""
    found = examples("js")
    assert len(found) == len(EXPECTED)
    async with run_stack(tmp_path) as stack:
        context = await browser.new_context()
        await context.route("**/ticket", ticket)
        logs: list[tuple[str, list[str]]] = []
        for code in found:
            [about] = [each for each in EXPECTED if each in code]
            page = await showing(context, stack.nodes[0], EMPTY)
            printed = listened(page)
            await page.add_script_tag(content=code, type="module")
            logs.append((EXPECTED[about], printed))
        await until(lambda: any("auth is up" in each for _, printed in logs for each in printed), "connected")
        await stack.services["analytics"].kill()
        for expected, printed in logs:
            await until(lambda: any(expected in each for each in printed), f"{expected!r} in {printed}")  # noqa: B023
            assert not [each for each in printed if each.startswith("failed")]
