"""The Python client's connection and queue, with a node that says exactly what a test wants it to say."""

from __future__ import annotations

import asyncio
import errno
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

import broadcaster_client
from broadcaster_client import (
    Closed,
    Ended,
    Feed,
    FeedChanged,
    FellBehind,
    Knowledge,
    Link,
    LinkChanged,
    Notice,
    OutOfDate,
    Refused,
    ServiceChanged,
    UnknownName,
)
from broadcaster_client.connection import Socket
from broadcaster_client.failures import Lost, is_offline, of_system
from broadcaster_client.target import Target

AT = "2026-01-01T10:00:00Z"
DEADLINE = 10.0
TURNS = 60
"""Turns of the event loop: more than a scripted feed takes for all that it is told here."""


def view(status: str = "up", *, revision: int = 1, kind: str = "welcome", epoch: str = "e", **fields: Any) -> str:
    return json.dumps(
        {"type": kind, "position": place(revision, epoch), "at": AT, "services": [auth(status)], **fields}
    )


def notice(kind: str, *, revision: int, epoch: str = "e", **fields: Any) -> str:
    its = auth("up" if kind == "recovered" else kind)
    return json.dumps(
        {"type": "notice", "position": place(revision, epoch), "at": AT, "kind": kind, "service": its, **fields}
    )


def rejected(retry_after_ms: int) -> str:
    said = {"at": AT, "position": place(1, "e"), "services": [auth("down")], "text": "No sign-in."}
    return json.dumps({"type": "rejected", "retry_after_ms": retry_after_ms, **said})


def goodbye(text: str, retry_after_ms: int = 0) -> str:
    return json.dumps({"type": "goodbye", "at": AT, "text": text, "retry_after_ms": retry_after_ms})


def auth(status: str) -> dict[str, Any]:
    return {"name": "auth", "title": "Sign-in", "status": status, "criticality": "critical"}


def place(revision: int, epoch: str) -> dict[str, Any]:
    return {"epoch": epoch, "revision": revision}


class Scripted:
    """A connection on which a node says these things, and then ends it, or nothing more."""

    def __init__(self, *said: str | Lost) -> None:
        self._said: asyncio.Queue[str | Lost] = asyncio.Queue()
        self.is_closed = False
        self.say(*said)

    def say(self, *said: str | Lost) -> None:
        for each in said:
            self._said.put_nowait(each)

    async def receive(self) -> str:
        said = await self._said.get()
        if isinstance(said, Lost):
            raise said
        return said

    async def close(self) -> None:
        try:
            await turns(3)
        finally:
            self.is_closed = True


class Node:
    """Its answers to one attempt after the other (connections, or what goes wrong); afterwards none comes."""

    def __init__(self, *answers: Scripted | Exception) -> None:
        self._answers: Iterator[Scripted | Exception] = iter(answers)
        self.opened: list[Scripted] = []
        self.waits: list[float] = []
        self.now = 0.0

    async def __call__(self) -> Socket:
        await asyncio.sleep(0)
        answer = next(self._answers, None)
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        assert answer is not None
        self.opened.append(answer)
        return answer

    async def sleep(self, seconds: float) -> None:
        """Time between attempts takes none."""
        self.waits.append(seconds)
        await asyncio.sleep(0)

    def feed(self, *, patience: float = DEADLINE, **options: Any) -> Feed:
        return Feed(self, name="ws://node/ws", patience=patience, sleep=self.sleep, clock=lambda: self.now, **options)


async def taken(feed: Feed, number: int) -> list[Notice]:
    async with asyncio.timeout(DEADLINE):
        return [await anext(feed) for _ in range(number)]


async def turns(number: int = TURNS) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_news_comes_in_order_and_moves_the_snapshot() -> None:
    """First our connection, then what a service became; a duplicate is dropped."""
    news = (notice("down", revision=2, text="No sign-in."), notice("down", revision=2), notice("recovered", revision=9))
    async with Node(Scripted(view(), *news)).feed() as feed:
        opened, down, back = await taken(feed, 3)
        assert isinstance(opened, LinkChanged)
        assert (opened.link, opened.text) == (Link.OPEN, "All is well.")
        assert isinstance(down, ServiceChanged)
        assert (down.kind, down.text, down.before) == ("down", "No sign-in.", "up")
        assert (back.kind, back.text) == ("recovered", "Sign-in: back to normal.")
        assert feed.snapshot.position.revision == 9


