"""A real browser. Without a Chromium on this machine the tests are skipped, and say so."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator

import pytest
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


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A headless Chromium of its own for every test."""
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
