"""What is wrong with a URL, said without repeating it: it may hold a password."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit


def url_fault(url: str, schemes: Sequence[str]) -> str:
    """What is wrong with ``url`` where one of ``schemes`` is wanted; empty if nothing is."""
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname
    except ValueError:
        return "not a URL: its host or port makes no sense"
    if any(character.isspace() or not character.isprintable() for character in url):
        return "not a URL: it holds blanks or control characters"
    if "://" not in url:
        return "not a URL"
    if parts.scheme not in schemes:
        return "a URL of the wrong scheme"
    if parts.scheme == "unix":
        return "" if parts.path else "a URL without a path"
    if port == 0:
        return "a URL with port 0"
    # A DSN may leave its host to the query or the default.
    return "" if host or parts.scheme.startswith("postgres") else "a URL without a host"
