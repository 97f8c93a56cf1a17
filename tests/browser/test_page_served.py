"""The page as the server makes it: whole without a script, alive with one, light, and fit for every reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Error, Page, expect

from broadcaster.store.redis import RedisStore
from tests.support.past import write_past
from tests.support.pictures import pictures
from tests.support.ports import LOOPBACK, free_port
from tests.support.stack import DEADLINE, Stack, run_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

MILLISECONDS = DEADLINE * 1000
SERVICES = ("auth", "analytics", "assistant")
TOKEN = "an operator's token"
MOST_BYTES = 60_000

WATCH_SHIFTS = """
window.shifted = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.shifted += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""

BARS = """
() => [...document.querySelectorAll("#services .row:first-child .bars i")]
  .filter((each) => getComputedStyle(each).display !== "none")
  .map((each) => [each.className, getComputedStyle(each, "::before").height])
"""


@asynccontextmanager
async def run_with_past(folder: Path) -> AsyncIterator[Stack]:
    """A stack of three services whose carrier remembers a quarter."""
    changes = {"node": {"operator_token": TOKEN}}
    async with run_stack(folder, services=SERVICES, worker=False, nodes=0, changes=changes) as stack:
        async with RedisStore.connect(stack.redis.url) as store:
            await write_past(store, SERVICES)
        worker = stack.program("worker", "probe", env={})
        port = free_port()
        node = stack.program("node0", "serve", "--host", LOOPBACK, "--port", str(port), port=port, env={})
        try:
            await asyncio.gather(worker.start(), node.start())
            stack.worker, stack.nodes = worker, [node]
            await stack.until_status(dict.fromkeys(SERVICES, "up"))
            await stack.until_feed("live")
            yield stack
        finally:
            await worker.kill()
            await node.kill()


async def opened(browser: Browser, url: str, **options: Any) -> Page:
    """A page that is alive."""
    page = await browser.new_page(**options)
    page.set_default_timeout(MILLISECONDS)
    await page.goto(url)
    await expect(page.locator("#freshness-text")).to_have_text("Live", timeout=MILLISECONDS)
    return page


async def test_it_is_whole_without_a_script(browser: Browser, tmp_path: Path) -> None:
    """State, features, services with their days, incidents and the time it was made; reloaded by itself, it is news."""
    async with run_with_past(tmp_path) as stack:
        context = await browser.new_context(java_script_enabled=False)
        page = await context.new_page()
        await page.goto(stack.nodes[0].url)
        await expect(page.locator("#headline")).to_have_text("All systems operational")
        await expect(page.locator("#freshness-text")).to_contain_text("As of ")
        await expect(page.locator(".hint")).to_be_visible()
        assert await page.locator('meta[http-equiv="refresh"]').count() == 1
        assert await page.locator("#features .row").count() == 3
        assert await page.locator("#services .row").count() == 3
        await expect(page.locator('#services [data-name="analytics"] .sum')).to_contain_text(
            "% over 90 days, 2 outages"
        )
        await expect(page.locator(".incident").first).to_contain_text("Problems with Analytics")
        await stack.services["analytics"].kill()
        await stack.until_status({"analytics": "down"})
        await page.reload()
        await expect(page.locator("#headline")).to_have_text("Usage reports unavailable")
        await expect(page.locator(".incident").first).to_contain_text("Analytics unavailable")
        await expect(page.locator(".incident").first).to_contain_text("Ongoing")


async def test_it_comes_alive_without_a_flicker(browser: Browser, tmp_path: Path) -> None:
    """The script says what the server said, and nothing moves; only the freshness is another."""
    async with run_with_past(tmp_path) as stack:
        still = await (await browser.new_context(java_script_enabled=False)).new_page()
        await still.goto(stack.nodes[0].url)
        page = await browser.new_page()
        await page.add_init_script(WATCH_SHIFTS)
        await page.goto(stack.nodes[0].url)
        await expect(page.locator("#freshness-text")).to_have_text("Live", timeout=MILLISECONDS)
        for part in ("#overall", "#features", "#services .row-title", "#services .row-detail", "#happened"):
            assert await page.locator(part).all_inner_texts() == await still.locator(part).all_inner_texts()
        boxes = [await each.locator("#board").bounding_box() for each in (page, still)]
        assert boxes[0] is not None
        assert boxes[0]["height"] == boxes[1]["height"]  # type: ignore[index]
        assert await page.evaluate("window.shifted") == 0


