"""Who is who: asked of the sign-in service, with little patience."""

from __future__ import annotations

import httpx

from broadcaster.integrations.httpx import BreakerTransport
from broadcaster.manager import ServiceAvailabilityManager

PATIENCE = 1.5
"""Seconds a handshake waits for the sign-in service at most."""


class NotSignedIn(Exception):
    """The token is not one of the sign-in service's."""


class SignInFailed(Exception):
    """The sign-in service does not answer, or not sensibly."""


class People:
    """The sign-in service at ``url``, behind its circuit breaker."""

    def __init__(self, manager: ServiceAvailabilityManager, url: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=url, timeout=PATIENCE, trust_env=False, transport=BreakerTransport(manager.breaker("auth"))
        )

    async def aclose(self) -> None:
        await self._client.aclose()

    async def login(self, name: str) -> httpx.Response:
        """The service's answer. Raises SignInFailed."""
        return await self._ask("POST", "/login", json={"name": name})

    async def verify(self, token: str) -> str:
        """The name behind a token. Raises NotSignedIn, SignInFailed."""
        if not (token.isascii() and token.isprintable()) or not token or " " in token:
            raise NotSignedIn  # nothing that a header could carry
        answer = await self._ask("GET", "/verify", headers={"Authorization": f"Bearer {token}"})
        if answer.status_code != 200:
            raise NotSignedIn
        name: str = answer.json()["name"]
        return name

    async def _ask(
        self, method: str, path: str, *, json: object = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        try:
            answer = await self._client.request(method, path, json=json, headers=headers)
            if answer.status_code >= 500:
                answer.raise_for_status()
        except httpx.HTTPError as error:
            raise SignInFailed(str(error) or type(error).__name__) from error
        return answer
