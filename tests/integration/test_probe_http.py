"""The http probe against servers that behave, misbehave and lie."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
from pathlib import Path

import pytest

from broadcaster.config.settings import HttpProbe, TlsSettings
from broadcaster.domain.model import Category, Outcome
from tests.support.certificates import Certificates
from tests.support.looking import PLENTY, SHORT, look, verdict
from tests.support.peers import Handler, Peer, hang_up, http, peer, reset, says, silence
from tests.support.ports import free_port

OK = (Outcome.OK, None)


@pytest.mark.parametrize(
    ("status", "expect", "expected"),
    [
        ("200 OK", ("2xx",), OK),
        ("204 No Content", ("2xx",), OK),
        ("404 Not Found", (404, "2xx"), OK),
        ("503 Unavailable", ("5XX",), OK),
        ("200 OK", (204, "3xx"), (Outcome.FAILED, Category.BAD_RESPONSE)),
        ("302 Found", ("2xx",), (Outcome.FAILED, Category.BAD_RESPONSE)),
        ("401 Unauthorized", ("2xx",), (Outcome.FAILED, Category.AUTH)),
        ("429 Too Many", ("2xx",), (Outcome.IMPAIRED, Category.QUOTA)),
        ("500 Oh", ("2xx",), (Outcome.FAILED, Category.SERVER_ERROR)),
        ("503 Unavailable", ("2xx",), (Outcome.FAILED, Category.OVERLOADED)),
    ],
)
async def test_the_status_is_judged(
    status: str, expect: tuple[int | str, ...], expected: tuple[Outcome, Category | None]
) -> None:
    """An expected status is well; an unexpected one says how the service fails."""
    async with peer(says(http(status))) as server:
        assert expected == verdict(await look(HttpProbe(url=server.url(), expect_status=expect)))


async def test_a_time_to_come_back_makes_an_outage_no_better() -> None:
    """503 is a failure with Retry-After as well."""
    async with peer(says(http("503 Unavailable", retry_after="5"))) as server:
        assert verdict(await look(HttpProbe(url=server.url()))) == (Outcome.FAILED, Category.OVERLOADED)


@pytest.mark.parametrize(
    ("handler", "category"),
    [
        (hang_up, Category.RESET),
        (reset, Category.RESET),
        (says(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"), Category.RESET),
        (says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"), Category.BAD_RESPONSE),
        (says(b"\x00\xffgarbage without end\r\n\r\n"), Category.BAD_RESPONSE),
        (says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), Category.BAD_RESPONSE),
        (says(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000 + b"\r\n\r\n"), Category.BAD_RESPONSE),
        (says(http("200 OK", b"not gzip", content_encoding="gzip")), Category.BAD_RESPONSE),
    ],
)
async def test_a_broken_answer_fails(handler: Handler, category: Category) -> None:
    """Half an answer, a reset, a hang-up and garbage are failures, each with its category."""
    async with peer(handler) as server:
        assert (Outcome.FAILED, category) == verdict(await look(HttpProbe(url=server.url())))


async def test_nobody_listening_is_refused() -> None:
    """A port without a listener is a refusal."""
    observation = await look(HttpProbe(url=f"http://127.0.0.1:{free_port()}/"))
    assert verdict(observation) == (Outcome.FAILED, Category.REFUSED)


async def test_a_name_that_does_not_resolve_is_dns() -> None:
    """A host name nobody knows is a failure of name resolution."""
    assert verdict(await look(HttpProbe(url="http://nobody.invalid/"))) == (Outcome.FAILED, Category.DNS)


@pytest.mark.parametrize("sends_headers", [False, True])
async def test_silence_is_a_timeout(sends_headers: bool) -> None:
    """A server that never answers, or never finishes its answer, costs the deadline and no more."""

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        await silence(reader, writer)

    async with peer(half if sends_headers else silence) as server, asyncio.timeout(PLENTY):
        observation = await look(HttpProbe(url=server.url()), SHORT)
    assert verdict(observation) == (Outcome.FAILED, Category.TIMEOUT)


async def test_silence_in_a_tls_handshake_leaves_no_connection() -> None:
    """A server that never answers to TLS costs the deadline, and then sees the connection end."""
    ended = asyncio.Event()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await silence(reader, writer)
        ended.set()

    # What the collector of garbage would close was left behind.
    gc.disable()
    try:
        async with peer(mute) as server, asyncio.timeout(PLENTY):
            # Not SHORT: it must be the handshake that the deadline meets.
            observation = await look(HttpProbe(url=server.url(scheme="https")), 2)
            await ended.wait()
    finally:
        gc.enable()
    assert verdict(observation) == (Outcome.FAILED, Category.TIMEOUT)


async def test_what_is_asked_is_sent() -> None:
    """Method, headers, body, path and the URL's credentials reach the server; the proxy settings do not matter."""
    received: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        received.append(head + await reader.readexactly(4))
        writer.write(http("200 OK"))

    async with peer(handler) as server:
        url = server.url("/health?a=b").replace("//", "//me:secret@")
        observation = await look(HttpProbe(url=url, method="PUT", headers={"X-Probe": "yes"}, body="ping"))
    assert verdict(observation) == OK
    request = received[0].decode()
    assert request.startswith("PUT /health?a=b HTTP/1.1\r\n")
    assert request.endswith("\r\n\r\nping")
    assert "x-probe: yes" in request.lower()
    assert "authorization: Basic bWU6c2VjcmV0" in request.replace("Authorization", "authorization")


