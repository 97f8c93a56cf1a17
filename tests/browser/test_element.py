"""``<service-notices>`` in a real browser on the real stack: what a reader sees, hears and can do."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Route, expect

from tests.browser.element_chat import LINES, MILLISECONDS, Chat, opened
from tests.support.stack import Stack, run_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).parents[2]
README = (ROOT / "clients" / "web" / "README.md").read_text()
DOWN = "Outage Analytics is unavailable. We will tell you as soon as it is back."
UP = "Resolved Analytics is back to normal."


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with run_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest_asyncio.fixture(loop_scope="module")
async def stack(running: Stack) -> AsyncIterator[Stack]:
    """The module's stack, in which everything works again after each test."""
    try:
        yield running
    finally:
        for each in [*running.services.values(), *running.nodes]:
            if not each.is_running:
                await each.start()
        await running.until_status(dict.fromkeys(running.services, "up"))


async def fails(stack: Stack, name: str = "analytics") -> None:
    await stack.services[name].kill()


async def recovers(stack: Stack, name: str = "analytics") -> None:
    await stack.services[name].start()


async def test_an_outage_appears_and_its_recovery_replaces_it_and_folds_away(browser: Browser, stack: Stack) -> None:
    """It is told to a screen reader, in a region that was empty; nothing is logged, and nothing on the page moves."""
    chat = await opened(browser)
    await chat.make(stack.nodes[0], 'src="/ws/status" sending="ok"')
    await chat.well()
    status = chat.page.get_by_role("status")
    await expect(status).to_have_count(1)
    await expect(status).to_be_empty()
    await expect(chat.page.get_by_role("alert")).to_have_count(0)
    await chat.composer.focus()

    await fails(stack)
    await chat.shows(DOWN)
    await chat.shows("Unavailable for now: Usage reports. Everything else works.")
    await chat.shows("Your messages are sent as usual.")
    await chat.shows("now")
    await expect(status).to_contain_text("Outage Analytics is unavailable.")
    assert await chat.focused() == "input"
    await chat.notices.evaluate("(node) => { node.isTheSame = true; }")

    await recovers(stack)
    await chat.shows(UP)
    assert await chat.notices.evaluate("(node) => node.isTheSame")
    await expect(status).to_contain_text(UP)
    await chat.shows()
    await expect(chat.page.get_by_role("list", name="Service notices")).to_be_hidden()
    assert await chat.focused() == "input"
    assert await chat.page.evaluate("events.map(([name, , kind]) => `${name} ${kind}`)") == [
        "shown down",
        "hidden recovered",
    ]
    assert await chat.page.evaluate("events.every(([, incident]) => incident === events[0][1])")
    assert await chat.page.evaluate("shift") < 0.001
    assert chat.complaints == []


async def test_a_dismissed_notice_stays_away_after_a_reload_and_in_other_tabs(browser: Browser, stack: Stack) -> None:
    chat = await opened(browser)
    await chat.make(stack.nodes[0])
    other = Chat(await chat.page.context.new_page())
    await other.make(stack.nodes[0])
    await fails(stack)
    await chat.shows(DOWN)
    await other.shows(DOWN)
    await chat.page.get_by_role("button", name="Dismiss").click()
    await chat.shows()
    await other.shows()
    await chat.make(stack.nodes[0])
    await chat.until("notices.client.standing === 'degraded'")
    await fails(stack, "auth")
    await chat.shows("Sign-in is unavailable")
    await recovers(stack)
    await recovers(stack, "auth")
    await chat.shows("Resolved Sign-in is back to normal.")


async def test_everything_works_by_keyboard_and_focus_is_never_lost(browser: Browser, stack: Stack) -> None:
    chat = await opened(browser)
    await chat.make(stack.nodes[0])
    await chat.well()
    await chat.composer.focus()
    await fails(stack)
    await fails(stack, "auth")
    await chat.shows("Sign-in is unavailable", "Analytics is unavailable")
    details = chat.page.locator("service-notices [part=details]").last
    assert await details.evaluate("(node) => node.clientHeight") == 0, "the worst alone is shown in full"
    await chat.page.keyboard.press("Shift+Tab")
    dismiss = chat.page.get_by_role("button", name="Dismiss").last
    await expect(dismiss).to_be_focused()
    await expect(dismiss).to_have_accessible_description(
        "Analytics is unavailable. We will tell you as soon as it is back."
    )
    assert await details.evaluate("(node) => node.clientHeight") > 0, "and the others to whoever is at them"
    await chat.page.keyboard.press("Enter")
    await chat.shows("Sign-in is unavailable")
    assert await chat.focused() == "service-notices button dismiss", "the other notice's"
    await chat.page.keyboard.press("Space")
    await chat.shows()
    assert await chat.focused() == "input", "where it came from"


