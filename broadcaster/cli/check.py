"""``broadcaster check``: every probe once, now, without Redis."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import msgspec
from cyclopts import Parameter

from broadcaster.cli.config import slow_detection
from broadcaster.cli.options import ConfigPath, OutputFormat, ServiceNames, find_settings, selected
from broadcaster.cli.output import OUTCOME_COLOURS, Cell, milliseconds, put, put_json, say, table, wants_colour
from broadcaster.config.durations import format_duration
from broadcaster.config.settings import ServiceSettings, Settings
from broadcaster.domain.detection import judge
from broadcaster.domain.model import Category, Criticality, Observation, Outcome
from broadcaster.domain.pacing import worst_case
from broadcaster.logs import configure_logging
from broadcaster.probes.registry import make_probe

ALL_WELL, DEGRADED, DOWN = 0, 3, 4

HEADER = ("SERVICE", "RESULT", "CATEGORY", "LATENCY", "NOTICED WITHIN", "DETAIL")


class CheckLine(msgspec.Struct, frozen=True, kw_only=True):
    """What came back from one service; ``latency`` in seconds, as is ``worst_case``, after which a hang is noticed."""

    service: str
    criticality: Criticality
    result: Outcome
    category: Category | None
    latency: float
    detail: str
    worst_case: float


def check(
    *,
    config: ConfigPath = None,
    service: Annotated[ServiceNames, Parameter(alias="-s")] = (),
    output: OutputFormat = "text",
) -> int:
    """Run each probe once, now, and show what came back and in how long.

    One attempt each, all at the same time; nothing is published. Exits with 0 if all answered well, 3 if an answer was
    slow or impaired or an optional service failed, 4 if a critical one failed.
    """
    configure_logging("warning")
    settings = find_settings(config)
    results = asyncio.run(check_all(settings, selected(config, settings, service)))
    for warning in slow_detection(settings):
        say(warning)
    if output == "json":
        for line in results:
            put_json(line)
    else:
        put(*lines(results, colour=wants_colour(sys.stdout)))
    return exit_code(results)


async def check_all(settings: Settings, names: tuple[str, ...]) -> list[CheckLine]:
    """One attempt at each of the services, concurrently, in the order of ``names``."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(_observe(name, settings.services[name])) for name in names]
    return [
        CheckLine(
            service=name,
            criticality=settings.services[name].criticality,
            result=seen.outcome,
            category=seen.category,
            latency=round(seen.latency, 6),
            detail=seen.detail,
            worst_case=round(worst_case(settings.services[name].pace), 3),
        )
        for name, seen in zip(names, (task.result() for task in running), strict=True)
    ]


async def _observe(name: str, settings: ServiceSettings) -> Observation:
    probe = make_probe(name, settings)
    try:
        seen = await probe.observe(settings.attempt_timeout)
        return judge(seen, (seen.latency,), settings.policy)
    finally:
        await probe.aclose()


def lines(results: list[CheckLine], *, colour: bool) -> list[str]:
    """The table for people."""
    rows = [
        (
            Cell(each.service),
            Cell(each.result.value, OUTCOME_COLOURS[each.result]),
            Cell(each.category.value if each.category else ""),
            Cell(milliseconds(each.latency)),
            Cell(format_duration(round(each.worst_case, 1))),
            Cell(each.detail),
        )
        for each in results
    ]
    return table(HEADER, rows, colour=colour)


def exit_code(results: list[CheckLine]) -> int:
    """The worst there is, as the exit code that stands for it."""
    if any(each.result is Outcome.FAILED and each.criticality is Criticality.CRITICAL for each in results):
        return DOWN
    return ALL_WELL if all(each.result is Outcome.OK for each in results) else DEGRADED
