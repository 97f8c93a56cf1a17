"""What the benchmarks' commands have in common: their arguments, rounds that are interleaved, a table and figures."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from scripts.benching.load import most_clients
from scripts.benching.servers import SERVERS, missing

Figures = dict[str, float]
Found = TypeVar("Found")

WIDTH = 150
"""Columns of a table that goes to a file or a pipe."""

DASH = "–"


def parser(text: str | None) -> argparse.ArgumentParser:
    """With the arguments that all of them take."""
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--rounds", type=int, default=3, help="of which figures are the median (default: 3)")
    made.add_argument(
        "--servers", nargs="+", choices=SERVERS, default=SERVERS, metavar="NAME", help=f"of: {', '.join(SERVERS)}"
    )
    made.add_argument("--json", action="store_true", help="print the figures as JSON, too, in the last line")
    made.add_argument("--check", action="store_true", help="exit 1 if the node is not where it should be")
    return made


def console() -> Console:
    """For what is found."""
    return Console(width=None if sys.stdout.isatty() else WIDTH)


def progress() -> Console:
    """For what is said meanwhile."""
    return Console(stderr=True, style="dim")


def installed(kinds: Iterable[str]) -> list[str]:
    """Those of the servers that can run here; what is missing for the others is said."""
    found = []
    for kind in kinds:
        if what := missing(kind):
            progress().print(f"{kind} is left out: {what} is not installed", highlight=False)
        else:
            found.append(kind)
    return found


def require_room(clients: int) -> None:
    """Ends the program where this process may not have so many connections."""
    if clients > most_clients():
        raise SystemExit(f"{clients:,} clients are more than the limit of open files allows: {most_clients():,}")


async def interleaved(
    rounds: int, kinds: Sequence[str], measure: Callable[[str], Awaitable[Found]], what: str = ""
) -> dict[str, list[Found]]:
    """What ``measure`` finds of each: all servers in the first round, all in the second, and so on."""
    found: dict[str, list[Found]] = {kind: [] for kind in kinds}
    for number in range(rounds):
        for kind in kinds:
            progress().print(f"round {number + 1} of {rounds}: {what}{kind}", highlight=False)
            found[kind].append(await measure(kind))
    return found


def medians(rounds: Sequence[Mapping[str, float]]) -> Figures:
    """Each figure's median."""
    return {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}


def table(title: str, columns: Sequence[str]) -> Table:
    """The first column names what the others measure."""
    made = Table(title=title, title_justify="left")
    for number, name in enumerate(columns):
        made.add_column(name, justify="right" if number else "left", no_wrap=number == 0)
    return made


def add_row(to: Table, kind: str, *cells: str, is_last: bool = False) -> None:
    """The node's in bold."""
    to.add_row(kind, *cells, style="bold" if kind.startswith("node") else "", end_section=is_last)


def ratio(value: float, floor: float | None) -> str:
    """Of a figure to the floor's, where there is one."""
    return DASH if not floor else f"{value / floor:.2f}"


def microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:.2f} µs"


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms"


def kibibytes(number: float) -> str:
    return f"{number / 1024:.2f} KiB"


def mebibytes(number: float) -> str:
    return f"{number / 2**20:.1f} MiB"


def print_json(figures: object) -> None:
    """In one line."""
    print(json.dumps(figures), flush=True)


def failed(reasons: Sequence[str]) -> int:
    """The exit code of a check, which says what is wrong."""
    for reason in reasons:
        Console(stderr=True, style="red").print(reason, highlight=False)
    return 1 if reasons else 0
