"""The llm_api probe against an API that serves, refuses, limits and fails."""

from __future__ import annotations

import asyncio
import json

import pytest

from broadcaster.config.settings import LlmApiProbe
from broadcaster.domain.model import Category, Outcome
from tests.support.looking import SHORT, look, verdict
from tests.support.peers import Handler, hang_up, http, peer, says, silence

KEY = "sk-a-key-for-tests"
MODELS = http("200 OK", b'{"object": "list", "data": [{"id": "some-model"}]}', content_type="application/json")


def refusal(status: str, kind: str, **headers: str) -> Handler:
    """An answer as both kinds of API send it."""
    body = json.dumps({"type": "error", "error": {"type": kind, "message": f"your key {KEY} will not do"}}).encode()
    return says(http(status, body, content_type="application/json", **headers))


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        ("401 Unauthorized", "authentication_error", (Outcome.FAILED, Category.MISCONFIGURED)),
        ("402 Payment Required", "billing_error", (Outcome.FAILED, Category.MISCONFIGURED)),
        ("403 Forbidden", "permission_error", (Outcome.FAILED, Category.MISCONFIGURED)),
        ("429 Too Many Requests", "insufficient_quota", (Outcome.IMPAIRED, Category.QUOTA)),
        ("500 Internal Server Error", "api_error", (Outcome.FAILED, Category.SERVER_ERROR)),
        ("502 Bad Gateway", "api_error", (Outcome.FAILED, Category.SERVER_ERROR)),
        ("503 Service Unavailable", "engine_overloaded", (Outcome.FAILED, Category.OVERLOADED)),
        ("529 Overloaded", "overloaded_error", (Outcome.FAILED, Category.OVERLOADED)),
        ("404 Not Found", "not_found_error", (Outcome.FAILED, Category.BAD_RESPONSE)),
    ],
)
async def test_whose_failure_it_is(status: str, kind: str, expected: tuple[Outcome, Category | None]) -> None:
    """The provider's failures, our quota and our key are told apart; operators get the API's word, never the key."""
    async with peer(refusal(status, kind)) as server:
        observation = await look(LlmApiProbe(url=server.url("/v1/models"), api_key=KEY))
    assert verdict(observation) == expected
    assert kind in observation.detail
    assert KEY not in observation.detail


async def test_operators_read_when_the_quota_is_back() -> None:
    """Retry-After of a 429 is in the detail."""
    async with peer(refusal("429 Too Many Requests", "rate_limit_error", retry_after="17")) as server:
        assert "retry after 17 s" in (await look(LlmApiProbe(url=server.url(), api_key=KEY))).detail


@pytest.mark.parametrize(
    ("auth", "expected"),
    [("bearer", f"authorization: bearer {KEY}"), ("x-api-key", f"x-api-key: {KEY}")],
)
async def test_models_are_listed_with_the_key(auth: str, expected: str) -> None:
    """One GET with the key in the API's own way, and no body: nothing that is billed."""
    heads: list[str] = []

    async def api(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(MODELS)

    async with peer(api) as server:
        observation = await look(LlmApiProbe(url=server.url("/v1/models"), api_key=KEY, auth=auth))
    assert verdict(observation) == (Outcome.OK, None)
    (head,) = heads
    assert head.startswith("GET /v1/models HTTP/1.1\r\n")
    assert expected in head.lower()
    assert ("anthropic-version: " in head.lower()) is (auth == "x-api-key")


@pytest.mark.parametrize(
    ("handler", "category"),
    [
        (hang_up, Category.RESET),
        (silence, Category.TIMEOUT),
        (says(http("200 OK", b"<html>Sign in</html>", content_type="text/html")), Category.BAD_RESPONSE),
    ],
)
async def test_an_api_that_is_not_there_fails(handler: Handler, category: Category) -> None:
    """Nothing, silence and somebody else's page are failures, and none of our making."""
    async with peer(handler) as server:
        observation = await look(LlmApiProbe(url=server.url(), api_key=KEY), SHORT * 5)
    assert verdict(observation) == (Outcome.FAILED, category)
