"""The Python client at servers that are no node, or a bad one: it says in words what is wrong, and survives it."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.utils import accept_key

from broadcaster_client import Knowledge, Link, LinkChanged, OutOfDate, ProxyUnusable, Refused, connect
from tests.support.certificates import make_certificates
from tests.support.peers import Handler, Peer, hang_up, http, peer, reset, says, silence
from tests.support.ports import free_port
from tests.support.stack import DEADLINE

PLAIN = {"content_type": "text/plain; charset=utf-8"}
WELCOME = (
    b'{"type": "welcome", "position": {"epoch": "e", "revision": 1}, "at": "2026-01-01T10:00:00Z", "services": '
    b'[{"name": "auth", "title": "Sign-in", "status": "up", "criticality": "critical"}]}'
)


async def first_word(url: str, **options: Any) -> LinkChanged:
    """What the client tells of its first attempt."""
    async with asyncio.timeout(DEADLINE):
        async with connect(url, **{"proxy": None} | options) as feed:
            told = await anext(feed)
            assert isinstance(told, LinkChanged)
            return told


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (hang_up, "it hung up without an answer"),
        (reset, "it hung up without an answer"),
        (silence, "nothing was heard for 0.2 s"),
        (says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "what answers there does not speak HTTP"),
        (
            says(http("200 OK", b"<h1>It works!</h1>", content_type="text/html")),
            "the node answers with HTTP status 200",
        ),
        (says(http("502 Bad Gateway", b"<h1>Oh</h1>", content_type="text/html")), "HTTP status 502)."),
        (says(http("503 Oh", b"Too \x1b[31mmany.\nOr so.", **PLAIN)), "HTTP status 503: Too [31mmany)."),
        (says(http("500 Oh", b"x" * 5000, **PLAIN)), f"HTTP status 500: {'x' * 200})."),
        (says(http("301 Moved", location="https://node/ws?x=1")), "it redirects to https://node/ws, which is not fol"),
        (says(http("304 Not Modified")), "it redirects with HTTP status 304, which is not followed"),
        (says(http("101 Switching Protocols", upgrade="websocket")), "no WebSocket there (Invalid"),
    ],
)
async def test_what_is_no_node_is_told_in_words(handler: Handler, words: str) -> None:
    """The feed is lost, and why; the client goes on trying."""
    async with peer(handler) as server:
        patience = 0.2 if handler is silence else DEADLINE
        told = await first_word(server.url("/ws", scheme="ws"), open_timeout=patience)
    assert (told.link, told.text.startswith("The status feed is lost (")) == (Link.LOST, True)
    assert words in told.text
    assert told.retry_in is not None


async def test_a_refusal_has_the_words_of_the_node() -> None:
    """Status and reason, short, on one line, and once."""
    body = b"No WebSocket here. Try /ws or /ws/status.\nMore.\n"
    async with peer(says(http("404 Not Found", body, **PLAIN))) as server:
        with pytest.raises(Refused) as found:
            await connect(server.url("/nowhere", scheme="ws"), proxy=None).__aenter__()
    said = "No WebSocket here. Try /ws or /ws/status."
    assert (found.value.status, found.value.reason) == (404, said)
    assert str(found.value) == f"the node refuses this request with HTTP status 404: {said}"


@pytest.mark.parametrize(
    ("answer", "least"),
    [
        (http("429 Too Many Requests", retry_after="7"), 7.0),
        (http("503 Service Unavailable", retry_after="7"), 7.0),
        (http("503 Service Unavailable", retry_after="999999999"), 3600.0),
        (http("503 Service Unavailable", retry_after="Fri, 31 Dec 2100 23:59:59 GMT"), 0.0),
        (http("503 Service Unavailable", retry_after="soon"), 0.0),
        (http("503 Service Unavailable"), 0.0),
    ],
)
async def test_a_full_node_is_left_alone_for_as_long_as_it_asks(answer: bytes, least: float) -> None:
    """All are asked the same, so they come back spread over the time after it."""
    async with peer(says(answer)) as server:
        told = await first_word(server.url("/ws", scheme="ws"))
    assert told.retry_in is not None
    assert least + 0.5 <= told.retry_in <= least + 1.0


async def test_a_redirect_takes_our_secrets_nowhere() -> None:
    """Not even to another WebSocket: no connection is made to it."""
    asked: list[int] = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(1)

    async with peer(elsewhere) as other:
        location = other.url("/ws", scheme="ws")
        async with peer(says(http("302 Found", location=location))) as server:
            told = await first_word(server.url("/ws", scheme="ws"), audience="operators", token="secret")
    assert (told.link, asked) == (Link.LOST, [])
    assert f"redirects to {location}" in told.text


async def test_a_host_with_several_addresses_refuses_in_two_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each address does, and it is said once, without the addresses."""

    async def resolve(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in ("127.0.0.1", "127.0.0.2")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    told = await first_word(f"ws://node.example:{free_port()}/ws")
    assert told.text == "The status feed is lost (connection refused)."


async def test_what_is_wrong_with_tls_is_told(tmp_path: Path) -> None:
    """A certificate of an unknown authority, one that ran out, and no TLS at all; and what is right works."""
    certificates = make_certificates(tmp_path)
    trust = ssl.create_default_context(cafile=str(certificates.authority))
    async with peer(says(http("404 Not Found")), tls=certificates.server_context()) as server:
        told = await first_word(server.url("/ws", scheme="wss"))
        assert "the node's certificate is not trusted: unable to get local issuer" in told.text
        with pytest.raises(Refused, match="404"):
            await first_word(server.url("/ws", scheme="wss"), ssl=trust)
    async with peer(silence, tls=certificates.server_context(expired=True)) as server:
        told = await first_word(server.url("/ws", scheme="wss"), ssl=trust)
        assert "the node's certificate is not trusted: certificate has expired" in told.text


async def test_a_server_without_tls_is_told() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(http("400 Bad Request"))

    async with peer(plain) as server:
        told = await first_word(server.url("/ws", scheme="wss"))
    assert "no TLS there (wrong version number)" in told.text


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (http("407 Proxy Authentication Required"), "the proxy answers with HTTP status 407"),
        (b"no HTTP\r\n\r\n", "the proxy does not connect us"),
    ],
)
async def test_a_proxy_that_does_not_connect_is_named(answer: bytes, words: str) -> None:
    async with peer(says(answer)) as server:
        told = await first_word("ws://node.example/ws", proxy=server.url(""))
    assert words in told.text


