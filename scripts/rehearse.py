#!/usr/bin/env python3
"""Rehearses outages: the sample under load, each service that it stands on killed, hung, slow and flapping in turn.

    scripts/setup dev && .venv/bin/python scripts/rehearse.py

Users chat in rooms of ten, come and go, ask the assistant and read the history, while one service is in trouble for
``--seconds``; the scenario ends when everything is up again. What must not happen, in any scenario:

- a handshake that is left hanging, or refused without a message, a reason, a close 1011 and a time to come back;
- a message that is not answered, that is answered with a bare error, that was acknowledged and is not in the archive
  afterwards, or that somebody in the room did not hear;
- while the service is optional: a handshake or a message that is refused at all.

Exit code 1 if anything of this happened. ``--only auth:killed`` picks scenarios, ``--json FILE`` keeps the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

try:
    import asyncpg
    import uvloop
    from rich.console import Console
    from rich.table import Table
except ImportError as error:
    sys.exit(f"{error.name} is missing: run scripts/setup dev, then .venv/bin/python scripts/rehearse.py")

from broadcaster.sample.postgres import public_folder
from scripts.rehearsing.stage import CRITICAL, SERVICES, TROUBLES, Stage, running_stage
from scripts.rehearsing.users import Counts, Crowd


@dataclass
class Result:
    """One scenario. Times are in seconds."""

    service: str
    trouble: str
    handshakes: int
    refused: int
    silent: int
    p50: float
    p99: float
    slowest: float
    messages: int
    stored_later: int
    explained: int
    bare: int
    lost: int
    unheard: int
    broken: int
    answers: dict[str, int]
    told_after: float | None
    """From the trouble's begin to the first notice of it."""
    back_after: float
    """From its end until everything is up."""
    findings: list[str]