async def test_news_reaches_days_and_incidents(browser: Browser, tmp_path: Path) -> None:
    """Some seconds after it reached the rows, and without a reload; then the live line makes room."""
    async with run_with_past(tmp_path) as stack:
        page = await opened(browser, stack.nodes[0].url)
        incident = page.locator(".incident").filter(has_text="Analytics unavailable").filter(has_text="Ongoing")
        await expect(incident).to_have_count(0)
        await stack.services["analytics"].kill()
        told = page.locator("#events .event").filter(has_text="Analytics Down")
        await expect(told).to_have_count(1, timeout=MILLISECONDS)
        await expect(incident).to_have_count(1, timeout=MILLISECONDS)
        await expect(told).to_have_count(0)
        today = page.locator('#services [data-name="analytics"] .bars i').last
        await expect(today).to_have_class("down")


async def test_it_is_light(browser: Browser, tmp_path: Path) -> None:
    """All that comes over the wire until it is alive, heads included."""
    async with run_with_past(tmp_path) as stack:
        context = await browser.new_context()
        page = await context.new_page()
        session = await context.new_cdp_session(page)
        loaded: list[float] = []
        await session.send("Network.enable")
        session.on("Network.loadingFinished", lambda event: loaded.append(event["encodedDataLength"]))
        await page.goto(stack.nodes[0].url)
        await expect(page.locator("#freshness-text")).to_have_text("Live", timeout=MILLISECONDS)
        await page.wait_for_load_state("networkidle")
        print(f"status page: {sum(loaded) / 1000:.1f} kB in {len(loaded)} files (limit {MOST_BYTES / 1000:.0f} kB)")
        assert len(loaded) > 5
        assert sum(loaded) < MOST_BYTES


async def test_troubled_days_can_be_read_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    """A stop for each service with any; Enter unfolds them, and a renewal leaves them unfolded and focused."""
    async with run_with_past(tmp_path) as stack:
        page = await opened(browser, stack.nodes[0].url)
        days = page.locator('#services [data-name="auth"] .days')
        await expect(days).to_be_hidden()
        for _ in range(10):
            await page.keyboard.press("Tab")
            if await page.evaluate("document.activeElement.closest('[data-name=auth]') !== null"):
                break
        await page.keyboard.press("Enter")
        await expect(days).to_be_visible()
        await expect(days).to_contain_text("down 9 min")
        await stack.services["auth"].kill()
        await expect(days.locator("li").first).to_contain_text("down", timeout=MILLISECONDS)
        await expect(page.locator('#services [data-name="auth"] .bars i').last).to_have_class(
            "down", timeout=MILLISECONDS
        )
        await expect(days).to_be_visible()
        assert await page.evaluate("document.activeElement.tagName") == "SUMMARY"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
async def test_it_is_accessible(browser: Browser, tmp_path: Path, width: int, scheme: Any) -> None:
    """By the rules that a machine can check, for users and for operators, while something is down."""
    async with run_with_past(tmp_path) as stack:
        await stack.services["analytics"].kill()
        await stack.until_status({"analytics": "down"})
        options = {"color_scheme": scheme, "viewport": {"width": width, "height": 900}, "reduced_motion": "reduce"}
        for path, more in (("/", {}), ("/?audience=operators", credentials())):
            page = await opened(browser, stack.nodes[0].url + path, **options, **more)
            for summary in await page.locator("summary").all():
                await summary.click()
            found = await Axe().run(page)
            assert found.violations_count == 0, found.generate_report()
            assert await page.evaluate("document.documentElement.scrollWidth") <= width


def credentials() -> dict[str, Any]:
    return {"http_credentials": {"username": "operator", "password": TOKEN}}


async def test_days_are_told_apart_without_colour(browser: Browser, tmp_path: Path) -> None:
    """The worse, the taller; also where the reader's own colours replace ours. A phone shows a month."""
    async with run_with_past(tmp_path) as stack:
        for options, shown in (
            ({"viewport": {"width": 1280, "height": 900}}, 90),
            ({"viewport": {"width": 390, "height": 800}}, 30),
            ({"viewport": {"width": 1280, "height": 900}, "forced_colors": "active"}, 90),
        ):
            page = await opened(browser, stack.nodes[0].url, **options)
            bars = await page.evaluate(BARS)
            assert len(bars) == shown
            heights = {name: float(height.removesuffix("px")) for name, height in bars}
            assert heights["up"] < heights["down"]
            if shown == 90:
                assert heights["up"] < heights["degraded"] < heights["down"]


