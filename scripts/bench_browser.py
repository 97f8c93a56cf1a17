#!/usr/bin/env python3
"""How long news takes from a worker's commit until a person sees it in a browser.

    scripts/setup dev && .venv/bin/python scripts/bench_browser.py

A sample begins just before a transition is handed to Redis and ends with the frame after the one in which its words
stand on the page: what is drawn by then can be seen. The words are the service's own, so that none is taken for
another. Redis, the node and Chromium are real and processes of their own; nothing stands in for the socket. Each
service goes down once and recovers once, one transition at a time, at moments of their own.

Three ways are compared: the status page, the element in a conversation, and, as the floor, a page that does nothing but
write each message of a plain WebSocket into a paragraph.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

try:
    import yaml
    from playwright.async_api import Browser, Page, async_playwright
except ImportError as error:
    sys.exit(f"{error.name} is missing: run scripts/setup dev, then .venv/bin/python scripts/bench_browser.py")

from broadcaster.domain.detection import Decision
from broadcaster.domain.model import Position, ServiceState, Snapshot, Status, event_kind
from broadcaster.store.base import Outcome
from broadcaster.store.embedded import EmbeddedRedis, free_port
from broadcaster.store.redis import RedisStore
from scripts.benching import report
from scripts.benching.percentiles import percentiles
from scripts.rehearsing.stage import Process

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-proxy-server")
START_SECONDS = 30
PAUSE = (0.2, 0.7)
"""Seconds between transitions: long enough for all that the one before sets in motion."""

PLAIN = """
<p></p>
<script type="module">
  const socket = new WebSocket(new URL("/ws/status", location.href.replace("http", "ws")));
  socket.onmessage = ({ data }) => (document.querySelector("p").textContent += data);
  socket.onopen = () => (window.isReady = true);
</script>
"""
ELEMENT = """
<main><p>ada: shall we?</p></main>
<script type="module">
  import "/sdk/element/index.js";
  const element = document.createElement("service-notices");
  element.setAttribute("mode", "line");
  element.setAttribute("src", "/ws/status");
  document.querySelector("main").append(element);
  element.client.addEventListener("welcome", () => (window.isReady = true));
  window.isReady ||= element.client.isLoaded;
</script>
"""
EXPECT = """
(words) => {
  const said = () => [document.body, ...document.querySelectorAll("*")]
    .map((each) => (each === document.body ? each : each.shadowRoot)?.textContent ?? "").join();
  window.seen = new Promise((resolve) => {
    const look = () => requestAnimationFrame(said().includes(words) ? () => resolve(Date.now()) : look);
    look();
  });
}
"""


class Application:
    """Services that nobody looks at: what is to be known of them is committed here."""

    def __init__(self, store: RedisStore, names: Sequence[str]) -> None:
        self._store = store
        self._position = Position()
        self._revisions = dict.fromkeys(names, 0)

    async def seed(self) -> None:
        """All are up."""
        now = time.time()
        states = {
            name: ServiceState(service=name, status=Status.UP, since=now, observed_at=now) for name in self._revisions
        }
        replaces = (await self._store.snapshot()).position
        written = await self._store.seed(
            Snapshot(services=states), epoch=os.urandom(8).hex(), worker="bench", now=now, reason="", replaces=replaces
        )
        self._position = written.position
        seeded = (await self._store.snapshot()).services
        self._revisions = {name: seeded[name].revision for name in states}

    async def commit(self, name: str, status: Status) -> None:
        """``name`` goes down or recovers."""
        before = Status.DOWN if status is Status.UP else Status.UP
        decision = Decision(
            service=name, kind=event_kind(before, status), previous=before, status=status, at=time.time()
        )
        written = await self._store.commit(
            decision,
            commit=os.urandom(8).hex(),
            expected_revision=self._revisions[name],
            known=self._position,
        )
        if written.outcome is not Outcome.DONE:
            raise SystemExit(f"the commit came to {written.outcome}")
        self._position, self._revisions[name] = written.position, written.position.revision


def settings(names: Sequence[str]) -> dict[str, object]:
    """A services.yaml, in which each service has words of its own."""
    return {
        "services": {
            name: {
                "title": name.title(),
                "criticality": "optional",
                "stale_after": "1h",
                "probe": {"kind": "tcp", "host": "127.0.0.1", "port": 9},
                "texts": {"down": words(name, Status.DOWN), "recovered": words(name, Status.UP)},
            }
            for name in names
        }
    }


def words(name: str, status: Status) -> str:
    return f"{name.title()} {'is away for the moment' if status is Status.DOWN else 'is here again'}."


async def measure(page: Page, application: Application, names: Sequence[str]) -> list[float]:
    """Seconds of two transitions for each of the services."""
    found = []
    for name in names:
        for status in (Status.DOWN, Status.UP):
            await page.evaluate(EXPECT, words(name, status))
            await asyncio.sleep(random.uniform(*PAUSE))
            sent = time.time()
            await application.commit(name, status)
            found.append(await page.evaluate("seen") / 1000 - sent)
    return found


@asynccontextmanager
async def opened(browser: Browser, url: str, html: str) -> AsyncIterator[Page]:
    """A page of the node's origin with this in it; its own where that is empty."""
    page = await browser.new_page()
    try:
        if html:
            await page.goto(f"{url}/livez")
            await page.set_content(html)
            await page.wait_for_function("window.isReady")
        else:
            await page.goto(url)
            await page.wait_for_selector("[data-feed=live], [data-feed=unwatched]")
        yield page
    finally:
        await page.close()


async def run(transitions: int) -> dict[str, list[float]]:
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise SystemExit(f"no browser: none of {', '.join(BROWSERS)} is on PATH")
    names = [f"service-{number}" for number in range(1, transitions // 2 + 1)]
    # The page first: what happened under the others would stand on it already, in the same words.
    ways = {"the status page": "", "the element": ELEMENT, "a plain socket": PLAIN}
    found: dict[str, list[float]] = {}
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = await stack.enter_async_context(EmbeddedRedis(folder / "redis"))
        config, port = folder / "services.yaml", free_port()
        config.write_text(yaml.safe_dump(settings(names)))
        flags = ["--config", str(config), "--redis-url", redis.url, "--port", str(port)]
        node = Process("node", [sys.executable, "-m", "broadcaster", "serve", *flags], os.environ, folder)
        node.start()
        stack.push_async_callback(node.stop)
        await _listening(port)
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path=program, args=FLAGS)
        stack.push_async_callback(browser.close)
        store = await stack.enter_async_context(RedisStore.connect(redis.url, timeout=START_SECONDS))
        for way, html in ways.items():
            application = Application(store, names)
            await application.seed()
            async with opened(browser, f"http://127.0.0.1:{port}", html) as page:
                report.progress().print(f"{way}: {transitions} transitions", highlight=False)
                found[way] = await measure(page, application, names)
    return found


async def _listening(port: int) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.05)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transitions", type=int, default=50, help="for each way (default: 50)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON, too, in the last line")
    chosen = parser.parse_args(arguments)
    found = {way: percentiles(seconds) for way, seconds in asyncio.run(run(chosen.transitions)).items()}
    table = report.table("From a commit until it can be seen", ["way", "p50", "p95", "max", "p50 ratio"])
    floor = found["a plain socket"].p50
    for way, its in reversed(found.items()):
        cells = (report.milliseconds(its.p50), report.milliseconds(its.p95), report.milliseconds(its.max))
        report.add_row(table, way, *cells, report.ratio(its.p50, floor))
    report.console().print(table)
    if chosen.json:
        report.print_json({way: its._asdict() for way, its in found.items()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