async def test_a_recovery_waits_for_focus_and_pointer(browser: Browser, stack: Stack) -> None:
    chat = await opened(browser)
    await chat.make(stack.nodes[0])
    await chat.well()
    await fails(stack)
    await chat.shows(DOWN)
    await chat.page.get_by_role("button", name="Dismiss").focus()
    await recovers(stack)
    await chat.shows(UP)
    await chat.page.evaluate("new Promise((done) => setTimeout(done, 9_000))")
    await chat.shows(UP)
    assert await chat.focused() == "service-notices button dismiss"
    await chat.notices.hover()
    await chat.composer.focus()
    await chat.page.evaluate("new Promise((done) => setTimeout(done, 4_000))")
    await chat.shows(UP)
    await chat.composer.hover()
    await chat.shows()


async def test_offline_and_a_lost_feed_have_their_own_words(browser: Browser, stack: Stack) -> None:
    chat = await opened(browser)
    await chat.make(stack.nodes[0])
    await chat.well()
    await chat.page.context.set_offline(True)
    await chat.shows("You are offline.")
    await chat.page.context.set_offline(False)
    await chat.shows("Resolved You are online again.")
    await chat.page.evaluate("notices.remove()")
    await chat.make(stack.nodes[0])
    await chat.well()
    await stack.nodes[0].kill()
    await chat.shows("We have lost the live status of our services.")
    retry = chat.page.get_by_role("button", name="Try now")
    await retry.focus()
    await stack.nodes[0].start()
    await chat.page.keyboard.press("Enter")
    await chat.shows("Resolved Live status is back.")
    assert await chat.focused() == "service-notices button action", "a button in use does not go"
    await expect(retry).to_be_disabled()
    await chat.composer.focus()
    await expect(retry).to_be_hidden()


async def test_a_refused_connection_says_why_and_when_it_tries_again(browser: Browser, stack: Stack) -> None:
    chat = await opened(browser)
    await fails(stack, "auth")
    await stack.until_status({"auth": "down"})
    await chat.make(stack.nodes[0], 'src="/ws" sending="blocked"')
    await chat.shows("You cannot connect right now.")
    await chat.shows("Sign-in is unavailable, and we cannot connect you without it.")
    await chat.shows("You cannot send messages right now. Your draft is kept.")
    await expect(chat.notices).to_contain_text(re.compile(r"Trying again (in \d+ seconds?|now)"))
    alert = chat.page.get_by_role("alert")
    await expect(alert).to_contain_text("You cannot connect right now.")
    await expect(chat.page.get_by_role("status")).to_be_empty()
    await expect(chat.page.get_by_role("button", name="Dismiss")).to_be_hidden()
    await recovers(stack, "auth")
    await chat.shows("Resolved You are connected again.")
    await chat.page.evaluate("notices.setAttribute('sending', 'ok')")
    await expect(alert).to_have_count(0)
    assert chat.complaints == []


async def test_lines_stand_in_the_conversation(browser: Browser, stack: Stack) -> None:
    """One an incident, in order, and a screen reader does not hear them twice where the conversation is a log."""
    chat = await opened(browser)
    await chat.make(stack.nodes[0], 'src="/ws/status"', html=LINES)
    await chat.well()
    await fails(stack)
    await chat.shows(DOWN)
    await fails(stack, "auth")
    await chat.shows("Analytics is unavailable", "Sign-in is unavailable")
    await expect(chat.page.get_by_role("list", name="Service notices")).to_have_attribute("aria-live", "off")
    await recovers(stack)
    await chat.shows("Resolved Analytics is back", "Sign-in is unavailable")
    await chat.shows("Sign-in is unavailable")


async def test_it_speaks_the_readers_language_from_right_to_left(browser: Browser, stack: Stack) -> None:
    """The page's language, another one later; what the server says in English gives way to words of our own."""
    chat = await opened(browser)
    await chat.make(stack.nodes[0], lang="ar")
    await chat.well()
    await fails(stack)
    await chat.shows("انقطاع خدمة \u2068Analytics\u2069 غير متاحة.")
    body = await chat.page.locator("service-notices [part=body]").bounding_box()
    icon = await chat.page.locator("service-notices svg").first.bounding_box()
    dismiss = await chat.page.get_by_role("button", name="إخفاء").bounding_box()
    assert body is not None
    assert icon is not None
    assert dismiss is not None
    assert dismiss["x"] < body["x"] < icon["x"]
    await chat.page.evaluate("notices.lang = 'de-AT'")
    await chat.shows("Ausfall Analytics ist nicht verfügbar.")
    await chat.page.evaluate("notices.removeAttribute('lang'); document.documentElement.lang = 'zh-CN'")
    await chat.shows("服务中断 Analytics暂时不可用。")