async def test_on_paper_it_says_as_of_when(browser: Browser, tmp_path: Path) -> None:
    """What is live, or to be clicked, is not printed; what is folded is."""
    async with run_with_past(tmp_path) as stack:
        page = await opened(browser, stack.nodes[0].url)
        await page.emulate_media(media="print")
        await expect(page.locator(".printed")).to_contain_text("As of ")
        for hidden in ("#freshness", "footer"):
            await expect(page.locator(hidden)).to_be_hidden()
        box = await page.locator('#services [data-name="analytics"] .days').bounding_box()
        assert box is not None
        assert box["height"] > 0


async def test_operators_see_more_and_nobody_else_does(browser: Browser, tmp_path: Path) -> None:
    """With the token as a password: response times and causes, kept current; without it, nothing."""
    async with run_with_past(tmp_path) as stack:
        url = f"{stack.nodes[0].url}/?audience=operators"
        page = await opened(browser, url, **credentials())
        row = page.locator('#services [data-name="analytics"]')
        await expect(row.locator(".spark path")).to_have_count(1, timeout=MILLISECONDS)
        await stack.services["analytics"].kill()
        await expect(row.locator(".internal")).to_contain_text("refused", timeout=MILLISECONDS)
        refused = await (await browser.new_context()).new_page()
        with pytest.raises(Error, match="ERR_INVALID_AUTH_CREDENTIALS"):
            await refused.goto(url)
        public = await opened(browser, stack.nodes[0].url, **credentials())
        assert await public.locator(".internal").count() == 0


async def test_operators_see_services_that_are_not_announced(browser: Browser, tmp_path: Path) -> None:
    """The feed does not tell the page of them, so the server does; users have no row of theirs."""
    changes = {"node": {"operator_token": TOKEN}, "graceful_degradation": False}
    async with run_stack(tmp_path, changes=changes) as stack:
        url = stack.nodes[0].url
        page = await opened(browser, f"{url}/?audience=operators", **credentials())
        row = page.locator('#services [data-name="analytics"]')
        await expect(row).to_have_attribute("data-level", "up")
        await stack.services["analytics"].kill()
        await expect(row).to_have_attribute("data-level", "down", timeout=MILLISECONDS)
        await expect(row.locator(".word")).to_have_text("Down")
        public = await opened(browser, url)
        assert await public.locator("#services .row").count() == 1
        assert await public.locator(".incident").count() == 0


@pytest.mark.pictures
async def test_its_pictures(browser: Browser, tmp_path: Path) -> None:
    """How it looks, for people to look at: well, degraded and down."""
    folder = pictures("page", tmp_path)
    async with run_with_past(tmp_path) as stack:
        await take(browser, stack, folder, "well", "All systems operational")
        await stack.services["analytics"].kill()
        await take(browser, stack, folder, "degraded", "Usage reports unavailable")
        await stack.services["auth"].kill()
        await take(browser, stack, folder, "down", "unavailable")
    assert len(list(folder.glob("*.png"))) >= 16


async def take(browser: Browser, stack: Stack, folder: Path, name: str, headline: str) -> None:
    """The whole page, on a desk and a phone, by day and by night, and printed."""
    for width in (390, 1280):
        for scheme in ("light", "dark"):
            page = await opened(
                browser,
                stack.nodes[0].url,
                viewport={"width": width, "height": 900},
                color_scheme=scheme,
            )
            await expect(page.locator("#headline")).to_contain_text(headline, timeout=MILLISECONDS)
            await page.reload()
            await expect(page.locator("#freshness-text")).to_have_text("Live", timeout=MILLISECONDS)
            await page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)
    page = await opened(browser, f"{stack.nodes[0].url}/?audience=operators", **credentials())
    await page.screenshot(path=folder / f"{name}-operators.png", full_page=True)
    await page.emulate_media(media="print")
    await page.screenshot(path=folder / f"{name}-print.png", full_page=True)
    await page.pdf(path=folder / f"{name}-print.pdf", format="A4", print_background=True)
    page = await opened(browser, stack.nodes[0].url, forced_colors="active", color_scheme="dark")
    await page.locator("#services summary").first.click()
    await page.screenshot(path=folder / f"{name}-forced-colors.png", full_page=True)
