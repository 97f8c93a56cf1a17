"""Why there is no connection: the errors of the socket's library and of the operating system, in words.

Whether a failure means that this machine is offline is read off the operating system's word for it: no network, or no
answer from a resolver. Anything else is the node, or the way to it; so is a host to which there is no route, as the
system says that of a machine next door that is switched off, too.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl

import websockets
from websockets.http11 import Response

from broadcaster_client.errors import Ended, ProxyUnusable, Refused
from broadcaster_client.reconnects import FINAL_STATUSES

MOST_WORDS = 200
"""How many characters of what an answer says are passed on."""

_OFFLINE = frozenset({errno.ENETUNREACH, errno.ENETDOWN})


class Lost(Exception):
    """There is no connection (any more). ``code`` is that of the node's close, None without one; ``reason`` is in
    words, and without a secret; ``is_offline``: this machine has no network; ``at_least``: seconds that the node asks
    everybody to stay away, in answer to a handshake."""

    def __init__(
        self, reason: str, *, code: int | None = None, is_offline: bool = False, at_least: float = 0.0
    ) -> None:
        self.reason = reason
        self.code = code
        self.is_offline = is_offline
        self.at_least = at_least
        super().__init__(reason)


def of_library(error: websockets.WebSocketException) -> Lost | Ended:
    """What a handshake that failed means: Lost where trying again can help, and Ended where it cannot."""
    match error:
        case websockets.InvalidStatus(response=response):
            return _of_answer(response)
        case websockets.InvalidProxy(msg=why):
            return ProxyUnusable(why)
        case websockets.InvalidProxyStatus(response=response):
            return Lost(f"the proxy answers with HTTP status {response.status_code}")
        case websockets.ProxyError():
            return Lost("the proxy does not connect us")
        case websockets.InvalidMessage(__cause__=EOFError()):
            return Lost("it hung up without an answer")
        case websockets.InvalidMessage():
            return Lost("what answers there does not speak HTTP")
    return Lost(f"no WebSocket there ({type(error).__name__})")


def of_system(error: OSError) -> Lost:
    """What a connection that did not come about means."""
    return Lost(_words(error), is_offline=is_offline(error))


def is_offline(error: OSError) -> bool:
    """Whether the system says that it reaches no network, rather than not this node."""
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    codes = _codes(error)
    return bool(codes) and _OFFLINE.issuperset(codes)


def _of_answer(response: Response) -> Lost | Refused:
    status, words = response.status_code, _plain_text(response)
    if status in FINAL_STATUSES:
        return Refused(status, words)
    if 300 <= status < 400:
        return Lost(f"it redirects {_where(response)}, which is not followed")
    told = f"the node answers with HTTP status {status}" + (f": {words}" if words else "")
    return Lost(told, at_least=_retry_after(response))


def _where(response: Response) -> str:
    """The place that a redirect names, without a query, which may hold what we sent."""
    values = response.headers.get_all("Location")
    return f"to {_printable(values[0].partition('?')[0])}" if values else f"with HTTP status {response.status_code}"


def _plain_text(response: Response) -> str:
    """The first line of an answer that is meant for people; a page of HTML is not."""
    if not any(each.startswith("text/plain") for each in response.headers.get_all("Content-Type")):
        return ""
    line = (response.body or b"").decode(errors="replace").strip().partition("\n")[0]
    return _printable(line)


def _printable(text: str) -> str:
    return "".join(each for each in text if each.isprintable())[:MOST_WORDS]


def _retry_after(response: Response) -> float:
    """Seconds; 0 without any, also for a date, which would have to be measured by somebody else's clock."""
    values = response.headers.get_all("Retry-After")
    return float(values[0]) if values and re.fullmatch("[0-9]{1,9}", values[0]) else 0.0


def _words(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the node's certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS there ({(error.reason or 'no handshake').replace('_', ' ').lower()})"
    if isinstance(error, socket.gaierror):
        return f"the host's name was not resolved ({(error.strerror or 'no reason').lower()})"
    if codes := _codes(error):
        return " and ".join(os.strerror(code).lower() for code in codes)
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, ConnectionError):
        return "the connection broke"
    return str(error).lower() or type(error).__name__


def _codes(error: OSError) -> list[int]:
    """The system's errors, each once. A host may have several addresses, and asyncio tells of different errors with
    them in one text only."""
    if error.errno is not None:
        return [error.errno]
    return list(dict.fromkeys(int(code) for code in re.findall(r"\[Errno (\d+)\]", str(error))))
