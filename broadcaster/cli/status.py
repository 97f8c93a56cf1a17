"""``broadcaster status``: the snapshot as a table, and as an exit code."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from broadcaster.cli.options import ConfigPath, OutputFormat, RedisUrl, find_redis, find_settings
from broadcaster.cli.output import (
    STATUS_COLOURS,
    Cell,
    milliseconds,
    printable,
    put,
    put_json,
    say,
    table,
    wants_colour,
)
from broadcaster.config.durations import format_duration
from broadcaster.config.settings import Settings
from broadcaster.domain.freshness import Carrier, effective
from broadcaster.domain.model import Category, Criticality, FeedState, Plan, PlanKind, Position, ServiceState, Status
from broadcaster.domain.quorum import Vote, disagreement
from broadcaster.logs import configure_logging
from broadcaster.manager.attendance import PRESENT_SECONDS
from broadcaster.store.base import Attendance, Reading
from broadcaster.store.redis import RedisStore

ALL_UP, DEGRADED, DOWN = 0, 3, 4

HEADER = ("SERVICE", "STATUS", "SINCE", "OBSERVED", "LATENCY", "CRITICALITY", "CATEGORY", "DETAIL")


class ServiceLine(msgspec.Struct, frozen=True, kw_only=True):
    """A service as operators see it. Times are Unix seconds, ``age`` the seconds since its last observation.
    ``observed`` is what was concluded from probes, which an override does not change, ``disagreement``
    what its observers do not agree on."""

    service: str
    status: Status
    observed: Status
    criticality: Criticality
    since: float | None
    observed_at: float | None
    age: float | None
    category: Category | None
    detail: str
    latency: float | None
    owner: str
    runbook: str
    plans: tuple[Plan, ...]
    disagreement: str


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A worker or a node that is alive; ``agrees``: it uses the same settings as this file."""

    name: str
    role: Literal["worker", "node"]
    zone: str
    agrees: bool


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """All that is read for a report."""

    reading: Reading
    attendance: Attendance = Attendance()
    votes: Mapping[str, tuple[Vote, ...]] = {}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, as of ``position``. ``feed`` is ``unwatched`` while no worker is heard: states may be old."""

    position: Position
    at: float
    feed: FeedState
    services: tuple[ServiceLine, ...]
    members: tuple[Member, ...]


def status(*, config: ConfigPath = None, redis_url: RedisUrl = None, output: OutputFormat = "text") -> int:
    """Show what is known of every service now.

    Exits with 0 if all are up, 3 if one is degraded, unknown or an optional one down, 4 if a critical one is down, and
    5 if Redis cannot be reached.
    """
    configure_logging("warning")
    settings = find_settings(config)
    found = asyncio.run(_read(settings, find_redis(redis_url, settings)))
    report = report_on(settings, found, time.time())
    if output == "json":
        put_json(report)
    else:
        put(*lines(report, colour=wants_colour(sys.stdout)))
        if report.feed is not FeedState.LIVE:
            say("no worker is heard ('broadcaster probe'): nobody watches these services now")
        for each in report.members:
            if not each.agrees:
                say(f"{each.role} {printable(each.name)} uses other settings than this file")
    return exit_code(report)


async def _read(settings: Settings, redis_url: str) -> Found:
    observed = [name for name, each in settings.services.items() if each.observers > 1]
    async with RedisStore.connect(redis_url, settings.namespace, timeout=settings.redis.timeout) as store:
        return Found(
            reading=await store.read(),
            attendance=await store.attend("", None, within=PRESENT_SECONDS),
            votes=await store.votes(observed) if observed else {},
        )


def report_on(settings: Settings, found: Found, now: float) -> Report:
    """What may be told of the services of the file; an observation that is too old makes its service unknown."""
    reading = found.reading
    expires_after = {name: each.expires_after for name, each in settings.services.items()}
    # Whoever has just read from the carrier knows that it is there; nodes tell their users by the same rule.
    carrier = Carrier(service=settings.redis.service, is_reached=True, since=now)
    snapshot = effective(reading.snapshot, now=now, expires_after=expires_after, carrier=carrier)
    heard = reading.heartbeat_age is not None and reading.heartbeat_age <= settings.feed.stale_after
    return Report(
        position=snapshot.position,
        at=now,
        feed=FeedState.LIVE if heard else FeedState.UNWATCHED,
        services=tuple(_line(settings, found, snapshot.state(name), now) for name in settings.services),
        members=tuple(_members(settings, found.attendance)),
    )


def _members(settings: Settings, attendance: Attendance) -> Iterator[Member]:
    for name, each in sorted(attendance.workers.items()):
        yield Member(name=name, role="worker", zone=each.zone, agrees=each.shape == settings.shape)
    for name, each in sorted(attendance.readers.items()):
        yield Member(name=name, role="node", zone=each.zone, agrees=each.shape == settings.shape)


def _line(settings: Settings, found: Found, state: ServiceState, now: float) -> ServiceLine:
    service = settings.services[state.service]
    fresh = [vote for vote in found.votes.get(state.service, ()) if now - vote.at <= service.expires_after]
    return ServiceLine(
        service=state.service,
        status=state.status,
        observed=found.reading.snapshot.status(state.service),
        criticality=service.criticality,
        since=state.since or None,
        observed_at=state.observed_at,
        age=None if state.observed_at is None else round(max(0.0, now - state.observed_at), 3),
        category=state.category,
        detail=state.detail,
        latency=state.latency,
        owner=service.owner,
        runbook=service.runbook,
        plans=state.plans,
        disagreement=disagreement(fresh, len(fresh)),
    )


def lines(report: Report, *, colour: bool) -> list[str]:
    """The table for people."""
    rows = [
        (
            Cell(each.service),
            Cell(each.status.value, STATUS_COLOURS[each.status]),
            Cell("" if each.since is None else f"{_ago(report.at - each.since)} ago"),
            Cell("never" if each.age is None else f"{_ago(each.age)} ago"),
            Cell(milliseconds(each.latency)),
            Cell(each.criticality.value),
            Cell(each.category.value if each.category else ""),
            Cell(_detail(each, report.at)),
        )
        for each in report.services
    ]
    return table(HEADER, rows, colour=colour)


def _detail(line: ServiceLine, now: float) -> str:
    """Why, and which plans are on or come next."""
    parts = [line.detail, line.disagreement]
    for plan in line.plans:
        if plan.kind is PlanKind.OVERRIDE:
            parts += [f"for {_ago(plan.until - now)} more", f"observed {line.observed.value}"]
        elif plan.has_begun:
            parts.append(f"maintenance for {_ago(plan.until - now)} more")
        else:
            parts.append(f"maintenance in {_ago(plan.starts_at - now)}")
        parts.append(plan.reason)
    return ", ".join(part for part in parts if part)


def exit_code(report: Report) -> int:
    """The worst there is, as the exit code that stands for it."""
    if any(each.status is Status.DOWN and each.criticality is Criticality.CRITICAL for each in report.services):
        return DOWN
    return ALL_UP if all(each.status is Status.UP for each in report.services) else DEGRADED


def _ago(seconds: float) -> str:
    return format_duration(max(0.0, seconds))