async def test_a_new_epoch_is_not_taken_piece_by_piece() -> None:
    """News of an order whose beginning is not known changes nothing; the next connection brings the whole truth."""
    node = Node(Scripted(view(), notice("down", revision=2, epoch="other")), Scripted(view("up", epoch="other")))
    async with node.feed() as feed:
        async with asyncio.timeout(DEADLINE):
            found = await feed.until(lambda snapshot: snapshot.position.epoch == "other")
        assert found.status("auth") == "up"
        assert [each.kind for each in await taken(feed, 3)] == ["link", "link", "link"]
        assert node.opened[0].is_closed


async def test_a_feed_that_became_another_over_a_break_is_told_in_words() -> None:
    """Of what the node knows now, and not of how the services stand."""
    node = Node(Scripted(view(), Lost("broke")), Scripted(view(feed="unwatched", text="Sign-in is slow.")))
    async with node.feed() as feed:
        *_, changed = await taken(feed, 4)
        assert isinstance(changed, FeedChanged)
        assert (changed.feed, changed.text) == ("unwatched", "The services are not being watched right now.")


async def test_the_whole_truth_after_a_break_tells_what_changed_meanwhile() -> None:
    """Lost, back, and the change as a catch-up; what is as it was is not told again."""
    node = Node(Scripted(view(), Lost("the connection broke")), Scripted(view("down", revision=5)))
    async with node.feed() as feed:
        _, lost, back, change = await taken(feed, 4)
        assert isinstance(lost, LinkChanged)
        assert (lost.link, lost.text) == (Link.LOST, "The status feed is lost (the connection broke).")
        assert isinstance(back, LinkChanged)
        assert isinstance(change, ServiceChanged)
        assert (back.link, change.kind, change.is_catch_up) == (Link.OPEN, "down", True)


async def test_what_the_node_asks_for_is_waited() -> None:
    """retry_after_ms of the last message; a rejection is not a lost feed, and its repetition is no news."""
    node = Node(
        Scripted(rejected(5400), Lost("a required service is down", code=1011)),
        Scripted(rejected(1200), Lost("the connection broke")),
        Scripted(view(), goodbye("Restarting.", 3000), Lost("", code=1012)),
        Scripted(view()),
    )
    async with node.feed() as feed:
        turned_away, welcome, restarting, back = await taken(feed, 4)
        assert isinstance(turned_away, LinkChanged)
        assert (turned_away.link, turned_away.text, turned_away.retry_in) == (Link.REJECTED, "No sign-in.", 5.4)
        assert [each.name for each in turned_away.services] == ["auth"]
        assert isinstance(restarting, LinkChanged)
        assert restarting.text == "The status feed is lost (Restarting)."
        assert [each.text for each in (welcome, back)] == ["All is well."] * 2
    assert node.waits == [5.4, 1.2, 3.0]


async def test_a_request_to_wait_is_forgotten_when_more_is_said() -> None:
    """Only the last message before the end counts, and so do its words."""
    node = Node(Scripted(view(), goodbye("Restarting.", 3_600_000), view(revision=2), Lost("broke")), Scripted(view()))
    async with node.feed() as feed:
        _, lost, _ = await taken(feed, 3)
    assert lost.text == "The status feed is lost (broke)."
    assert 0.5 <= node.waits[0] <= 1.0


async def test_a_request_to_wait_is_for_one_attempt() -> None:
    """A node that is gone by then has asked for nothing."""
    node = Node(Scripted(rejected(3_600_000), Lost("", code=1011)), Lost("connection refused"), Scripted(view()))
    async with node.feed() as feed:
        await taken(feed, 3)
    assert node.waits[0] == 3600.0
    assert 0.5 <= node.waits[1] <= 2.0


async def test_a_node_that_has_nothing_to_tell_is_not_given_up() -> None:
    """Once it has said how things stand it may be silent for as long as it answers pings."""
    async with Node(Scripted(view())).feed(patience=0.02) as feed:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await feed.until(lambda snapshot: not snapshot.link.is_connected)


