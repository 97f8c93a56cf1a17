"""The feed that an application follows: ``connect``, the newest snapshot, and what happens, one notice after the other.

::

    async with connect("wss://chat.example/ws/status") as feed:
        print(feed.snapshot.text)
        async for notice in feed:
            print(notice.kind, notice.text)
"""

from __future__ import annotations

import asyncio
import logging
import ssl as tls
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal, Self

import msgspec

from broadcaster_client.connection import Opener, Socket
from broadcaster_client.errors import Closed, Ended
from broadcaster_client.inbox import Inbox
from broadcaster_client.languages import OURS, Words, chosen
from broadcaster_client.link import Keeper
from broadcaster_client.messages import SUBPROTOCOL, AnyMessage, Goodbye, Rejected, View, Waiting
from broadcaster_client.notices import Link, LinkChanged, Notice, ServiceChanged, Snapshot, WorkPlanned
from broadcaster_client.replica import Applied, Replica
from broadcaster_client.target import Audience, Headers, Target, Ticket
from broadcaster_client.texts import OFFLINE, lost_words, rejected_text, waiting_text

log = logging.getLogger("broadcaster_client")


def connect(
    url: str,
    *,
    services: Collection[str] = (),
    features: Collection[str] = (),
    locale: str | None = None,
    audience: Audience = "users",
    token: str | None = None,
    ticket: Ticket | None = None,
    headers: Headers | None = None,
    subprotocol: str | None = SUBPROTOCOL,
    quiet: bool = False,
    backlog: int = 256,
    open_timeout: float = 10.0,
    ping_interval: float = 10.0,
    ping_timeout: float = 5.0,
    ssl: tls.SSLContext | None = None,
    proxy: str | Literal[True] | None = True,
) -> Feed:
    """What a node tells at ``url`` (``ws://`` or ``wss://``; ``/ws`` for users, ``/ws/status`` for observers).

    ``services`` and ``features`` ask for a part; ``locale``, a tag of BCP 47 such as ``de``, for words in the reader's
    language, as far as the node has them: each text's ``lang`` tells. ``audience="operators"`` with the ``token`` asks
    for all of it. ``ticket`` is called before each attempt and goes into the query, for a gateway that wants one;
    ``headers`` may be a function, too; either may be async. ``quiet`` yields news as well that is not to be shown. At
    most ``backlog`` notices are kept for a slow reader. A node that takes more than ``open_timeout`` seconds from
    connecting to its first word is given up, and so is one that does not answer a ping, sent every ``ping_interval``
    seconds, within ``ping_timeout``.

    Raises ValueError for options that cannot be. Nothing is sent before ``async with``.
    """
    if not min(open_timeout, ping_interval, ping_timeout) > 0:
        raise ValueError("open_timeout, ping_interval and ping_timeout are seconds, and more than 0")
    target = Target(
        url,
        services=services,
        features=features,
        locale=locale,
        audience=audience,
        token=token,
        ticket=ticket,
        headers=headers,
        subprotocol=subprotocol,
    )
    if ssl is not None and not target.is_secure:
        raise ValueError("ssl is for wss:// only")
    opener = Opener(target, ping_interval=ping_interval, ping_timeout=ping_timeout, context=ssl, proxy=proxy)
    return Feed(opener, name=target.name, patience=open_timeout, locale=locale, backlog=backlog, quiet=quiet)


