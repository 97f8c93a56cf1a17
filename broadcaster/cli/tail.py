"""``broadcaster tail``: every change as it is committed, in order, each once; also over a restart of Redis."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated

import msgspec
from cyclopts import Parameter

from broadcaster.cli.logs import configure_logging
from broadcaster.cli.options import (
    ConfigPath,
    OutputFormat,
    RedisUrl,
    ServiceNames,
    find_redis,
    find_settings,
    selected,
)
from broadcaster.cli.output import KIND_COLOURS, milliseconds, paint, printable, put, say, wants_colour
from broadcaster.config.durations import parse_duration
from broadcaster.config.settings import Settings
from broadcaster.domain.model import (
    Category,
    EventKind,
    FeedState,
    Position,
    Snapshot,
    Status,
    Transition,
)
from broadcaster.protocol.messages import timestamp
from broadcaster.store.feed import Feed, Replaced, StateChanged, Transitioned, Update
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


def since_when(text: str) -> float:
    """Unix seconds from ``10m`` (that long ago) or an RFC 3339 time with its offset. Raises ValueError otherwise."""
    if re.fullmatch(r"[0-9.]+(ms|s|m|h)?", text):
        return time.time() - parse_duration(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ValueError("must be a duration such as 10m, or a time such as 2026-01-31T08:00:00Z")
    return at.timestamp()


def _since(_: type, tokens: Iterable[object]) -> float:
    [token] = tokens
    return since_when(str(getattr(token, "value", token)))


def tail(
    *,
    config: ConfigPath = None,
    redis_url: RedisUrl = None,
    service: Annotated[ServiceNames, Parameter(alias="-s")] = (),
    since: Annotated[
        float | None,
        Parameter(converter=_since, n_tokens=1, help="Begin this long ago (10m), or at this time (RFC 3339)."),
    ] = None,
    follow: Annotated[bool, Parameter(help="Go on until Ctrl-C, or only show what is kept.")] = True,
    output: OutputFormat = "text",
) -> int:
    """Follow what changes, as it happens; with --no-follow, show what is kept and end.

    A restart of Redis is survived; what could not be seen because of it is said on standard error.
    """
    configure_logging("warning")
    settings = find_settings(config)
    show = _shower(output, frozenset(selected(config, settings, service)) if service else None)
    asyncio.run(_tail(settings, find_redis(redis_url, settings), show, since=since, follow=follow))
    return 0


def _shower(output: str, services: frozenset[str] | None) -> Callable[[Transition], None]:
    colour = wants_colour(sys.stdout)

    def show(transition: Transition) -> None:
        if services is None or transition.service in services:
            put(as_json(transition) if output == "json" else as_line(transition, colour=colour))

    return show


async def _tail(
    settings: Settings, redis_url: str, show: Callable[[Transition], None], *, since: float | None, follow: bool
) -> None:
    async with RedisStore.connect(redis_url, settings.namespace, timeout=settings.redis.timeout) as store:
        if not follow:
            for transition in await store.history(HISTORY):
                if since is None or transition.at >= since:
                    show(transition)
            return
        feed = Feed(store, settings.feed)
        narrator = Narrator(say)
        async with contextlib.aclosing(feed.updates()) as updates:
            async for update in updates:
                if isinstance(update, Replaced) and not narrator.has_begun and since is not None:
                    for transition in known_by(update.snapshot.position, await store.history(HISTORY)):
                        if transition.at >= since:
                            show(transition)
                narrator.hear(update)
                if isinstance(update, Transitioned):
                    show(update.transition)


def known_by(position: Position, history: Iterable[Transition]) -> list[Transition]:
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
            case Transitioned():
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


def as_json(transition: Transition) -> str:
    """One object, one line."""
    line = TransitionLine(
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
    return msgspec.json.encode(line).decode()


def as_line(transition: Transition, *, colour: bool) -> str:
    """When (local time), what, why."""
    at = timestamp(transition.at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    kind = paint(f"{transition.kind.value:<9}", KIND_COLOURS[transition.kind], colour)
    parts = [
        f"was {transition.previous.value}",
        f"because of {' and '.join(map(printable, transition.caused_by))}" if transition.caused_by else "",
        transition.category.value if transition.category else "",
        printable(transition.detail),
        milliseconds(transition.latency) if not transition.detail else "",
    ]
    told = ", ".join(part for part in parts if part)
    when = paint(at, "dim", colour)
    return f"{when}  {kind}  {paint(printable(transition.service), 'bold', colour)}  {told}"
