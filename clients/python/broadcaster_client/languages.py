"""Which words a reader gets: the node's, or ours. Tags are those of BCP 47, such as ``de`` or ``pt-BR``. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

OURS = "en"
"""The language of our own words, and of a message that does not name its own."""

SEVERAL = "mul"
"""The tag of a text of several languages (ISO 639-2)."""

_TAG = re.compile("[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")


class Words(NamedTuple):
    """A text for people, and the language in which it is."""

    text: str
    lang: str = OURS


def is_tag(locale: str) -> bool:
    return _TAG.fullmatch(locale) is not None


def is_of(lang: str, locale: str) -> bool:
    """Whether the one is spoken by whoever speaks the other: the primary subtag is the same."""
    return _primary(lang) == _primary(locale)


def chosen(said: Words, own: str, *, locale: str | None) -> Words:
    """What a node said, if it said something that a reader of ``locale`` (None: of any language) understands; or else
    our ``own`` words, as long as these are of another language than the node's, which knows better what it talks of."""
    is_understood = locale is None or is_of(said.lang, locale) or is_of(said.lang, OURS)
    return said if said.text and is_understood else Words(own)


def joined(parts: Iterable[Words]) -> Words:
    """Sentences as one text."""
    parts = list(parts)
    langs = {each.lang for each in parts}
    return Words(" ".join(each.text for each in parts), langs.pop() if len(langs) == 1 else SEVERAL)


def _primary(tag: str) -> str:
    return tag.partition("-")[0].lower()
