"""Durations as people write them."""

from __future__ import annotations

import pytest

from broadcaster.config.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("30s", 30), ("5m", 300), ("1h", 3600), ("2", 2), ("0.5", 0.5), ("1.5s", 1.5), (" 3s ", 3)],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    """Every unit, and a bare number, becomes seconds."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "0", "0s", "-1s", "s", "1d", "1 s", "1e3", "inf", "nan", "٣s", "9" * 400, "8d", "169h", "1s2ms"]
)
def test_what_is_no_positive_duration_is_refused(text: str) -> None:
    """Zero, negative, endless and foreign spellings are refused with what would be right."""
    with pytest.raises(ValueError, match="must be a duration such as 250ms, 30s, 5m or 1h"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.25, "250ms"),
        (2.5, "2.5s"),
        (59.99, "59.9s"),
        (60, "1m"),
        (90, "1m30s"),
        (7200, "2h"),
        (3725, "1h2m"),
        (270_000, "3d3h"),
    ],
)
def test_a_duration_is_written_briefly(seconds: float, text: str) -> None:
    """At most two units, rounded down: what is not over yet is not called over."""
    assert format_duration(seconds) == text
