"""Real failures, and whether a second attempt could end otherwise."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from broadcaster.config.settings import (
    HttpProbe,
    PostgresProbe,
    ProbeSettings,
    RedisProbe,
    TcpProbe,
    TlsSettings,
    WebSocketProbe,
)
from broadcaster.domain.model import Category, Outcome
from tests.support.certificates import Certificates
from tests.support.looking import PLENTY, SHORT, look
from tests.support.peers import Handler, hang_up, http, peer, reset, says, silence
from tests.support.ports import free_port
from tests.support.servers import PostgresServer

KINDS: list[Callable[[str, int], ProbeSettings]] = [
    lambda host, port: HttpProbe(url=f"http://{host}:{port}/"),
    lambda host, port: PostgresProbe(dsn=f"postgresql://u:p@{host}:{port}/d"),
    lambda host, port: RedisProbe(url=f"redis://{host}:{port}/0"),
    lambda host, port: TcpProbe(host=host, port=port),
    lambda host, port: WebSocketProbe(url=f"ws://{host}:{port}/"),
]
of_every_kind = pytest.mark.parametrize("kind", KINDS, ids=["http", "postgres", "redis", "tcp", "websocket"])


async def definitive(settings: ProbeSettings, timeout: float = PLENTY) -> tuple[Category | None, bool]:
    """The category of a failure, and whether it is definitive."""
    observation = await look(settings, timeout)
    assert observation.outcome is Outcome.FAILED
    assert observation.category is not None
    return observation.category, observation.category.is_definitive


@of_every_kind
async def test_a_refused_port_is_definitive(kind: Callable[[str, int], ProbeSettings]) -> None:
    """Nobody listens, says the host itself."""
    assert await definitive(kind("127.0.0.1", free_port())) == (Category.REFUSED, True)


@of_every_kind
async def test_a_name_that_does_not_exist_is_definitive(kind: Callable[[str, int], ProbeSettings]) -> None:
    """There is no such name, says the resolver (RFC 6761, section 6.4: never one below ``invalid``)."""
    assert await definitive(kind("nobody.invalid", 80)) == (Category.DNS, True)


async def test_a_bad_certificate_is_definitive(certificates: Certificates) -> None:
    """An expired certificate, and one of an authority that is not trusted, stay what they are."""
    trusting = TlsSettings(ca_file=str(certificates.authority))
    async with peer(says(http("200 OK")), tls=certificates.server_context(expired=True)) as server:
        expired = HttpProbe(url=server.url(scheme="https", host="localhost"), tls=trusting)
        assert await definitive(expired) == (Category.TLS, True)
    async with peer(says(http("200 OK")), tls=certificates.server_context()) as server:
        untrusted = HttpProbe(url=server.url(scheme="https", host="localhost"))
        assert await definitive(untrusted) == (Category.TLS, True)
        tcp = TcpProbe(host="localhost", port=server.port, tls=TlsSettings())
        assert await definitive(tcp) == (Category.TLS, True)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("handler", "category"),
    [(hang_up, Category.RESET), (reset, Category.RESET), (silence, Category.TIMEOUT)],
)
async def test_a_connection_that_ends_or_says_nothing_is_ambiguous(
    handler: Handler, category: Category, scheme: str
) -> None:
    """A restart, a lost packet and a moment of load look like this, also while TLS is agreed on."""
    async with peer(handler) as server:
        timeout = SHORT if handler is silence else PLENTY
        assert await definitive(HttpProbe(url=server.url(scheme=scheme)), timeout) == (category, False)


@pytest.mark.parametrize(
    ("status", "category", "is_definitive"),
    [
        ("401 Unauthorized", Category.AUTH, True),
        ("404 Not Found", Category.BAD_RESPONSE, False),
        ("500 Oh", Category.SERVER_ERROR, False),
        ("503 Unavailable", Category.OVERLOADED, False),
    ],
)
async def test_an_answer_is_definitive_where_it_is_about_us(
    status: str, category: Category, is_definitive: bool
) -> None:
    """Refused credentials stay refused; a server in trouble may be out of it a moment later."""
    async with peer(says(http(status))) as server:
        assert await definitive(HttpProbe(url=server.url())) == (category, is_definitive)


async def test_a_wrong_password_is_definitive(postgres: PostgresServer) -> None:
    """PostgreSQL will not take it the second time."""
    wrong = postgres.url.replace("a%20password", "another%20wrong")
    assert await definitive(PostgresProbe(dsn=wrong)) == (Category.AUTH, True)
