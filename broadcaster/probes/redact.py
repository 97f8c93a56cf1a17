"""What may stand in an observation's detail: one short printable line without a secret."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

MAX_DETAIL = 300
"""Characters a detail has at most."""

MASK = "***"

_LOOKED_AT = 10 * MAX_DETAIL

_SHORTEST = 4
"""Shorter secrets are masked by the shape of what surrounds them only: masking every 'a' would garble all else."""

_SENSITIVE_NAME = re.compile(r"auth|cookie|key|token|secret|passw|pwd|credential|signature", re.IGNORECASE)

_SHAPES = (
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@'\"]*@", re.IGNORECASE), rf"\1{MASK}@"),
    (re.compile(r"\b(bearer|basic)\s+[^\s'\",;]+", re.IGNORECASE), rf"\1 {MASK}"),
    (
        re.compile(
            r"\b([\w-]*(?:password|passwd|pwd|secret|token|api[_-]?key|apikey|authorization))(['\"]?\s*[=:]\s*)"
            r"(?!(?:bearer|basic) )(?:\"[^\"]*\"|'[^']*'|[^\s'\",;&]+)",
            re.IGNORECASE,
        ),
        rf"\1\2{MASK}",
    ),
    (re.compile(r"\bsk-[\w*-]{4,}"), MASK),
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """``text`` as one printable line of at most 300 characters.

    Every one of ``secrets`` is masked, in each way it may be written, and so is whatever looks like a credential.
    """
    if not text:
        return ""  # what most observations have to say
    # Masking comes before cutting: half a secret is still half a secret.
    for secret in sorted(_spellings(secrets), key=len, reverse=True):
        text = text.replace(secret, MASK)
    # The shapes look at a bounded text only: a body of a server's choosing could keep them busy for long.
    text = text[:_LOOKED_AT]
    for shape, masked in _SHAPES:
        text = shape.sub(masked, text)
    text = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return text if len(text) <= MAX_DETAIL else text[: MAX_DETAIL - 1] + "…"


def url_secrets(url: str) -> set[str]:
    """The password of a URL or DSN, and the values of its query parameters that are named like a secret."""
    try:
        parts = urlsplit(url)
        found = {parts.password or ""}
        found |= {value for name, value in parse_qsl(parts.query) if _SENSITIVE_NAME.search(name)}
    except ValueError:
        return set()
    # redis://secret@host is an old way to write a password that looks like a user.
    if parts.password is None and parts.username and parts.scheme.startswith("redis"):
        found.add(parts.username)
    return {each for found_one in found if found_one for each in (found_one, unquote(found_one))}


def header_secrets(headers: Mapping[str, str]) -> set[str]:
    """The values of the headers that are named like a secret, and what follows a scheme such as ``Bearer``."""
    values = [value for name, value in headers.items() if _SENSITIVE_NAME.search(name)]
    return {part for value in values for part in (value, value.partition(" ")[2]) if part}


def _spellings(secrets: Iterable[str]) -> set[str]:
    written: set[str] = set()
    for secret in secrets:
        quoted = {repr(secret)[1:-1], repr(secret.encode(errors="replace"))[2:-1], json.dumps(secret)[1:-1]}
        written |= {secret, quote(secret, safe="", errors="replace"), quote_plus(secret, errors="replace"), *quoted}
    return {each for each in written if len(each) >= _SHORTEST}
