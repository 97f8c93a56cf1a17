"""A page with ``<service-notices>``, under a policy that allows nothing inline, and what a reader gets of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Locator, Page, expect

from tests.support.stack import DEADLINE, Program

MILLISECONDS = DEADLINE * 1000
MAKE = (Path(__file__).parent / "element_page.js").read_text()

STYLE = """
:root { color-scheme: light dark; font-family: system-ui, sans-serif; }
:root.light { color-scheme: light; }
:root.dark { color-scheme: dark; }
body { margin: 0; background: light-dark(#f4f5f7, #0d1014); color: light-dark(#161b22, #e8ecf1); }
main { display: grid; grid-template-rows: auto auto 1fr auto; block-size: 100vh; max-inline-size: 52rem; margin: auto; }
h1 { margin: 0; padding: 0.875rem 1rem; border-block-end: 1px solid light-dark(#dfe3e8, #262d36); font-size: 1rem; }
ol { display: flex; flex-direction: column; justify-content: end; gap: 0.5rem; margin: 0; padding: 1rem; }
ol { overflow: auto; list-style: none; }
li { max-inline-size: 70%; padding: 0.5rem 0.875rem; border-radius: 1rem; background: light-dark(#fff, #1a2028); }
li.own { align-self: end; background: light-dark(#1f5fd0, #2f6fe0); color: #fff; }
li.notices { align-self: stretch; max-inline-size: none; padding: 0; background: none; }
label { display: flex; gap: 0.5rem; align-items: center; padding: 0.75rem 1rem; }
input { flex: 1; min-inline-size: 0; padding: 0.625rem 1rem; border-radius: 2rem; }
input { border: 1px solid light-dark(#8a929d, #6c7682); background: light-dark(#fff, #1a2028); }
input { color: inherit; font: inherit; }
"""
BANNER = """
<main>
  <h1>Team chat</h1>
  <service-notices {attributes}></service-notices>
  <ol><li>Good morning!</li><li class="own">Morning. Is the report ready?</li><li>Nearly.</li></ol>
  <label>Message <input></label>
</main>
"""
LINES = """
<main>
  <h1>Team chat</h1>
  <div></div>
  <ol>
    <li>Good morning!</li><li class="own">Morning. Is the report ready?</li><li>Nearly.</li>
    <li class="notices"><service-notices mode="line" {attributes}></service-notices></li>
  </ol>
  <label>Message <input></label>
</main>
"""


class Chat:
    """The page, what it complains of, and its notices."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.set_default_timeout(MILLISECONDS)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console",
            lambda each: self.complaints.append(each.text) if each.type in ("error", "warning", "assert") else None,
        )

    @property
    def notices(self) -> Locator:
        return self.page.locator("service-notices li:not([inert])")

    @property
    def composer(self) -> Locator:
        return self.page.get_by_label("Message")

    async def make(
        self,
        node: Program,
        attributes: str = 'src="/ws/status"',
        *,
        html: str = BANNER,
        lang: str = "en",
        theme: str = "",
    ) -> None:
        """Goes there and builds the page, also once more."""
        await self.page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
        await self.page.goto(f"{node.url}/sdk/index.js")
        made = {"css": STYLE, "html": html.format(attributes=attributes), "lang": lang, "theme": theme}
        await self.page.evaluate(f"{MAKE}({json.dumps(made)})")

    async def well(self) -> None:
        """Waits until the element's own client is connected, and all is well."""
        await self.until("notices.client.standing === 'well'")

    async def until(self, expression: str) -> None:
        """Waits until this is true. (Playwright's own way of waiting evaluates, which the page's policy forbids.)"""
        async with asyncio.timeout(DEADLINE):
            while not await self.page.evaluate(expression):
                await asyncio.sleep(0.02)

    async def scripted(self) -> None:
        """Gives the element a client that says what the test wants."""
        await self.page.evaluate("notices.client = window.client = new Scripted()")

    async def say(self, *messages: dict[str, Any], **state: Any) -> None:
        await self.page.evaluate("([messages, state]) => client.say(messages, state)", [list(messages), state])

    async def shows(self, *texts: str) -> None:
        """Waits until there are exactly these notices, each with this in it."""
        await expect(self.notices).to_contain_text(list(texts), timeout=MILLISECONDS)
        await expect(self.notices).to_have_count(len(texts), timeout=MILLISECONDS)

    async def focused(self) -> str:
        """What has the focus: an element's name, and that of the part inside of the notices."""
        found: str = await self.page.evaluate(
            "[document.activeElement?.localName, notices.shadowRoot.activeElement?.part?.value]"
            ".filter(Boolean).join(' ')"
        )
        return found

    async def settled(self) -> None:
        """Waits until nothing moves any more."""
        await self.until("notices.shadowRoot.getAnimations().length === 0")

    async def violations(self) -> list[str]:
        """What axe finds, in a line each."""
        found = await Axe().run(self.page)
        return [
            f"{each['id']}: {node['html']} {node['failureSummary']}"
            for each in found.response["violations"]
            for node in each["nodes"]
        ]


async def opened(browser: Browser, **options: Any) -> Chat:
    """A tab of its own, without anything in its storage."""
    return Chat(await (await browser.new_context(**options)).new_page())
