"""What errors and statuses mean."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl

import pytest

from broadcaster.domain.model import Category, Outcome
from broadcaster.probes.classify import chain, classify, describe, status_finding


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), Category.REFUSED),
        (FileNotFoundError(errno.ENOENT, "no socket"), Category.REFUSED),
        (ConnectionResetError(), Category.RESET),
        (BrokenPipeError(), Category.RESET),
        (asyncio.IncompleteReadError(b"", 5), Category.RESET),
        (TimeoutError(), Category.TIMEOUT),
        (OSError(errno.ETIMEDOUT, "timed out"), Category.TIMEOUT),
        (OSError(errno.EHOSTUNREACH, "no route"), Category.UNREACHABLE),
        (OSError(errno.ENETUNREACH, "no network"), Category.UNREACHABLE),
        (socket.gaierror(socket.EAI_NONAME, "not known"), Category.DNS),
        (socket.gaierror(socket.EAI_NODATA, "no address"), Category.DNS),
        (socket.gaierror(socket.EAI_AGAIN, "temporary failure"), Category.UNREACHABLE),
        (socket.gaierror(socket.EAI_FAIL, "the server failed"), Category.UNREACHABLE),
        (socket.gaierror(), Category.UNREACHABLE),
        (UnicodeError("encoding with 'idna' codec failed"), Category.DNS),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), Category.BAD_RESPONSE),
        (ssl.SSLCertVerificationError("expired"), Category.TLS),
        (ssl.SSLEOFError("ended in the middle"), Category.RESET),
        (OSError(errno.EMFILE, "too many open files"), Category.INTERNAL),
        (ZeroDivisionError(), Category.INTERNAL),
    ],
)
def test_an_error_has_a_category(error: Exception, expected: Category) -> None:
    """Errors of the system have the category of what happened; those of our own are internal."""
    assert expected is classify(error)


def test_a_wrapped_error_is_found() -> None:
    """Libraries wrap: causes, contexts and groups are searched, also those hidden from a traceback."""

    def library() -> None:
        try:
            raise ExceptionGroup("all failed", [ConnectionRefusedError(errno.ECONNREFUSED, "nobody there")])
        except ExceptionGroup:
            raise RuntimeError("library error") from None

    with pytest.raises(RuntimeError) as raised:
        library()
    assert Category.REFUSED is classify(raised.value)
    assert describe(raised.value) == "ConnectionRefusedError: [Errno 111] nobody there"


def test_a_circle_of_causes_ends() -> None:
    """Errors that name each other as causes are walked once."""
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert [one, two] == list(chain(one))


@pytest.mark.parametrize(
    ("status", "outcome", "category"),
    [
        (401, Outcome.FAILED, Category.AUTH),
        (403, Outcome.FAILED, Category.AUTH),
        (404, Outcome.FAILED, Category.BAD_RESPONSE),
        (302, Outcome.FAILED, Category.BAD_RESPONSE),
        (429, Outcome.IMPAIRED, Category.QUOTA),
        (500, Outcome.FAILED, Category.SERVER_ERROR),
        (502, Outcome.FAILED, Category.SERVER_ERROR),
        (503, Outcome.FAILED, Category.OVERLOADED),
        (529, Outcome.FAILED, Category.OVERLOADED),
    ],
)
def test_a_status_has_a_meaning(status: int, outcome: Outcome, category: Category) -> None:
    """An unexpected HTTP status says whether the service failed, and how."""
    finding = status_finding(status, "why")
    assert (outcome, category) == (finding.outcome, finding.category)
