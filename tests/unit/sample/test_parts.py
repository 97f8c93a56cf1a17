"""What the chat's page is told of the sample's processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from broadcaster.sample.chat.parts import Part, parts, write_parts


def test_parts_that_run_can_be_ended_and_others_started(tmp_path: Path) -> None:
    """The id of a process that has ended may soon be another's: nobody is told to end that."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    path = tmp_path / "parts.json"
    running = [("auth", os.getpid(), "run auth"), ("postgres", os.getpid(), "run postgres"), ("backend", 1, "")]
    write_parts(path, [*running, ("spare", ended.pid, "run spare")])
    assert parts(str(path)) == [
        Part("auth", f"kill {os.getpid()}", "run auth &"),
        Part("postgres", f"kill -INT {os.getpid()}", "run postgres &"),  # SIGTERM would wait for its clients
        Part("backend", "kill 1", ""),
        Part("spare", "", "run spare &"),
    ]


def test_nothing_is_known_of_a_sample_that_was_started_by_hand(tmp_path: Path) -> None:
    """No file, none that is there, or one that is something else."""
    other = tmp_path / "other.json"
    other.write_text('{"auth": 1}')
    assert [parts(None), parts(str(tmp_path / "absent.json")), parts(str(other))] == [[], [], []]