async def test_failures_in_a_row_are_waited_for_ever_longer() -> None:
    """Up to 20 s, at random; also where a node lets everybody in and throws everybody out."""
    node = Node(*[Lost("connection refused")] * 12, Scripted(view(), Lost("broke")), Scripted(view()))
    async with node.feed() as feed:
        assert feed.snapshot.knowledge is Knowledge.FEED_LOST
        assert [each.kind for each in await taken(feed, 4)] == ["link"] * 4
    limits = [min(20.0, 0.5 * 2**failures) for failures in range(1, 14)]
    assert all(0.5 <= wait <= limit for wait, limit in zip(node.waits, limits, strict=True))
    assert max(node.waits) > 5.0
    assert len(set(node.waits)) == len(node.waits)


@pytest.mark.parametrize(("seconds", "most"), [(10.0, 1.0), (9.9, 20.0)])
async def test_a_connection_that_lasts_makes_up_for_failures(seconds: float, most: float) -> None:
    """For 10 s, as in the browser's client; the next failure is the first then."""
    waits = []
    for _ in range(20):
        link = Scripted(view())
        node = Node(*[Lost("connection refused")] * 12, link, Scripted(view()))
        async with node.feed() as feed:
            await taken(feed, 2)
            node.now += seconds
            link.say(Lost("broke"))
            await taken(feed, 2)
        waits.append(node.waits[-1])
    assert (max(waits) > 1.0) == (most > 1.0)
    assert max(waits) <= most


@pytest.mark.parametrize("asked", [3_600_001, 10**400])
async def test_a_request_to_wait_for_ages_is_not_granted(asked: int) -> None:
    """A node that is mistaken does not send its clients away for good."""
    node = Node(Scripted(view(), goodbye("Restarting.", asked), Lost("", code=1012)), Scripted(view()))
    async with node.feed() as feed:
        await taken(feed, 3)
    assert node.waits == [3600.0]


@pytest.mark.parametrize(
    ("said", "error", "text"),
    [
        ([view(), goodbye("Not here: x."), Lost("", code=3500)], UnknownName, "Not here: x."),
        ([view(), Lost("goodbye", code=1000)], Closed, "goodbye"),
        ([view(), Lost("", code=3999)], Closed, "3999"),
        ([view(), '{"type": "welcome", "v": 2}'], OutOfDate, "out of date"),
    ],
)
async def test_what_cannot_be_helped_ends_the_feed(said: list[str | Lost], error: type[Ended], text: str) -> None:
    """With an exception that says why, after all news that came before it, each time it is asked; no retries."""
    link = Scripted(said[0])
    node = Node(link)
    async with node.feed() as feed:
        link.say(*said[1:])
        await taken(feed, 1)
        for _ in range(2):
            with pytest.raises(error, match=text):
                await taken(feed, 1)
        with pytest.raises(error, match=text):
            await feed.until(lambda snapshot: False)
        assert feed.snapshot.link is Link.ENDED
        assert text in feed.snapshot.reason
    assert node.waits == []


@pytest.mark.parametrize("error", [Refused(401), UnknownName(3500, "", "Not here: x.")])
async def test_a_final_answer_to_the_first_attempt_is_raised_at_once(error: Ended) -> None:
    """Who enters hears of it; there is nothing to follow."""
    with pytest.raises(type(error), match=str(error)):
        await Node(error).feed().__aenter__()


async def test_offline_a_lost_feed_and_a_degraded_service_are_told_apart() -> None:
    """By the snapshot, by the notices, and in words; and all is well after all of them."""
    link = Scripted(view())
    node = Node(Lost("network is unreachable", is_offline=True), link)
    async with node.feed() as feed:
        known = [feed.snapshot.knowledge]
        assert feed.snapshot.text == "You are offline."
        offline, _ = await taken(feed, 2)
        assert (offline.kind, offline.text) == ("link", "You are offline.")
        link.say(json.dumps({"type": "feed", "at": AT, "feed": "lost", "text": "We lost it."}))
        [lost] = await taken(feed, 1)
        assert isinstance(lost, FeedChanged)
        known.append(feed.snapshot.knowledge)
        assert feed.snapshot.link is Link.OPEN
        assert feed.snapshot.text.startswith("The node has lost its own source.")
        link.say(json.dumps({"type": "feed", "at": AT, "feed": "live"}), notice("degraded", revision=2))
        _, degraded = await taken(feed, 2)
        assert isinstance(degraded, ServiceChanged)
        known.append(feed.snapshot.knowledge)
        assert known == [Knowledge.OFFLINE, Knowledge.FEED_LOST, Knowledge.CURRENT]
        assert feed.snapshot.text == "Sign-in: slow or unreliable."
        link.say(notice("recovered", revision=3))
        await taken(feed, 1)
        assert feed.snapshot.text == "All is well."


