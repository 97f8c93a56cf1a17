"""``broadcaster tail wss://...``: what a node tells, by its WebSocket; for who has no way to Redis.

Lines of services are those of ``tail``, as far as a node tells; what becomes of the connection, or of what the node
knows, is said on standard error.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import datetime

import msgspec

from broadcaster.cli.options import usage_error
from broadcaster.cli.output import milliseconds, paint, printable, put, say, wants_colour
from broadcaster.domain.errors import BroadcasterError
from broadcaster_client import (
    ClientError,
    Feed,
    FeedChanged,
    FellBehind,
    Internal,
    Kind,
    LinkChanged,
    Service,
    ServiceChanged,
    Status,
    UnknownName,
    WorkPlanned,
    connect,
)

TOKEN_VARIABLE = "BROADCASTER_OPERATOR_TOKEN"  # noqa: S105 - a variable's name


_COLOURS = {
    Kind.UP: "green",
    Kind.RECOVERED: "green",
    Kind.DEGRADED: "yellow",
    Kind.DOWN: "red",
    Kind.UNKNOWN: "dim",
}


class ServiceLine(msgspec.Struct, frozen=True, kw_only=True):
    """A change as programs read it: the fields of ``tail``'s ``TransitionLine``, and two more. ``latency`` in seconds.

    A ``local`` one was found out by the node itself, and has no place in the order; an ``is_catch_up`` happened while
    there was no connection, or while the node had lost the thread: in between there may have been more.
    """

    epoch: str
    revision: int
    at: datetime
    service: str
    kind: Kind
    previous: Status
    status: Status
    category: str | None
    detail: str
    latency: float | None
    caused_by: tuple[str, ...]
    incident: str
    local: bool
    is_catch_up: bool


class PlannedLine(msgspec.Struct, frozen=True, kw_only=True):
    """News of planned work as programs read it: ``kind`` is always ``planned``; no times where none is left."""

    epoch: str
    revision: int
    at: datetime
    service: str
    kind: str = "planned"
    text: str
    starts_at: datetime | None
    until: datetime | None
    has_begun: bool


class _Failed(BroadcasterError):
    """The node cannot be followed; the message says why."""


def tail_node(url: str, *, services: tuple[str, ...], operators: bool, output: str) -> int:
    """Follows until Ctrl-C. Raises ConfigError for what cannot be asked for, BroadcasterError where following ends."""
    token = os.environ.get(TOKEN_VARIABLE) if operators else None
    if operators and not token:
        raise usage_error("--operators", f"needs a token in ${TOKEN_VARIABLE}", "node.operator_token of the node")
    try:
        feed = connect(url, services=services, audience="operators" if operators else "users", token=token, quiet=True)
    except ValueError as error:
        raise usage_error(url, str(error), "such as wss://chat.example/ws/status") from error
    try:
        asyncio.run(_follow(feed, output))
    except UnknownName as error:
        raise usage_error("--service", str(error), "as the node calls them") from error
    except ClientError as error:
        raise _Failed(str(error)) from error
    return 0


async def _follow(feed: Feed, output: str) -> None:
    colour = wants_colour(sys.stdout)
    async with feed:
        async for notice in feed:
            match notice:
                case ServiceChanged(is_catch_up=True, before=None):
                    pass  # no change that we saw; how things stand is said when the connection opens
                case ServiceChanged() | WorkPlanned():
                    put(as_json(notice) if output == "json" else as_line(notice, colour=colour))
                case FellBehind() | FeedChanged() | LinkChanged():
                    say(f"{_local(notice.at)}  {_said(notice)}")


def _said(notice: FellBehind | FeedChanged | LinkChanged) -> str:
    """What became of the connection, or of what the node knows. Each state is told once, so what follows is, too."""
    match notice:
        case FellBehind(dropped=dropped, text=text):
            return f"{dropped} changes were too many to tell. {text}"
        case LinkChanged(link=link) if link.is_connected:
            return f"following from here on. {notice.text}"
        case LinkChanged():
            return f"{notice.text} Trying again until it is back."
    return notice.text


def as_json(notice: ServiceChanged | WorkPlanned) -> str:
    """One object, one line: the fields of a line of ``tail``. ``detail`` and ``latency`` are for operators."""
    line = _planned_line(notice) if isinstance(notice, WorkPlanned) else _transition_line(notice)
    return msgspec.json.encode(line).decode()


def as_line(notice: ServiceChanged | WorkPlanned, *, colour: bool) -> str:
    """When (local time), what, why."""
    when = paint(_local(notice.at), "dim", colour)
    name = paint(printable(notice.service.name), "bold", colour)
    if isinstance(notice, WorkPlanned):
        return f"{when}  {paint(f'{notice.kind:<9}', 'dim', colour)}  {name}  {printable(notice.text)}"
    kind = paint(f"{notice.kind.value:<9}", _COLOURS[notice.kind], colour)
    return f"{when}  {kind}  {name}  {_why(notice)}"


def _local(at: datetime) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _why(notice: ServiceChanged) -> str:
    service, internal = notice.service, _internal(notice.service)
    parts = [
        f"was {notice.before.value}" if notice.before else "",
        f"because of {' and '.join(map(printable, service.caused_by))}" if service.caused_by else "",
        printable(internal.category or service.category or ""),
        printable(internal.detail) or milliseconds(_seconds(internal.latency_ms)),
        "found out by the node itself" if notice.local else "",
        "while we were not connected" if notice.is_catch_up else "",
    ]
    return ", ".join(part for part in parts if part)


def _transition_line(notice: ServiceChanged) -> ServiceLine:
    service, internal = notice.service, _internal(notice.service)
    return ServiceLine(
        epoch=notice.position.epoch,
        revision=notice.position.revision,
        at=notice.at,
        service=service.name,
        kind=notice.kind,
        previous=notice.before or Status.UNKNOWN,
        status=service.status,
        category=internal.category or service.category,
        detail=internal.detail,
        latency=_seconds(internal.latency_ms),
        caused_by=service.caused_by,
        incident=notice.incident,
        local=notice.local,
        is_catch_up=notice.is_catch_up,
    )


def _planned_line(notice: WorkPlanned) -> PlannedLine:
    planned = notice.service.planned or None
    return PlannedLine(
        epoch=notice.position.epoch,
        revision=notice.position.revision,
        at=notice.at,
        service=notice.service.name,
        text=notice.text,
        starts_at=planned.starts_at if planned else None,
        until=planned.until if planned else None,
        has_begun=planned.has_begun if planned else False,
    )


def _internal(service: Service) -> Internal:
    return service.internal if service.internal is not msgspec.UNSET else Internal()


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