@pytest.mark.parametrize(
    ("body", "expect_body", "expected"),
    [
        ("all is well", "is well", OK),
        ("all is lost", "is well", (Outcome.FAILED, Category.BAD_RESPONSE)),
        ("grüß Gott", "grüß", OK),
    ],
)
async def test_the_body_is_judged(body: str, expect_body: str, expected: tuple[Outcome, Category | None]) -> None:
    """The expected text must be in the body."""
    async with peer(says(http("200 OK", body.encode()))) as server:
        assert expected == verdict(await look(HttpProbe(url=server.url(), expect_body=expect_body)))


@pytest.mark.parametrize(
    ("document", "expected_fields", "expected"),
    [
        ('{"a": {"b": [1, {"c": "x"}]}}', {"a.b.1.c": "x", "a.b.0": 1}, OK),
        ('{"a": true}', {"a": True}, OK),
        ('{"a": null}', {"a": None}, OK),
        ('{"status": "degraded"}', {"status": "degraded"}, OK),
        ('{"a": true}', {"a": 1}, (Outcome.FAILED, Category.BAD_RESPONSE)),
        ("{}", {"a": None}, (Outcome.FAILED, Category.BAD_RESPONSE)),
        ('{"a": "y"}', {"a": "x"}, (Outcome.FAILED, Category.BAD_RESPONSE)),
        ('{"a": [1]}', {"a.7": 1}, (Outcome.FAILED, Category.BAD_RESPONSE)),
        ("<html>", {"a": 1}, (Outcome.FAILED, Category.BAD_RESPONSE)),
        ("[" * 60_000, {"a": 1}, (Outcome.FAILED, Category.BAD_RESPONSE)),
        ('"' + "x" * 70_000 + '"', {"a": 1}, (Outcome.FAILED, Category.BAD_RESPONSE)),
    ],
)
async def test_json_fields_are_judged(
    document: str, expected_fields: dict[str, str | int | None], expected: tuple[Outcome, Category | None]
) -> None:
    """A field at a dotted path must be there and have its value; a boolean is not a number."""
    async with peer(says(http("200 OK", document.encode(), content_type="application/json"))) as server:
        assert expected == verdict(await look(HttpProbe(url=server.url(), expect_json=expected_fields)))


@pytest.mark.parametrize(
    ("media_type", "status", "expected"),
    [
        ("application/health+json", "pass", OK),
        ("application/health+json; charset=utf-8", "warn", (Outcome.IMPAIRED, Category.SERVER_ERROR)),
        ("application/health+json", "fail", (Outcome.FAILED, Category.SERVER_ERROR)),
        ("application/json", "degraded", (Outcome.IMPAIRED, Category.SERVER_ERROR)),
        ("application/json", "fail", OK),
        ("application/json", 7, OK),
    ],
)
async def test_a_health_document_is_believed(
    media_type: str, status: object, expected: tuple[Outcome, Category | None]
) -> None:
    """A service that says of itself that it is degraded is impaired, whatever its HTTP status."""
    body = json.dumps({"status": status}).encode()
    async with peer(says(http("200 OK", body, content_type=media_type))) as server:
        assert expected == verdict(await look(HttpProbe(url=server.url())))


@pytest.mark.parametrize("media_type", ["application/health+json", "application/json", "text/plain"])
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("pass", "ok", "UP", "Healthy"), OK),
        (("warn", "degraded", "Warning"), (Outcome.IMPAIRED, Category.SERVER_ERROR)),
        (("fail", "down", "ERROR", "unhealthy"), (Outcome.FAILED, Category.SERVER_ERROR)),
        (("", "maintenance", "passed"), (Outcome.FAILED, Category.BAD_RESPONSE)),
    ],
)
async def test_a_health_document_counts_if_asked(
    media_type: str, words: tuple[str, ...], expected: tuple[Outcome, Category | None]
) -> None:
    """With health_document the word of the service counts, whatever the body is declared to be."""
    for word in words:
        answer = http("200 OK", json.dumps({"status": word, "checks": {}}).encode(), content_type=media_type)
        async with peer(says(answer)) as server:
            assert expected == verdict(await look(HttpProbe(url=server.url(), health_document=True)))