@pytest.mark.parametrize("status", ["unknown", "down", "degraded"])
async def test_the_text_is_never_falsely_well(status: str) -> None:
    async with Node(Scripted(view(status))).feed() as feed:
        assert feed.snapshot.text.startswith("Sign-in: ")


async def test_a_state_that_was_passed_through_is_found() -> None:
    """However much came at once: the first snapshot that meets a condition, not the last one."""
    link = Scripted(view())
    async with Node(link).feed() as feed:
        waiting = asyncio.create_task(feed.until(lambda snapshot: snapshot.status("auth") == "down"))
        mistaken = asyncio.create_task(feed.until(lambda snapshot: snapshot.position.revision > 1 and 1 / 0))
        await turns(3)
        link.say(notice("down", revision=2), notice("recovered", revision=3))
        await taken(feed, 3)
        assert feed.snapshot.status("auth") == "up"
        async with asyncio.timeout(DEADLINE):
            assert (await waiting).position.revision == 2
            with pytest.raises(ZeroDivisionError):
                await mistaken
        link.say(notice("down", revision=4))
        assert [each.kind for each in await taken(feed, 1)] == ["down"]


async def test_who_waits_is_connected_and_not_let_in() -> None:
    """What the node says of it is told, and so is the way in."""
    waiting = view("down", kind="waiting", text="Stay connected.")
    async with Node(Scripted(waiting, view("up", revision=2))).feed() as feed:
        told = await taken(feed, 4)
        assert [(each.kind, each.text) for each in told] == [
            ("link", "Stay connected."),
            ("down", "Sign-in: unavailable."),
            ("link", "All is well."),
            ("recovered", "Sign-in: back to normal."),
        ]


async def test_quiet_news_is_held_and_told_only_to_who_asks() -> None:
    said = (view(), notice("down", revision=2, quiet=True), notice("recovered", revision=3))
    async with Node(Scripted(*said)).feed() as feed:
        assert [each.kind for each in await taken(feed, 2)] == ["link", "recovered"]
    async with Node(Scripted(*said)).feed(quiet=True) as feed:
        assert [each.kind for each in await taken(feed, 3)] == ["link", "down", "recovered"]


async def test_a_slow_reader_gets_the_newest_snapshot_and_no_backlog() -> None:
    """All that was too much is one notice, with what holds when it is read; then all goes on in order."""
    link = Scripted(view())
    async with Node(link).feed(backlog=3) as feed:
        for revision in range(2, 12):
            link.say(notice("down" if revision % 2 else "degraded", revision=revision))
        async with asyncio.timeout(DEADLINE):
            await feed.until(lambda snapshot: snapshot.position.revision == 11)
        assert len(feed._inbox) <= 3
        [behind] = await taken(feed, 1)
        assert isinstance(behind, FellBehind)
        assert (behind.dropped, behind.snapshot) == (11, feed.snapshot)
        link.say(notice("recovered", revision=12))
        assert [each.kind for each in await taken(feed, 1)] == ["recovered"]


async def test_a_node_that_says_nothing_is_given_up() -> None:
    """Entering takes no longer than it may, and what is heard too late is not waited for; nor after a goodbye."""
    silent, mute = Scripted(), Scripted(view(), goodbye("Restarting."))
    node = Node(silent, mute, Scripted(view()))
    async with node.feed(patience=0.02) as feed:
        assert feed.snapshot.link is Link.LOST
        assert "nothing was heard" in feed.snapshot.reason
        await taken(feed, 4)
        assert (silent.is_closed, mute.is_closed) == (True, True)


async def test_nonsense_is_survived() -> None:
    """What is no message ends the connection, as something may be missing, and not the feed."""
    node = Node(Scripted("{"), Scripted(view(), '{"type": "notice"}'), Scripted(view()))
    async with node.feed() as feed:
        assert "not a message" in feed.snapshot.reason
        assert [each.kind for each in await taken(feed, 4)] == ["link"] * 4
        assert len(node.opened) == 3


