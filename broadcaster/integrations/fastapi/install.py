"""What a FastAPI application answers where ``ServiceUnavailable`` was raised, and its health pages."""

from __future__ import annotations

import contextlib

from fastapi import APIRouter, FastAPI
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from broadcaster.integrations.asgi.gate import end_websocket, refuse_http, refuse_websocket
from broadcaster.integrations.asgi.health import health_routes
from broadcaster.integrations.fastapi.dependency import ServiceUnavailable
from broadcaster.manager.manager import ServiceAvailabilityManager
from broadcaster.manager.refusals import Refusal


def install(
    app: FastAPI,
    manager: ServiceAvailabilityManager,
    *,
    health: bool = True,
    operator_token: str = "",
    deny: bool = False,
) -> None:
    """Lets ``app`` answer ``ServiceUnavailable`` in full, and adds ``/livez``, ``/readyz``, ``/health`` and
    ``/health/dependencies``, unless ``health`` is off; see ``health_routes`` for ``operator_token``.

    HTTP gets 503 with ``Retry-After`` and ``application/problem+json``. A WebSocket is accepted, told why in a
    ``rejected`` message, and closed with 1011, as browsers cannot see a refused upgrade's status; with ``deny`` it gets
    503 instead, where the server can do that. An application that is mounted in another needs its own ``install``.
    """

    async def answer(connection: HTTPConnection, error: Exception) -> Response | None:
        assert isinstance(error, ServiceUnavailable)
        if isinstance(connection, WebSocket):
            await _end(connection, error.refusal, deny=deny)
            return None
        return _Refused(error.refusal)

    app.add_exception_handler(ServiceUnavailable, answer)  # type: ignore[arg-type]  # one for both kinds
    if health:
        app.include_router(APIRouter(routes=[*health_routes(manager, operator_token=operator_token)]))


class _Refused(Response):
    """A refusal as the answer to an HTTP request."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(status_code=503)
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await refuse_http(self._refusal, send)


async def _end(socket: WebSocket, refusal: Refusal, *, deny: bool) -> None:
    if socket.client_state is WebSocketState.CONNECTING:
        await refuse_websocket(refusal, socket.scope, socket.receive, socket.send, deny=deny)
    elif socket.application_state is WebSocketState.CONNECTED:  # accepted by the route, or another dependency
        with contextlib.suppress(OSError, WebSocketDisconnect):  # it went away while it was told
            await end_websocket(refusal, socket.send)
