"""The browser's benchmark measures what can be seen, on a small scale; its figures are for a quiet machine."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.async_api import Browser

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench_browser.py"


@pytest.mark.asyncio(loop_scope="module")
async def test_it_measures_all_ways(browser: Browser) -> None:
    """None takes less than nothing, as words that stood there already would, or as long as anybody would notice."""
    assert browser.is_connected()  # else there is no browser for the script, either
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, str(SCRIPT), "--transitions", "2", "--json"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert set(figures) == {"a plain socket", "the element", "the status page"}
    for way, its in figures.items():
        assert 0 < its["p50"] <= its["p95"] <= its["max"] < 10, way
