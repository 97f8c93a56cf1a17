"""``broadcaster tail``: every change as it is committed, in order, each once; also over a restart of Redis."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from broadcaster.cli.options import (
    ConfigPath,
    OutputFormat,
    RedisUrl,
    ServiceNames,
    find_redis,
    find_settings,
    parse_moment,
    selected,
    usage_error,
)
from broadcaster.cli.output import KIND_COLOURS, milliseconds, paint, printable, put, say, wants_colour
from broadcaster.config.durations import format_duration
from broadcaster.config.settings import Settings
from broadcaster.domain.freshness import expired
from broadcaster.domain.model import (
    Category,
    Entry,
    EventKind,
    FeedState,
    Plan,
    PlanAction,
    PlanChange,
    PlanKind,
    Position,
    Snapshot,
    Status,
    Transition,
)
from broadcaster.logs import configure_logging
from broadcaster.protocol.messages import timestamp
from broadcaster.store.feed import Feed, Replaced, Replanned, StateChanged, Transitioned, Update
from broadcaster.store.redis import RedisStore

HISTORY = 10_000
"""Changes looked back at, at most."""


class TransitionLine(msgspec.Struct, frozen=True, kw_only=True):
    """A transition as programs read it: one object a line. ``latency`` in seconds."""

    epoch: str
    revision: int
    at: datetime
    service: str
    kind: EventKind
    previous: Status
    status: Status
    category: Category | None
    detail: str
    latency: float | None
    caused_by: tuple[str, ...]
    incident: str


class PlanLine(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a service's plans as programs read it: ``kind`` is always ``planned``."""

    epoch: str
    revision: int
    at: datetime
    service: str
    kind: str = "planned"
    action: PlanAction
    plan: PlanKind
    status: Status | None
    starts_at: datetime
    until: datetime
    reason: str
    by: str


def _since(_: type, tokens: Iterable[object]) -> float:
    return parse_moment(tokens, -1, "must be a duration such as 10m, or a time such as 2026-01-31T08:00:00Z")


def tail(
    url: Annotated[
        str | None, Parameter(help="Follow this node (wss://..., by a WebSocket) in place of Redis, from now on.")
    ] = None,
    /,
    *,
    config: ConfigPath = None,
    redis_url: RedisUrl = None,
    service: Annotated[ServiceNames, Parameter(alias="-s")] = (),
    since: Annotated[
        float | None,
        Parameter(converter=_since, n_tokens=1, help="Begin this long ago (10m), or at this time (RFC 3339)."),
    ] = None,
    follow: Annotated[bool, Parameter(help="Go on until Ctrl-C, or only show what is kept.")] = True,
    operators: Annotated[
        bool,
        Parameter(help="Ask the node for causes and latencies, too, with $BROADCASTER_OPERATOR_TOKEN.", negative=""),
    ] = False,
    output: OutputFormat = "text",
) -> int:
    """Follow what changes, as it happens; with --no-follow, show what is kept and end.

    A restart of Redis, or of the node, is survived; what could not be seen because of it is said on standard error.
    """
    configure_logging("warning")
    if url is not None:
        from broadcaster.cli.tail_node import tail_node  # what follows Redis needs no client

        check_usage(config=config, redis_url=redis_url, since=since, follow=follow)
        return tail_node(url, services=service, operators=operators, output=output)
    if operators:
        raise usage_error("--operators", "is for a node's URL", "Redis tells everything")
    settings = find_settings(config)
    show = _shower(output, frozenset(selected(config, settings, service)) if service else None)
    asyncio.run(_tail(settings, find_redis(redis_url, settings), show, since=since, follow=follow))
    return 0


def check_usage(*, config: Path | None, redis_url: str | None, since: float | None, follow: bool) -> None:
    """Raises ConfigError for a flag that says nothing to a node."""
    flags = {"--config": config, "--redis-url": redis_url, "--since": since, "--no-follow": None if follow else True}
    for flag, value in flags.items():
        if value is not None:
            raise usage_error(flag, "is not for a node's URL", "a node tells what happens from now on")


def _shower(output: str, services: frozenset[str] | None) -> Callable[[Entry], None]:
    colour = wants_colour(sys.stdout)

    def show(entry: Entry) -> None:
        if services is None or entry.service in services:
            put(as_json(entry) if output == "json" else as_line(entry, colour=colour))

    return show


async def _tail(
    settings: Settings, redis_url: str, show: Callable[[Entry], None], *, since: float | None, follow: bool
) -> None:
    async with RedisStore.connect(redis_url, settings.namespace, timeout=settings.redis.timeout) as store:
        if not follow:
            for entry in await store.history(HISTORY):
                if since is None or entry.at >= since:
                    show(entry)
            return
        feed = Feed(store, settings.feed)
        narrator = Narrator(say)
        async with contextlib.aclosing(feed.updates()) as updates, _telling_of_age(settings, feed):
            async for update in updates:
                if isinstance(update, Replaced) and not narrator.has_begun and since is not None:
                    for entry in known_by(update.snapshot.position, await store.history(HISTORY)):
                        if entry.at >= since:
                            show(entry)
                narrator.hear(update)
                if isinstance(update, Transitioned):
                    show(update.transition)
                elif isinstance(update, Replanned):
                    show(update.change)


