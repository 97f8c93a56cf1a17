"""A stand-in for a language model's API, with a knob: well, slow, broken, or hanging.

``PUT /control`` with ``{"mode": "slow", "seconds": 3}`` turns it; the key is needed for everything but ``/health``.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

KEY = "sample-key"


class Mode(StrEnum):
    OK = "ok"
    SLOW = "slow"
    BROKEN = "broken"
    HANG = "hang"


class Control(msgspec.Struct):
    """How it behaves from now on; ``seconds`` is what every answer takes when it is slow."""

    mode: Mode
    seconds: float = 1.0


class _Message(msgspec.Struct):
    content: str


class _Completion(msgspec.Struct):
    messages: list[_Message]


def make_app(name: str) -> Starlette:
    """``/v1/models``, ``/v1/chat/completions`` (OpenAI's shape), ``/control`` and ``/health``."""
    control = Control(Mode.OK)

    async def trouble(request: Request) -> Response | None:
        """What comes instead of an answer."""
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return _error(401, "invalid key", "invalid_request_error")
        if control.mode is Mode.HANG:
            await asyncio.Event().wait()
        if control.mode is Mode.SLOW:
            await asyncio.sleep(control.seconds)
        if control.mode is Mode.BROKEN:
            return _error(500, "the model has fallen over", "server_error")
        return None

    async def models(request: Request) -> Response:
        instead = await trouble(request)
        return instead or JSONResponse({"object": "list", "data": [{"id": "sample-model", "object": "model"}]})

    async def completions(request: Request) -> Response:
        instead = await trouble(request)
        if instead is not None:
            return instead
        try:
            asked = msgspec.json.decode(await request.body(), type=_Completion).messages[-1].content
        except (msgspec.DecodeError, IndexError):
            return _error(400, "messages are missing", "invalid_request_error")
        words = f"You asked “{asked}”. As a stand-in for a model I have no opinion, but I am well."
        choice = {"index": 0, "message": {"role": "assistant", "content": words}, "finish_reason": "stop"}
        return JSONResponse({"object": "chat.completion", "model": "sample-model", "choices": [choice]})

    async def turn(request: Request) -> Response:
        nonlocal control
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return _error(401, "invalid key", "invalid_request_error")
        try:
            control = msgspec.json.decode(await request.body(), type=Control)
        except msgspec.DecodeError as error:
            return _error(422, f'{error}; for example: {{"mode": "slow", "seconds": 3}}', "invalid_request_error")
        return JSONResponse(msgspec.to_builtins(control))

    async def health(request: Request) -> Response:
        return JSONResponse({"service": name, "status": "ok", "mode": control.mode.value})

    return Starlette(
        routes=[
            Route("/v1/models", models),
            Route("/v1/chat/completions", completions, methods=["POST"]),
            Route("/control", turn, methods=["PUT"]),
            Route("/health", health),
        ]
    )


def _error(status: int, message: str, kind: str) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "type": kind}}, status)
