"""Health pages as routes for an application of Starlette's kind (FastAPI's is one)."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from broadcaster.domain.model import FeedState
from broadcaster.manager import health
from broadcaster.manager.manager import ServiceAvailabilityManager
from broadcaster.manager.operators import is_operator


def health_routes(
    manager: ServiceAvailabilityManager,
    *,
    operator_token: str = "",
    why_not_ready: Callable[[], str] = lambda: "",
    clock: Callable[[], float] = time.time,
) -> list[Route]:
    """``/livez``, ``/readyz``, ``/health`` and ``/health/dependencies``, to be added to an application's routes.

    ``/readyz`` is 503 while the carrier was not read or is lost, or for what ``why_not_ready`` says. The health
    documents (``application/health+json``) are 503 while a critical service is down; ``operator_token``, sent as
    ``Authorization: Bearer``, adds what only operators see (empty: nobody does). None of them waits for anything.
    """

    async def livez(request: Request) -> Response:
        return PlainTextResponse("ok\n", headers={"Cache-Control": "no-store"})

    async def readyz(request: Request) -> Response:
        reason = why_not_ready() or _why_not_ready(manager)
        body = {"status": "not ready" if reason else "ready", "feed": manager.feed_state.value, "reason": reason}
        return _json(body, 503 if reason else 200)

    async def summary(request: Request) -> Response:
        status, document = health.dependencies(manager, clock(), internal=False)
        del document["checks"]
        return _json(document, status, health.MEDIA_TYPE)

    async def dependencies(request: Request) -> Response:
        internal = is_operator(request.headers.get("authorization", ""), operator_token)
        status, document = health.dependencies(manager, clock(), internal=internal)
        return _json(document, status, health.MEDIA_TYPE)

    return [
        Route("/livez", livez),
        Route("/readyz", readyz),
        Route("/health", summary),
        Route("/health/dependencies", dependencies),
    ]


def _why_not_ready(manager: ServiceAvailabilityManager) -> str:
    if not manager.is_loaded:
        return "the snapshot was not read yet"
    if manager.feed_state is FeedState.LOST:
        return "the carrier (Redis) does not answer"
    return ""


def _json(body: object, status: int, media_type: str = "application/json") -> Response:
    return Response(
        msgspec.json.encode(body) + b"\n",
        status_code=status,
        media_type=media_type,
        headers={"Cache-Control": "no-store"},
    )
