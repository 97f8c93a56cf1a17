"""A WebSocket to a node. With ``failures``, the only file that knows the library; its errors end there."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Any, Literal, Protocol

import websockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.protocol import State

from broadcaster_client.errors import ProxyUnusable
from broadcaster_client.failures import Lost, of_library, of_system
from broadcaster_client.target import Target

log = logging.getLogger("broadcaster_client")

CLOSE_SECONDS = 1.0
"""How long the node may take to answer a close, or to notice that we gave up, before the connection is cut."""

MAX_BYTES = 8 * 1024 * 1024
"""The longest message that is taken: a view of thousands of services is far below."""


class Socket(Protocol):
    """An open connection, one reader at a time."""

    async def receive(self) -> str | bytes:
        """The next message. Raises Lost at the end. Cancelled, it loses no message."""

    async def close(self) -> None:
        """Closes within ``CLOSE_SECONDS``; does nothing when it is closed. Cancelled, it cuts the connection."""


class Opener:
    """Connects to a target. ``ping_interval`` and ``ping_timeout`` are seconds: a node that answers no ping for so long
    is given up. ``proxy``: True takes the system's settings."""

    def __init__(
        self,
        target: Target,
        *,
        ping_interval: float,
        ping_timeout: float,
        context: ssl.SSLContext | None = None,
        proxy: str | Literal[True] | None = True,
    ) -> None:
        self._target = target
        self._ping_interval = ping_interval
        self._ping_timeout = ping_timeout
        self._tls: dict[str, Any] = {"ssl": context} if context is not None else {}
        self._proxy = proxy

    async def __call__(self) -> Socket:
        """A new connection. Raises Lost where trying again can help, and Ended where it cannot. Cancelled, it leaves
        none behind."""
        address, headers = await self._credentials()
        offered = self._target.subprotocol
        try:
            connection = await _Connect(
                address,
                additional_headers=headers,
                subprotocols=[websockets.Subprotocol(offered)] if offered else None,
                open_timeout=None,
                ping_interval=self._ping_interval,
                ping_timeout=self._ping_timeout,
                close_timeout=CLOSE_SECONDS,
                max_size=MAX_BYTES,
                proxy=self._proxy,
                create_connection=_Closing,
                **self._tls,
            )
        except websockets.WebSocketException as error:
            raise of_library(error) from error
        except OSError as error:
            raise of_system(error) from error
        except ImportError as error:  # it wants another package for a SOCKS proxy
            raise ProxyUnusable(str(error)) from error
        return _Connected(connection)

    async def _credentials(self) -> tuple[str, dict[str, str]]:
        """From the application's functions: one that fails is a failed attempt, as its own network may be down."""
        try:
            return await self._target.address(), await self._target.headers()
        except Exception as error:
            log.warning("credentials_failed", exc_info=True)
            raise Lost(f"no credentials ({type(error).__name__})") from error


class _Connect(connect):
    """Follows no redirect, as browsers follow none: it would take tokens, tickets and headers to somebody else."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


class _Closing(ClientConnection):
    """Cuts a connection that is closing, by either side's will, and whose other end does not hang up: the library would
    wait for that as long as pings are answered, or until one is due."""

    _cut: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.protocol.state is State.CLOSING and self._cut is None:
            self._cut = self.loop.call_later(CLOSE_SECONDS, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._cut is not None:
            self._cut.cancel()
        super().connection_lost(exc)


class _Connected:
    """``Socket`` on the library's connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def receive(self) -> str | bytes:
        try:
            return await self._connection.recv()
        except websockets.ConnectionClosed as error:
            if error.rcvd is not None:
                raise Lost(error.rcvd.reason, code=error.rcvd.code) from error
            # What we sent is no answer of the node's: 1011 after a missed ping, 1009 for too long a message.
            raise Lost(error.sent.reason if error.sent else "the connection broke") from error

    async def close(self) -> None:
        try:
            await self._connection.close()
        finally:
            self._connection.transport.abort()  # nothing to do for one that is closed
