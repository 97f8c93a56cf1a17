"""The chat page in a real browser, on the whole sample: what its users meet while a part of it fails."""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator
from datetime import datetime

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from scripts.rehearsing.stage import Stage
from tests.browser.chat_page import (
    DESKTOP,
    MILLISECONDS,
    MOST_WAITING,
    PHONE,
    Person,
    arriving,
    history,
    killed,
    listening,
    next_notice,
    once,
    running_sample,
    somebody,
)
from tests.support.assistants import assistants

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage() -> AsyncIterator[Stage]:
    """One for all; each test leaves it well."""
    async with running_sample() as running:
        yield running


async def test_two_people_talk_in_two_tabs(browser: Browser, stage: Stage) -> None:
    """Tabs of one browser are two people; what one says the other reads, once, in the direction it is written."""
    async with somebody(browser, stage, "hall") as ada:
        bob = await arriving(ada.page.context, stage, "hall")
        await bob.sign_in("Bob")
        await bob.until_connected()
        await ada.say("Good morning, see https://example.org/a?b=c.")
        await ada.sees("Good morning", "stored")
        await bob.sees("Good morning", "theirs")
        await expect(bob.message("Good morning").get_by_role("link")).to_have_attribute(
            "href", "https://example.org/a?b=c"
        )
        await bob.say("صباح الخير")
        await ada.sees("صباح الخير", "theirs")
        assert await ada.message("صباح").locator(".text").evaluate("node => getComputedStyle(node).direction") == "rtl"
        await ada.say("<b>" + "x" * 300)
        await bob.sees("<b>xxx")
        assert await bob.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await ada.page.reload()
        await ada.until_connected()
        for text in ("Good morning", "صباح الخير"):
            await ada.sees(text)
        assert bob.printed == []


async def test_the_assistant_falls_back_and_says_so(browser: Browser, stage: Stage) -> None:
    """Steps, then an answer; the spare one's, an earlier one and none are labelled in words."""
    async with somebody(browser, stage, "study") as ada:
        await ada.page.get_by_role("button", name="Ask the assistant", exact=True).click()
        await expect(ada.field).to_be_focused()
        await ada.page.keyboard.type("why")
        await ada.page.keyboard.press("Enter")
        usual = ada.page.locator("article.answer", has_text="“why”")
        await expect(usual).to_have_count(1, timeout=MILLISECONDS)
        await expect(usual.locator("p.less")).to_have_count(0)
        async with assistants(stage, assistant="broken"):
            await ada.say("@assistant why")
            await ada.answer("Answered by the spare assistant.")
            await expect(ada.notices).to_contain_text("AI assistant", timeout=MILLISECONDS)
        async with assistants(stage, assistant="broken", spare="broken"):
            await ada.say("@assistant why")
            await ada.answer("An earlier answer to the same question.")
            await ada.say("@assistant how")
            await ada.answer("No model answers.")
        await ada.page.reload()
        await expect(ada.page.locator("article.answer p.less")).to_have_count(3, timeout=MILLISECONDS)


async def test_a_degradation_is_seen_within_a_second(browser: Browser, stage: Stage) -> None:
    """From the commit to the words in the page; focus stays where it was, and so does what is being written."""
    async with somebody(browser, stage, "tower") as ada:
        await ada.field.fill("half a thought")
        await ada.page.evaluate(
            """() => {
                const shown = document.querySelector("#notices").shadowRoot;
                const look = () => {
                    if (shown.textContent.includes("Spare assistant")) {
                        window.seenAt ??= Date.now();
                    }
                };
                new MutationObserver(look).observe(shown, { subtree: true, childList: true, characterData: true });
            }"""
        )
        async with listening(stage) as socket:
            async with killed(stage, "spare"):
                await expect(ada.notices).to_contain_text("Spare assistant", timeout=MILLISECONDS)
                down = await next_notice(socket)
                assert (down["service"]["name"], down["kind"]) == ("spare", "down")
                seconds = (
                    await ada.page.evaluate("window.seenAt") / 1000 - datetime.fromisoformat(down["at"]).timestamp()
                )
                print(f"from the commit to the words in the page: {seconds:.3f} s")
                assert seconds < 3.0, "generous: this machine may be busy"
                await expect(ada.field).to_be_focused()
            await expect(ada.page.locator('#acts [data-level="down"]')).to_have_count(0, timeout=MILLISECONDS)
        await expect(ada.field).to_have_value("half a thought")


