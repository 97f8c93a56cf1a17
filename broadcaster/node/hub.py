"""Who is connected and what they are told: every frame is encoded once for its audience and written to all of it.

Status is state, not a log: a client whose transport pauses writing is taken off the fan-out and gets one fresh
snapshot when it resumes. Nothing here runs per connection: no task, no timer, no queue (``fanout`` has the order).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import time
from collections.abc import Callable

import structlog

from broadcaster.config.settings import AdmissionMode, NodeSettings
from broadcaster.domain.admission import Verdict
from broadcaster.domain.scope import Scope
from broadcaster.manager.changes import Change, FeedChanged
from broadcaster.manager.manager import ServiceAvailabilityManager
from broadcaster.node.answers import Farewells, Rejections
from broadcaster.node.audience import EVERYTHING, Audience, Audiences
from broadcaster.node.connection import Connection
from broadcaster.node.counts import NodeCounts
from broadcaster.node.crowd import Address, Crowd, Room
from broadcaster.node.frames import PING, close_frame, text_frame
from broadcaster.protocol import closing, notices
from broadcaster.protocol.closing import Closing
from broadcaster.protocol.messages import Message

log = structlog.get_logger()

ASYNCIO_HIGH_WATER = 65_536
"""What asyncio and uvloop set by themselves; setting it again would cost something on every connection."""

CLOSE_SECONDS = 5.0
"""How long a client has to answer a close frame."""

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
        self._audiences = Audiences(
            manager,
            self._loop,
            clock=clock,
            most=settings.max_audiences,
            most_bytes=settings.write_limit_bytes,
        )
        self._is_plain = not settings.tls_certificate
        self._open = 0  # connections that hold a descriptor, the closing ones included
        self._paused: dict[Connection, float] = {}  # -> since
        self._closing: dict[Connection, float] = {}  # -> deadline
        self._buckets: list[set[Connection]] = [
            set() for _ in range(max(1, round(settings.ping_interval / TICK_SECONDS)))
        ]
        self._next_bucket = 0
        self._catalogue = manager.catalogue
        self._asked: dict[Connection, Scope] = {}  # for a language; which ones there are words in may change
        self._waiting: dict[Connection, None] = {}  # for what they need, in the order of their coming
        self._owed: set[Connection] = set()  # let in while they did not read: their welcome is to come
        self._is_letting_in = False
        self._rejections = Rejections(manager, settings, clock)
        self._goodbyes = Farewells(notices.goodbye, settings, clock, lambda: self._open)
        self._overloads = Farewells(notices.overloaded, settings, clock, lambda: self._open)
        self._is_overload_logged = False  # since the last tick: one line for a flood
        self._stop_listening = manager.listen(self._on_change)
        self._all_gone = asyncio.Event()
        self._hurried = asyncio.Event()
        self.is_draining = False

    def __repr__(self) -> str:
        return f"Hub({self.connections()})"

    @property
    def waiting(self) -> int:
        """How many connections have yet to be let in."""
        return len(self._waiting)

    @property
    def audiences(self) -> int:
        """How many different views of the truth are told."""
        return len(self._audiences)

    def connections(self) -> dict[str, int]:
        active = sum(len(audience.circle) for audience in self._audiences)
        return {"active": active, "paused": len(self._paused), "closing": len(self._closing)}

    # Coming.

    def join(
        self, transport: asyncio.Transport, address: Address, upgrade: bytes, *, gated: bool, scope: Scope = EVERYTHING
    ) -> Connection:
        """Answers an upgrade in one write: the 101 response with the welcome, or with the rejection and its close."""
        self._open += 1
        verdict: Verdict | None = None
        refused = self._refuse(address, scope)
        if refused is None and gated:
            verdict = self._judge(transport)
            if verdict is Verdict.REJECT and self._settings.admission is AdmissionMode.REJECT:
                self._counts.messages["rejected"] += 1
                refused = self._rejections.draw(scope.locale)
        if refused is None or verdict is not None:
            self._counts.handshakes[verdict.value if verdict else "observer"] += 1
        # Whoever is turned away hears no news, and takes no view from anybody.
        audience = self._audiences.enter(scope if refused is None else EVERYTHING)
        connection = Connection(self, transport, address, audience, is_plain=self._is_plain)
        if self._settings.write_limit_bytes != ASYNCIO_HIGH_WATER:
            transport.set_write_buffer_limits(high=self._settings.write_limit_bytes)
        transport.set_protocol(connection)
        if scope.locale and refused is None:
            self._asked[connection] = scope
        if refused is not None:
            self._turn_away(connection, upgrade + refused[0], refused[1])
        elif verdict is Verdict.REJECT:
            self._waiting[connection] = None
            self._welcome_in(connection, upgrade + audience.waiting(), "waiting")
        else:
            self._welcome_in(connection, upgrade + audience.welcome(), "welcome")
        return connection

    def _refuse(self, address: Address, scope: Scope) -> tuple[bytes, Closing] | None:
        """What one is told who cannot stay, whatever the services are: a frame, and the close after it."""
        if self.is_draining:
            return self._goodbyes.draw(), closing.RESTART
        if self._open > self._settings.max_connections or self._crowd.room(address) is not Room.ENOUGH:
            if not self._is_overload_logged:
                log.warning("connections_turned_away", open=self._open, crowd=repr(self._crowd))
                self._is_overload_logged = True
            return self._overloads.draw(), closing.OVERLOADED
        if not scope.is_whole and (missing := scope.missing(self._manager.catalogue)):
            named = notices.unknown_names(scope.whole.narrow(self._manager.catalogue), missing, self._clock())
            why = f"{closing.UNKNOWN_NAME.reason}: {', '.join(missing)}"
            return text_frame(named), closing.UNKNOWN_NAME.with_reason(why)
        return None

    def _judge(self, transport: asyncio.Transport) -> Verdict:
        manager, user = self._manager, None
        if manager.gate.is_partial:  # a user of this node is an address
            peer = transport.get_extra_info("peername")
            user = peer[0] if peer else None
        return manager.admit(user=user).verdict

    def _welcome_in(self, connection: Connection, data: bytes, message: str) -> None:
        self._counts.messages[message] += 1
        connection.audience.circle.add(connection)
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
        if self.is_draining or self._manager.gate.is_closed:
            return
        rate = self._settings.reconnect_rate
        group = max(1, round(rate * GROUP_SECONDS))
        for connection in list(itertools.islice(self._waiting, group)):
            del self._waiting[connection]
            self._counts.messages["welcome"] += 1
            circle = connection.audience.circle
            if circle.remove(connection):  # what was told and is on its way is in the welcome
                circle.add(connection)
                connection.transport.write(connection.audience.welcome())
            else:
                self._owed.add(connection)
        if self._waiting:
            self._is_letting_in = True
            self._loop.call_later(group / rate, self._let_in)

    # What they are told.

    def _on_change(self, change: Change) -> None:
        if self._catalogue is not self._manager.catalogue:
            self._catalogue = self._manager.catalogue
            self._resettle()
        if isinstance(change, FeedChanged):
            self._tell_everybody(notices.feed_notice(change.state, self._clock()))
        else:
            for audience in self._audiences:
                try:
                    message = audience.message(change)
                    if message is not None:
                        self._tell(audience, message, text_frame(message))
                except Exception:  # the others are told all the same
                    log.exception("audience_untold", audience=repr(audience), change=type(change).__name__)
        self._let_in_soon()

    def _tell_everybody(self, message: Message) -> None:
        frame = text_frame(message)
        for audience in self._audiences:
            self._tell(audience, message, frame)

    def _tell(self, audience: Audience, message: Message, frame: bytes) -> None:
        audience.circle.send(frame)
        self._counts.messages[message.__struct_config__.tag or ""] += len(audience.circle)  # type: ignore[index]

    def _resettle(self) -> None:
        """There are words in other languages now: whoever asked for one may be told in it from the next news on, which
        is how things stand."""
        for connection, scope in self._asked.items():
            before, after = connection.audience, self._audiences.enter(scope)
            if after is not before:
                connection.audience = after
                if before.circle.remove(connection):
                    after.circle.add(connection)
            self._audiences.leave(before)

    # Slow ones.

    def pause(self, connection: Connection) -> None:
        """The client does not read fast enough: no more frames until it has caught up."""
        if connection.audience.circle.remove(connection):
            self._paused[connection] = self._loop.time()

    def resume(self, connection: Connection) -> None:
        """It has: the truth as of now, once, and back on the fan-out."""
        if self._paused.pop(connection, None) is None:
            return
        audience = connection.audience
        audience.circle.add(connection)
        self._counts.resumed += 1
        if connection in self._owed:
            self._owed.discard(connection)
            connection.transport.write(audience.welcome())
        else:
            connection.transport.write(audience.snapshot())

    # Going.

    def leave(self, connection: Connection) -> None:
        """No more frames for this one."""
        connection.audience.circle.remove(connection)
        self._paused.pop(connection, None)
        self._waiting.pop(connection, None)
        self._owed.discard(connection)
        self._buckets[connection.bucket].discard(connection)

    def forget(self, connection: Connection) -> None:
        """Its transport is gone."""
        self._open -= 1
        self._audiences.leave(connection.audience)
        self._asked.pop(connection, None)
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
        self._audiences.outdate()
        self._rejections.outdate()
        self._goodbyes.outdate()
        self._overloads.outdate()
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
        self._goodbyes.outdate()
        leaving = [*itertools.chain.from_iterable(audience.circle for audience in self._audiences), *self._paused]
        step = max(1, math.ceil(len(leaving) * GROUP_SECONDS / (self._settings.drain_seconds / 2)))
        for begin in range(0, len(leaving), step):
            for connection in leaving[begin : begin + step]:
                if connection in connection.audience.circle:
                    connection.transport.write(self._goodbyes.draw())
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