async def rehearse(users: int, seconds: float, scenarios: Sequence[tuple[str, str]], console: Console) -> list[Result]:
    """Plays the scenarios one after the other, before the same crowd."""
    results = []
    with tempfile.TemporaryDirectory(prefix="rehearsal-", dir=public_folder(), ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        async with running_stage(Path(folder)) as stage:
            crowd = Crowd(stage.backend, users)
            joined = asyncio.Event()
            chatting = asyncio.create_task(crowd.run(joined))
            try:
                await asyncio.wait({chatting, asyncio.create_task(joined.wait())}, return_when="FIRST_COMPLETED")
                if chatting.done():
                    await chatting
                await asyncio.sleep(seconds)  # everybody is there, and knows the way
                for service, trouble in scenarios:
                    result = await play(stage, crowd, service, trouble, seconds)
                    results.append(result)
                    console.print(summary(result), soft_wrap=True, highlight=False)
            finally:
                chatting.cancel()
                await asyncio.wait({chatting})
                await crowd.aclose()
    return results


async def play(stage: Stage, crowd: Crowd, service: str, trouble: str, seconds: float) -> Result:
    """One scenario: what began between its beginning and the time when all is well, and what became of that."""
    crowd.counts = counts = Counts()
    crowd.notices.clear()
    began = time.monotonic()
    await stage.trouble(trouble, service, seconds)
    back = await stage.until_well()
    told = [at for at, notice in crowd.notices if notice["type"] == "notice" and notice["service"]["name"] == service]
    # What begins from now on is another's; what began is waited for, which each of them does no longer than it may.
    crowd.counts = Counts()
    while counts.open:
        await asyncio.sleep(0.1)
    lost = await _not_stored(stage.database, list(counts.kept))
    unheard = [identity for identity, room in counts.kept.items() if identity not in crowd.heard[room]]
    answers = dict(counts.answers)
    findings = [*counts.silent, *counts.bare]
    if service not in CRITICAL and counts.refused:
        findings.append(f"{counts.refused} handshakes refused, though {service} is optional")
    if service not in CRITICAL and counts.explained:
        findings.append(f"{counts.explained} messages refused, though {service} is optional")
    if lost:
        findings.append(f"{len(lost)} acknowledged messages are not in the archive")
    if unheard:
        findings.append(f"{len(unheard)} messages were not heard in their room")
    if counts.broken:
        findings.append(f"{counts.broken} connections broke")
    taken = sorted(counts.handshakes) or [0.0]
    return Result(
        service=service,
        trouble=trouble,
        handshakes=counts.welcomed + counts.refused + len(counts.silent),
        refused=counts.refused,
        silent=len(counts.silent),
        p50=taken[len(taken) // 2],
        p99=taken[min(len(taken) - 1, len(taken) * 99 // 100)],
        slowest=taken[-1],
        messages=counts.said,
        stored_later=counts.stored_later,
        explained=counts.explained,
        bare=len(counts.bare),
        lost=len(lost),
        unheard=len(unheard),
        broken=counts.broken,
        answers=answers,
        told_after=min(told) - began if told else None,
        back_after=back,
        findings=findings,
    )


async def _not_stored(database: str, identities: list[str]) -> set[str]:
    connection = await asyncpg.connect(database, timeout=10)
    try:
        rows = await connection.fetch("SELECT id FROM messages WHERE id = ANY($1::text[])", identities)
    finally:
        await connection.close()
    return set(identities) - {row["id"] for row in rows}


def summary(result: Result) -> str:
    """A line for a person who waits."""
    mark = "[green]ok[/]  " if not result.findings else "[red]FAIL[/]"
    told = "not told" if result.told_after is None else f"told after {result.told_after:.1f} s"
    return (
        f"{mark} {result.service:>10} {result.trouble:<8} {result.handshakes:>5} handshakes, {result.refused:>4} "
        f"refused with reasons, {result.silent} silent; {result.messages:>5} messages, "
        f"{result.stored_later} stored later, {result.lost} lost; {told}, back {result.back_after:.1f} s after"
        + "".join(f"\n       {finding[:300]}" for finding in result.findings[:5])
    )


def table(results: Sequence[Result]) -> Table:
    found = Table(title="Rehearsed outages")
    for column in ("service", "trouble"):
        found.add_column(column)
    for column in ("handshakes", "refused", "silent", "p50", "p99", "slowest", "messages", "later", "lost", "bare",
                   "told", "back"):  # fmt: skip
        found.add_column(column, justify="right")
    for each in results:
        found.add_row(
            *(each.service, each.trouble, f"{each.handshakes:,}", f"{each.refused:,}", str(each.silent)),
            *(f"{1000 * each.p50:.0f} ms", f"{1000 * each.p99:.0f} ms", f"{each.slowest:.2f} s"),
            *(f"{each.messages:,}", str(each.stored_later), str(each.lost + each.unheard), str(each.bare)),
            *("-" if each.told_after is None else f"{each.told_after:.1f} s", f"{each.back_after:.1f} s"),
        )
    found.add_section()
    found.add_row(
        *("all", "", f"{sum(each.handshakes for each in results):,}", f"{sum(each.refused for each in results):,}"),
        *(str(sum(each.silent for each in results)), "", "", f"{max(each.slowest for each in results):.2f} s"),
        *(f"{sum(each.messages for each in results):,}", str(sum(each.stored_later for each in results))),
        *(str(sum(each.lost + each.unheard for each in results)), str(sum(each.bare for each in results)), "", ""),
    )
    return found


def markdown(results: Sequence[Result]) -> str:
    """The rows of the table in docs/supported-scenarios.md."""
    return "\n".join(
        f"| {each.service} | {each.trouble} | {each.handshakes:,} | {each.refused:,} | {each.silent} "
        f"| {1000 * each.p99:,.0f} ms | {each.messages:,} | {each.stored_later:,} | {each.lost + each.unheard} "
        f"| {each.bare} | {'-' if each.told_after is None else f'{each.told_after:.1f} s'} | {each.back_after:.1f} s |"
        for each in results
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=10.0, help="that each trouble lasts")
    parser.add_argument("--only", action="append", default=[], metavar="SERVICE:TROUBLE", help="(may be repeated)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", action="store_true", help="print the rows of docs/supported-scenarios.md as well")
    arguments = parser.parse_args()
    everything = [(service, trouble) for service in SERVICES for trouble in TROUBLES]
    chosen = [tuple(each.partition(":")[::2]) for each in arguments.only] or everything
    if wrong := [":".join(each) for each in chosen if each not in everything]:
        parser.error(f"no such scenario: {', '.join(wrong)}; there are {', '.join(map(':'.join, everything))}")
    console = Console(width=None if sys.stdout.isatty() else 150)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        results = runner.run(rehearse(arguments.users, arguments.seconds, chosen, console))
    console.print(table(results))
    if arguments.markdown:
        print(markdown(results))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(each) for each in results], indent=1))
    return int(any(each.findings for each in results))


if __name__ == "__main__":
    sys.exit(main())
