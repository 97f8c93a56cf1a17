"""An HTTP endpoint answers as expected: status, body, JSON fields, and what a health document says of itself."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from broadcaster.config.settings import HttpProbe
from broadcaster.domain.model import Category
from broadcaster.probes.base import DrivenProbe
from broadcaster.probes.classify import Finding, failed, impaired, status_finding
from broadcaster.probes.fetch import MAX_BODY, Answer, fetch, http_meaning
from broadcaster.probes.redact import header_secrets, url_secrets
from broadcaster.probes.tls import ClientTls

_MISSING = object()

# draft-inadarei-api-health-check-06, section 3.1, and what frameworks say instead. In any case of letters.
_PASSING = frozenset({"pass", "ok", "up", "healthy"})
_WARNING = frozenset({"warn", "warning", "degraded"})
_FAILING = frozenset({"fail", "error", "down", "unhealthy"})

_LONGEST_WORD = 40


class HttpLook(DrivenProbe):
    def __init__(self, service: str, settings: HttpProbe, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(service, secrets=url_secrets(settings.url) | header_secrets(settings.headers), clock=clock)
        self._settings = settings
        self._tls = ClientTls(settings.tls)

    async def _look(self) -> Finding:
        answer = await fetch(
            self._settings.url,
            tls=self._tls,
            method=self._settings.method,
            headers=self._settings.headers,
            body=self._settings.body.encode(),
            follow_redirects=self._settings.follow_redirects,
        )
        return judge(answer, self._settings)

    def _meaning(self, error: Exception) -> Finding | None:
        return http_meaning(error)


def judge(answer: Answer, settings: HttpProbe) -> Finding:
    """What the answer says of the service, given what was expected of it."""
    if not any(_matches(answer.status, each) for each in settings.expect_status):
        expected = ", ".join(map(str, settings.expect_status))
        return status_finding(answer.status, f"status {answer.status}, expected {expected}")
    if settings.expect_body and settings.expect_body.encode() not in answer.body:
        where = f"the first {MAX_BODY} bytes of the body" if answer.is_cut else "the body"
        return failed(Category.BAD_RESPONSE, f"status {answer.status}, but {where} lacks the expected text")
    document = _document(answer)
    for path, expected_value in settings.expect_json.items():
        found = _at(document, path)
        if type(found) is bool or type(expected_value) is bool:
            is_right = found is expected_value
        else:
            is_right = found == expected_value
        if not is_right:
            what = "is missing" if found is _MISSING else "is not as expected"
            return failed(Category.BAD_RESPONSE, f"status {answer.status}, but the JSON field {path!r} {what}")
    status = document.get("status") if isinstance(document, dict) else None
    if settings.health_document:
        return _health(status, answer)
    # Who names the field has said already what it must be.
    return Finding() if "status" in settings.expect_json else _own_word(status, answer)


def _health(status: object, answer: Answer) -> Finding:
    """What a health document says of the service that sent it, where one is expected and its word counts."""
    if not isinstance(status, str):
        why = f"it is longer than {MAX_BODY} bytes" if answer.is_cut else "it is not a JSON object with a word 'status'"
        return failed(Category.BAD_RESPONSE, f"status {answer.status}, but no health document: {why}")
    said = f"its health document says {status[:_LONGEST_WORD]!r}"
    match status.lower():
        case word if word in _PASSING:
            return Finding()
        case word if word in _WARNING:
            return impaired(Category.SERVER_ERROR, said)
        case word if word in _FAILING:
            return failed(Category.SERVER_ERROR, said)
        case _:
            return failed(Category.BAD_RESPONSE, f"{said}, which says nothing of its health")


def _own_word(status: object, answer: Answer) -> Finding:
    """What an answer says of its service where nobody asked: only bad news is news."""
    if not isinstance(status, str):
        return Finding()
    # Only in a health document is the meaning of 'error' or 'down' agreed upon.
    is_agreed = answer.media_type == "application/health+json"
    is_bad = status.lower() in (_WARNING | _FAILING if is_agreed else _WARNING)
    return _health(status, answer) if is_bad else Finding()


def _matches(status: int, expected: int | str) -> bool:
    if isinstance(expected, str) and expected.lower().endswith("xx"):
        return str(status)[0] == expected[0]
    return str(status) == str(expected)


def _document(answer: Answer) -> object:
    """The body as JSON; ``_MISSING`` if it is none, or was too long to be read to its end."""
    if answer.is_cut:
        return _MISSING
    try:
        return msgspec.json.decode(answer.body)
    # RecursionError: a body of nothing but opening brackets.
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _MISSING


def _at(document: object, path: str) -> object:
    """The value at a dotted path; a part that is a number counts items of a list."""
    for part in path.split("."):
        if isinstance(document, dict):
            document = document.get(part, _MISSING)
        elif isinstance(document, list) and part.isdecimal() and int(part) < len(document):
            document = document[int(part)]
        else:
            return _MISSING
    return document
