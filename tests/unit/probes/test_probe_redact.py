"""The removal of secrets from what a probe says."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.probes.redact import MAX_DETAIL, header_secrets, redact, url_secrets


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cannot reach redis://user:hunter2@db:6379/0", "cannot reach redis://***@db:6379/0"),
        ("dsn postgresql://:pa%20ss@db/x failed", "dsn postgresql://***@db/x failed"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer ***"),
        ("sent 'authorization': 'Basic dXNlcjpwdw=='", "sent 'authorization': ***"),
        ("password=hunter2 host=db", "password=*** host=db"),
        ('{"api_key": "k-1", "a": 1}', '{"api_key": ***, "a": 1}'),
        ("Incorrect API key provided: sk-proj-aB3_x", "Incorrect API key provided: ***"),
        ("GET /x?token=t0p&page=2", "GET /x?token=***&page=2"),
        ("status 500, expected 2xx", "status 500, expected 2xx"),
        ('password authentication failed for user "postgres"', 'password authentication failed for user "postgres"'),
    ],
)
def test_what_looks_like_a_credential_is_masked(text: str, expected: str) -> None:
    """Credentials are masked by the shape of what surrounds them, and nothing else is."""
    assert expected == redact(text)


SECRET = "a \\secret/ß\n"


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        "a%20%5Csecret%2F%C3%9F%0A",
        "a+%5Csecret%2F%C3%9F%0A",
        repr(SECRET),
        repr(SECRET.encode()),
        json.dumps(SECRET),
    ],
)
def test_a_known_secret_is_masked_however_it_is_written(written: str) -> None:
    """A secret of the settings does not show as it is, nor in a URL, nor as Python quotes it."""
    assert "secret" not in redact(f"server says {written} is wrong", [SECRET])


def test_a_secret_is_masked_before_the_text_is_cut() -> None:
    """A secret at the edge of what is kept does not show in part."""
    text = "x" * (MAX_DETAIL - 8) + " topsecretvalue"
    assert "top" not in redact(text, ["topsecretvalue"])


def test_control_characters_do_not_survive() -> None:
    """A detail is one printable line: no line breaks, terminal sequences or changes of writing direction."""
    assert redact("a\r\nb\x1b[31mc\u202ed\x00\x07  e\ud800") == "a b [31mc d e"


@given(text=st.text(), secret=st.text(min_size=4))
def test_a_detail_is_always_one_short_printable_line(text: str, secret: str) -> None:
    """Whatever a server sends, the detail is printable and at most 300 characters long."""
    detail = redact(text + secret + text, [secret])
    assert len(detail) <= MAX_DETAIL
    assert detail.isprintable()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p%40ss@db/x", {"p%40ss", "p@ss"}),
        ("redis://:hunter2@db", {"hunter2"}),
        ("redis://hunter2@db", {"hunter2"}),
        ("https://api/x?api_key=abc&page=2", {"abc"}),
        ("https://api/x", set()),
        ("http://[half/", set()),
    ],
)
def test_secrets_of_a_url_are_found(url: str, expected: set[str]) -> None:
    """Its password and the parameters named like a secret are secrets; a URL that makes no sense has none."""
    assert expected == url_secrets(url)


def test_secrets_of_headers_are_found() -> None:
    """Headers named like a secret are secret, with and without the scheme before it."""
    headers = {"Authorization": "Bearer abc", "X-Api-Key": "k", "Accept": "text/html", "Cookie": "a=b"}
    assert {"Bearer abc", "abc", "k", "a=b"} == header_secrets(headers)
