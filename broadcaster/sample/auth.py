"""The sample's sign-in service: a name becomes a token, a token becomes a name."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

MOST_LETTERS = 40


def make_app() -> Starlette:
    """``POST /login`` with ``{"name": ...}``; ``GET /verify`` with ``Authorization: Bearer``; ``/health``.

    Tokens outlive the process: they are signed with ``SAMPLE_AUTH_SECRET``.
    """
    secret = os.environ.get("SAMPLE_AUTH_SECRET", "sample-secret").encode()

    def signature(name: bytes) -> str:
        return hmac.new(secret, name, hashlib.sha256).hexdigest()[:32]

    async def login(request: Request) -> Response:
        try:
            name = msgspec.json.decode(await request.body(), type=_Login).name.strip()
        except msgspec.DecodeError:
            name = ""
        if not 0 < len(name) <= MOST_LETTERS:
            return JSONResponse({"detail": f"a name of at most {MOST_LETTERS} letters, please"}, 422)
        shown = base64.urlsafe_b64encode(name.encode()).decode()
        return JSONResponse({"token": f"{shown}.{signature(name.encode())}"})

    async def verify(request: Request) -> Response:
        shown, _, signed = request.headers.get("authorization", "").removeprefix("Bearer ").rpartition(".")
        try:
            name = base64.urlsafe_b64decode(shown)
        except ValueError:
            name = b""
        if not name or not hmac.compare_digest(signature(name), signed):
            return JSONResponse({"detail": "this token is not ours"}, 401)
        return JSONResponse({"name": name.decode()})

    async def health(request: Request) -> Response:
        return JSONResponse({"service": "auth", "status": "ok"})

    return Starlette(
        routes=[
            Route("/login", login, methods=["POST"]),
            Route("/verify", verify),
            Route("/health", health),
        ]
    )


class _Login(msgspec.Struct):
    name: str
