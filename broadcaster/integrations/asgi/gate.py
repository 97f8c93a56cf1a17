"""A gate before an ASGI application: what cannot be served is told why, and never reaches the application.

Pure ASGI (specification 3.0, with the extension ``websocket.http.response``); it knows no framework.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

import msgspec

from broadcaster.domain.admission import Verdict
from broadcaster.integrations.judging import Paths, Requires
from broadcaster.manager.attachments import asked_locale
from broadcaster.manager.manager import ServiceAvailabilityManager
from broadcaster.manager.refusals import Refusal
from broadcaster.protocol.messages import SUBPROTOCOL

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

STATE = "availability"
"""Where the application finds the ``Admission`` of a request that passed: ``scope["state"]``."""

_DENIAL = "websocket.http.response"


class ServiceGate:
    """Middleware: judges requests to ``paths`` by the latest snapshot before the application sees them.

    ``paths`` maps a path, and all below it, to the services without which it cannot be served (None: all critical
    ones); of several that fit the longest counts, and what fits none passes. A WebSocket that is refused is accepted,
    told why in a ``rejected`` message, and closed with 1011, as browsers cannot see a refused upgrade's status; with
    ``deny`` it gets status 503 with ``Retry-After`` instead, where the server can do that. HTTP gets 503 with
    ``Retry-After`` and ``application/problem+json``. ``user`` names who asks, for ``gate.enforce_percent``. A refusal
    is in the language that the query asks for by ``locale=``, where there are words in it. Judging costs no I/O. Raises
    ValueError at once for a service that is not in the settings.
    """

    def __init__(
        self,
        app: App,
        manager: ServiceAvailabilityManager,
        paths: Mapping[str, Requires],
        *,
        deny: bool = False,
        user: Callable[[Scope], str | None] = lambda scope: None,
    ) -> None:
        self._app = app
        self._manager = manager
        self._paths = Paths(manager, paths)
        self._deny = deny
        self._user = user

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_request = scope["type"] in ("http", "websocket")
        admission = self._paths.judge(scope["path"], lambda: self._user(scope)) if is_request else None
        if admission is None:
            await self._app(scope, receive, send)
        elif admission.verdict is not Verdict.REJECT:
            scope.setdefault("state", {})[STATE] = admission
            await self._app(scope, receive, send)
        else:
            refusal = self._manager.refuse(admission, locale=asked_locale(scope["query_string"].decode("latin-1")))
            if scope["type"] == "http":
                await refuse_http(refusal, send)
            else:
                await refuse_websocket(refusal, scope, receive, send, deny=self._deny)


async def refuse_websocket(refusal: Refusal, scope: Scope, receive: Receive, send: Send, *, deny: bool = False) -> None:
    """Answers a WebSocket handshake that has not been answered yet; see ``ServiceGate``."""
    if (await receive())["type"] != "websocket.connect":
        return  # it went away
    if deny and _DENIAL in scope.get("extensions", {}):
        await _respond(refusal, send, "websocket.http.response")
        return
    with contextlib.suppress(OSError):  # it went away while it was told
        await send({"type": "websocket.accept", "subprotocol": _subprotocol(scope.get("subprotocols", ()))})
        await end_websocket(refusal, send)


async def end_websocket(refusal: Refusal, send: Send) -> None:
    """Tells a WebSocket that was accepted why it ends. Raises what ``send`` does for one that is gone (OSError)."""
    await send({"type": "websocket.send", "text": refusal.text})
    await send({"type": "websocket.close", "code": refusal.closing.code, "reason": refusal.closing.reason})


async def refuse_http(refusal: Refusal, send: Send) -> None:
    """Answers an HTTP request with 503."""
    await _respond(refusal, send, "http.response")


async def _respond(refusal: Refusal, send: Send, kind: str) -> None:
    body = msgspec.json.encode(refusal.problem())
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", str(refusal.retry_after).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": f"{kind}.start", "status": 503, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})


def _subprotocol(offered: Sequence[str]) -> str | None:
    """Ours, or else whatever the client would take: a browser that offered some breaks off if it gets none."""
    return SUBPROTOCOL if SUBPROTOCOL in offered else next(iter(offered), None)
