"""The page's own rules, with a server that says exactly what a test wants it to say."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Route, WebSocketRoute, expect

from broadcaster.config.settings import Settings
from broadcaster.domain.history import History
from broadcaster.manager.manager import ServiceAvailabilityManager
from broadcaster.node.pages.latencies import Latencies
from broadcaster.node.pages.page import StatusPage
from broadcaster.store.memory import MemoryStore

pytestmark = pytest.mark.asyncio(loop_scope="module")

WEB = Path(__file__).parents[2] / "clients" / "web"
VECTORS = Path(__file__).parents[1] / "vectors"
ORIGIN = "http://status.test"
POLICY = "default-src 'self'; base-uri 'none'"
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
DEADLINE = 30.0

FOLLOW = """
async ({ steps }) => {
  const { Replica } = await import("/sdk/replica.js");
  const replica = new Replica();
  const events = steps.map((step) => replica.apply(step.message).map((each) => each.kind));
  const statuses = (views) => Object.fromEntries([...views].map(([name, view]) => [name, view.status]));
  return {
    events,
    final: {
      feed: replica.feed,
      revision: replica.position.revision,
      services: statuses(replica.services),
      features: statuses(replica.features),
    },
  };
}
"""


def vectors(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text())
    return content


def made_page() -> bytes:
    """The page as a node makes it that has read nothing yet."""
    manager = ServiceAvailabilityManager(Settings(services={}), MemoryStore())
    return StatusPage(manager, History(), Latencies(manager), time.time).get().body


async def serve_file(route: Route) -> None:
    """The page and its files under a policy that is stricter than the node's; anything else is not there."""
    path = route.request.url.removeprefix(ORIGIN).lstrip("/")
    if not path:
        headers = {"content-type": "text/html; charset=utf-8", "content-security-policy": POLICY}
        await route.fulfill(body=made_page(), headers=headers)
        return
    folder, name = ("src", path.removeprefix("sdk/")) if path.startswith("sdk/") else ("page", path)
    file = WEB / folder / name
    if name != file.name or not file.is_file():
        await route.fulfill(status=404)
        return
    headers = {"content-type": TYPES[file.suffix], "content-security-policy": POLICY}
    await route.fulfill(body=file.read_bytes(), headers=headers)


class Script:
    """A page and the server's side of its socket: says what it is told to."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self._sockets: asyncio.Queue[WebSocketRoute] = asyncio.Queue()
        self._socket: WebSocketRoute | None = None
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda each: self.complaints.append(each.text) if each.type == "error" else None)

    def accept(self, socket: WebSocketRoute) -> None:
        self._sockets.put_nowait(socket)

    async def connected(self) -> None:
        """Waits for the page's next connection."""
        async with asyncio.timeout(DEADLINE):
            self._socket = await self._sockets.get()

    def say(self, *messages: dict[str, Any] | str) -> None:
        assert self._socket is not None
        for message in messages:
            self._socket.send(message if isinstance(message, str) else json.dumps(message))

    async def close(self, code: int) -> None:
        assert self._socket is not None
        await self._socket.close(code=code, reason="as the test wants")

    async def says(self, element: str, text: str) -> None:
        await expect(self.page.locator(f"#{element}")).to_contain_text(text, timeout=DEADLINE * 1000)


async def scripted(browser: Browser, **options: Any) -> Script:
    """The page, connected to a server that has said nothing yet."""
    page = await browser.new_page(**options)
    script = Script(page)
    await page.route(f"{ORIGIN}/**", serve_file)
    await page.route_web_socket("ws://status.test/ws/status", script.accept)
    await page.goto(ORIGIN)
    await script.connected()
    return script


