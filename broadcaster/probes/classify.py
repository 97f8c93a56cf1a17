"""What an exception or an HTTP status means, in the words of ``Category``. Pure; knows no client library."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Iterator

import msgspec

from broadcaster.domain.model import Category, Outcome


class Finding(msgspec.Struct, frozen=True):
    """What one look at a service concluded. ``detail`` is raw here; the driver redacts it."""

    outcome: Outcome = Outcome.OK
    category: Category | None = None
    detail: str = ""


def failed(category: Category, detail: str) -> Finding:
    """The service did not serve."""
    return Finding(Outcome.FAILED, category, detail)


def impaired(category: Category, detail: str) -> Finding:
    """The service served, and badly."""
    return Finding(Outcome.IMPAIRED, category, detail)


_ERRNOS = {
    errno.ECONNREFUSED: Category.REFUSED,
    # A unix socket that is not there, or that nobody listens on.
    errno.ENOENT: Category.REFUSED,
    errno.ECONNRESET: Category.RESET,
    errno.ECONNABORTED: Category.RESET,
    errno.EPIPE: Category.RESET,
    errno.ETIMEDOUT: Category.TIMEOUT,
    errno.EHOSTUNREACH: Category.UNREACHABLE,
    errno.EHOSTDOWN: Category.UNREACHABLE,
    errno.ENETUNREACH: Category.UNREACHABLE,
    errno.ENETDOWN: Category.UNREACHABLE,
    errno.EADDRNOTAVAIL: Category.UNREACHABLE,
    errno.EAFNOSUPPORT: Category.UNREACHABLE,
    # What a local firewall rule answers.
    errno.EPERM: Category.UNREACHABLE,
    errno.EACCES: Category.UNREACHABLE,
}


_NO_SUCH_NAME = frozenset({socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_ADDRFAMILY})
"""What a resolver answers that knows: there is no such name, or it has no address."""


def classify(error: BaseException) -> Category:
    """The category of an error, by itself or by the first of its causes that is known. ``internal`` for the rest."""
    for each in chain(error):
        category = _category(each)
        if category is not None:
            return category
    return Category.INTERNAL


def describe(error: BaseException) -> str:
    """An error in one line for an operator. An error of the system says all there is, whatever it is wrapped in."""
    *_, root = chain(error)
    words, cause = _words(error), _words(root)
    if isinstance(root, OSError):
        return cause
    return words if root is error or cause in words else f"{words} ({cause})"


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error, then what caused it, outermost first; the members of a group one after the other. Each once."""
    waiting = [error]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        if isinstance(each, BaseExceptionGroup):
            waiting.extend(each.exceptions)
        # Also the context that "from None" hides from a traceback: httpcore hides the error of the socket so.
        cause = each.__cause__ or each.__context__
        if cause is not None:
            waiting.append(cause)


def status_finding(status: int, detail: str) -> Finding:
    """What an HTTP status nobody expected says of the service."""
    match status:
        case 401 | 403 | 407:
            return failed(Category.AUTH, detail)
        case 429:
            # RFC 6585, section 4: "the user has sent too many requests", and the user is us. Others are served.
            return impaired(Category.QUOTA, detail)
        # 529 is what Anthropic's API answers when it is overloaded.
        case 503 | 529:
            return failed(Category.OVERLOADED, detail)
        case _ if status >= 500:
            return failed(Category.SERVER_ERROR, detail)
        case _:
            return failed(Category.BAD_RESPONSE, detail)


def _category(error: BaseException) -> Category | None:
    match error:
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            # The other side went away in the middle: that says nothing of certificates.
            return Category.RESET
        case ssl.SSLError() | ssl.CertificateError():
            return Category.TLS
        case socket.gaierror():
            # EAI_AGAIN, EAI_FAIL and the like: no resolver told, so the name may well exist.
            return Category.DNS if error.errno in _NO_SUCH_NAME else Category.UNREACHABLE
        case UnicodeDecodeError():
            return Category.BAD_RESPONSE
        case UnicodeError() if "idna" in str(error):
            # A host name that cannot be written as one: a label that is empty or too long.
            return Category.DNS
        case TimeoutError():
            return Category.TIMEOUT
        case ConnectionRefusedError():
            return Category.REFUSED
        case ConnectionResetError() | BrokenPipeError() | ConnectionAbortedError():
            return Category.RESET
        case asyncio.IncompleteReadError() | EOFError():
            return Category.RESET
        case OSError():
            return _ERRNOS.get(error.errno) if error.errno is not None else None
    return None


def _words(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