async def test_a_proxy_that_cannot_be_used_ends_the_feed(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever asked for it is told why, without its password, and without the log of a mistake of ours."""
    with pytest.raises(ProxyUnusable, match="gopher") as found:
        await first_word("ws://127.0.0.1:1/ws", proxy="gopher://user:secret@proxy.example")
    assert "secret" not in str(found.value)
    assert not caplog.records


def frame(opcode: int, payload: bytes, *, first: int = 0x80) -> bytes:
    length = len(payload)
    size = bytes([length]) if length < 126 else struct.pack("!BQ", 127, length)
    return bytes([first | opcode]) + size + payload


def accepts_and_says(*said: bytes) -> Handler:
    """A server that takes the handshake, sends these bytes, and then waits for the client to go."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        key = re.search(rb"(?i)sec-websocket-key: (\S+)", head)
        assert key is not None
        accept = accept_key(key[1].decode())
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        for each in said:
            writer.write(each)
            await writer.drain()
        await silence(reader, writer)

    return handler


@asynccontextmanager
async def bad_node(*said: bytes) -> AsyncIterator[Peer]:
    async with peer(accepts_and_says(*said)) as server:
        yield server


GARBAGE = {
    "bytes": b"\xff" * 50,
    "a masked frame": b"\x81\x82\x00\x00\x00\x00{}",
    "text that is not UTF-8": frame(1, b'{"type": "\xff\xfe"}'),
    "no JSON": frame(1, b"hello"),
    "deep JSON": frame(1, b'{"type": "welcome", "x": ' + b"[" * 200_000),
    "half a surrogate": frame(1, WELCOME.replace(b"Sign-in", b"\\ud800")),
    "a time that is none": frame(1, WELCOME.replace(b"2026", b"9999999")),
    "a revision of many digits": frame(1, WELCOME.replace(b": 1}", b": 1" + b"0" * 5000 + b"}")),
    "too long a message": b"\x81\x7f" + struct.pack("!Q", 1 << 40),
    "compressed, though nobody agreed": frame(1, b"x", first=0xC0),
    "a close code that may not be": frame(8, struct.pack("!H", 1005)),
    "a continuation of nothing": frame(0, b"x"),
}


@pytest.mark.parametrize("name", GARBAGE)
@pytest.mark.parametrize("begins_well", [True, False])
async def test_garbage_loses_the_connection_and_not_the_feed(name: str, begins_well: bool) -> None:
    """Whatever it is: words, another attempt, and no task or exception left behind."""
    before = asyncio.all_tasks()
    said = [frame(1, WELCOME)] if begins_well else []
    async with bad_node(*said, GARBAGE[name]) as server:
        # No ping, and no patience, may be what finds it.
        feed = connect(server.url("/ws", scheme="ws"), proxy=None, ping_interval=300, open_timeout=300)
        async with asyncio.timeout(DEADLINE), feed:
            lost = await feed.until(lambda snapshot: snapshot.link is Link.LOST)
            assert lost.knowledge is Knowledge.FEED_LOST
            assert lost.reason
            assert lost.is_loaded == begins_well
        assert {each for each in asyncio.all_tasks() if "follow" in each.get_name()} <= before


async def test_a_close_that_is_not_followed_by_an_end_is_enough() -> None:
    """The node's code and reason count, although it does not hang up."""
    async with bad_node(frame(1, WELCOME), frame(8, struct.pack("!H", 1012) + b"back soon")) as server:
        feed = connect(server.url("/ws", scheme="ws"), proxy=None, ping_interval=300, open_timeout=300)
        async with asyncio.timeout(DEADLINE), feed:
            lost = await feed.until(lambda snapshot: snapshot.link is Link.LOST)
    assert lost.reason == "back soon"


async def test_a_server_that_accepts_and_says_nothing_is_given_up() -> None:
    """A ping is answered, but nobody says how things stand."""
    async with bad_node(frame(9, b"")) as server:
        told = await first_word(server.url("/ws", scheme="ws"), open_timeout=0.2)
    assert "nothing was heard for 0.2 s" in told.text


async def test_a_connection_that_goes_mute_is_given_up() -> None:
    """Open at one end only: no ping is answered, and no close."""
    async with bad_node(frame(1, WELCOME)) as server:
        feed = connect(server.url("/ws", scheme="ws"), proxy=None, ping_interval=0.1, ping_timeout=0.1)
        async with asyncio.timeout(DEADLINE), feed:
            assert feed.snapshot.knowledge is Knowledge.CURRENT
            lost = await feed.until(lambda snapshot: not snapshot.link.is_connected)
    assert "ping" in lost.reason


async def test_a_later_version_says_that_this_client_is_out_of_date() -> None:
    async with bad_node(frame(1, b'{"type": "welcome", "v": 2}')) as server:
        with pytest.raises(OutOfDate, match="version 2"):
            await first_word(server.url("/ws", scheme="ws"))


async def test_a_flood_is_read_and_held_within_bounds() -> None:
    """A server that never stops talking to a reader who never reads: the newest is known, the rest counted."""
    service = b'{"name": "auth", "title": "A", "status": "down", "criticality": "critical"}'
    news = (
        b'{"type": "notice", "position": {"epoch": "e", "revision": %d}, "at": "2026-01-01T10:00:00Z", "kind": "down", '
    )
    flood = [frame(1, news % number + b'"service": ' + service + b"}") for number in range(2, 5002)]
    async with bad_node(frame(1, WELCOME), *flood) as server:
        url = server.url("/ws", scheme="ws")
        async with asyncio.timeout(DEADLINE), connect(url, proxy=None, backlog=10) as feed:
            found = await feed.until(lambda snapshot: snapshot.position.revision == 5001)
            assert found.status("auth") == "down"
            assert len(feed._inbox) <= 10
            told = await anext(feed)
            assert (told.kind, len(feed._inbox)) == ("fell_behind", 0)
