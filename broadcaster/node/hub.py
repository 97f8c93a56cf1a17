"""Who is connected and what they are told: every frame is encoded once and written to all.

Status is state, not a log: a client whose transport pauses writing is taken off the fan-out and gets one fresh
snapshot when it resumes. Nothing here runs per connection: no task, no timer, no queue (``fanout`` has the order).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import random
import time
from collections.abc import Callable, Iterator

import structlog

from broadcaster.config.settings import AdmissionMode, NodeSettings
from broadcaster.domain.admission import Verdict
from broadcaster.domain.model import FeedState, Position, Snapshot
from broadcaster.domain.reconnects import after_goodbye, after_rejection
from broadcaster.manager.manager import (
    Change,
    FeedChanged,
    PlanChanged,
    ServiceAvailabilityManager,
    ServiceChanged,
    SnapshotReplaced,
)
from broadcaster.node.connection import Connection
from broadcaster.node.crowd import Address, Crowd, Room
from broadcaster.node.fanout import Fanout
from broadcaster.node.frames import PING, close_frame, text_frame
from broadcaster.node.metrics import NodeCounts
from broadcaster.protocol import closing, notices
from broadcaster.protocol.closing import Closing
from broadcaster.protocol.messages import Message

log = structlog.get_logger()

ASYNCIO_HIGH_WATER = 65_536
"""What asyncio and uvloop set by themselves; setting it again would cost something on every connection."""

CLOSE_SECONDS = 5.0
"""How long a client has to answer a close frame."""

VARIANTS = 32
"""Answers that are encoded for all who are refused, or sent away, with ``retry_after_ms`` spread between them."""

GROUP_SECONDS = 0.01
"""Seconds between the groups of clients that are sent away, or let in."""

TICK_SECONDS = 1.0


class Hub:
    """All connections of one node. ``clock`` gives Unix seconds for messages; deadlines use the loop's time."""

    def __init__(
        self,
        manager: ServiceAvailabilityManager,
        settings: NodeSettings,
        counts: NodeCounts,
        crowd: Crowd,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._manager = manager
        self._settings = settings
        self._counts = counts
        self._crowd = crowd
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._active: Fanout[Connection] = Fanout(self._loop)
        self._paused: dict[Connection, float] = {}  # -> since
        self._closing: dict[Connection, float] = {}  # -> deadline
        self._buckets: list[set[Connection]] = [
            set() for _ in range(max(1, round(settings.ping_interval / TICK_SECONDS)))
        ]
        self._next_bucket = 0
        self._waiting: dict[Connection, None] = {}  # for what they need, in the order of their coming
        self._owed: set[Connection] = set()  # let in while they did not read: their welcome is to come
        self._is_letting_in = False
        self._welcome: _Cached = _Cached()
        self._hold: _Cached = _Cached()
        self._rejections: _CachedRejections = _CachedRejections()
        self._goodbyes: list[bytes] = []
        self._is_overload_logged = False  # since the last tick: one line for a flood
        self._stop_listening = manager.listen(self._on_change)
        self._all_gone = asyncio.Event()
        self._hurried = asyncio.Event()
        self.is_draining = False

    def __repr__(self) -> str:
        return f"Hub({self.connections()})"

    def __len__(self) -> int:
        """Connections that hold a descriptor, the closing ones included."""
        return len(self._active) + len(self._paused) + len(self._closing)

    @property
    def waiting(self) -> int:
        """How many of them have yet to be let in."""
        return len(self._waiting)

    def connections(self) -> dict[str, int]:
        return {"active": len(self._active), "paused": len(self._paused), "closing": len(self._closing)}

    # Coming.

    def join(self, transport: asyncio.Transport, address: Address, upgrade: bytes, *, gated: bool) -> Connection:
        """Answers an upgrade in one write: the 101 response with the welcome, or with the rejection and its close."""
        connection = Connection(self, transport, address)
        if self._settings.write_limit_bytes != ASYNCIO_HIGH_WATER:
            transport.set_write_buffer_limits(high=self._settings.write_limit_bytes)
        transport.set_protocol(connection)
        if self.is_draining:
            self._turn_away(connection, upgrade + self._goodbye(), closing.RESTART)
        elif len(self) >= self._settings.max_connections or self._crowd.room(address) is not Room.ENOUGH:
            if not self._is_overload_logged:
                log.warning("connections_turned_away", open=len(self), crowd=repr(self._crowd))
                self._is_overload_logged = True
            self._turn_away(connection, upgrade + self._goodbye(), closing.OVERLOADED)
        else:
            verdict = self._manager.admit().verdict if gated else None
            self._counts.handshakes[verdict.value if verdict else "observer"] += 1
            if verdict is not Verdict.REJECT:
                self._welcome_in(connection, upgrade + self._welcome_frame(), "welcome")
            elif self._settings.admission is AdmissionMode.HOLD:
                self._waiting[connection] = None
                self._welcome_in(connection, upgrade + self._waiting_frame(), "waiting")
            else:
                rejection, reason = self._rejection()
                self._counts.messages["rejected"] += 1
                self._turn_away(connection, upgrade + rejection, reason)
        return connection

    def _welcome_in(self, connection: Connection, data: bytes, message: str) -> None:
        self._counts.messages[message] += 1
        self._active.add(connection)
        self._next_bucket = connection.bucket = (self._next_bucket + 1) % len(self._buckets)
        self._buckets[connection.bucket].add(connection)
        connection.transport.write(data)

    def _turn_away(self, connection: Connection, data: bytes, why: Closing) -> None:
        connection.transport.write(data + close_frame(why))
        self._counts.closed[why.name] += 1
        self._expect_close(connection, why)

    def _let_in_soon(self) -> None:
        if self._waiting and not self._is_letting_in:
            self._let_in()

    def _let_in(self) -> None:
        """The next group of those who wait, in the order of their coming, and so on at the rate of reconnects."""
        self._is_letting_in = False
        if self.is_draining or self._manager.admit().verdict is Verdict.REJECT:
            return
        rate = self._settings.reconnect_rate
        group = max(1, round(rate * GROUP_SECONDS))
        for connection in list(itertools.islice(self._waiting, group)):
            del self._waiting[connection]
            self._counts.messages["welcome"] += 1
            if self._active.remove(connection):  # what was told and is on its way is in the welcome
                self._active.add(connection)
                connection.transport.write(self._welcome_frame())
            else:
                self._owed.add(connection)
        if self._waiting:
            self._is_letting_in = True
            self._loop.call_later(group / rate, self._let_in)

    def _waiting_frame(self) -> bytes:
        cached, manager = self._hold, self._manager
        if cached.snapshot is not manager.snapshot or cached.feed is not manager.feed_state:
            message = notices.waiting(
                manager.catalogue, manager.admit(), manager.snapshot, manager.feed_state, self._clock()
            )
            cached.snapshot, cached.feed, cached.frame = manager.snapshot, manager.feed_state, text_frame(message)
        return cached.frame

    def _welcome_frame(self) -> bytes:
        cached, manager = self._welcome, self._manager
        if cached.snapshot is not manager.snapshot or cached.feed is not manager.feed_state:
            message = notices.welcome(manager.catalogue, manager.snapshot, manager.feed_state, self._clock())
            cached.snapshot, cached.feed, cached.frame = manager.snapshot, manager.feed_state, text_frame(message)
        return cached.frame

    def _rejection(self) -> tuple[bytes, Closing]:
        """One of a few prepared rejections, so that clients told at the same time do not all come back together."""
        cached, manager = self._rejections, self._manager
        if cached.snapshot is not manager.snapshot:
            admission = manager.admit()
            if cached.logged != (admission.blocking, manager.position):
                log.warning("handshakes_rejected", blocking=admission.blocking, causes=admission.causes)
                cached.logged = (admission.blocking, manager.position)
            now = self._clock()
            outage = max(0.0, now - min(manager.state(name).since or now for name in admission.blocking))
            cached.frames = [
                text_frame(
                    notices.rejected(
                        manager.catalogue,
                        admission,
                        manager.snapshot,
                        now,
                        _milliseconds(
                            after_rejection(
                                chance,
                                outage=outage,
                                least=self._settings.retry_after,
                                most=self._settings.retry_after_most,
                            )
                        ),
                    )
                )
                for chance in _chances()
            ]
            cached.closing = closing.UNAVAILABLE.with_reason(
                notices.closing_reason(manager.catalogue, admission, manager.snapshot, now)
            )
            cached.snapshot = manager.snapshot
        return random.choice(cached.frames), cached.closing  # noqa: S311

    # What they are told.

    def _on_change(self, change: Change) -> None:
        catalogue, now = self._manager.catalogue, self._clock()
        match change:
            case ServiceChanged(service=service):
                if catalogue.is_announced(service):
                    self.broadcast(
                        notices.notice(
                            catalogue,
                            change.before,
                            change.after,
                            change.kind,
                            service,
                            change.at,
                            local=change.local,
                            incident=change.incident,
                        )
                    )
            case PlanChanged(change=planned):
                if catalogue.is_announced(planned.service):
                    self.broadcast(notices.plan_notice(catalogue, change.before, change.after, planned))
            case SnapshotReplaced(after=after):
                self.broadcast(notices.snapshot_message(catalogue, after, self._manager.feed_state, now))
            case FeedChanged(state=state):
                self.broadcast(notices.feed_notice(state, now))
        self._let_in_soon()

    def broadcast(self, message: Message) -> None:
        """Tells every client that keeps up, in one frame for all."""
        self._active.send(text_frame(message))
        self._counts.messages[message.__struct_config__.tag or ""] += len(self._active)  # type: ignore[index]

    # Slow ones.

    def pause(self, connection: Connection) -> None:
        """The client does not read fast enough: no more frames until it has caught up."""
        if self._active.remove(connection):
            self._paused[connection] = self._loop.time()

    def resume(self, connection: Connection) -> None:
        """It has: the truth as of now, once, and back on the fan-out."""
        if self._paused.pop(connection, None) is None:
            return
        self._active.add(connection)
        self._counts.resumed += 1
        if connection in self._owed:
            self._owed.discard(connection)
            connection.transport.write(self._welcome_frame())
            return
        message = notices.snapshot_message(
            self._manager.catalogue, self._manager.snapshot, self._manager.feed_state, self._clock()
        )
        connection.transport.write(text_frame(message))

    # Going.

    def leave(self, connection: Connection) -> None:
        """No more frames for this one."""
        self._active.remove(connection)
        self._paused.pop(connection, None)
        self._waiting.pop(connection, None)
        self._owed.discard(connection)
        self._buckets[connection.bucket].discard(connection)

    def forget(self, connection: Connection) -> None:
        """Its transport is gone."""
        self._closing.pop(connection, None)
        self._crowd.leave(connection.address)
        if self.is_draining and not self._closing:
            self._all_gone.set()

    def close(self, connection: Connection, why: Closing) -> None:
        """Says why, and waits a while for the client's answer."""
        self.leave(connection)
        connection.transport.write(close_frame(why))
        self._counts.closed[why.name] += 1
        self._expect_close(connection, why)

    def _expect_close(self, connection: Connection, why: Closing) -> None:
        connection.closing = why
        if connection.protocol is not None:
            connection.protocol.send_close(why.code, why.reason)
            connection.protocol.data_to_send()  # on the wire already
        self._closing[connection] = self._loop.time() + CLOSE_SECONDS

    def tick(self, number: int) -> None:
        """The housekeeping of second ``number``: one bucket's pings, and whatever has waited too long."""
        now = self._loop.time()
        self._welcome.snapshot = self._hold.snapshot = self._rejections.snapshot = None  # their ``at`` grows old
        self._goodbyes = []
        self._is_overload_logged = False
        self._let_in_soon()
        for connection in list(self._buckets[number % len(self._buckets)]):
            if not connection.answered:
                self.close(connection, closing.SILENT)
            elif not connection.is_paused:
                connection.answered = False
                connection.transport.write(PING)
        for connection, since in list(self._paused.items()):
            if now - since >= self._settings.stuck_after:
                self.close(connection, closing.SLOW)
        for connection, deadline in list(self._closing.items()):
            if now >= deadline:
                connection.transport.abort()

    async def drain(self) -> None:
        """Sends everybody away with a goodbye, and waits up to ``drain_seconds`` for them to be gone.

        Whoever asks is told first that this node is not ready, for ``drain_delay`` or until ``hurry`` is called;
        then goodbyes are spread over half of the time, so that other nodes get new clients one after the other.
        """
        self.is_draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_delay or 0.0):
                await self._hurried.wait()
        ends = self._loop.time() + self._settings.drain_seconds
        self._stop_listening()
        self._goodbyes = self._prepare_goodbyes(len(self))
        leaving = [*self._active, *self._paused]
        step = max(1, math.ceil(len(leaving) * GROUP_SECONDS / (self._settings.drain_seconds / 2)))
        for begin in range(0, len(leaving), step):
            for connection in leaving[begin : begin + step]:
                if connection in self._active:
                    connection.transport.write(random.choice(self._goodbyes))  # noqa: S311
                elif connection not in self._paused:
                    continue  # it went by itself
                self.close(connection, closing.RESTART)
            await asyncio.sleep(GROUP_SECONDS)
        self._all_gone.clear()
        if self._closing:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(ends):
                    await self._all_gone.wait()
        for connection in list(self._closing):
            connection.transport.abort()

    def hurry(self) -> None:
        """Waits no longer for anybody to notice that this node goes away."""
        self._hurried.set()

    def _goodbye(self) -> bytes:
        if not self._goodbyes:
            self._goodbyes = self._prepare_goodbyes(len(self))
        return random.choice(self._goodbyes)  # noqa: S311

    def _prepare_goodbyes(self, clients: int) -> list[bytes]:
        least, rate = self._settings.retry_after, self._settings.reconnect_rate
        waits = (after_goodbye(chance, clients=clients, least=least, rate=rate) for chance in _chances())
        return [text_frame(notices.goodbye(self._clock(), _milliseconds(wait))) for wait in waits]


def _chances() -> Iterator[float]:
    """Numbers from 0 to 1 at random, and evenly spread all the same."""
    return ((number + random.random()) / VARIANTS for number in range(VARIANTS))  # noqa: S311


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


class _Cached:
    __slots__ = ("feed", "frame", "snapshot")

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None
        self.feed: FeedState | None = None
        self.frame = b""


class _CachedRejections:
    __slots__ = ("closing", "frames", "logged", "snapshot")

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None
        self.frames: list[bytes] = []
        self.logged: tuple[tuple[str, ...], Position] | None = None
        self.closing = closing.UNAVAILABLE