def welcome(services: dict[str, str], features: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    """A welcome that names services and features after their names."""
    return {
        "type": "welcome",
        "v": 1,
        "position": {"epoch": "e", "revision": 3},
        "at": "2026-01-01T10:04:00Z",
        "feed": "live",
        "services": [
            {
                "name": name,
                "title": name.title(),
                "status": status,
                "criticality": "critical",
                "since": "2026-01-01T10:00:00Z",
                "category": "timeout" if status == "down" else None,
            }
            for name, status in services.items()
        ],
        "features": [
            {"name": name, "title": name.title(), "status": status, "text": f"{name} {status}", "because": []}
            for name, status in (features or {}).items()
        ],
        "text": "",
        **fields,
    }


def planned(message: dict[str, Any], *, has_begun: bool) -> dict[str, Any]:
    """The message, with planned work on its first service."""
    first, *others = message["services"]
    work = {"starts_at": "2026-01-01T10:00:00Z", "until": "2026-01-01T12:00:00Z", "reason": "", "has_begun": has_begun}
    return {**message, "services": [{**first, "planned": work}, *others]}


WELL = welcome({"auth": "up", "store": "up"}, {"chat": "available", "search": "available"})


async def test_the_pages_replica_follows_the_vectors(browser: Browser) -> None:
    """Every client sequence leads to the events and the state that the vectors state."""
    script = await scripted(browser)
    for case in vectors("client")["sequences"]:
        found = await script.page.evaluate(FOLLOW, case)
        assert found["events"] == [step["events"] for step in case["steps"]], case["name"]
        assert found["final"] == case["final"], case["name"]


async def test_the_page_reconnects_by_the_catalogue(browser: Browser) -> None:
    """Close codes after which reconnecting cannot help are the catalogue's, and retries keep to their bounds."""
    script = await scripted(browser)
    closing = vectors("closing")
    for each in [*closing["codes"], *closing["unlisted"]]:
        final = await script.page.evaluate(
            "async (code) => (await import('/sdk/index.js')).isFinal(code)", each["code"]
        )
        assert final == (each["reconnect"] == "no"), each["code"]
    delays = await script.page.evaluate(
        """async () => {
          const { retryDelay } = await import("/sdk/index.js");
          return [0, 1, 2, 5, 6, 50].map((failures) => [retryDelay(failures, () => 0), retryDelay(failures, () => 1)]);
        }"""
    )
    assert delays == [[500, most] for most in (500, 1000, 2000, 16_000, 20_000, 20_000)]


@pytest.mark.parametrize(
    ("message", "level", "headline", "subline"),
    [
        (WELL, "up", "All systems operational", "Everything works"),
        (welcome({"auth": "down"}, {"chat": "unavailable", "search": "available"}), "down", "Chat unavailable", "else"),
        (welcome({"auth": "down"}, {"chat": "unavailable", "search": "unavailable"}), "down", "Nothing works", ""),
        (welcome({"auth": "degraded"}, {"chat": "limited", "search": "available"}), "degraded", "with Chat", "else"),
        (welcome({"auth": "degraded"}, {"chat": "available"}), "degraded", "with Auth", "still works"),
        (welcome({"auth": "down"}), "down", "Problems with Auth", ""),
        (welcome({"auth": "unknown"}, {"chat": "unknown"}), "unknown", "Nothing is known yet", "on their way"),
        (welcome({"auth": "unknown", "db": "up"}, {"chat": "unknown"}), "unknown", "Not known: Auth", "Not observed"),
        (welcome({}), "unknown", "Nothing is known yet", ""),
        (planned(WELL, has_begun=True), "up", "All systems operational", "Planned work on Auth."),
        (planned(WELL, has_begun=False), "up", "All systems operational", "Everything works as it should."),
        ({**WELL, "feed": "unwatched"}, "unknown", "not being watched", "When last seen, everything worked"),
        ({**WELL, "feed": "lost"}, "unknown", "cannot be followed", "When last seen"),
        ({**WELL, "feed": "of a later version"}, "unknown", "not being watched", ""),
        ({**WELL, "v": 2}, "unknown", "This page is out of date", "reload"),
    ],
)
async def test_the_headline_says_how_things_are(
    browser: Browser, message: dict[str, Any], level: str, headline: str, subline: str
) -> None:
    """One line in words for every state, and never falsely well."""
    script = await scripted(browser)
    script.say(message)
    await script.says("headline", headline)
    await script.says("subline", subline)
    await expect(script.page.locator("#overall")).to_have_attribute("data-level", level)
    assert script.complaints == []


async def test_nonsense_is_survived(browser: Browser) -> None:
    """What is no message of the protocol changes nothing and breaks nothing."""
    script = await scripted(browser)
    script.say("{", "null", "[]", "7", '"text"', {"type": "notice"}, {"type": "welcome"}, {"no": "type"}, WELL)
    script.say({"type": "notice", "service": None}, {"type": "snapshot", "services": 5}, {"type": "feed"})
    script.say(welcome({"auth": "down"}, {"chat": "unavailable", "search": "available"}, type="snapshot"))
    await script.says("headline", "Chat unavailable")
    assert script.complaints == []


async def test_the_announcer_is_there_before_it_speaks(browser: Browser) -> None:
    """Screen readers only hear a status region that was in the page, empty, before its text came."""
    script = await scripted(browser)
    announcer = script.page.get_by_role("status")
    await expect(announcer).to_have_count(1)
    await expect(announcer).to_be_empty()
    script.say(WELL)
    await expect(announcer).to_have_text("All systems operational")


async def test_a_short_break_is_not_shown(browser: Browser) -> None:
    """A connection that is back within five seconds leaves no trace on the page, also after a while without news."""
    script = await scripted(browser)
    await script.page.clock.install()
    script.say(WELL)
    await script.says("headline", "All systems operational")
    await script.page.clock.run_for(7_000)
    await script.close(1012)
    await script.page.clock.run_for(4_000)
    await script.connected()
    await script.says("headline", "All systems operational")
    script.say(WELL)
    await expect(script.page.locator("#events .event")).to_have_count(0)


async def test_what_was_so_already_is_no_news(browser: Browser) -> None:
    """Troubles that the page finds as it opens are in its rows; those that it finds after a break are news."""
    script = await scripted(browser)
    script.say(welcome({"auth": "down", "store": "up"}))
    await script.says("headline", "Problems with Auth")
    await expect(script.page.locator("#events .event")).to_have_count(0)
    await script.close(1012)
    await script.connected()
    script.say(welcome({"auth": "down", "store": "down"}))
    await script.says("events", "Store Down")
    await expect(script.page.locator("#events .event")).to_have_count(1)


async def test_a_final_close_waits_for_the_user(browser: Browser) -> None:
    """After a code that forbids reconnecting the page says so and leaves the next try to the user."""
    script = await scripted(browser)
    script.say(WELL)
    await script.says("headline", "All systems operational")
    await expect(script.page.get_by_role("button", name="Try now")).to_have_count(0)
    await script.close(3500)
    await script.says("headline", "Connection to the server lost")
    await script.says("freshness-text", "The server ended the connection")
    await script.page.get_by_role("button", name="Try now").click()
    await script.connected()
    script.say(WELL)
    await script.says("headline", "All systems operational")


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_page_fits_its_screen(browser: Browser, width: int, scheme: Any) -> None:
    """Nothing is wider than the screen, not even with a title without a break."""
    script = await scripted(browser, viewport={"width": width, "height": 800}, color_scheme=scheme)
    script.say(welcome({"auth": "down", "x" * 80: "up"}, {"chat": "unavailable", "y" * 80: "available"}))
    await script.says("headline", "Chat unavailable")
    assert await script.page.evaluate("document.documentElement.scrollWidth") <= width
    assert script.complaints == []


async def test_reduced_motion_is_respected(browser: Browser) -> None:
    """For those who ask for it nothing on the page moves; for others the live dot does."""
    still = await scripted(browser, reduced_motion="reduce")
    moving = await scripted(browser, reduced_motion="no-preference")
    for script in (still, moving):
        script.say(WELL)
        await script.says("freshness-text", "Live")
    assert await moving.page.evaluate("document.getAnimations().length") > 0
    assert await still.page.evaluate("document.getAnimations().length") == 0
