"""The opening handshake as a decision: a parsed request in, the bytes of an answer out. No I/O.

Rules: RFC 6455, section 4.2.1 (what a request must be) and 4.2.2 (how it is answered).
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import msgspec
from websockets.utils import accept_key

from broadcaster.domain import languages
from broadcaster.domain.scope import Scope
from broadcaster.manager.operators import is_operator
from broadcaster.protocol.messages import SUBPROTOCOL

_SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
_WITH_SUBPROTOCOL = f"\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n".encode()


class Refusal(msgspec.Struct, frozen=True):
    """An HTTP answer in place of an upgrade: what was wrong, in words for whoever reads the client's log."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...] = ()

    def response(self) -> bytes:
        """The whole response; the connection closes after it."""
        body = f"{self.reason}\n".encode()
        lines = [
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}",
            "Content-Type: text/plain; charset=utf-8",
            f"Content-Length: {len(body)}",
            "Connection: close",
            *(f"{name}: {value}" for name, value in self.headers),
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


GARBAGE = Refusal(400, "This is not an HTTP request.")
TOO_LARGE = Refusal(431, "The request's headers are too large.")
TOO_MANY = Refusal(503, "There are too many connections here. Please try again later.", (("Retry-After", "5"),))
TOO_MANY_OF_YOU = Refusal(429, "There are too many connections from your address.", (("Retry-After", "5"),))
TOO_SLOW = Refusal(408, "The request did not arrive in time.")
NO_AUDIENCE = Refusal(400, "The query's audience must be users or operators.")
NO_OPERATOR = Refusal(
    401,
    "Operators need 'Authorization: Bearer TOKEN' with node.operator_token of the settings.",
    (("WWW-Authenticate", "Bearer"),),
)


def answer(
    *,
    method: bytes,
    http_version: str,
    path: str,
    paths: Mapping[str, object],
    headers: Mapping[bytes, bytes],
    allowed_origins: tuple[str, ...],
) -> bytes | Refusal:
    """The 101 response for an upgrade request to one of ``paths``, or why not.

    ``headers`` have lower-case names; a repeated header's values are joined by ``", "``.
    """
    if path not in paths:
        return Refusal(404, f"No WebSocket here. Try {' or '.join(paths)}.")
    if method != b"GET":
        return Refusal(405, "A WebSocket handshake is a GET request.", (("Allow", "GET"),))
    if http_version != "1.1":
        return Refusal(505, "A WebSocket handshake needs HTTP/1.1.")
    if headers.get(b"sec-websocket-version") != b"13":
        return Refusal(
            426, "Sec-WebSocket-Version must be 13.", (("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket"))
        )
    key = headers.get(b"sec-websocket-key", b"")
    if not _is_key(key):
        return Refusal(400, "Sec-WebSocket-Key must be 16 bytes in base64, once.")
    origin = headers.get(b"origin")
    if origin is not None and not is_allowed(origin, headers.get(b"host", b""), allowed_origins):
        return Refusal(403, "This origin may not connect here; see node.allowed_origins.")
    accept = accept_key(key.decode()).encode()
    offered = headers.get(b"sec-websocket-protocol")
    chosen = offered is not None and SUBPROTOCOL.encode() in (part.strip() for part in offered.split(b","))
    return _SWITCHING + accept + (_WITH_SUBPROTOCOL if chosen else b"\r\n\r\n")


def asked(query: str, authorization: bytes, operator_token: str) -> Scope | Refusal:
    """What the query of a handshake asks to be told: ``services=a,b``, ``features=c``, ``audience=operators``,
    ``locale=de``.

    Without any of these it is everything that users may know. Other parameters are somebody else's, and ignored. So is
    a locale that is no language tag: like one that there are no words in, it is no reason to tell somebody nothing.
    """
    said = parse_qs(query)
    audience = said.get("audience", ["users"])
    if audience not in (["users"], ["operators"]):
        return NO_AUDIENCE
    internal = audience == ["operators"]
    if internal and not is_operator(authorization.decode("latin-1"), operator_token):
        return NO_OPERATOR
    return Scope(
        internal=internal,
        services=_names(said.get("services")),
        features=_names(said.get("features")),
        locale=languages.read(said["locale"][-1]) if "locale" in said else "",
    )


def is_allowed(origin: bytes, host: bytes, allowed: tuple[str, ...]) -> bool:
    """Whether a browser on a page of ``origin`` may connect: one of ``allowed`` ("*": any), or the node's own host."""
    text = origin.decode("latin-1").lower()
    if "*" in allowed or text in (each.lower().rstrip("/") for each in allowed):
        return True
    try:
        return urlsplit(text).netloc == host.decode("latin-1").lower() != ""
    except ValueError:
        return False


def _names(values: list[str] | None) -> frozenset[str]:
    return frozenset(name for value in values or () for part in value.split(",") if (name := part.strip()))


def _is_key(key: bytes) -> bool:
    if len(key) != 24:
        return False
    try:
        return len(binascii.a2b_base64(key, strict_mode=True)) == 16
    except binascii.Error:
        return False
