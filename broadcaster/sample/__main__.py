"""One sample service as a process: ``python -m broadcaster.sample NAME --port N``."""

from __future__ import annotations

import argparse
import time

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

NAMES = ("backend", "auth", "analytics", "assistant")
ASSISTANT_KEY = "sample-key"


def make_service(name: str) -> Starlette:
    """``/health`` for every service; the assistant also answers ``/v1/models`` to those who have the key."""
    started = time.time()

    async def health(request: Request) -> JSONResponse:
        return JSONResponse({"service": name, "status": "ok", "uptime_seconds": round(time.time() - started, 1)})

    async def models(request: Request) -> JSONResponse:
        if request.headers.get("authorization") != f"Bearer {ASSISTANT_KEY}":
            return JSONResponse({"error": {"message": "invalid key", "type": "invalid_request_error"}}, 401)
        return JSONResponse({"object": "list", "data": [{"id": "sample-model", "object": "model"}]})

    routes = [Route("/health", health)]
    if name == "assistant":
        routes.append(Route("/v1/models", models))
    return Starlette(routes=routes)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m broadcaster.sample", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    uvicorn.run(make_service(arguments.name), host="127.0.0.1", port=arguments.port, log_level="warning")


if __name__ == "__main__":
    main()