async def test_a_message_of_a_later_type_is_ignored() -> None:
    node = Node(Scripted(view(), '{"type": "gossip", "v": 1}', notice("down", revision=2)))
    async with node.feed() as feed:
        assert [each.kind for each in await taken(feed, 2)] == ["link", "down"]
    assert len(node.opened) == 1


async def run_and_cancel(steps: int, use: Callable[[Node], Awaitable[object]]) -> tuple[Node, asyncio.Task[object]]:
    """Cancels a task after so many turns of the event loop; the task has ended when this returns."""
    node = Node(Lost("refused"), Scripted(view(), notice("down", revision=2), Lost("broke")), Scripted(view()))

    async def run() -> object:
        return await use(node)

    task = asyncio.create_task(run())
    await turns(steps)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=DEADLINE)
    assert done, f"cancelled after {steps} turns, it goes on"
    return node, task


async def read_on(node: Node) -> None:
    async with node.feed() as feed:
        async for _ in feed:
            pass


async def enter_and_leave(node: Node) -> None:
    while True:
        feed = Feed(node, name="", patience=DEADLINE, sleep=node.sleep)
        async with feed:
            await asyncio.sleep(0)


@pytest.mark.parametrize("use", [read_on, enter_and_leave])
async def test_cancelled_anywhere_nothing_is_left(use: Callable[[Node], Awaitable[object]]) -> None:
    """At whatever step of connecting, reading, waiting or leaving: it is cancelled, and no task or connection stays."""
    before = asyncio.all_tasks()
    for steps in range(1, TURNS):
        node, task = await run_and_cancel(steps, use)
        assert task.cancelled(), f"after {steps} turns"
        assert all(each.is_closed for each in node.opened), f"after {steps} turns"
        assert asyncio.all_tasks() == before, f"after {steps} turns"


