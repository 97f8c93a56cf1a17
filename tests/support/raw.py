"""Handshakes and frames as bytes, for clients that do as no library would."""

from __future__ import annotations

import re

GOOD = (
    b"GET /ws HTTP/1.1\r\nHost: node\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
MASK = b"\x00\x00\x00\x00"


def close_code(received: bytes) -> int:
    """The code in the last frame, which must be a close."""
    found = re.search(rb"\x88([\x02-\x7d])(..)[^\x88]*$", received, re.DOTALL)
    assert found, received
    return int.from_bytes(found[2], "big")
