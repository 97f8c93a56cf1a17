"""The first bytes of a connection: a WebSocket upgrade on one of our paths takes the fast way, all else is HTTP.

``Doorway.protocol`` is what uvicorn makes for every connection. It collects one request's head, and then hands the
transport either to the hub's ``Connection`` or, with the bytes replayed, to uvicorn's own HTTP protocol.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from typing import Any, TypeVar

import httptools
import structlog
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from broadcaster.config.settings import NodeSettings
from broadcaster.node.audience import EVERYTHING
from broadcaster.node.counts import NodeCounts
from broadcaster.node.crowd import Address, Crowd, Room
from broadcaster.node.handshake import GARBAGE, TOO_LARGE, TOO_MANY, TOO_MANY_OF_YOU, TOO_SLOW, Refusal, answer, asked
from broadcaster.node.hub import Hub

T = TypeVar("T")

log = structlog.get_logger()

LINGERING = 2.0
"""Seconds in which a refused client may read why, and go on with what it was sending."""


class Doorway:
    """What all connections share before they are something. ``paths`` maps WebSocket paths to "is gated"."""

    def __init__(
        self, hub: Hub, settings: NodeSettings, counts: NodeCounts, crowd: Crowd, paths: Mapping[str, bool]
    ) -> None:
        self.hub = hub
        self.settings = settings
        self.counts = counts
        self.crowd = crowd
        self.paths = paths
        self.waiting: dict[FirstRequest | Http, float] = {}  # -> loop time by which the request must be there
        self._lingering: dict[asyncio.Transport, float] = {}  # -> loop time by which the client must have closed
        self._logged: set[Refusal] = set()  # since the last tick: one line for a flood
        self._loop = asyncio.get_running_loop()

    def protocol(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> FirstRequest:
        """Called by uvicorn for every accepted connection, as its ``http`` protocol class."""
        return FirstRequest(self, config, server_state, app_state)

    def expect(self, request: FirstRequest | Http) -> None:
        self.waiting[request] = self._loop.time() + self.settings.handshake_timeout

    def tick(self) -> None:
        """Ends requests that do not arrive, and refused clients that do not go."""
        self._logged.clear()
        now = self._loop.time()
        for request in _overdue(self.waiting, now):
            request.refuse(TOO_SLOW)
        for transport in _overdue(self._lingering, now):
            self.gone(transport)
            transport.close()

    def gone(self, transport: asyncio.Transport) -> None:
        """The connection is lost, or about to be."""
        self._lingering.pop(transport, None)

    def upgrade(
        self,
        transport: asyncio.Transport,
        address: Address,
        method: bytes,
        http_version: str,
        url: bytes,
        headers: Mapping[bytes, bytes],
        rest: bytes,
    ) -> Refusal | None:
        """Lets a complete upgrade request in; ``rest`` are the bytes that came after it. Or says why not."""
        path, _, query = url.decode("latin-1").partition("?")
        answered = answer(
            method=method,
            http_version=http_version,
            path=path,
            paths=self.paths,
            headers=headers,
            allowed_origins=self.settings.allowed_origins,
        )
        if isinstance(answered, Refusal):
            return answered
        scope = EVERYTHING
        if query:
            found = asked(query, headers.get(b"authorization", b""), self.settings.operator_token)
            if isinstance(found, Refusal):
                return found
            scope = found
        connection = self.hub.join(transport, address, answered, gated=self.paths[path], scope=scope)
        if rest:
            connection.data_received(rest)
        return None

    def refuse(self, transport: asyncio.Transport, refusal: Refusal, *, may_linger: bool = True) -> None:
        """Answers, and closes as soon as the client has, or after ``LINGERING``.

        Closed at once, bytes that are still on their way would be answered with a reset, and a client that meets a
        reset may never read the answer (RFC 9112, section 9.6). Where there are too many connections already, none
        of them lingers, and neither does one on which somebody may still write (``may_linger``). The caller drops what
        still arrives.
        """
        self.counts.refused[refusal.status] += 1
        if refusal not in self._logged:
            peer = transport.get_extra_info("peername")
            log.info("request_refused", status=refusal.status, reason=refusal.reason, client=peer[0] if peer else "")
        if refusal in (TOO_MANY, TOO_MANY_OF_YOU):
            self._logged.add(refusal)
        if not transport.is_closing():
            transport.write(refusal.response())
            if refusal is TOO_MANY or not may_linger or not transport.can_write_eof():
                transport.close()
            else:
                transport.write_eof()
                self._lingering[transport] = self._loop.time() + LINGERING


class FirstRequest(asyncio.Protocol):
    """Collects the head of a connection's first request."""

    __slots__ = (
        "_address", "_app_state", "_config", "_data", "_door", "_headers", "_is_complete", "_parser", "_server_state",
        "_transport", "_url",
    )  # fmt: skip

    def __init__(self, door: Doorway, config: Config, server_state: ServerState, app_state: dict[str, Any]) -> None:
        self._door = door
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self._data = b""
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._is_complete = False
        # The parser refers back to this object; it is dropped when done so that both go at once.
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._address = self._door.crowd.enter(self._transport)
        if self._door.crowd.room(self._address) is Room.NONE:
            self.refuse(TOO_MANY)
        else:
            self._door.expect(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._door.waiting.pop(self, None)
        self._door.gone(self._transport)
        self._door.crowd.leave(self._address)

    def eof_received(self) -> None:
        """The transport closes by itself."""

    def data_received(self, data: bytes) -> None:
        if self._parser is None:
            return  # refused already
        self._data = self._data + data if self._data else data
        rest: bytes | None = None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
        except httptools.HttpParserError:
            if not self._is_complete:
                self.refuse(GARBAGE)
                return
        if rest is not None and self._headers.get(b"upgrade", b"").lower() == b"websocket":
            self._upgrade(self._parser, rest)
        elif self._is_complete:
            self._hand_over()
        elif len(self._data) > self._door.settings.max_header_bytes:
            self.refuse(TOO_LARGE)

    def refuse(self, refusal: Refusal) -> None:
        self._door.waiting.pop(self, None)
        self._parser = None
        self._door.refuse(self._transport, refusal)

    # What httptools calls.

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        known = self._headers.get(name)
        self._headers[name] = value if known is None else known + b", " + value

    def on_headers_complete(self) -> None:
        self._is_complete = True

    def _upgrade(self, parser: httptools.HttpRequestParser, rest: bytes) -> None:
        if len(self._data) - len(rest) > self._door.settings.max_header_bytes:
            self.refuse(TOO_LARGE)
            return
        self._door.waiting.pop(self, None)
        refusal = self._door.upgrade(
            self._transport,
            self._address,
            parser.get_method(),
            parser.get_http_version(),
            self._url,
            self._headers,
            rest,
        )
        self._parser = None
        if refusal is not None:
            self._door.refuse(self._transport, refusal)

    def _hand_over(self) -> None:
        if self._door.crowd.room(self._address) is not Room.ENOUGH:
            self.refuse(TOO_MANY_OF_YOU)
            return
        self._door.waiting.pop(self, None)
        protocol = Http(self._door, self._address, self._config, self._server_state, self._app_state)
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(self._data)
        self._parser = None


class Http(HttpToolsProtocol):
    """uvicorn's HTTP protocol, with every request's size and time bounded, and an upgrade sent back to our doorway.

    A proxy may use a connection for ordinary requests first and for an upgrade later.
    """

    def __init__(
        self,
        door: Doorway,
        address: Address,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._door = door
        self._address = address
        self._is_in_head = False
        self._head_bytes = 0
        self._is_refused = False

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        super().data_received(data)
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self._door.settings.max_header_bytes:
                self.refuse(TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head, self._head_bytes = True, 0
        self._door.expect(self)

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._door.waiting.pop(self, None)
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._door.waiting.pop(self, None)
        self._door.gone(self.transport)
        self._door.crowd.leave(self._address)
        super().connection_lost(exc)

    def refuse(self, refusal: Refusal) -> None:
        self._is_refused = True
        self._door.waiting.pop(self, None)
        is_idle = self.cycle is None or self.cycle.response_complete
        self._door.refuse(self.transport, refusal, may_linger=is_idle)

    def _should_upgrade_to_ws(self) -> bool:
        return True

    def handle_websocket_upgrade(self) -> None:
        self.connections.discard(self)
        self._door.waiting.pop(self, None)
        headers: dict[bytes, bytes] = {}
        for name, value in self.headers:
            headers[name] = headers[name] + b", " + value if name in headers else value
        refusal = self._door.upgrade(
            self.transport,
            self._address,
            self.scope["method"].encode(),
            self.scope["http_version"],
            self.url,
            headers,
            b"",
        )
        if refusal is not None:
            self.refuse(refusal)


def _overdue(deadlines: dict[T, float], now: float) -> list[T]:
    """The first of them, which are kept in order of their deadlines."""
    return list(itertools.takewhile(lambda each: deadlines[each] <= now, deadlines))
