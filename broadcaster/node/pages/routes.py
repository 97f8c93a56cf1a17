"""The routes of everything that is made to be looked at. None of them waits for anything."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from broadcaster.manager.manager import ServiceAvailabilityManager
from broadcaster.manager.operators import is_operator
from broadcaster.node.pages.atom import IncidentFeed
from broadcaster.node.pages.badge import badge, no_badge
from broadcaster.node.pages.historian import Historian
from broadcaster.node.pages.latencies import Latencies
from broadcaster.node.pages.page import StatusPage
from broadcaster.node.pages.templating import answer

PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

OPERATORS_HEADERS = {
    **PAGE_HEADERS,
    "Content-Security-Policy": f"{PAGE_HEADERS['Content-Security-Policy']}; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""A browser that knows the password sends it whoever asks: no other site may have what comes of that, or show it."""

PICTURE_HEADERS = {**PAGE_HEADERS, "Content-Security-Policy": "default-src 'none'"}


def page_routes(
    manager: ServiceAvailabilityManager,
    historian: Historian,
    latencies: Latencies,
    *,
    operator_token: str,
    namespace: str,
    clock: Callable[[], float],
) -> list[Route]:
    """``/``, ``/feed.atom`` and ``/badge/<service>.svg``."""
    page = StatusPage(manager, historian.history, latencies, clock)
    feed = IncidentFeed(manager, historian.history, namespace=namespace)

    async def index(request: Request) -> Response:
        if request.query_params.get("audience") != "operators":
            return answer(request, page.get(), PAGE_HEADERS)
        if not is_operator(as_bearer(request.headers.get("authorization", "")), operator_token):
            return _who_are_you()
        return answer(request, page.get(internal=True), OPERATORS_HEADERS)

    async def incidents(request: Request) -> Response:
        return answer(request, feed.get(), PAGE_HEADERS)

    async def picture(request: Request) -> Response:
        label = request.query_params.get("label", "")
        try:
            return answer(request, badge(manager, request.path_params["service"], label), PICTURE_HEADERS)
        except KeyError:
            return answer(request, no_badge(label), PICTURE_HEADERS, status=404)

    return [
        Route("/", index),
        Route("/feed.atom", incidents),
        Route("/badge/{service:path}.svg", picture),
    ]


def as_bearer(authorization: str) -> str:
    """The same proof as an API's client would give: what a browser asks its user for as a password is the token."""
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() != "basic":
        return authorization
    try:
        _, _, password = base64.b64decode(given.strip(), validate=True).decode("latin-1").partition(":")
    except (binascii.Error, ValueError):
        return ""
    return f"Bearer {password}"


def _who_are_you() -> Response:
    return PlainTextResponse(
        "This page is for operators: any name, and node.operator_token of the settings as the password.\n",
        status_code=401,
        headers={"WWW-Authenticate": 'Basic realm="operators", charset="UTF-8"', "Cache-Control": "no-store"},
    )