async def test_colours_and_motion_follow_the_reader(browser: Browser, stack: Stack) -> None:
    chat = await opened(browser, color_scheme="dark", reduced_motion="reduce")
    await chat.make(stack.nodes[0])
    await chat.well()
    moves = "notices.shadowRoot.getAnimations().length"
    await chat.page.evaluate(
        "window.moved = 0; (function look() { moved += " + moves + "; requestAnimationFrame(look); })()"
    )
    colour = "(node) => getComputedStyle(node).color"
    await fails(stack)
    await chat.shows(DOWN)
    headline = chat.page.locator("service-notices [part=headline]")
    assert await headline.evaluate(colour) == "rgb(232, 236, 241)"
    await chat.page.emulate_media(color_scheme="light")
    assert await headline.evaluate(colour) == "rgb(22, 27, 34)"
    await chat.page.evaluate("notices.style.setProperty('--service-notices-ink', 'rgb(1, 2, 3)')")
    assert await headline.evaluate(colour) == "rgb(1, 2, 3)"
    await chat.page.get_by_role("button", name="Dismiss").click()
    await chat.shows()
    assert await chat.page.evaluate("moved") == 0
    await chat.page.emulate_media(reduced_motion="no-preference")
    await fails(stack, "auth")
    await chat.until("moved > 0")


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing(browser: Browser, stack: Stack, theme: str) -> None:
    chat = await opened(browser)
    for html in (None, LINES):
        await chat.make(
            stack.nodes[0], 'src="/ws/status" sending="queued"', theme=theme, **({"html": html} if html else {})
        )
        await chat.page.evaluate(f"notices.style.colorScheme = '{theme}'")
        await chat.well()
        await chat.settled()  # what sending="queued" says fades in
        assert await chat.violations() == []
        await fails(stack)
        await chat.shows(DOWN)
        await chat.settled()
        assert await chat.violations() == []
        await recovers(stack)
        await chat.shows(UP)
        await chat.settled()
        assert await chat.violations() == []


async def test_it_may_be_moved_and_goes_with_everything(browser: Browser, stack: Stack) -> None:
    """Moved, it keeps its connection; taken away, it closes it."""
    chat = await opened(browser)
    await chat.make(stack.nodes[0])
    await chat.well()
    await chat.page.evaluate("window.before = notices.client; document.querySelector('main').append(notices)")
    await fails(stack)
    await chat.shows(DOWN)
    assert await chat.page.evaluate("before === notices.client && before.connection === 'open'")
    await chat.page.evaluate("notices.remove()")
    await chat.until("before.connection === 'closed'")
    assert await chat.page.evaluate("notices.client") is None


async def test_the_readmes_page_and_its_languages(browser: Browser, stack: Stack) -> None:
    """The page and the script of the README's section run as they stand."""
    [html] = re.findall(r"~~~html\n(.*?)~~~", README, re.DOTALL)
    [code] = re.findall(r"~~~js\n(.*?)~~~", README, re.DOTALL)
    scripts = {"/example.js": code, "/texts/fr.js": 'export default { down: "{title} est indisponible." };'}

    async def serve(route: Route) -> None:
        await route.fulfill(body=scripts[urlsplit(route.request.url).path], content_type="text/javascript")

    page = await browser.new_page()
    for path in scripts:
        await page.route(f"**{path}", serve)
    await page.goto(stack.nodes[0].url)
    await page.set_content(html)
    notice = page.locator("service-notices li")
    await page.wait_for_load_state("networkidle")
    await fails(stack)
    await expect(notice).to_contain_text("Analytics is unavailable.", timeout=MILLISECONDS)
    await page.add_script_tag(url="/example.js", type="module")
    await page.evaluate("document.documentElement.lang = 'fr'")
    await expect(notice).to_contain_text("Analytics est indisponible.", timeout=MILLISECONDS)
    await page.evaluate("document.documentElement.lang = 'eo'")
    await expect(page.get_by_role("button", name="Fermi")).to_be_visible(timeout=MILLISECONDS)


async def test_the_first_readmes_two_lines(browser: Browser, stack: Stack) -> None:
    """They are all that it takes on a page of the node's host."""
    [html] = re.findall(r"```html\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    page = await browser.new_page()
    await page.goto(stack.nodes[0].url)
    await page.set_content(html)
    await fails(stack)
    notice = page.locator("service-notices li")
    await expect(notice).to_contain_text("Analytics is unavailable.", timeout=MILLISECONDS)
