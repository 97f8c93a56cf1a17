"""The exception tree. Errors of the socket's library and of the operating system are translated into it.

::

    ClientError
    ├── ProtocolError     a message that does not decode
    │   └── UnknownType     ... because it is of a type of a later version; followers ignore it
    └── Ended             following is over for good, and connecting again cannot help
        ├── Refused         the handshake was answered with an HTTP status that says so
        ├── Closed          the node closed with a code that says so
        │   └── UnknownName   ... as a service or a feature that was asked for is not there
        ├── OutOfDate       the node speaks a later version of the protocol
        └── ProxyUnusable   the proxy that is asked for, or that the system names, cannot be used
"""

from __future__ import annotations


class ClientError(Exception):
    """Base of every error that this package raises on purpose, but for the ValueError of an option."""


class ProtocolError(ClientError):
    """A message that does not decode; the text says where it does not fit."""


class UnknownType(ProtocolError):
    """A message of a type that this version does not know."""


class Ended(ClientError):
    """The end of a feed that nothing but other options, or another version, can change."""


class Refused(Ended):
    """The handshake was refused for what is wrong with the request: ``status`` 401 without the right token, 404 for
    a path that is not there, ...; ``reason`` is what it says to people, and may be empty."""

    def __init__(self, status: int, reason: str = "") -> None:
        self.status = status
        self.reason = reason
        said = f": {reason}" if reason else ""
        super().__init__(f"the node refuses this request with HTTP status {status}{said}")


class Closed(Ended):
    """The node closed for good: ``code`` and ``reason`` of the close, and ``text``, what it said to people before, in
    the language ``lang``."""

    def __init__(self, code: int, reason: str, text: str, lang: str = "en") -> None:
        self.code = code
        self.reason = reason
        self.text = text
        self.lang = lang
        super().__init__(text or reason or f"the node closed with {code}")


class UnknownName(Closed):
    """A service or a feature that was asked for is not there; the text says which, and what there is."""


class OutOfDate(Ended):
    """The node speaks ``version`` of the protocol, which is later than this package's."""

    def __init__(self, version: int) -> None:
        self.version = version
        super().__init__(f"the node speaks version {version} of the protocol: this client is out of date")


class ProxyUnusable(Ended):
    """The proxy that was asked for, or that the system's settings name, cannot be used: ``reason`` says why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the proxy cannot be used: {reason}")