@pytest.mark.parametrize(
    "body",
    [
        "",
        "all is well",
        "[]",
        '"pass"',
        "{}",
        '{"status": true}',
        '{"status": {"status": "pass"}}',
        '{"status": "pass"',
        "[" * 60_000,
        '{"status": "pass", "more": "' + "x" * 70_000 + '"}',
    ],
    ids=lambda body: body[:40] or "empty",
)
async def test_what_is_no_health_document_is_a_bad_response(body: str) -> None:
    """With health_document a service that says nothing of its health is not well, also where it says too much."""
    async with peer(says(http("200 OK", body.encode(), content_type="application/health+json"))) as server:
        observation = await look(HttpProbe(url=server.url(), health_document=True))
    assert verdict(observation) == (Outcome.FAILED, Category.BAD_RESPONSE)


async def test_a_health_document_stands_beside_other_expectations() -> None:
    """The status of HTTP comes first, then what is expected of the body, then the service's word."""
    good, bad = b'{"status": "pass", "database": "up"}', b'{"status": "fail", "database": "up"}'
    cases = (
        (http("503 Unavailable", good), (Outcome.FAILED, Category.OVERLOADED)),
        (http("200 OK", good), OK),
        (http("200 OK", bad), (Outcome.FAILED, Category.SERVER_ERROR)),
        (http("200 OK", good.replace(b"up", b"lost")), (Outcome.FAILED, Category.BAD_RESPONSE)),
    )
    for answer, expected in cases:
        async with peer(says(answer)) as server:
            settings = HttpProbe(url=server.url(), expect_json={"database": "up"}, health_document=True)
            assert expected == verdict(await look(settings))


async def test_a_packed_body_is_unpacked() -> None:
    """A body packed although nobody asked for it is read all the same."""
    async with peer(says(http("200 OK", gzip.compress(b"all is well"), content_encoding="gzip"))) as server:
        assert verdict(await look(HttpProbe(url=server.url(), expect_body="well"))) == OK


async def test_a_body_that_would_unpack_to_a_gigabyte_is_not_unpacked() -> None:
    """Of a packed body no more is unpacked than of any other is read."""
    bomb = gzip.compress(gzip.compress(b"\0" * 50_000_000, 9) + b"\0" * 50_000_000, 9)
    async with peer(says(http("200 OK", bomb, content_encoding="gzip"))) as server:
        observation = await look(HttpProbe(url=server.url(), expect_body="never there"))
    assert verdict(observation) == (Outcome.FAILED, Category.BAD_RESPONSE)
    assert "first 65536 bytes" in observation.detail


async def test_an_endless_body_is_cut() -> None:
    """A body without end is read as far as 64 KiB; what was expected in there counts."""

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nwell")
        while True:
            writer.write(b"x" * 10_000)
            await writer.drain()

    async with peer(endless) as server:
        assert verdict(await look(HttpProbe(url=server.url(), expect_body="well"))) == OK


async def _redirecting(location: str) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        is_end = head.startswith(b"GET /end")
        writer.write(http("200 OK") if is_end else http("302 Found", location=location))

    return handler


async def test_redirects_are_followed_if_asked() -> None:
    """With follow_redirects the last answer counts."""
    async with peer(await _redirecting("/end")) as server:
        assert verdict(await look(HttpProbe(url=server.url(), follow_redirects=True))) == OK


@pytest.mark.parametrize("location", ["/again", "gopher://x/", "http://[half/"])
async def test_a_redirect_to_nowhere_ends(location: str) -> None:
    """A circle of redirects, or one to what is no URL, is a failure."""
    async with peer(await _redirecting(location)) as server:
        assert Outcome.FAILED is (await look(HttpProbe(url=server.url(), follow_redirects=True))).outcome


async def test_a_redirect_elsewhere_carries_no_key() -> None:
    """Headers of the settings are for the host they name; another host does not get them."""
    heads: list[str] = []

    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
        writer.write(http("200 OK"))

    async with peer(other) as elsewhere, peer(says(http("307 Go", location=elsewhere.url()))) as server:
        settings = HttpProbe(url=server.url(), headers={"X-Api-Key": "k3y"}, follow_redirects=True)
        assert verdict(await look(settings)) == OK
    assert len(heads) == 1
    assert "k3y" not in heads[0]


