"""Every state of ``<service-notices>``, in both themes and directions, on a phone and a desk, with pictures."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.browser.element_chat import LINES, Chat, opened
from tests.support.pictures import pictures
from tests.support.stack import Stack, run_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

PHONE, DESK = 390, 1280


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with run_stack(tmp_path_factory.mktemp("stack"), services=("auth",)) as running:
        yield running


def ago(**span: float) -> str:
    return (datetime.now(UTC) - timedelta(**span)).isoformat()


def service(name: str, title: str, status: str, **more: Any) -> dict[str, Any]:
    view = {"name": name, "title": title, "status": status, "criticality": "optional", "since": ago(minutes=3)}
    return {**view, "category": None, "caused_by": [], **more}


def feature(name: str, title: str, status: str, text: str = "", because: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"name": name, "title": title, "status": status, "text": text, "because": list(because)}


def welcome(*services: dict[str, Any], features: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    head = {"type": "welcome", "v": 1, "position": {"epoch": "e", "revision": 3}, "at": ago(), "feed": "live"}
    return {**head, "services": services, "features": features, "text": ""}


def notice(revision: int, view: dict[str, Any], text: str, **more: Any) -> dict[str, Any]:
    kind = "recovered" if view["status"] == "up" else view["status"]
    head = {"type": "notice", "v": 1, "position": {"epoch": "e", "revision": revision}, "at": ago(), "kind": kind}
    return {
        **head,
        "service": view,
        "features": [],
        "text": text,
        "local": False,
        "incident": "",
        "quiet": False,
        **more,
    }


CHAT = feature("chat", "Chat", "available")
REPORTS = feature(
    "reports",
    "Usage reports",
    "unavailable",
    "Usage reports are paused. Nothing is lost; they catch up later.",
    ("analytics",),
)
ASSISTANT = feature("assistant", "Assistant answers", "limited", "", ("assistant",))
ANALYTICS = service("analytics", "Analytics", "down")
SEARCH = service("search", "Search", "up")
SLOW = service("assistant", "AI assistant", "degraded", since=ago(minutes=12))
AUTH = service("auth", "Sign-in", "down", criticality="critical", since=ago(minutes=1))
PLAN = {"starts_at": ago(minutes=10), "until": ago(hours=-1), "reason": "A bigger disk.", "has_begun": True}
LATER = {**PLAN, "starts_at": ago(hours=-2), "until": ago(hours=-3), "has_begun": False}
REFUSAL = {
    "type": "rejected",
    "text": "Sign-in is unavailable, and we cannot connect you without it. Still working: Usage reports.",
    "services": [AUTH],
    "features": [],
    "retry_after_ms": 5400,
}
OUTAGE = "Analytics is unavailable. We will tell you as soon as it is back."
WELL = welcome(
    service("analytics", "Analytics", "up"), service("assistant", "AI assistant", "up"), SEARCH, features=(CHAT,)
)


async def down(chat: Chat) -> None:
    await chat.say(WELL, notice(4, ANALYTICS, OUTAGE, features=[REPORTS]), standing="degraded")


async def degraded(chat: Chat) -> None:
    await chat.say(welcome(SLOW, SEARCH, features=(CHAT, ASSISTANT)), standing="degraded")


async def recovered(chat: Chat) -> None:
    await down(chat)
    await chat.shows("Analytics")
    back = notice(5, service("analytics", "Analytics", "up", since=ago()), "Analytics is back to normal.")
    await chat.say(back, standing="well")


async def flapping(chat: Chat) -> None:
    await recovered(chat)
    await chat.page.evaluate("new Promise((done) => requestAnimationFrame(done))")
    await chat.say(notice(6, ANALYTICS, OUTAGE, features=[REPORTS]), standing="degraded")


async def several(chat: Chat) -> None:
    views = (AUTH, SLOW, service("analytics", "Analytics", "up", planned=LATER))
    await chat.say(welcome(*views, features=(CHAT, ASSISTANT)), standing="degraded")


async def planned(chat: Chat) -> None:
    await chat.say(welcome(service("analytics", "Analytics", "up", planned=PLAN), SEARCH), standing="well")


async def upcoming(chat: Chat) -> None:
    await chat.say(welcome(service("analytics", "Analytics", "up", planned=LATER), SEARCH), standing="well")


async def offline(chat: Chat) -> None:
    now = datetime.now(UTC).timestamp() * 1000
    await chat.say(WELL, standing="offline", connection="offline", lastGood=now - 130_000)


async def lost(chat: Chat) -> None:
    now = datetime.now(UTC).timestamp() * 1000
    await chat.say(WELL, standing="lost", connection="waiting", lastGood=now - 130_000)
    await chat.page.clock.fast_forward(6_000)  # past the moment that a connection has to come back


async def stale(chat: Chat) -> None:
    await chat.say(WELL, standing="lost")


async def refused(chat: Chat) -> None:
    now = datetime.now(UTC).timestamp() * 1000
    await chat.page.evaluate("notices.setAttribute('sending', 'blocked')")
    await chat.say(standing="refused", refusal=REFUSAL, retryAt=now + 9_000, connection="waiting")


async def outdated(chat: Chat) -> None:
    await chat.say(WELL, standing="outdated")


async def blocked(chat: Chat) -> None:
    await chat.page.evaluate("notices.setAttribute('sending', 'blocked')")
    await chat.say(WELL)


async def queued(chat: Chat) -> None:
    await chat.page.evaluate("notices.setAttribute('sending', 'queued')")
    await chat.say(welcome(AUTH, SEARCH), standing="degraded")


STATES = (
    (down, "Outage"),
    (degraded, "Disruption"),
    (recovered, "Resolved"),
    (flapping, "keeps coming and going"),
    (several, "Sign-in is unavailable."),
    (planned, "Planned work Analytics: "),
    (upcoming, "Planned work Analytics: "),
    (offline, "You are offline."),
    (lost, "We have lost the live status"),
    (stale, "We have lost the live status"),
    (refused, "You cannot connect right now."),
    (outdated, "This page is out of date"),
    (blocked, "Your draft is kept."),
    (queued, "Your messages are kept"),
)


async def shown(chat: Chat, stack: Stack, state: Any, **options: Any) -> None:
    await chat.make(stack.nodes[0], 'sending="ok"', **options)
    await chat.scripted()
    await state(chat)
    await chat.notices.first.wait_for()
    await chat.settled()


TYPICAL = (("banner", PHONE, "light", "en"), ("line", DESK, "dark", "ar"), ("line", PHONE, "dark", "en"))
"""Looks in which every state is tried in any case; the others are for whoever looks at pictures."""

LOOKS = [
    pytest.param(*look, marks=[] if look in TYPICAL else pytest.mark.pictures)
    for look in itertools.product(("banner", "line"), (PHONE, DESK), ("light", "dark"), ("en", "ar"))
]


@pytest.mark.parametrize(("mode", "width", "theme", "lang"), LOOKS)
async def test_every_state(
    browser: Browser, stack: Stack, tmp_path: Path, mode: str, lang: str, theme: str, width: int
) -> None:
    """Each says what it is, fits, and moves nothing of the page; axe finds nothing."""
    chat = await opened(browser, viewport={"width": width, "height": 760}, color_scheme=theme, device_scale_factor=2)
    await chat.page.clock.install()
    for state, expected in STATES:
        options: dict[str, Any] = {"html": LINES} if mode == "line" else {}
        await shown(chat, stack, state, lang=lang, theme=theme, **options)
        name = f"{state.__name__}-{mode}-{width}-{theme}-{'rtl' if lang == 'ar' else 'ltr'}.png"
        await chat.page.screenshot(path=pictures("element", tmp_path) / name)
        if lang == "en":
            assert expected in await chat.page.locator("service-notices ul").inner_text()
        assert await chat.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        if mode == "banner":
            assert await chat.page.evaluate("shift") < 0.001, state.__name__
        assert await chat.violations() == [], state.__name__
    assert chat.complaints == []


async def test_forced_colours_keep_icons_borders_and_buttons(browser: Browser, stack: Stack, tmp_path: Path) -> None:
    chat = await opened(browser, viewport={"width": 390, "height": 760}, forced_colors="active", color_scheme="dark")
    await shown(chat, stack, down)
    await chat.page.screenshot(path=pictures("element", tmp_path) / "down-forced-colours.png")
    look = await chat.notices.evaluate(
        "(node) => [getComputedStyle(node).borderTopStyle, getComputedStyle(node).color]"
    )
    assert look == ["solid", "rgb(255, 255, 255)"]
    button = chat.page.get_by_role("button", name="Dismiss")
    assert await button.evaluate("(node) => getComputedStyle(node).borderTopColor") == "rgb(255, 255, 255)"


async def test_hostile_words_stay_words(browser: Browser, stack: Stack) -> None:
    """Nothing that anybody said is markup."""
    hostile = "<img src=x onerror=\"document.title='broken'\"><b>Chat</b>"
    view = service("x", hostile, "down")
    chat = await opened(browser)
    await chat.make(stack.nodes[0])
    await chat.scripted()
    reports = feature("y", hostile, "unavailable", hostile, ("x",))
    await chat.say(WELL, notice(4, view, f"It is {hostile}.", features=[reports]), standing="degraded")
    await chat.shows(f"It is {hostile}.")
    assert await chat.page.locator("service-notices img, service-notices b").count() == 0
    assert await chat.page.title() == "A chat"


async def test_a_page_without_storage_dismisses_all_the_same(browser: Browser, stack: Stack) -> None:
    chat = await opened(browser)
    await chat.page.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } })"
    )
    await shown(chat, stack, down)
    await chat.page.get_by_role("button", name="Dismiss").click()
    await chat.shows()
    assert chat.complaints == []
