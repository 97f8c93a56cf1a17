"""How commands print: tables and colours for people, JSON for programs; data to standard output, words to error.

Whatever comes from elsewhere is stripped of control characters: a detail must not be able to drive a terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TextIO

import msgspec

from broadcaster.domain.model import EventKind, Outcome, Status

_CODES = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1"}

STATUS_COLOURS = {Status.UP: "green", Status.DEGRADED: "yellow", Status.DOWN: "red", Status.UNKNOWN: "dim"}
KIND_COLOURS = {
    EventKind.UP: "green",
    EventKind.RECOVERED: "green",
    EventKind.DEGRADED: "yellow",
    EventKind.DOWN: "red",
}
OUTCOME_COLOURS = {Outcome.OK: "green", Outcome.IMPAIRED: "yellow", Outcome.FAILED: "red"}


class Cell(NamedTuple):
    """A text in a table and its colour ('' for none)."""

    text: str
    colour: str = ""


def wants_colour(stream: TextIO, env: Mapping[str, str] = os.environ) -> bool:
    """Whether to colour: on a terminal that can, unless NO_COLOR is set (https://no-color.org)."""
    return stream.isatty() and not env.get("NO_COLOR") and env.get("TERM") != "dumb"


def paint(text: str, colour: str, on: bool) -> str:
    """The text in ``colour``, or as it is."""
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if on and colour else text


def printable(text: str) -> str:
    """The text on one line, control characters replaced."""
    return "".join(character if character.isprintable() else "�" for character in text)


def table(header: Sequence[str], rows: Iterable[Sequence[Cell]], *, colour: bool) -> list[str]:
    """The lines of a table; columns are as wide as they need to be, the last one is not padded."""
    cells = [[Cell(name, "bold") for name in header]]
    cells += [[Cell(printable(cell.text) or "-", cell.colour) for cell in row] for row in rows]
    widths = [max(len(row[column].text) for row in cells) for column in range(len(header))]
    return [
        "  ".join(
            paint(cell.text, cell.colour, colour) + " " * (width - len(cell.text))
            for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in cells
    ]


def milliseconds(seconds: float | None) -> str:
    """A latency as people compare them; empty if there is none."""
    return "" if seconds is None else f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"


def put(*lines: str) -> None:
    """Data: to standard output, at once, so that a pipe's reader has it when it happens."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def put_json(value: Any) -> None:
    """One JSON value on a line of its own."""
    put(msgspec.json.encode(value).decode())


def say(text: str) -> None:
    """Words to the person at the terminal: to standard error."""
    sys.stderr.write(f"broadcaster: {printable(text)}\n")
    sys.stderr.flush()