@contextlib.asynccontextmanager
async def _telling_of_age(settings: Settings, feed: Feed) -> AsyncIterator[None]:
    """Meanwhile says of which services nothing is known any more, as no worker has looked at them for too long."""
    limits = {name: each.expires_after for name, each in settings.services.items()}

    async def tell() -> None:
        told: set[str] = set()
        while True:
            await asyncio.sleep(1)
            found = expired(feed.snapshot, now=time.time(), expires_after=limits)
            for name in sorted(found - told):
                say(f"{name} was not observed for {format_duration(limits[name])}: nothing is known of it now")
            for name in sorted(told - found):
                say(f"{name} is observed again: {feed.snapshot.status(name).value}")
            told = found

    telling = asyncio.create_task(tell())
    try:
        yield
    finally:
        telling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await telling


def known_by(position: Position, history: Iterable[Entry]) -> list[Entry]:
    """The part of the history that a reader at ``position`` is past; what comes later will reach it anyway."""
    return [
        each
        for each in history
        if each.position.epoch == position.epoch and each.position.revision <= position.revision
    ]


class Narrator:
    """Says in words what happens to the feed itself, and what was missed because of it."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._state: FeedState | None = None
        self._caught_up = 0
        self._replaced = False
        self._begins = False
        self.has_begun = False

    def hear(self, update: Update) -> None:
        match update:
            case Transitioned() | Replanned():
                self._caught_up += 1
            case Replaced():
                if self.has_begun:
                    self._say(missed(update))
                    self._replaced = True
                self._begins = not self.has_begun
                self.has_begun = True
            case StateChanged():
                self._tell_state(update)

    def _tell_state(self, update: StateChanged) -> None:
        was, self._state = self._state, update.state
        match update.state:
            case FeedState.LOST:
                self._caught_up, self._replaced, self._begins = 0, False, False
                self._say(f"Redis is lost ({update.reason}); trying again")
            case FeedState.UNWATCHED:
                back = "Redis is back; " if was is FeedState.LOST else ""
                self._say(f"{back}no worker is heard: nobody watches the services now")
            case FeedState.LIVE if was is FeedState.LOST and self.has_begun:
                self._say(f"Redis is back; {self._balance()}")
            case FeedState.LIVE if was is not None:
                self._say("a worker is heard again")
            case FeedState.LIVE:
                pass

    def _balance(self) -> str:
        if self._begins:
            return "following from here on"
        if self._replaced:
            return "changes may have been missed, as said above"
        if self._caught_up:
            return f"nothing was missed, the {self._caught_up} above caught up"
        return "nothing was missed"


def missed(update: Replaced) -> str:
    """What a reader was not told one by one, from the difference of two snapshots."""
    names = dict.fromkeys([*update.previous.services, *update.snapshot.services])
    changes = [_change(name, update.previous, update.snapshot) for name in names]
    told = "; ".join(change for change in changes if change)
    return f"changes may have been missed ({update.reason}): {told or 'every service is as it was'}"


def _change(name: str, before: Snapshot, after: Snapshot) -> str:
    was, now = before.status(name), after.status(name)
    return "" if was is now else f"{name} is {now.value}, was {was.value}"


def as_json(entry: Entry) -> str:
    """One object, one line."""
    line = _plan_line(entry) if isinstance(entry, PlanChange) else _transition_line(entry)
    return msgspec.json.encode(line).decode()


def as_line(entry: Entry, *, colour: bool) -> str:
    """When (local time), what, why."""
    at = timestamp(entry.at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(entry, PlanChange):
        kind, told = paint(f"{'planned':<9}", "dim", colour), _plan_told(entry)
    else:
        kind, told = paint(f"{entry.kind.value:<9}", KIND_COLOURS[entry.kind], colour), _transition_told(entry)
    when = paint(at, "dim", colour)
    return f"{when}  {kind}  {paint(printable(entry.service), 'bold', colour)}  {told}"


def _plan_line(change: PlanChange) -> PlanLine:
    plan = change.plan
    return PlanLine(
        epoch=change.position.epoch,
        revision=change.position.revision,
        at=timestamp(change.at),
        service=change.service,
        action=change.action,
        plan=plan.kind,
        status=plan.status,
        starts_at=timestamp(plan.starts_at),
        until=timestamp(plan.until),
        reason=plan.reason,
        by=change.by or plan.by,
    )


def _transition_line(transition: Transition) -> TransitionLine:
    return TransitionLine(
        epoch=transition.position.epoch,
        revision=transition.position.revision,
        at=timestamp(transition.at),
        service=transition.service,
        kind=transition.kind,
        previous=transition.previous,
        status=transition.status,
        category=transition.category,
        detail=transition.detail,
        latency=transition.latency,
        caused_by=transition.caused_by,
        incident=transition.incident,
    )


def _plan_told(change: PlanChange) -> str:
    plan = change.plan
    what = f"override {plan.status.value}" if plan.status else "maintenance"
    parts = [
        f"{what} {change.action.value}",
        f"by {printable(change.by)}" if change.by else f"said by {printable(plan.by)}",
        _span(plan) if change.action in (PlanAction.ADDED, PlanAction.BEGUN) else "",
        printable(plan.reason),
    ]
    return ", ".join(part for part in parts if part)


def _span(plan: Plan) -> str:
    def local(at: float) -> str:
        return timestamp(at).astimezone().strftime("%Y-%m-%d %H:%M")

    return f"until {local(plan.until)}" if plan.has_begun else f"{local(plan.starts_at)} to {local(plan.until)}"


def _transition_told(transition: Transition) -> str:
    parts = [
        f"was {transition.previous.value}",
        f"because of {' and '.join(map(printable, transition.caused_by))}" if transition.caused_by else "",
        transition.category.value if transition.category else "",
        printable(transition.detail),
        milliseconds(transition.latency) if not transition.detail else "",
    ]
    return ", ".join(part for part in parts if part)
