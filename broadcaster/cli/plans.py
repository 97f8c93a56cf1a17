"""``broadcaster maintenance``, ``override`` and ``plans``: what operators say of services for a time."""

from __future__ import annotations

import asyncio
import getpass
import socket
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from cyclopts import Parameter

from broadcaster.cli.options import (
    ConfigPath,
    OutputFormat,
    RedisUrl,
    find_redis,
    find_settings,
    parse_moment,
    selected,
)
from broadcaster.cli.output import STATUS_COLOURS, Cell, put, put_json, say, table, wants_colour
from broadcaster.config.settings import Settings
from broadcaster.domain.errors import PlanError
from broadcaster.domain.model import Plan, PlanKind, Snapshot, Status
from broadcaster.domain.plans import PlanStep, add, advanced, end
from broadcaster.logs import configure_logging
from broadcaster.protocol.messages import timestamp
from broadcaster.store.planning import change_plans
from broadcaster.store.redis import RedisStore

DONE, NOTHING_TO_END = 0, 1

HEADER = ("SERVICE", "PLAN", "STATE", "FROM", "UNTIL", "BY", "REASON")


class PlanLine(msgspec.Struct, frozen=True, kw_only=True):
    """A plan as operators see it."""

    service: str
    plan: PlanKind
    status: Status | None
    has_begun: bool
    starts_at: datetime
    until: datetime
    by: str
    reason: str


def _ahead(_: type, tokens: Iterable[object]) -> float:
    return parse_moment(tokens, 1, "must be a duration such as 2h, or a time such as 2026-01-31T08:00:00Z")


Until = Annotated[
    float,
    Parameter(converter=_ahead, n_tokens=1, help="When it ends: in 2h, or at a time (RFC 3339). At most 30 days."),
]
From = Annotated[
    float | None,
    Parameter(name="--from", converter=_ahead, n_tokens=1, help="When it begins, in the same way; else now."),
]
Reason = Annotated[str, Parameter(help="Why, in a sentence. Users read it.")]
By = Annotated[str, Parameter(help="Who says so, for other operators; else you, on this machine.")]


def start(
    *services: Annotated[str, Parameter(help="The services that are worked on.")],
    until: Until,
    from_: From = None,
    reason: Reason = "",
    by: By = "",
    config: ConfigPath = None,
    redis_url: RedisUrl = None,
) -> int:
    """Announce planned work on services, from now or later, until it ends.

    Probes go on. Users are told of the work, and what fails meanwhile is explained by it.
    """
    now = time.time()
    plan = Plan(
        kind=PlanKind.MAINTENANCE,
        starts_at=now if from_ is None else from_,
        until=until,
        by=by or _operator(),
        reason=_one_line(reason),
    )
    return _change(config, redis_url, services, lambda plans: add(plans, plan, now), by=plan.by)


def finish(
    *services: Annotated[str, Parameter(help="The services whose work is over.")],
    scheduled: Annotated[bool, Parameter(help="Also call off work that has not begun.", negative="")] = False,
    by: By = "",
    config: ConfigPath = None,
    redis_url: RedisUrl = None,
) -> int:
    """End planned work on services before its time. Exits with 1 if there is none."""
    return _change(
        config,
        redis_url,
        services,
        lambda plans: end(plans, PlanKind.MAINTENANCE, also_ahead=scheduled),
        by=by or _operator(),
        repeatedly=True,
        nothing="no planned work is on" if not scheduled else "no planned work",
    )


def override(
    service: Annotated[str, Parameter(help="The service that is meant.")],
    status: Annotated[Literal["up", "degraded", "down"], Parameter(help="What is told of it.")],
    *,
    until: Until,
    reason: Reason = "",
    by: By = "",
    config: ConfigPath = None,
    redis_url: RedisUrl = None,
) -> int:
    """Say that a service is up, degraded or down, whatever the probes see, until it ends.

    Everything goes by it: notices, features, who is admitted. Probes go on, and what they see is told when it ends.
    """
    now = time.time()
    plan = Plan(
        kind=PlanKind.OVERRIDE,
        starts_at=now,
        until=until,
        by=by or _operator(),
        reason=_one_line(reason),
        status=Status(status),
    )
    return _change(config, redis_url, [service], lambda plans: add(plans, plan, now), by=plan.by)


