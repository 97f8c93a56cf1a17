"""The worker's benchmark measures the worker, on a small scale; its figures are for machines that do nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench_worker.py"


def test_it_measures_the_worker_beside_the_checks_alone() -> None:
    """Both rows are there, at the rate that was asked for, and the lateness of the worker's checks."""
    arguments = ["--services", "20", "--interval", "1", "--seconds", "3", "--kinds", "tcp"]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = [
        [cell.strip() for cell in line.strip("│").split("│")] for line in done.stdout.splitlines() if "│ tcp" in line
    ]
    assert [row[1] for row in rows] == ["only the checks", "the worker"]
    for row in rows:
        assert 12 <= float(row[2]) <= 28, row
        assert row[3].endswith("µs")
    assert rows[1][6].endswith("ms")
