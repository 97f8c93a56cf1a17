"""How fast services answered of late, for operators: a bounded ring for each in this process's memory, and its line."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec

from broadcaster.manager.manager import ServiceAvailabilityManager
from broadcaster.node.pages.words import span

MOST = 120
"""Probes of a service that are kept."""

WIDTH, HEIGHT = 160, 28
"""The line's own units, and its pixels."""

Point = tuple[float, float]
"""When a probe ended (Unix seconds), and the seconds it took."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A sparkline: an SVG path from the oldest probe to the latest, and the same in words."""

    path: str
    last: str
    text: str


class Latencies:
    """Collects what the manager hears; ``tick`` it about once a second."""

    def __init__(self, manager: ServiceAvailabilityManager) -> None:
        self._manager = manager
        self._rings: dict[str, deque[Point]] = {}

    def __repr__(self) -> str:
        return f"Latencies({len(self._rings)} services)"

    def tick(self) -> None:
        for service, point in self._manager.latencies.items():
            ring = self._rings.setdefault(service, deque(maxlen=MOST))
            if not ring or point[0] > ring[-1][0]:
                ring.append(point)

    def of(self, service: str) -> tuple[Point, ...]:
        return tuple(self._rings.get(service, ()))


def line(points: Sequence[Point]) -> Line | None:
    """The line of these points, on a scale that begins at nothing; None where there are none."""
    if not points:
        return None
    (first, _), (last, latest) = points[0], points[-1]
    most = max(seconds for _, seconds in points) or 1.0
    length = (last - first) or 1.0
    places = [
        f"{(at - first) / length * WIDTH:.1f} {HEIGHT - 2 - seconds / most * (HEIGHT - 4):.1f}"
        for at, seconds in points
    ]
    low, high = milliseconds(min(seconds for _, seconds in points)), milliseconds(most)
    spread = f"{low} to {high} over the last {span(last - first)}" if len(points) > 1 else "one probe so far"
    return Line(
        path=f"M{'L'.join(places)}" if len(places) > 1 else f"M{places[0]}h{WIDTH}",
        last=milliseconds(latest),
        text=f"Response time {milliseconds(latest)}; {spread}",
    )


def milliseconds(seconds: float) -> str:
    value = seconds * 1000
    return f"{value:.1f} ms" if value < 10 else f"{value:.0f} ms"
