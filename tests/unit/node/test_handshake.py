"""The opening handshake, decided without a socket."""

from __future__ import annotations

import base64

import pytest

from broadcaster.node.handshake import Refusal, answer, is_allowed

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="  # the example of RFC 6455, section 1.3
GOOD = {b"host": b"node.example:8895", b"sec-websocket-version": b"13", b"sec-websocket-key": KEY}


def ask(
    *,
    method: bytes = b"GET",
    version: str = "1.1",
    path: str = "/ws",
    allowed: tuple[str, ...] = (),
    **headers: bytes | None,
) -> bytes | Refusal:
    given = dict(GOOD)
    for name, value in headers.items():
        key = name.replace("_", "-").encode()
        if value is None:
            given.pop(key)
        else:
            given[key] = value
    return answer(
        method=method,
        http_version=version,
        path=path,
        paths={"/ws": True, "/ws/status": False},
        headers=given,
        allowed_origins=allowed,
    )


def test_the_rfcs_example_is_answered_as_the_rfc_says() -> None:
    """The accept value is the one printed in RFC 6455."""
    assert ask() == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (b"availability.v1", True),
        (b"chat, availability.v1", True),
        (b"availability.v1,ticket.abc", True),
        (b"availability.v2", False),
    ],
)
def test_only_our_subprotocol_is_chosen(offered: bytes, chosen: bool) -> None:
    """It is echoed if it was offered; nothing else ever is."""
    answered = ask(sec_websocket_protocol=offered)
    assert isinstance(answered, bytes)
    assert (b"Sec-WebSocket-Protocol: availability.v1\r\n" in answered) is chosen
    assert answered.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"path": "/nowhere"}, 404),
        ({"method": b"POST"}, 405),
        ({"version": "1.0"}, 505),
        ({"sec_websocket_version": None}, 426),
        ({"sec_websocket_version": b"8"}, 426),
        ({"sec_websocket_key": None}, 400),
        ({"sec_websocket_key": b"short"}, 400),
        ({"sec_websocket_key": b"!" * 24}, 400),
        ({"sec_websocket_key": base64.b64encode(b"x" * 17)}, 400),
        ({"sec_websocket_key": KEY + b", " + KEY}, 400),
        ({"origin": b"https://evil.example"}, 403),
        ({"origin": b"null"}, 403),
    ],
)
def test_a_request_that_is_no_handshake_is_refused_in_words(changes: dict[str, object], status: int) -> None:
    """The refusal is a whole HTTP response with a sentence in it, and closes."""
    refusal = ask(**changes)  # type: ignore[arg-type]
    assert isinstance(refusal, Refusal)
    assert refusal.status == status
    head, _, body = refusal.response().partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"Connection: close" in head
    assert body.decode().strip() == refusal.reason


@pytest.mark.parametrize(
    ("origin", "host", "allowed", "expected"),
    [
        (b"http://node.example:8895", b"node.example:8895", (), True),
        (b"https://Node.Example", b"node.example", (), True),
        (b"http://node.example", b"node.example:8895", (), False),
        (b"https://app.example", b"node.example", ("https://app.example/",), True),
        (b"https://app.example.evil", b"node.example", ("https://app.example",), False),
        (b"https://any.example", b"node.example", ("*",), True),
        (b"null", b"", (), False),
        (b"http://[", b"node.example", (), False),
    ],
)
def test_origins(origin: bytes, host: bytes, allowed: tuple[str, ...], expected: bool) -> None:
    """The node's own host and what the settings name; a prefix is not enough."""
    assert is_allowed(origin, host, allowed) is expected