class Feed:
    """A node, followed in the background from ``async with`` on, over any number of connections.

    Made by ``connect``; used once.
    """

    def __init__(
        self,
        opener: Callable[[], Awaitable[Socket]],
        *,
        name: str,
        patience: float,
        locale: str | None = None,
        backlog: int = 256,
        quiet: bool = False,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._quiet = quiet
        self._replica = Replica(Snapshot(locale=locale))
        self._inbox = Inbox(backlog, lambda: self.snapshot)
        self._keeper = Keeper(opener, self, patience=patience, sleep=sleep, clock=clock)
        self._task: asyncio.Task[None] | None = None
        self._waiters: dict[asyncio.Future[Snapshot], Callable[[Snapshot], object]] = {}
        self._blocking: set[str] = set()
        self._why: Exception | None = None

    def __repr__(self) -> str:
        return f"Feed({self._name!r}, {self.snapshot.link.value}, {self.snapshot.position})"

    @property
    def snapshot(self) -> Snapshot:
        """How things stand, as far as we know. Never waits; read it again for a newer one."""
        return self._replica.snapshot

    async def __aenter__(self) -> Self:
        """Begins to follow. Returns when the node has said how things stand, or the first attempt to ask it has failed,
        which takes ``open_timeout`` at most; ``snapshot.link`` tells which. Raises Ended where trying again cannot
        help. Cancelled, it leaves no connection behind."""
        if self._task is not None:
            raise RuntimeError("a feed is entered once; connect again for another")
        self._task = asyncio.create_task(self._follow(), name=f"follow {self._name}")
        try:
            await self.until(lambda snapshot: snapshot.link not in (Link.CONNECTING, Link.ENDED))
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the connection, and every iteration with it. Returns when it is gone, within about a second. Cancelled,
        it does that all the same, and is cancelled then. May be called again."""
        task = self._task
        if task is None:
            return
        task.cancel()
        cancelled: asyncio.CancelledError | None = None
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                cancelled = error
                task.cancel()  # no longer politely: an unfinished close becomes a cut
        if cancelled is not None:
            raise cancelled

    def __aiter__(self) -> AsyncIterator[Notice]:
        """Notices in order, each to one reader. Ends when the feed is left; raises Ended when following is over."""
        return self

    async def __anext__(self) -> Notice:
        """The next notice. Cancelled, it loses none."""
        if self._task is None:
            raise RuntimeError("a feed is followed inside of its `async with`")
        return await self._inbox.take()

    async def until(self, condition: Callable[[Snapshot], object]) -> Snapshot:
        """The first snapshot, from now on, of which the condition is true, however briefly it was so. Raises Ended when
        following is over, RuntimeError when the feed is left first, and what the condition raises. It takes nothing
        from who iterates; ``asyncio.timeout`` bounds it."""
        if self._task is None:
            raise RuntimeError("a feed is followed inside of its `async with`")
        snapshot = self.snapshot
        if condition(snapshot):
            return snapshot
        if snapshot.link is Link.ENDED:
            raise self._over()
        waiter: asyncio.Future[Snapshot] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = condition
        try:
            return await waiter
        finally:
            del self._waiters[waiter]

    # What the keeper tells.

    def hear(self, message: AnyMessage) -> Applied:
        outcome, news = self._replica.apply(message)
        match message:
            case Waiting(services=services):
                self._became(Link.WAITING, self._chosen(message, waiting_text(services)))
            case View():
                self._became(Link.OPEN, Words(""))
        for each in news:
            if self._quiet or not (isinstance(each, ServiceChanged | WorkPlanned) and each.quiet):
                self._inbox.put(each)
        self._wake()
        return outcome

    def lost(self, link: Link, *, reason: str, retry_in: float, said: Rejected | Goodbye | None) -> None:
        match said:
            case Rejected(services=services):
                self._became(link, self._chosen(said, rejected_text(services)), retry_in=retry_in, rejected=said)
            case Goodbye():
                self._became(link, self._chosen(said, reason), retry_in=retry_in)
            case None:
                self._became(link, Words(reason), retry_in=retry_in)
        self._wake()

    def _chosen(self, said: Waiting | Rejected | Goodbye, own: str) -> Words:
        return chosen(Words(said.text, said.lang), own, locale=self.snapshot.locale)

    def _became(
        self, link: Link, reason: Words, *, retry_in: float | None = None, rejected: Rejected | None = None
    ) -> None:
        """The connection is this now. It is told when it is something else, or what rejects us is; not each attempt."""
        blocking = {each.name for each in rejected.services} if rejected else set()
        is_news = link is not self.snapshot.link or blocking != self._blocking
        self._blocking = blocking
        self._replica.snapshot = snapshot = msgspec.structs.replace(
            self.snapshot, link=link, reason=reason.text, reason_lang=reason.lang
        )
        if is_news:
            text, lang = _link_words(snapshot)
            self._inbox.put(
                LinkChanged(
                    at=datetime.now(UTC),
                    text=text,
                    lang=lang,
                    link=link,
                    retry_in=retry_in,
                    services=rejected.services if rejected else (),
                    features=rejected.features if rejected else (),
                )
            )

    async def _follow(self) -> None:
        try:
            await self._keeper.run()
        except asyncio.CancelledError:
            self._end(None)
            raise
        except Ended as error:
            self._end(error)
        except Exception as error:
            log.exception("follower_failed")  # a mistake of ours, which whoever reads the feed must see
            self._end(error)

    def _end(self, why: Exception | None) -> None:
        self._why = why
        reason = "the feed was left" if why is None else str(why)
        self._replica.snapshot = msgspec.structs.replace(
            self.snapshot, link=Link.ENDED, reason=reason, reason_lang=why.lang if isinstance(why, Closed) else OURS
        )
        self._inbox.end(StopAsyncIteration() if why is None else why)
        self._wake()

    def _wake(self) -> None:
        """Asks every condition about this snapshot now: by the time that a waiter runs, there may be a newer one."""
        snapshot = self.snapshot
        for waiter, condition in self._waiters.items():
            if waiter.done():
                continue
            try:
                is_met = condition(snapshot)
            except Exception as error:  # noqa: BLE001 - a mistake of who waits, and told to them alone
                waiter.set_exception(error)
                continue
            if is_met:
                waiter.set_result(snapshot)
            elif snapshot.link is Link.ENDED:
                waiter.set_exception(self._over())

    def _over(self) -> Exception:
        """Why there is nothing to wait for any more."""
        return self._why.with_traceback(None) if self._why is not None else RuntimeError("the feed was left")


def _link_words(snapshot: Snapshot) -> Words:
    match snapshot.link:
        case Link.WAITING | Link.REJECTED:
            return Words(snapshot.reason, snapshot.reason_lang)
        case Link.OFFLINE:
            return OFFLINE
        case Link.LOST:
            return lost_words(snapshot.reason, snapshot.reason_lang)
    return Words(snapshot.text, snapshot.lang)
