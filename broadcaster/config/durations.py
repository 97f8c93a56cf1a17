"""Durations as people write them."""

from __future__ import annotations

import re

from broadcaster.config.settings import Duration

PATTERN = r"^[0-9]+(\.[0-9]+)?(ms|s|m|h)?$"
EXPECTED = "a duration such as 250ms, 30s, 5m or 1h"
LONGEST = 7 * 24 * 3600.0
"""Seconds. Whatever is longer was not meant: this program speaks of seconds and minutes."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


def parse_duration(text: str) -> Duration:
    """Seconds from ``250ms``, ``30s``, ``5m``, ``1h`` or a bare number of seconds.

    Raises ValueError, whose text says what would be right, unless the duration is above zero and at most a week.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)?", text.strip(), re.ASCII)
    if match is None:
        raise ValueError(f"must be {EXPECTED}")
    seconds = float(match[1]) * _UNITS[match[2]]
    if not 0 < seconds <= LONGEST:
        raise ValueError(f"must be {EXPECTED}, longer than zero and at most a week")
    return Duration(seconds)


def format_duration(seconds: float) -> str:
    """As short as a person would write it, rounded down: ``250ms``, ``2.5s``, ``1m30s``, ``2h``, ``3d4h``."""
    if seconds < 1:
        return f"{seconds * 1000:.3g}ms"
    if seconds < 60:
        return f"{int(seconds * 10) / 10:g}s"
    parts = []
    left = int(seconds)
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if left >= length:
            parts.append(f"{left // length}{unit}")
            left %= length
    return "".join(parts[:2])
