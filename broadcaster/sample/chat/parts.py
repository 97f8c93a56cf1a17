"""What the sample consists of, and the commands that end a part and start it again: ``broadcaster up`` writes them
down, and the chat's page shows them to whoever wants to see what happens."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec


class Part(msgspec.Struct):
    """One process of the sample. ``end`` is empty where it is not the process any more that was started, ``start``
    where the command is not to be shown."""

    name: str
    end: str
    start: str


def write_parts(path: Path, processes: Iterable[tuple[str, int, str]]) -> None:
    """Writes down names, process ids and command lines; '' for one that is not to be shown."""
    path.write_bytes(msgspec.json.encode(list(processes)))


def parts(path: str | None) -> list[Part]:
    """What was written down; nothing where the sample was not started by ``broadcaster up``."""
    try:
        written = msgspec.json.decode(Path(path or "").read_bytes(), type=list[tuple[str, int, str]])
    except (OSError, msgspec.DecodeError):
        return []
    return [
        Part(name, _end(name, pid) if _is_running(pid) else "", f"{command} &" if command else "")
        for name, pid, command in written
    ]


def _end(name: str, pid: int) -> str:
    """What ends it at once: on SIGTERM, PostgreSQL waits for everybody who is connected (its smart shutdown)."""
    return f"kill -INT {pid}" if name == "postgres" else f"kill {pid}"


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