def clear(
    *services: Annotated[str, Parameter(help="The services that are judged by their probes again.")],
    by: By = "",
    config: ConfigPath = None,
    redis_url: RedisUrl = None,
) -> int:
    """End an override before its time. Exits with 1 if there is none."""
    return _change(
        config,
        redis_url,
        services,
        lambda plans: end(plans, PlanKind.OVERRIDE),
        by=by or _operator(),
        nothing="no override is on",
    )


def plans(*, config: ConfigPath = None, redis_url: RedisUrl = None, output: OutputFormat = "text") -> int:
    """Show planned work and overrides that are on or to come."""
    configure_logging("warning")
    settings = find_settings(config)
    snapshot = asyncio.run(_read(settings, find_redis(redis_url, settings)))
    found = lines(settings, snapshot, time.time())
    if output == "json":
        put_json(found)
    elif found:
        put(*_table(found, colour=wants_colour(sys.stdout)))
    else:
        say("no planned work and no overrides")
    return DONE


def lines(settings: Settings, snapshot: Snapshot, now: float) -> list[PlanLine]:
    """Every plan that is not over, by service and beginning."""
    return [_line(name, plan) for name in settings.services for plan in advanced(snapshot.state(name).plans, now)]


async def _read(settings: Settings, redis_url: str) -> Snapshot:
    async with RedisStore.connect(redis_url, settings.namespace, timeout=settings.redis.timeout) as store:
        return await store.snapshot()


def _change(
    config: ConfigPath,
    redis_url: str | None,
    services: Sequence[str],
    decide: Callable[[tuple[Plan, ...]], PlanStep | None],
    *,
    by: str,
    repeatedly: bool = False,
    nothing: str = "",
) -> int:
    """Carries one kind of change through for each service, and shows what became of it."""
    configure_logging("warning")
    if not services:
        raise PlanError("name at least one service")
    settings = find_settings(config)
    names = selected(config, settings, tuple(services))

    async def change() -> dict[str, list[PlanStep]]:
        steps: dict[str, list[PlanStep]] = {}
        async with RedisStore.connect(
            find_redis(redis_url, settings), settings.namespace, timeout=settings.redis.timeout
        ) as store:
            for name in names:
                done = steps.setdefault(name, [])
                while step := await change_plans(store, name, decide, at=time.time(), by=by):
                    done.append(step)
                    if not repeatedly:
                        break
        return steps

    steps = asyncio.run(change())
    done = [(_line(name, each.plan), each) for name, its in steps.items() for each in its]
    for line, step in done:
        put(f"{line.service}: {_what(line)} {step.action.value}, {_span(line)}")
    idle = [name for name, its in steps.items() if not its]
    for name in idle:
        say(f"{name}: {nothing}")
    return NOTHING_TO_END if idle else DONE


def _line(service: str, plan: Plan) -> PlanLine:
    return PlanLine(
        service=service,
        plan=plan.kind,
        status=plan.status,
        has_begun=plan.has_begun,
        starts_at=timestamp(plan.starts_at),
        until=timestamp(plan.until),
        by=plan.by,
        reason=plan.reason,
    )


def _table(found: Iterable[PlanLine], *, colour: bool) -> list[str]:
    rows = [
        (
            Cell(each.service),
            Cell(_what(each), STATUS_COLOURS[each.status] if each.status else ""),
            Cell("on" if each.has_begun else "to come", "yellow" if each.has_begun else "dim"),
            Cell(_local(each.starts_at)),
            Cell(_local(each.until)),
            Cell(each.by),
            Cell(each.reason),
        )
        for each in found
    ]
    return table(HEADER, rows, colour=colour)


def _what(line: PlanLine) -> str:
    return f"{line.plan.value} {line.status.value}" if line.status else line.plan.value


def _span(line: PlanLine) -> str:
    return f"until {_local(line.until)}" if line.has_begun else f"{_local(line.starts_at)} to {_local(line.until)}"


def _local(at: datetime) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _one_line(text: str) -> str:
    """Words on one line; what could drive a terminal or a log is dropped."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def _operator() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "somebody"
    return f"{user}@{socket.gethostname()}"
