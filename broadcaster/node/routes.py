"""The node's HTTP routes, beside the WebSockets on the same port."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from broadcaster.integrations.asgi.health import health_routes
from broadcaster.manager.manager import ServiceAvailabilityManager
from broadcaster.node.siblings import Siblings

_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def make_app(
    manager: ServiceAvailabilityManager,
    registry: CollectorRegistry | Siblings,
    *,
    operator_token: str,
    is_draining: Callable[[], bool],
    clock: Callable[[], float] = time.time,
) -> Starlette:
    """The application behind everything that is not a WebSocket."""

    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        found = await registry.gathered() if isinstance(registry, Siblings) else registry
        return Response(encode(found), media_type=content_type)

    async def websocket(request: Request) -> Response:
        return PlainTextResponse(
            "This is a WebSocket endpoint; connect with ws:// or wss://.\n",
            status_code=426,
            headers={"Upgrade": "websocket", "Connection": "Upgrade"},
        )

    return Starlette(
        routes=[
            *health_routes(
                manager,
                operator_token=operator_token,
                why_not_ready=lambda: "draining" if is_draining() else "",
                clock=clock,
            ),
            Route("/metrics", metrics),
            Route("/ws", websocket),
            Route("/ws/status", websocket),
            Mount("/sdk", _Page(directory=sdk_directory())),
            Mount("/", _Page(directory=page_directory(), html=True)),
        ],
    )


def page_directory() -> Path:
    """Where the page's files are: inside the installed package, or in a checkout beside it."""
    return _web_directory("page", checkout="page")


def sdk_directory() -> Path:
    """Where the browser client's modules are, which the page and other pages of this host import from ``/sdk``."""
    return _web_directory("sdk", checkout="src")


def _web_directory(name: str, *, checkout: str) -> Path:
    packaged = Path(str(files("broadcaster.node").joinpath(name)))
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "clients" / "web" / checkout


class _Page(StaticFiles):
    async def get_response(self, path: str, scope):  # type: ignore[no-untyped-def]
        response = await super().get_response(path, scope)
        response.headers.update(_PAGE_HEADERS)
        return response
