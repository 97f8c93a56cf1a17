"""Handshakes and frames as bytes, for clients that do as no library would."""

from __future__ import annotations

import re

GOOD = (
    b"GET /ws HTTP/1.1\r\nHost: node\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
MASK = b"\x00\x00\x00\x00"


def upgrade(target: str, **headers: str) -> bytes:
    """A handshake for a path with its query, and more headers than it needs."""
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return GOOD.replace(b"GET /ws HTTP", f"GET {target} HTTP".encode()).replace(b"\r\n\r\n", f"\r\n{more}\r\n".encode())


def frames(received: bytes) -> list[tuple[int, bytes]]:
    """Opcode and payload of every whole frame after the answer to a handshake."""
    _, _, rest = received.partition(b"\r\n\r\n")
    found = []
    while len(rest) >= 2:
        length, begin = rest[1], 2
        if length > 125:
            begin = 4 if length == 126 else 10
            length = int.from_bytes(rest[2:begin], "big")
        if len(rest) < begin + length:
            break
        found.append((rest[0] & 0x0F, rest[begin : begin + length]))
        rest = rest[begin + length :]
    return found


def close_code(received: bytes) -> int:
    """The code in the last frame, which must be a close."""
    found = re.search(rb"\x88([\x02-\x7d])(..)[^\x88]*$", received, re.DOTALL)
    assert found, received
    return int.from_bytes(found[2], "big")
