"""Where to connect, and what to ask for there: the options of a feed, checked once."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Literal, TypeVar
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from broadcaster_client.languages import is_tag

T = TypeVar("T")

_TOKEN = re.compile(r"[\x21-\x7e]+")
_FOLDED = re.compile(r"[\r\n\0]")

Audience = Literal["users", "operators"]
Ticket = Callable[[], str | Awaitable[str]]
Headers = Mapping[str, str] | Callable[[], Mapping[str, str] | Awaitable[Mapping[str, str]]]


class Target:
    """A node's address, and the query and headers that a connection to it needs; tickets are asked for each time.

    Raises ValueError for options that cannot be.
    """

    def __init__(
        self,
        url: str,
        *,
        services: Collection[str] = (),
        features: Collection[str] = (),
        locale: str | None = None,
        audience: Audience = "users",
        token: str | None = None,
        ticket: Ticket | None = None,
        headers: Headers | None = None,
        subprotocol: str | None = None,
    ) -> None:
        self._url = _parsed(url)
        self.subprotocol = subprotocol
        for option, names in (("services", services), ("features", features)):
            if isinstance(names, str) or any(not name or "," in name for name in names):
                raise ValueError(f"{option} must be names, each without a comma: {names!r}")
        if locale is not None and not is_tag(locale):
            raise ValueError(f"locale must be a language's tag, such as de or pt-BR: {locale!r}")
        if audience not in ("users", "operators"):
            raise ValueError(f"audience must be 'users' or 'operators': {audience!r}")
        if audience == "operators" and token is None and headers is None:
            raise ValueError("audience='operators' needs a token")
        if token is not None and not _TOKEN.fullmatch(token):
            raise ValueError("a token has no spaces, line breaks or letters beyond ASCII, and is not empty")
        if isinstance(headers, Mapping):
            _check(headers)
        self._token, self._ticket, self._headers = token, ticket, headers
        self._query = parse_qsl(self._url.query, keep_blank_values=True)
        if services:
            self._query.append(("services", ",".join(services)))
        if features:
            self._query.append(("features", ",".join(features)))
        if locale is not None:
            self._query.append(("locale", locale))
        if audience == "operators":
            self._query.append(("audience", "operators"))

    def __repr__(self) -> str:
        return f"Target({self.name!r})"

    @property
    def name(self) -> str:
        """The address without its query, which may hold secrets."""
        host = self._url.netloc.rpartition("@")[2]
        return f"{self._url.scheme}://{host}{self._url.path}"

    @property
    def is_secure(self) -> bool:
        return self._url.scheme == "wss"

    async def address(self) -> str:
        """The URL of the next attempt, with a fresh ticket. Raises whatever the caller's function raises."""
        query = list(self._query)
        if self._ticket is not None:
            query.append(("ticket", await _awaited(self._ticket())))
        return urlunsplit(self._url._replace(query=urlencode(query, safe=",")))

    async def headers(self) -> dict[str, str]:
        """The headers of the next attempt. Raises whatever the caller's function raises."""
        given = self._headers if self._headers is not None else {}
        headers = dict(await _awaited(given()) if callable(given) else given)
        _check(headers)
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        return headers


def _parsed(url: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError("a node's URL must begin with ws:// or wss:// and name a host")
    if parts.port == 0:  # for others it raises ValueError by itself
        raise ValueError("a node's port is between 1 and 65535")
    if parts.username is not None and parts.password is None:
        raise ValueError("a URL that names a user must have a password, too")
    try:
        parts.hostname.encode("idna")
    except UnicodeError:
        raise ValueError(f"no host can have this name: {parts.hostname!r}") from None
    return parts._replace(fragment="")


def _check(headers: Mapping[str, str]) -> None:
    """Raises ValueError for one that would be read as two, without its value, which may be a secret."""
    for name, value in headers.items():
        if _FOLDED.search(name) or _FOLDED.search(value):
            raise ValueError(f"a header may not have line breaks: {name!r}")


async def _awaited(value: T | Awaitable[T]) -> T:
    if inspect.isawaitable(value):
        found: T = await value
        return found
    return value
