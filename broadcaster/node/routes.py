"""The node's HTTP routes, beside the WebSockets on the same port."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from broadcaster.integrations.asgi.health import health_routes
from broadcaster.manager.manager import ServiceAvailabilityManager
from broadcaster.node.pages.files import file_route, sdk_directory, web_directory
from broadcaster.node.pages.historian import Historian
from broadcaster.node.pages.latencies import Latencies
from broadcaster.node.pages.routes import PAGE_HEADERS, page_routes
from broadcaster.node.siblings import Siblings


def make_app(
    manager: ServiceAvailabilityManager,
    registry: CollectorRegistry | Siblings,
    historian: Historian,
    latencies: Latencies,
    *,
    operator_token: str,
    namespace: str,
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
            *page_routes(
                manager, historian, latencies, operator_token=operator_token, namespace=namespace, clock=clock
            ),
            file_route("/sdk", sdk_directory(), PAGE_HEADERS),
            file_route("", page_directory(), PAGE_HEADERS),
        ],
    )


def page_directory() -> Path:
    """Where the page's files are."""
    return web_directory("broadcaster.node", "page", checkout="page")