class Stubborn(Scripted):
    """A connection whose other side never answers a close: it takes a second cancellation to cut it."""

    async def close(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.is_closed = True


async def test_cancelled_twice_nothing_is_left() -> None:
    """Whoever is cancelled while it leaves waits for the end of the connection, which is cut then, and is cancelled."""
    before = asyncio.all_tasks()
    left: list[int] = []

    async def read_and_look(node: Node) -> None:
        try:
            await read_on(node)
        finally:
            left.append(len(asyncio.all_tasks()) - len(before))

    for steps in range(1, TURNS):
        for more in range(1, 6):
            node = Node(Stubborn(view(), notice("down", revision=2)))
            task = asyncio.create_task(read_and_look(node))
            await turns(steps)
            for _ in range(2):
                task.cancel()
                await turns(more)
            await asyncio.wait({task}, timeout=DEADLINE)
            assert task.cancelled(), f"after {steps} and {more} turns"
            assert all(each.is_closed for each in node.opened), f"after {steps} and {more} turns"
            assert left.pop() == 1, f"its own task alone, after {steps} and {more} turns"


async def test_a_cancelled_reader_loses_nothing() -> None:
    """What it waited for goes to the next one, whenever it is cancelled."""
    link = Scripted(view())
    async with Node(link).feed() as feed:
        await taken(feed, 1)
        for revision in range(2, 30):
            reader = asyncio.create_task(feed.__anext__())
            await turns(revision % 4)
            link.say(notice("down" if revision % 2 else "degraded", revision=revision))
            await turns(revision % 7)
            reader.cancel()
            await asyncio.wait([reader])
            got = reader.result() if not reader.cancelled() else (await taken(feed, 1))[0]
            assert isinstance(got, ServiceChanged)
            assert got.position.revision == revision


async def test_leaving_ends_every_iteration() -> None:
    """Those that wait for news end; who waits for a state is told; entering again is a mistake."""
    feed = Node(Scripted(view())).feed()

    async def read() -> list[str]:
        return [each.kind async for each in feed]

    async with feed:
        reader = asyncio.create_task(read())
        waiter = asyncio.create_task(feed.until(lambda snapshot: False))
        await turns(3)
    assert await reader == ["link"]
    with pytest.raises(RuntimeError, match="left"):
        await waiter
    assert [each async for each in feed] == []
    with pytest.raises(RuntimeError, match="once"):
        await feed.__aenter__()


async def test_a_mistake_of_ours_is_not_hidden(caplog: pytest.LogCaptureFixture) -> None:
    """An exception that nobody expects reaches whoever reads, and the log."""
    with pytest.raises(ZeroDivisionError):
        await Node(ZeroDivisionError()).feed().__aenter__()
    assert "follower_failed" in caplog.text


def test_what_the_system_says_tells_offline_from_lost() -> None:
    """No network and no resolver are ours; refused, timed out, a wrong name and a host that is off are the node's."""
    ours = [OSError(errno.ENETUNREACH, ""), OSError(errno.ENETDOWN, ""), socket.gaierror(socket.EAI_AGAIN, "")]
    its = [ConnectionRefusedError(errno.ECONNREFUSED, ""), TimeoutError(), socket.gaierror(socket.EAI_NONAME, "")]
    its.append(OSError(errno.EHOSTUNREACH, ""))
    assert [is_offline(each) for each in [*ours, *its]] == [True] * 3 + [False] * 4


def test_of_several_addresses_none_must_be_reached() -> None:
    """asyncio puts what it met at each into one text, without a number of its own."""
    no_network = f"[Errno {errno.ENETUNREACH}] Connect call failed ('2001:db8::1', 80, 0, 0)"
    neither = f"[Errno {errno.ENETUNREACH}] Connect call failed ('192.0.2.1', 80)"
    refused = f"[Errno {errno.ECONNREFUSED}] Connect call failed ('192.0.2.1', 80)"
    offline = of_system(OSError(f"Multiple exceptions: {no_network}, {neither}"))
    lost = of_system(OSError(f"Multiple exceptions: {no_network}, {refused}"))
    assert (offline.is_offline, offline.reason) == (True, "network is unreachable")
    assert (lost.is_offline, lost.reason) == (False, "network is unreachable and connection refused")


async def test_a_target_has_what_was_asked_for() -> None:
    """Query and headers, with what the URL had, and a fresh ticket each time."""
    tickets = iter(["one", "two & more"])

    async def ticket() -> str:
        return next(tickets)

    target = Target(
        "wss://node/ws?room=7",
        services=("auth", "postgres"),
        features=["chat"],
        locale="pt-BR",
        audience="operators",
        token="secret",
        ticket=ticket,
        headers=lambda: {"X-Trace": "1"},
    )
    query = "room=7&services=auth,postgres&features=chat&locale=pt-BR&audience=operators&ticket="
    assert await target.address() == f"wss://node/ws?{query}one"
    assert await target.address() == f"wss://node/ws?{query}two+%26+more"
    assert await target.headers() == {"X-Trace": "1", "Authorization": "Bearer secret"}
    assert "secret" not in repr(target)
    with pytest.raises(ValueError, match="line breaks") as found:
        await Target("ws://node/ws", headers=lambda: {"X-Key": "secret\r\nX: y"}).headers()
    assert "secret" not in str(found.value)
    assert "room" not in repr(target)


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("http://node/ws", {}),
        ("ws:///ws", {}),
        ("ws://node:99999/ws", {}),
        ("ws://node:0/ws", {}),
        ("ws://node:x/ws", {}),
        ("ws://user@node/ws", {}),
        ("ws://node..example/ws", {}),
        (f"ws://{'n' * 64}.example/ws", {}),
        ("ws://node/ws", {"token": "secret\n"}),
        ("ws://node/ws", {"token": ""}),
        ("ws://node/ws", {"headers": {"X-Trace": "1\r\nHost: other"}}),
        ("ws://node/ws", {"locale": "de_DE"}),
        ("ws://node/ws", {"locale": ""}),
        ("ws://node/ws", {"services": "auth"}),
        ("ws://node/ws", {"features": ["a,b"]}),
        ("ws://node/ws", {"audience": "operators"}),
        ("ws://node/ws", {"audience": "everybody"}),
        ("ws://node/ws", {"backlog": 0}),
        ("ws://node/ws", {"ping_timeout": 0}),
    ],
)
def test_options_that_cannot_be_are_refused(url: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as found:
        broadcaster_client.connect(url, **options)
    assert "secret" not in str(found.value)
