#!/usr/bin/env python
"""What an outage's end looks like to a node that has refused everybody meanwhile: arrivals, second by second.

10,000 clients lose their connections when an outage begins, come back, are refused with a time to wait, come back ...
until it ends; by the node's own rule, and by others. No network, a virtual clock: this is about the crowd.

    simulate_reconnects.py                        10,000 clients, an outage of 120 s
    simulate_reconnects.py --clients 50000 --outage 600
"""

from __future__ import annotations

import argparse
import heapq
import random
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from broadcaster.config.settings import NodeSettings
from broadcaster.domain.reconnects import after_rejection

NODE = NodeSettings()

Wait = Callable[[float, int, random.Random], float]
"""Seconds to wait, given the outage's age, the number of the client's refusals, and chance."""


def ours(outage: float, attempt: int, chance: random.Random) -> float:
    return after_rejection(chance.random(), outage=outage, least=NODE.retry_after, most=NODE.retry_after_most)


def fixed(outage: float, attempt: int, chance: random.Random) -> float:
    return 5.0


def exponential(outage: float, attempt: int, chance: random.Random) -> float:
    """Doubling without jitter, as many clients do: 1, 2, 4 ... 60 s."""
    return min(60.0, 2.0 ** (attempt - 1))


def full_jitter(outage: float, attempt: int, chance: random.Random) -> float:
    """What a client does by itself where nobody tells it: up to 0.5, 1, 2 ... 20 s."""
    return chance.uniform(0, min(20.0, 0.5 * 2.0**attempt))


RULES: dict[str, Wait] = {
    "told by the node": ours,
    "every 5 s": fixed,
    "doubling to 60 s, no jitter": exponential,
    "full jitter to 20 s": full_jitter,
}


@dataclass
class Arrivals:
    """How often somebody came in each second, and how long after the end each was let in."""

    seconds: Counter[int] = field(default_factory=Counter)
    let_in: list[float] = field(default_factory=list)

    def peak(self, begin: int, end: int) -> int:
        return max((self.seconds[second] for second in range(begin, end)), default=0)


def play(rule: Wait, clients: int, outage: float, seed: int) -> Arrivals:
    """Everybody's way through one outage."""
    chance, found = random.Random(seed), Arrivals()
    queue = [(chance.uniform(0, 2), number, 0) for number in range(clients)]
    heapq.heapify(queue)
    while queue:
        now, number, refusals = heapq.heappop(queue)
        found.seconds[int(now)] += 1
        if now >= outage:
            found.let_in.append(now - outage)
        else:
            heapq.heappush(queue, (now + rule(now, refusals + 1, chance), number, refusals + 1))
    return found


def sparkline(found: Arrivals, outage: float, width: int, most: int) -> str:
    """Arrivals from the outage's middle on, some seconds a mark, all on one scale."""
    begin, step = int(outage / 2), max(1, round(outage / width))
    marks = " ▁▂▃▄▅▆▇█"
    counts = [found.peak(second, second + step) for second in range(begin, begin + width * step, step)]
    return "".join(marks[min(8, -(-8 * count // most))] for count in counts)


def main(arguments: Sequence[str] = ()) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--outage", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(f"{chosen.clients:,} clients, an outage of {chosen.outage:g} s; the curve begins in its middle")
    table = Table()
    for title in ("rule", "arrivals", "most in a second, before", "after", "let in, median", "95 %", "last", "curve"):
        table.add_column(title, justify="left" if title in ("rule", "curve") else "right")
    end = int(chosen.outage)
    played = {name: play(rule, chosen.clients, chosen.outage, chosen.seed) for name, rule in RULES.items()}
    for name, found in played.items():
        let_in = sorted(found.let_in)
        table.add_row(
            name,
            f"{sum(found.seconds.values()):,}",
            f"{found.peak(end // 2, end):,}",
            f"{found.peak(end, max(found.seconds) + 1):,}",
            f"{statistics.median(let_in):.1f} s",
            f"{let_in[int(0.95 * len(let_in))]:.1f} s",
            f"{let_in[-1]:.1f} s",
            sparkline(found, chosen.outage, 40, chosen.clients // 10),
        )
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