@pytest.mark.parametrize(
    ("host", "expired", "trusts", "expected"),
    [
        ("localhost", False, True, OK),
        ("127.0.0.1", False, True, OK),
        ("localhost", True, True, (Outcome.FAILED, Category.TLS)),
        ("localhost", False, False, (Outcome.FAILED, Category.TLS)),
    ],
)
async def test_certificates_are_checked(
    certificates: Certificates, host: str, expired: bool, trusts: bool, expected: tuple[Outcome, Category | None]
) -> None:
    """A certificate must be valid, for this host, and from an authority that is trusted."""
    settings = TlsSettings(ca_file=str(certificates.authority) if trusts else "")
    async with peer(says(http("200 OK")), tls=certificates.server_context(expired=expired)) as server:
        assert expected == verdict(await look(HttpProbe(url=server.url(scheme="https", host=host), tls=settings)))


async def test_a_certificate_for_another_name_is_refused(certificates: Certificates) -> None:
    """With server_name the certificate must be for that name."""
    settings = TlsSettings(ca_file=str(certificates.authority), server_name="else.example")
    async with peer(says(http("200 OK")), tls=certificates.server_context()) as server:
        observation = await look(HttpProbe(url=server.url(scheme="https"), tls=settings))
    assert verdict(observation) == (Outcome.FAILED, Category.TLS)


async def test_verification_can_be_turned_off(certificates: Certificates) -> None:
    """Without verification an expired certificate does."""
    async with peer(says(http("200 OK")), tls=certificates.server_context(expired=True)) as server:
        settings = HttpProbe(url=server.url(scheme="https"), tls=TlsSettings(verify=False))
        assert verdict(await look(settings)) == OK


async def test_a_client_certificate_is_presented(certificates: Certificates) -> None:
    """A server that asks for a client's certificate gets the configured one; this one hangs up on who has none."""
    given = TlsSettings(
        ca_file=str(certificates.authority),
        client_cert=str(certificates.certificate),
        client_key=str(certificates.key),
    )
    lacking = TlsSettings(ca_file=str(certificates.authority))
    async with peer(says(http("200 OK")), tls=certificates.server_context(asks_for_client=True)) as server:
        assert verdict(await look(HttpProbe(url=server.url(scheme="https"), tls=given))) == OK
        refused = await look(HttpProbe(url=server.url(scheme="https"), tls=lacking))
        assert verdict(refused) == (Outcome.FAILED, Category.RESET)


@pytest.mark.parametrize("kind", ["plain", "missing file", "no certificate"])
async def test_tls_that_cannot_be_is_tls(certificates: Certificates, tmp_path: Path, kind: str) -> None:
    """A server without TLS, and TLS files that are not there or hold something else, are failures of TLS."""
    nonsense = tmp_path / "nonsense.crt"
    nonsense.write_text("nonsense")
    files = {"plain": "", "missing file": str(tmp_path / "none.crt"), "no certificate": str(nonsense)}

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(http("400 Bad Request"))

    async with peer(plain) as server:
        settings = HttpProbe(url=server.url(scheme="https"), tls=TlsSettings(ca_file=files[kind]))
        assert verdict(await look(settings)) == (Outcome.FAILED, Category.TLS)


async def test_no_secret_reaches_the_detail() -> None:
    """A server that repeats what it was sent does not get it into the observation."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/9.9 " + head.replace(b"\r\n", b" ") + b"\r\n\r\n")

    async with peer(echo) as server:
        url = server.url("/?token=t0ken-value").replace("//", "//me:hunter22@")
        observation = await look(HttpProbe(url=url, headers={"X-Api-Key": "k3y-value"}))
    assert Outcome.FAILED is observation.outcome
    for secret in ("t0ken-value", "hunter22", "k3y-value", "bWU6aHVudGVyMjI"):
        assert secret not in observation.detail


async def test_an_ipv6_address_is_reached() -> None:
    """A URL may name an IPv6 address."""
    try:
        async with peer(says(http("200 OK")), host="::1") as server:
            served: Peer = server
            assert verdict(await look(HttpProbe(url=served.url(host="[::1]")))) == OK
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")


@pytest.mark.parametrize("url", ["http://", "nonsense", "ftp://127.0.0.1/", "http://127.0.0.1:99999/"])
async def test_a_url_that_cannot_be_used_is_our_own_fault(url: str) -> None:
    """A URL that makes no sense is an internal failure, not an exception."""
    assert verdict(await look(HttpProbe(url=url))) == (Outcome.FAILED, Category.INTERNAL)
