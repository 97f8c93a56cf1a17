"""An OpenAI- or Anthropic-style API takes our key. A refused key, a used-up quota and an outage are told apart:

- 5xx is the provider's failure; 503 and 529 say that it is overloaded.
- 429 is our quota or rate limit: impaired, as the API works and may have taken the request before.
- 401 and 403 (the key), 402 (the account) are wrong on our side: ``misconfigured``, for operators and not for users.

Ask for what costs nothing before what costs: ``GET /v1/models`` lists the models that a key may use, at APIs of both
styles, and takes no tokens. It shows that the name, TLS, the key and the API are well, not that a completion would
come; whoever must know that pays for every probe.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from broadcaster.config.settings import LlmApiProbe
from broadcaster.domain.model import Category
from broadcaster.probes.base import DrivenProbe
from broadcaster.probes.classify import Finding, failed, impaired, status_finding
from broadcaster.probes.fetch import Answer, fetch, http_meaning
from broadcaster.probes.redact import header_secrets, url_secrets
from broadcaster.probes.tls import ClientTls

ANTHROPIC_VERSION = "2023-06-01"


class LlmApiLook(DrivenProbe):
    def __init__(self, service: str, settings: LlmApiProbe, *, clock: Callable[[], float] = time.time) -> None:
        secrets = url_secrets(settings.url) | header_secrets(settings.headers) | {settings.api_key}
        super().__init__(service, secrets=secrets - {""}, clock=clock)
        self._settings = settings
        self._tls = ClientTls(settings.tls)

    async def _look(self) -> Finding:
        return judge(await fetch(self._settings.url, tls=self._tls, headers=self._headers()))

    def _meaning(self, error: Exception) -> Finding | None:
        return http_meaning(error)

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        if self._settings.auth == "x-api-key":
            headers["anthropic-version"] = ANTHROPIC_VERSION
            if self._settings.api_key:
                headers["x-api-key"] = self._settings.api_key
        elif self._settings.api_key:
            headers["authorization"] = f"Bearer {self._settings.api_key}"
        return headers | {name.lower(): value for name, value in self._settings.headers.items()}


def judge(answer: Answer) -> Finding:
    """What the answer says of the API, and of our account with it."""
    said = f"status {answer.status}{_error_code(answer)}"
    match answer.status:
        case 401 | 403:
            return failed(Category.MISCONFIGURED, f"{said}: our key is refused, which is not an outage of the API")
        case 402:
            return failed(Category.MISCONFIGURED, f"{said}: our account is not paid for, which is not an outage")
        case 429:
            wait = answer.headers.get("retry-after", "")
            return impaired(
                Category.QUOTA,
                f"{said}: our quota or rate limit is used up" + (f", retry after {wait} s" if wait else ""),
            )
        case status if 200 <= status < 300:
            # A proxy's or a portal's page has status 200 as well.
            if "json" not in answer.media_type:
                return failed(Category.BAD_RESPONSE, f"{said}, but the answer is not JSON")
            return Finding()
        case status:
            return status_finding(status, said)


class _Error(msgspec.Struct):
    type: str | None = None
    code: str | int | None = None


class _ErrorBody(msgspec.Struct):
    error: _Error


def _error_code(answer: Answer) -> str:
    """The error's name, as both APIs send it: ``{"error": {"type": ..., "code": ...}}``. Never its message."""
    try:
        error = msgspec.json.decode(answer.body, type=_ErrorBody).error
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ""
    words = str(error.code or error.type or "")
    return f" ({words})" if words else ""
