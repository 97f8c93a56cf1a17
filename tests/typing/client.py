"""What a type checker makes of code that follows a node. Checked, never run: see test_typing.py."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from datetime import datetime
from typing import assert_never, assert_type

from msgspec import UNSET

from broadcaster_client import (
    Closed,
    Feature,
    Feed,
    FeedChanged,
    FeedState,
    FellBehind,
    Internal,
    Kind,
    Knowledge,
    Link,
    LinkChanged,
    Refused,
    Service,
    ServiceChanged,
    Snapshot,
    Status,
    WorkPlanned,
    connect,
)


async def token() -> str:
    return "t"


async def headers() -> Mapping[str, str]:
    return {}


assert_type(connect("ws://node/ws"), Feed)
connect("ws://node/ws", services=["auth"], features={"chat"}, locale="de", ssl=ssl.create_default_context(), proxy=None)
connect("ws://node/ws", ticket=token, headers=headers)
connect("ws://node/ws", ticket=lambda: "t", headers={"X-Trace": "1"})
connect("ws://node/ws", audience="everybody")  # type: ignore[arg-type]
connect("ws://node/ws", ticket="t")  # type: ignore[arg-type]  # it is asked for each time
connect("ws://node/ws", proxy=False)  # type: ignore[arg-type]  # None means none
connect("ws://node/ws", ["auth"])  # type: ignore[call-arg]  # by name only


async def follow() -> None:
    async with connect("ws://node/ws") as feed:
        assert_type(feed, Feed)
        assert_type(feed.snapshot, Snapshot)
        assert_type(await feed.until(lambda snapshot: snapshot.status("auth") == "up"), Snapshot)
        async for notice in feed:
            assert_type(notice, ServiceChanged | WorkPlanned | FeedChanged | LinkChanged | FellBehind)
            assert_type(notice.text, str)
            assert_type(notice.lang, str)
            assert_type(notice.at, datetime)
            if notice.kind == "down":
                notice.service  # type: ignore[union-attr]  # noqa: B018 - a word does not narrow
            match notice:
                case ServiceChanged(kind=kind, service=service):
                    assert_type(kind, Kind)
                    assert_type(service, Service)
                case WorkPlanned(service=service):
                    assert_type(service, Service)
                case FeedChanged(feed=state):
                    assert_type(state, FeedState)
                case LinkChanged(link=link, retry_in=seconds):
                    assert_type(link, Link)
                    assert_type(seconds, float | None)
                case FellBehind(dropped=dropped, snapshot=snapshot):
                    assert_type(dropped, int)
                    assert_type(snapshot, Snapshot)
                case _:
                    assert_never(notice)
    with connect("ws://node/ws"):  # type: ignore[attr-defined]  # it takes ``async with``
        pass


def look(snapshot: Snapshot) -> None:
    assert_type(snapshot.knowledge, Knowledge)
    assert_type(snapshot.features["chat"], Feature)
    assert_type(snapshot.status("auth"), Status)
    if (internal := snapshot.services["auth"].internal) is not UNSET:
        assert_type(internal, Internal)
    snapshot.services["auth"] = snapshot.services["x"]  # type: ignore[index]  # it never changes
    snapshot.link = Link.OPEN  # type: ignore[misc]


async def ended(feed: Feed) -> None:
    try:
        await anext(feed)
    except Refused as error:
        assert_type(error.status, int)
    except Closed as error:
        assert_type((error.code, error.text), tuple[int, str])
