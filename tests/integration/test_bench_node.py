"""The node's benchmarks measure what they say, on a small scale; figures are for machines that do nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FEW = ("--clients", "50", "--rounds", "1")
TWO = ("--servers", "node", "bare loop")


def run(script: str, *arguments: str) -> tuple[str, dict[str, Any]]:
    """What a benchmark prints, and its figures."""
    command = [sys.executable, str(ROOT / "scripts" / script), *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return done.stdout, figures


def test_fan_out() -> None:
    """Every client of every server got every message, at a cost that is above nothing."""
    text, figures = run("bench_fanout.py", *FEW, *TWO, "--messages", "5")
    assert "CPU per delivery" in text
    assert figures["frame_bytes"] > 200
    assert {kind: found["cpu"] > 0 for kind, found in figures["fanout"]["50"].items()} == {
        "bare loop": True,
        "node": True,
    }


def test_handshakes() -> None:
    text, figures = run("bench_handshake.py", *FEW, *TWO)
    assert "CPU per handshake" in text
    assert set(figures["handshake"]) == {"node", "bare loop"}


def test_a_storm_fails_nobody() -> None:
    _, figures = run("bench_handshake.py", "--rounds", "1", *TWO, "--storm", "200")
    assert figures["storm"]["node"]["failed"] == 0


def test_memory_and_churn() -> None:
    """Idle connections, and connections that come and go in every way there is."""
    _, figures = run("bench_memory.py", *FEW, "--servers", "node", "--idle", "1", "--churn", "5")
    assert figures["churn"]["connections"] > 0
    assert len(figures["samples"]) >= 2


def test_the_pipeline() -> None:
    """From a commit to the last client, beside what Redis does by itself."""
    text, figures = run("bench_pipeline.py", "--messages", "40", "--nodes", "1")
    assert "commit → node" in text
    assert figures


def test_the_gate() -> None:
    text, figures = run("bench_gate.py", "--handshakes", "50")
    assert "/ws" in text
    assert figures


def test_deflate() -> None:
    """A notice fits one segment of the network, deflated or not."""
    _, figures = run("bench_deflate.py", "--clients", "10", "--rounds", "2")
    assert figures["notice"]["deflated"] < figures["notice"]["bytes"] < 1448


@pytest.mark.parametrize("script", ["bench_fanout.py", "bench_handshake.py", "bench_memory.py"])
def test_a_server_that_there_is_not_is_refused(script: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / script), "--servers", "apache"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "apache" in done.stderr
