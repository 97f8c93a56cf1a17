"""A real browser. Without a Chromium on this machine the tests are skipped, and say so."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Error, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Browser]:
    """A headless Chromium for a module's tests."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on PATH")
    async with async_playwright() as playwright:
        try:
            launched = await playwright.chromium.launch(executable_path=found, args=FLAGS, headless=True)
        except Error as error:
            pytest.skip(f"the browser at {found} does not start: {error}")
        try:
            yield launched
        finally:
            await launched.close()


@pytest_asyncio.fixture(loop_scope="module")
async def browser(chromium: Browser) -> AsyncIterator[Browser]:
    """The module's browser, without the pages that a test opened once it is over."""
    try:
        yield chromium
    finally:
        for context in list(chromium.contexts):
            await context.close()
