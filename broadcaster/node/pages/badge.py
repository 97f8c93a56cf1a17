"""How a service is, as a small picture for other pages: its state in a word, by colour and as text for readers."""

from __future__ import annotations

import unicodedata

from broadcaster.domain.model import FeedState, Status
from broadcaster.manager.manager import ServiceAvailabilityManager
from broadcaster.node.pages import words
from broadcaster.node.pages.templating import Rendered, render, rendered

SVG = "image/svg+xml"

MOST_LETTERS = 60
"""Of a label; the rest is cut off."""

_COLOURS = {"up": "#13734a", "degraded": "#8a5a00", "down": "#b3261e", "unknown": "#4f5b6b"}
"""White text on each has a contrast of at least 5 to 1."""

_NARROW = frozenset("fijlrtI.,:;'|!()[] ")
_WIDE = frozenset("mwMW@%")


def badge(manager: ServiceAvailabilityManager, service: str, label: str = "") -> Rendered:
    """The badge of a service that is announced. Raises KeyError for another. What was well when somebody last looked is
    not said to be well, as long as nobody looks or the carrier is lost."""
    catalogue = manager.catalogue
    if not catalogue.is_announced(service):
        raise KeyError(service)
    status = manager.status(service)
    title = catalogue.services[service].title or service
    word, level = words.status_word(status).lower(), words.level_of(status)
    if status is Status.UP and manager.feed_state is not FeedState.LIVE:
        word, level = f"last seen {word}", "unknown"
    return _drawn(label or title, word, _COLOURS[level])


def no_badge(label: str = "") -> Rendered:
    """What is shown where there is no such service, which may be a typing mistake in somebody's page."""
    return _drawn(label or "status", "no such service", _COLOURS["unknown"])


def _drawn(label: str, word: str, colour: str) -> Rendered:
    label = " ".join(label.split()) or "status"
    label = label if len(label) <= MOST_LETTERS else f"{label[: MOST_LETTERS - 1]}…"
    left, right = _width(label) + 12, _width(word) + 12
    return rendered(
        render("badge.svg", label=label, word=word, colour=colour, left=left, right=right, width=left + right), SVG
    )


def _width(text: str) -> int:
    """About how wide the text is at 11 pixels; the picture makes it exactly that."""
    return max(6, round(sum(map(_letter, text))))


def _letter(letter: str) -> float:
    if letter in _NARROW:
        return 4.3
    if letter in _WIDE:
        return 10.2
    if unicodedata.east_asian_width(letter) in "WF":
        return 11.0
    if unicodedata.combining(letter):
        return 0.0
    return 7.6 if letter.isupper() else 6.7
