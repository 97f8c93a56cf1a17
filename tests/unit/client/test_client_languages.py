"""Which words a reader of a language gets from the Python client, and that each text says what language it is in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from broadcaster_client import Closed, LinkChanged, Snapshot, WorkPlanned, connect
from broadcaster_client.failures import Lost
from broadcaster_client.languages import Words, chosen, is_tag
from broadcaster_client.messages import decode
from broadcaster_client.replica import Replica
from tests.unit.client.test_client_feed import AT, Node, Scripted, auth, goodbye, notice, place, rejected, taken, view

CHAT = {"name": "chat", "title": "Chat", "status": "limited", "text": "Der Chat ist langsam.", "lang": "de"}
GERMAN = {"text": "Die Anmeldung geht nicht.", "lang": "de"}


def say(message: str, **more: Any) -> str:
    """The message with more fields."""
    return json.dumps(json.loads(message) | more)


@pytest.mark.parametrize(
    ("said", "locale", "words"),
    [
        (Words("Hallo.", "de"), "de", Words("Hallo.", "de")),
        (Words("Hallo.", "de"), "de-AT", Words("Hallo.", "de")),
        (Words("Hallo.", "de-AT"), "DE", Words("Hallo.", "de-AT")),
        (Words("Hallo.", "de"), None, Words("Hallo.", "de")),
        (Words("Hallo.", "de"), "es", Words("Hello.", "en")),
        (Words("Hallo.", "de"), "den", Words("Hello.", "en")),
        (Words("Good day.", "en-GB"), "es", Words("Good day.", "en-GB")),
        (Words("", "de"), "de", Words("Hello.", "en")),
    ],
)
def test_words_are_the_nodes_if_the_reader_understands_them(said: Words, locale: str | None, words: Words) -> None:
    """By the primary subtag; our own are English, so they replace no English of the node's."""
    assert chosen(said, "Hello.", locale=locale) == words


@pytest.mark.parametrize("tag", ["de", "pt-BR", "zh-Hans-CN", "sl-rozaj-1994"])
def test_tags_of_languages(tag: str) -> None:
    assert is_tag(tag)
    assert not is_tag(tag.replace("-", "_") + "_")
    assert not is_tag(f"{tag}&audience=operators")


async def test_what_the_node_says_is_told_with_its_language() -> None:
    """Of services, of its feed, of the way in and of the end; and the snapshot in the same words."""
    link = Scripted(view(features=[CHAT]))
    node = Node(link, Scripted(say(rejected(1), **GERMAN), Lost("", code=1011)), Scripted(view()))
    async with node.feed(locale="de") as feed:
        [opened] = await taken(feed, 1)
        assert (opened.text, opened.lang) == ("Der Chat ist langsam.", "de")
        assert (feed.snapshot.text, feed.snapshot.lang) == ("Der Chat ist langsam.", "de")
        link.say(
            notice("down", revision=2, **GERMAN),
            json.dumps({"type": "feed", "at": AT, "feed": "lost", "text": "Quelle weg.", "lang": "de"}),
            say(goodbye("Ich starte neu."), lang="de"),
            Lost("restart", code=1012),
        )
        told = [(each.text, each.lang) for each in await taken(feed, 4)]
        assert told == [
            ("Die Anmeldung geht nicht.", "de"),
            ("Quelle weg.", "de"),
            ("Ich starte neu.", "de"),
            ("Die Anmeldung geht nicht.", "de"),
        ]


async def test_a_reader_of_another_language_gets_ours_with_the_title() -> None:
    """In one language each; the reason that a close has, where the words are not for this reader."""
    link = Scripted(say(view(kind="waiting", features=[CHAT]), **GERMAN))
    node = Node(link, Scripted(say(rejected(1), **GERMAN), Lost("", code=1011)), Scripted(view()))
    async with node.feed(locale="es") as feed:
        link.say(
            notice("down", revision=2, **GERMAN),
            json.dumps({"type": "feed", "at": AT, "feed": "lost", "text": "Quelle weg.", "lang": "de"}),
            say(goodbye("Ich starte neu."), lang="de"),
            Lost("this node restarts; please reconnect", code=1012),
        )
        told = [(each.text, each.lang) for each in await taken(feed, 5)]
        assert told == [
            ("Waiting to be let in.", "en"),
            ("Sign-in: unavailable.", "en"),
            ("The node has lost its own source.", "en"),
            ("The status feed is lost (this node restarts; please reconnect).", "en"),
            ("Not let in for now, without: Sign-in.", "en"),
        ]
        assert "Chat: limited." in feed.snapshot.text
        assert feed.snapshot.lang == "en"


def test_planned_work_is_told_to_a_reader_of_another_language() -> None:
    """As it stands; and nothing where the node says nothing."""
    work = {"starts_at": AT, "until": AT}
    texts = []
    for revision, planned in enumerate([{**work}, {**work, "has_begun": True}, None], start=2):
        replica = Replica(Snapshot(locale="es"))
        replica.apply(decode(view()))
        service = auth("up") | ({"planned": planned} if planned else {})
        message = {"type": "planned", "position": place(revision, "e"), "at": AT, "service": service, **GERMAN}
        _, [told] = replica.apply(decode(json.dumps(message)))
        texts.append((told.text, told.lang))
    silent = json.dumps(message | {"position": place(9, "e"), "text": ""})
    _, [told] = replica.apply(decode(silent))
    assert isinstance(told, WorkPlanned)
    assert (told.text, told.quiet) == ("", True)
    assert texts == [
        ("Sign-in: planned work is announced.", "en"),
        ("Sign-in: planned work has begun.", "en"),
        ("Sign-in: planned work is over.", "en"),
    ]


async def test_a_text_of_several_languages_says_so() -> None:
    """Ours about the connection, and the node's about a feature."""
    node = Node(Scripted(view(features=[CHAT]), Lost("the connection broke")), Scripted(view()))
    async with node.feed() as feed:
        lost = await feed.until(lambda snapshot: not snapshot.link.is_connected)
        assert lost.text.startswith("The status feed is lost (the connection broke).")
        assert lost.text.endswith("Der Chat ist langsam.")
        assert lost.lang == "mul"


async def test_a_slow_reader_is_told_in_which_language_things_stand() -> None:
    link = Scripted(view(features=[CHAT]))
    async with Node(link).feed(locale="de", backlog=1) as feed:
        link.say(notice("down", revision=2))
        await feed.until(lambda snapshot: snapshot.position.revision == 2)
        [behind] = await taken(feed, 1)
        assert (behind.kind, behind.text, behind.lang) == ("fell_behind", "Der Chat ist langsam.", "de")


def test_the_language_that_is_asked_for_is_the_readers() -> None:
    assert connect("ws://node/ws", locale="de").snapshot.locale == "de"
    assert connect("ws://node/ws").snapshot.locale is None


async def test_the_last_word_has_its_language() -> None:
    link = Scripted(view())
    async with Node(link).feed(locale="de") as feed:
        link.say(say(goodbye("Gibt es hier nicht."), lang="de"), Lost("", code=3999))
        [opened] = await taken(feed, 1)
        assert isinstance(opened, LinkChanged)
        with pytest.raises(Closed, match="Gibt es hier nicht") as found:
            await taken(feed, 1)
        assert (found.value.lang, feed.snapshot.reason_lang) == ("de", "de")
