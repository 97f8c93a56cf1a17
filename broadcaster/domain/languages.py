"""Which language a text is in, and which one somebody reads: tags of BCP 47, and how one falls back to another.

Sources: RFC 5646, section 2.1.1 (how a tag is written), and RFC 4647, section 3.4 (lookup).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from typing import NamedTuple, Protocol

import msgspec

ENGLISH = "en"
"""What all sentences are in that are made here."""

TAG = r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,7}"
"""A language tag: ``de``, ``pt-BR``, ``zh-Hans``. Far more than people use, and no more than is worth keeping."""

_TAG = re.compile(TAG)


class Said(NamedTuple):
    """A text, and the language that it is in."""

    text: str
    lang: str


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """The words of one language for a service or a feature; what is missing is said in another."""

    title: str = ""
    texts: Mapping[str, str] = {}


class Worded(Protocol):
    """What there are words for: a service, or a feature. Its own are those of the default language."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def texts(self) -> Mapping[str, str]: ...
    @property
    def locales(self) -> Mapping[str, Words]: ...


class Language(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What somebody is told in: the first of ``tags`` that there are words in, for each word anew. ``default`` is the
    language of the words that stand at a service or a feature itself."""

    default: str = ENGLISH
    tags: tuple[str, ...] = (ENGLISH,)

    @classmethod
    def of(cls, default: str) -> Language:
        """The default language itself."""
        return cls(default=default, tags=(default,))

    def title(self, of: Worded) -> str:
        """What it is called; never empty."""
        for tag in self.tags:
            words = of if tag == self.default else of.locales.get(tag)
            if words is not None and words.title:
                return words.title
        return of.title or of.name

    def text(self, of: Worded, event: str) -> Said | None:
        """What its own words say of an event; None where there are none."""
        for tag in self.tags:
            words = of if tag == self.default else of.locales.get(tag)
            text = words.texts.get(event) if words is not None else None
            if text:
                return Said(text, tag)
        return None

    def toward(self, asked: str, known: Collection[str]) -> Language:
        """For a reader of ``asked``: those ``known`` languages that it falls back to, then the default.

        ``de-AT`` falls back to ``de``; where it meets the default language, there is nothing more to look for.
        """
        found: list[str] = []
        for tag in fallbacks(asked):
            if tag == self.default:
                break
            if tag in known:
                found.append(tag)
        return Language(default=self.default, tags=(*found, self.default))

    @property
    def is_english(self) -> bool:
        """Whether its reader reads English."""
        return primary(self.tags[0]) == ENGLISH

    @property
    def plain(self) -> Language:
        """The default language."""
        return Language.of(self.default)

    @cached_property
    def english(self) -> Language:
        """English, and nothing else: for the names of things in an English sentence."""
        tags = dict.fromkeys((*self.tags, ENGLISH, self.default))
        return Language(default=self.default, tags=tuple(tag for tag in tags if primary(tag) == ENGLISH))


def read(text: str) -> str:
    """The tag in ``text``, as it is written canonically; '' for what is none."""
    return canonical(text) if _TAG.fullmatch(text) else ""


def canonical(tag: str) -> str:
    """The tag as it is written by convention: ``de-AT``, ``zh-Hans``, ``en-CA-x-ca``. Tags that differ in case only are
    the same."""
    parts: list[str] = []
    for part in tag.lower().split("-"):
        is_plain = not parts or len(parts[-1]) == 1  # the language itself, or what a singleton introduces
        if len(part) == 2 and not is_plain:
            parts.append(part.upper())
        elif len(part) == 4 and not is_plain:
            parts.append(part.capitalize())
        else:
            parts.append(part)
    return "-".join(parts)


def fallbacks(tag: str) -> Iterator[str]:
    """The tag, and those that it falls back to: ``de-AT-1996``, ``de-AT``, ``de``."""
    parts = tag.split("-")
    while parts:
        yield "-".join(parts)
        parts.pop()
        while parts and len(parts[-1]) == 1:  # a singleton says nothing without what follows it
            parts.pop()


def primary(tag: str) -> str:
    """The language itself, without where or how it is written."""
    return tag.partition("-")[0]


def common(tags: Iterable[str]) -> str:
    """What tags of one language have in common: ``de`` of ``de-AT`` and ``de``."""
    parts: list[str] = []
    for together in zip(*(tag.split("-") for tag in tags), strict=False):
        if len(set(together)) > 1:
            break
        parts.append(together[0])
    return "-".join(parts)
