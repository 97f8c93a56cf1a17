"""A gate for servers of the ``websockets`` library (its asyncio implementation)."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec
from urllib.parse import unquote

import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from broadcaster.domain.admission import Verdict
from broadcaster.integrations.judging import Paths, Requires
from broadcaster.manager.attachments import asked_locale
from broadcaster.manager.manager import ServiceAvailabilityManager
from broadcaster.manager.refusals import Refusal
from broadcaster.protocol.messages import SUBPROTOCOL

P = ParamSpec("P")

Handler = Callable[Concatenate[ServerConnection, P], Awaitable[None]]


class WebSocketGate:
    """Judges connections by the latest snapshot, in one of two ways.

    ``serve(gate.guard(handler), ...)`` accepts whoever cannot be served, says why in a ``rejected`` message, and closes
    with 1011: browsers cannot see a refused upgrade's status. ``serve(handler, process_request=gate.process_request)``
    refuses the upgrade with 503, ``Retry-After`` and ``application/problem+json``, for clients that are no browsers.

    ``requires`` are the services that it cannot do without (None: all critical ones). ``paths`` says so for each path,
    and all below it, in its place: of several that fit the longest counts, and what fits none passes. ``user`` names
    who asks, for ``gate.enforce_percent``. A refusal is in the language that the query asks for by ``locale=``, where
    there are words in it. Judging waits for nothing. Raises ValueError at once for a service that is not in the
    settings, or both ``requires`` and ``paths``.
    """

    def __init__(
        self,
        manager: ServiceAvailabilityManager,
        *,
        requires: Requires = None,
        paths: Mapping[str, Requires] | None = None,
        user: Callable[[Request], str | None] = lambda request: None,
    ) -> None:
        if requires is not None and paths is not None:
            raise ValueError("requires is for all paths; with paths, each says what it requires")
        self._manager = manager
        self._paths = Paths(manager, {"/": requires} if paths is None else paths)
        self._user = user

    def __repr__(self) -> str:
        return f"WebSocketGate({self._paths!r})"

    def guard(self, handler: Handler[P]) -> Callable[Concatenate[ServerConnection, P], Coroutine[Any, Any, None]]:
        """The handler behind the gate. It is also a decorator, and fits the handlers of ``websockets``' router."""

        @functools.wraps(handler)
        async def guarded(connection: ServerConnection, /, *args: P.args, **kwargs: P.kwargs) -> None:
            assert connection.request is not None  # it has one since the handshake
            refusal = self._refusal(connection.request)
            if refusal is None:
                await handler(connection, *args, **kwargs)
                return
            with contextlib.suppress(ConnectionClosed):  # it went away while it was told
                await connection.send(refusal.text)
            await connection.close(refusal.closing.code, refusal.closing.reason)

        return guarded

    def process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        """For ``serve(process_request=...)``, or to be called by a function of yours that stands there: the refusal as
        an HTTP answer, or None. Plain HTTP requests are judged as well."""
        refusal = self._refusal(request)
        if refusal is None:
            return None
        response = connection.respond(503, msgspec.json.encode(refusal.problem()).decode())
        del response.headers["Content-Type"]
        response.headers["Content-Type"] = "application/problem+json"
        response.headers["Retry-After"] = str(refusal.retry_after)
        response.headers["Cache-Control"] = "no-store"
        return response

    def _refusal(self, request: Request) -> Refusal | None:
        path, _, query = request.path.partition("?")
        admission = self._paths.judge(unquote(path), lambda: self._user(request))
        if admission is None or admission.verdict is not Verdict.REJECT:
            return None
        return self._manager.refuse(admission, locale=asked_locale(query))


def select_subprotocol(*names: str) -> Callable[[ServerConnection, Sequence[Subprotocol]], Subprotocol | None]:
    """For ``serve(select_subprotocol=...)``: the first of ``names`` that the client offers, or else ours.

    ``serve(subprotocols=...)`` would refuse clients that offer none of these, and so all that were written before;
    here they are served without. A browser that offers some, and gets none, breaks off.
    """
    known = [Subprotocol(name) for name in (*names, SUBPROTOCOL)]

    def select(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        return next((each for each in known if each in offered), None)

    return select