async def test_messages_wait_for_the_archive(browser: Browser, stage: Stage) -> None:
    """Without PostgreSQL a message is read at once, marked as waiting, and stored later; a full archive blocks sending
    with its reason and keeps the draft; what was said before is marked as missing."""
    numbers = [f"number {number:02}" for number in range(MOST_WAITING)]
    async with somebody(browser, stage, "cellar") as ada, somebody(browser, stage, "cellar", "Bob") as bob:
        await ada.say("before")
        await ada.sees("before", "stored")
        async with killed(stage, "postgres"):
            await ada.say(numbers[0])
            await bob.sees(numbers[0])
            await ada.sees("as soon as the archive is back", "queued")
            await ada.sending("queued", "stored as soon as the archive is back")
            await bob.page.reload()
            await expect(bob.page.locator("#history")).to_contain_text("archive is away", timeout=MILLISECONDS)
            await bob.sees(numbers[0])
            for text in numbers[1:]:
                await ada.say(text)
                await ada.sees(text, "queued")
            await ada.say("one too many")
            await ada.sees("one too many", "refused")
            await ada.sending("blocked", "away for too long")
            await ada.say("not lost")
            await expect(ada.field).to_have_value("not lost")
            await ada.sending("blocked")
        await ada.sending("ok")
        for text in numbers:
            await ada.sees(text, "stored")
        await ada.page.get_by_role("button", name="Send again").click()
        await ada.sees("one too many", "stored")
        await ada.field.press("Enter")
        await ada.sees("not lost", "stored")
        await expect(bob.page.locator("#history")).to_be_hidden(timeout=MILLISECONDS)
        await bob.sees("before")
    assert await history(stage, "cellar") == ["before", *numbers, "one too many", "not lost"]


async def test_what_was_said_before_follows_when_it_can(browser: Browser, stage: Stage) -> None:
    """Somebody let in before anybody knew that the archive is away: what misses is marked, and asked for again."""
    await once(stage, "loft", "Bob", "said before")
    context = await browser.new_context(viewport=DESKTOP)
    away = json.dumps({"messages": [], "is_complete": False})
    await context.route("**/history/*", lambda route: route.fulfill(body=away), times=2)
    ada = await arriving(context, stage, "loft")
    await ada.sign_in("Ada")
    await ada.until_connected()
    note = ada.page.locator("#history")
    await expect(note).to_contain_text("cannot be read right now", timeout=MILLISECONDS)
    await ada.sees("said before")
    await expect(note).to_be_hidden()


async def test_a_refused_connection_explains_itself_and_comes_back(browser: Browser, stage: Stage) -> None:
    """Without the sign-in nobody is let in: the server's words, a countdown, the draft kept, and in again by itself."""
    async with somebody(browser, stage, "gate") as ada:
        newcomer = await arriving(await browser.new_context(), stage, "gate")
        await ada.field.fill("what I was about to say")
        async with killed(stage, "auth"):
            await ada.page.reload()
            await ada.connection("Not let in")
            await ada.sending("blocked", "not let in")
            await expect(ada.notices).to_contain_text("Sign-in is unavailable, and we cannot", timeout=MILLISECONDS)
            await expect(ada.notices).to_contain_text(re.compile(r"in \d+ sec|now", re.I), timeout=MILLISECONDS)
            await ada.field.press("Enter")
            await expect(ada.field).to_have_value("what I was about to say")
            await newcomer.sign_in("Eve")
            await expect(newcomer.page.locator("#entrance-words")).to_contain_text("Sign", timeout=MILLISECONDS)
            await expect(newcomer.page.locator("#entrance-countdown")).to_contain_text("Next try", timeout=MILLISECONDS)
        for person in (ada, newcomer):
            await person.until_connected()
        await ada.sending("ok")
        await ada.field.press("Enter")
        await ada.sees("what I was about to say", "stored")
        await newcomer.sees("what I was about to say", "theirs")
        assert newcomer.printed == []


async def test_a_draft_outlives_a_reload(browser: Browser, stage: Stage) -> None:
    """What is being written is there again, and gone once it is sent."""
    async with somebody(browser, stage, "desk") as ada:
        await ada.field.fill("first line\nsecond line")
        await ada.page.reload()
        await ada.until_connected()
        await expect(ada.field).to_have_value("first line\nsecond line")
        await ada.field.press("Enter")
        await ada.sees("second line", "stored")
        await ada.page.reload()
        await ada.until_connected()
        await expect(ada.field).to_have_value("")


async def test_what_is_written_while_the_backend_is_away_is_sent_once(browser: Browser, stage: Stage) -> None:
    """It waits in the page, says so, and goes out in order when the backend is back."""
    async with somebody(browser, stage, "bridge") as ada:
        await ada.say("while it is there")
        await ada.sees("while it is there", "stored")
        async with killed(stage, "backend"):
            await ada.connection("Reconnecting")
            for text in ("one", "two"):
                await ada.say(f"number {text}")
                await ada.sees(f"number {text}", "waiting")
            await ada.sending("queued", "goes out when there is one")
            await expect(ada.notices).to_contain_text("kept and sent", timeout=MILLISECONDS)
        await ada.until_connected()
        for text in ("one", "two"):
            await ada.sees(f"number {text}", "stored")
        await ada.sending("ok")
    assert await history(stage, "bridge") == ["while it is there", "number one", "number two"]


