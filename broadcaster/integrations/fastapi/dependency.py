"""A dependency that judges a route, HTTP or WebSocket, by the latest snapshot."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException
from starlette.requests import HTTPConnection

from broadcaster.domain.admission import Admission, Verdict
from broadcaster.integrations.asgi.gate import STATE
from broadcaster.integrations.judging import judge
from broadcaster.manager.attachments import asked_locale
from broadcaster.manager.manager import ServiceAvailabilityManager
from broadcaster.manager.refusals import Refusal

RESPONSES: dict[int | str, dict[str, Any]] = {
    503: {
        "description": "A service that this needs is unavailable.",
        "headers": {"Retry-After": {"description": "Seconds until a retry.", "schema": {"type": "integer"}}},
        "content": {
            "application/problem+json": {
                "schema": {
                    "type": "object",
                    "required": ["type", "title", "status", "detail", "lang", "services", "features", "retry_after_ms"],
                    "properties": {
                        "type": {"type": "string"},
                        "title": {"type": "string"},
                        "status": {"type": "integer"},
                        "detail": {"type": "string", "description": "Why, in words for users."},
                        "lang": {"type": "string", "description": "The language of the detail (BCP 47)."},
                        "services": {"type": "array", "items": {"type": "object"}},
                        "features": {"type": "array", "items": {"type": "object"}},
                        "retry_after_ms": {"type": "integer"},
                    },
                }
            }
        },
    }
}
"""For ``responses=`` of an application, a router or a route: what OpenAPI says of a refusal."""


class ServiceUnavailable(HTTPException):
    """A request cannot be served now, as ``refusal`` says. A route may raise it as well.

    ``install`` has the handlers that tell everything. Without them it is what FastAPI makes of an HTTPException: 503
    with ``Retry-After`` and a ``detail`` in words, also in place of a WebSocket's upgrade.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(
            503, refusal.message.text, {"Retry-After": str(refusal.retry_after), "Cache-Control": "no-store"}
        )
        self.refusal = refusal


def available(
    manager: ServiceAvailabilityManager,
    *services: str,
    user: Callable[[HTTPConnection], str | None] = lambda connection: None,
) -> Callable[[HTTPConnection], Coroutine[Any, Any, Admission]]:
    """A dependency, for ``Depends``: what it guards is not reached while one of ``services`` is missing (none named:
    a critical one), and gets the ``Admission`` otherwise, which is in ``request.state.availability``, too.

    ``user`` names who asks, for ``gate.enforce_percent``. A refusal is in the language that the query asks for by
    ``locale=``, where there are words in it. Judging waits for nothing. Raises ValueError at once for a service that is
    not in the settings; the dependency raises ServiceUnavailable.
    """
    manager.expect(*services)

    async def admitted(connection: HTTPConnection) -> Admission:
        admission = judge(manager, services or None, user(connection))
        if admission.verdict is Verdict.REJECT:
            raise ServiceUnavailable(manager.refuse(admission, locale=asked_locale(connection.url.query)))
        connection.scope.setdefault("state", {})[STATE] = admission
        return admission

    return admitted
