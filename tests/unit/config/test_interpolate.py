"""References to environment variables in values."""

from __future__ import annotations

import pytest

from broadcaster.config.interpolate import InterpolationError, interpolate

ENV = {"HOST": "db", "EMPTY": "", "DOLLARS": "${HOST}"}


@pytest.mark.parametrize(
    ("text", "resolved"),
    [
        ("plain", "plain"),
        ("${HOST}", "db"),
        ("a-${HOST}:${HOST}", "a-db:db"),
        ("${NOPE:-other}", "other"),
        ("${NOPE:-}", ""),
        ("${EMPTY:-other}", "other"),
        ("${EMPTY}", ""),
        ("${HOST:-other}", "db"),
        ("${NOPE:-redis://127.0.0.1:6379/0}", "redis://127.0.0.1:6379/0"),
        ("$$", "$"),
        ("$${HOST}", "${HOST}"),
        ("$HOST costs 5$", "$HOST costs 5$"),
        ("${DOLLARS}", "${HOST}"),
    ],
)
def test_references_are_resolved_once(text: str, resolved: str) -> None:
    """The three forms are resolved, everything else stands for itself, and values are not resolved again."""
    assert interpolate(text, ENV) == resolved


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("ab${NOPE}", 2, "the environment variable NOPE is not set"),
        ("${HOST", 0, "without '}'"),
        ("x${}", 1, "not a reference"),
        ("${A B}", 0, "not a reference"),
        ("${A:?need}", 0, "not a reference"),
        ("${A:-${HOST}}", 0, "not a reference"),
    ],
)
def test_a_reference_that_cannot_be_resolved_is_an_error_with_its_place(text: str, offset: int, message: str) -> None:
    """The error says what is wrong, where in the text, and what would be right."""
    with pytest.raises(InterpolationError, match=message) as caught:
        interpolate(text, ENV)
    assert caught.value.offset == offset
    assert caught.value.hint