async def test_without_a_network(browser: Browser, stage: Stage) -> None:
    """The page says that it is the network, keeps what is written, and sends it when it is back."""
    async with somebody(browser, stage, "train") as ada:
        await ada.page.context.set_offline(True)
        await ada.connection("Offline")
        await ada.sending("queued", "You are offline")
        await ada.say("from the tunnel")
        await ada.sees("from the tunnel", "waiting")
        await ada.page.context.set_offline(False)
        await ada.until_connected()
        await ada.sees("from the tunnel", "stored")
    assert await history(stage, "train") == ["from the tunnel"]


async def test_on_a_slow_network(browser: Browser, stage: Stage) -> None:
    """With half a second of latency and 50 kB/s the page comes up, and what is said is stored."""
    context = await browser.new_context(viewport=PHONE)
    page = await context.new_page()
    session = await context.new_cdp_session(page)
    await session.send("Network.enable")
    conditions = {"offline": False, "latency": 500, "downloadThroughput": 50_000, "uploadThroughput": 50_000}
    await session.send("Network.emulateNetworkConditions", conditions)
    ada = Person(page)
    began = time.monotonic()
    await page.goto(f"http://{stage.backend}/?room=hut")
    await ada.sign_in("Ada")
    await ada.until_connected()
    print(f"connected on a slow network after {time.monotonic() - began:.1f} s")
    await ada.say("from far away")
    await ada.sees("from far away", "stored")
    assert ada.printed == []


async def test_a_token_that_is_not_valid_asks_to_sign_in_again(browser: Browser, stage: Stage) -> None:
    """The server's reason stands at the entrance, the name is there already, and the draft comes back."""
    async with somebody(browser, stage, "porch") as ada:
        await ada.field.fill("still here")
        await ada.page.evaluate(
            """() => {
                const session = JSON.parse(sessionStorage.getItem("chat session"));
                sessionStorage.setItem("chat session", JSON.stringify({ ...session, token: "forged.0" }));
            }"""
        )
        await ada.page.reload()
        await expect(ada.page.locator("#entrance-words")).to_contain_text("Please sign in again", timeout=MILLISECONDS)
        await ada.page.get_by_role("button", name="Join the chat").click()
        await ada.until_connected()
        await expect(ada.field).to_have_value("still here")


async def test_a_reader_of_what_was_said_is_not_pulled_away(browser: Browser, stage: Stage) -> None:
    """Who reads above stays there, and is offered the newer messages; what is new is announced by the log."""
    async with somebody(browser, stage, "library", "Ada Magdalena von der Hohenstein" * 2, viewport=PHONE) as ada:
        assert await ada.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        for number in range(1, 25):
            await ada.say(f"page {number}.\nIt has a second line.")
            await ada.sees(f"page {number}.", "stored")
        log = ada.page.get_by_role("log", name="Messages")
        await expect(log).to_have_attribute("aria-busy", "false")
        scroller = ada.page.locator("#scroller")
        await scroller.evaluate("node => node.scrollTo(0, 0)")
        bob = await arriving(ada.page.context, stage, "library")
        await bob.sign_in("Bob")
        await bob.until_connected()
        await bob.say("news")
        newer = ada.page.get_by_role("button", name="Newer messages")
        await expect(newer).to_be_visible(timeout=MILLISECONDS)
        assert await scroller.evaluate("node => node.scrollTop") < 100
        await newer.click()
        await expect(ada.message("news")).to_be_in_viewport()
        await expect(newer).to_be_hidden()


async def test_axe_finds_nothing(browser: Browser, stage: Stage) -> None:
    """At the entrance, in an empty room, with the panel open, among messages and answers, and while refused."""
    room = "ward"
    context = await browser.new_context(viewport=PHONE)
    ada = await arriving(context, stage, room)
    assert await ada.flaws() == []
    await ada.sign_in("Ada")
    await ada.until_connected()
    await expect(ada.page.get_by_role("heading", name="Nothing has been said here yet")).to_be_visible()
    assert await ada.flaws() == []
    await ada.page.get_by_role("button", name="Try it").click()
    assert await ada.flaws() == []
    await ada.page.get_by_role("button", name="Close").click()
    await once(stage, room, "Bob", "Good morning, https://example.org/")
    async with assistants(stage, assistant="broken"):
        await ada.say("@assistant why")
        await ada.answer("Answered by the spare assistant.")
        assert await ada.flaws() == []
    async with killed(stage, "postgres"):
        await ada.sending("queued")
        await ada.say("kept")
        await ada.sees("kept", "queued")
        assert await ada.flaws() == []
        await ada.page.reload()
        await ada.sending("blocked")
        assert await ada.flaws() == []
    await ada.until_connected()
