"""A WebSocket endpoint accepts a handshake and, if asked, answers a ping."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus, InvalidURI
from websockets.frames import CloseCode
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from broadcaster.config.settings import WebSocketProbe
from broadcaster.domain.model import Category
from broadcaster.probes.base import DrivenProbe
from broadcaster.probes.classify import Finding, classify, describe, failed, status_finding
from broadcaster.probes.dial import open_socket
from broadcaster.probes.redact import header_secrets, url_secrets
from broadcaster.probes.tls import ClientTls

MAX_MESSAGE = 64 * 1024
"""Bytes a message may have that the service sends by itself, such as a greeting."""

# websockets logs handshakes with all their headers at DEBUG; a logger outside the tree says nothing.
_SILENT = logging.Logger("silent", level=logging.CRITICAL + 1)

_CLOSE_CODES = {
    # RFC 6455 section 7.4.1 and the registry it founded: why a service closes right after it accepted.
    1008: Category.AUTH,
    1011: Category.SERVER_ERROR,
    1012: Category.OVERLOADED,
    1013: Category.OVERLOADED,
    3000: Category.AUTH,
    3003: Category.AUTH,
}


class WebSocketLook(DrivenProbe):
    def __init__(self, service: str, settings: WebSocketProbe, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(service, secrets=url_secrets(settings.url) | header_secrets(settings.headers), clock=clock)
        self._settings = settings
        self._tls = ClientTls(settings.tls)

    async def _look(self) -> Finding:
        target = parse_uri(self._settings.url)
        connection = await open_socket(target.host, target.port)
        try:
            opened = await _Connect(
                self._settings.url,
                sock=connection,
                proxy=None,
                ssl=self._tls.context() if target.secure else None,
                server_hostname=self._tls.server_name(target.host) if target.secure else None,
                additional_headers=dict(self._settings.headers),
                subprotocols=[cast(Subprotocol, each) for each in self._settings.subprotocols] or None,
                user_agent_header="status-broadcaster",
                compression=None,
                open_timeout=None,
                ping_interval=None,
                max_size=MAX_MESSAGE,
                logger=_SILENT,
            )
            await self._converse(opened)
        finally:
            connection.close()
        return Finding()

    async def _converse(self, opened: ClientConnection) -> None:
        reading = asyncio.create_task(_discard(opened))
        try:
            if self._settings.ping:
                await (await opened.ping())
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            # Not close(): that waits for the other side's goodbye.
            opened.transport.abort()

    def _meaning(self, error: Exception) -> Finding | None:
        match error:
            case InvalidStatus():
                status = error.response.status_code
                return status_finding(status, f"the handshake was answered with status {status}")
            case ConnectionClosed() if error.sent is not None and error.sent.code == CloseCode.MESSAGE_TOO_BIG:
                # It was us who closed: it speaks, and says more than a probe wants to hear.
                return Finding()
            case ConnectionClosed() if error.rcvd is not None:
                category = _CLOSE_CODES.get(error.rcvd.code, Category.RESET)
                return failed(category, f"closed after the handshake: {error}")
            case ConnectionClosed():
                return failed(Category.RESET, describe(error))
            case InvalidMessage() if classify(error) is Category.RESET:
                return failed(Category.RESET, describe(error))
            case InvalidURI():
                return failed(Category.INTERNAL, "the URL cannot be used")
            case InvalidHandshake():
                return failed(Category.BAD_RESPONSE, describe(error))
        return None


async def _discard(opened: ClientConnection) -> None:
    """Reads what the service sends by itself: unread, it would in the end keep the pong from being read."""
    async for _ in opened:
        pass


class _Connect(connect):
    """Follows no redirect: a service is to be found where the settings say."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc
