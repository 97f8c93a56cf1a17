"""Each hears of the same outage in their own words, and news is encoded for languages, never for clients."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from broadcaster.config.loader import parse_settings
from broadcaster.domain.languages import Language
from broadcaster.domain.model import EventKind
from broadcaster.protocol.messages import Goodbye, Notice, SnapshotMessage, View, Waiting, Welcome
from tests.support.clients import RecordingClient, connect, handshake
from tests.support.metrics import scrape
from tests.support.stack import DEADLINE, Stack, run_stack

SAMPLE: dict[str, Any] = yaml.safe_load(files("broadcaster.sample").joinpath("services.yaml").read_text("utf-8"))
DOCUMENT = (Path(__file__).parents[2] / "docs" / "languages.md").read_text()


def german(kind: str, name: str) -> dict[str, Any]:
    words: dict[str, Any] = SAMPLE[kind][name]["locales"]["de"]
    return words


def translate(described: dict[str, Any]) -> None:
    """The sample's own German for what the stack and the sample both have."""
    for kind in ("services", "features"):
        for name, each in described[kind].items():
            each["locales"] = {"de": german(kind, name)}


@asynccontextmanager
async def translated(folder: Path, **node: object) -> AsyncIterator[Stack]:
    """A stack whose services and features have German words, and a node with these settings."""
    async with run_stack(folder, changes={"node": node}) as stack:
        await stack.edit(translate)
        yield stack


def features(message: View | Notice, name: str) -> dict[str, Any]:
    [found] = [each for each in message.features if each.name == name]
    return {"title": found.title, "text": found.text, "lang": found.lang}


async def until_audiences(stack: Stack, number: int) -> None:
    """Waits until so many different views are told."""
    async with asyncio.timeout(DEADLINE):
        while (await scrape(stack.nodes[0]))[("broadcaster_audiences",)] != number:
            await asyncio.sleep(0.02)


def test_the_sample_has_words_in_german_for_all_that_users_read() -> None:
    """A title, and a text for whatever may happen to a service or a feature."""
    catalogue = parse_settings(yaml.safe_dump(SAMPLE), "sample", {}).catalogue()
    german_only = Language(default="en", tags=("de",))
    for service in catalogue.services.values():
        assert service.locales["de"].title
        for kind in (EventKind.DOWN, EventKind.DEGRADED, EventKind.RECOVERED):
            assert german_only.text(service, kind), (service.name, kind)
    for feature in catalogue.features.values():
        assert feature.locales["de"].title
        assert all(german_only.text(feature, kind) for kind in (EventKind.DOWN, EventKind.DEGRADED)), feature.name


async def test_the_same_outage_is_heard_in_each_one_s_words(tmp_path: Path) -> None:
    """Two languages are two views, however many tags are asked by; those without words are told what everybody is."""
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(translated(tmp_path))
        url = stack.nodes[0].ws_url

        async def clients(*queries: str) -> list[RecordingClient]:
            return [await exits.enter_async_context(connect(f"{url}{query}")) for query in queries]

        english = await clients("", "?locale=en", "?locale=en-GB", "?locale=fr", "?locale=de_AT", "?locale=%00")
        germans = await clients("?locale=de", "?locale=de-AT", "?locale=DE-ch-1996", "?x=1&locale=de", "?locale=de")
        await until_audiences(stack, 2)
        assert [each.title for each in germans[0].welcome.services] == ["Anmeldung", "Auswertung"]
        assert [each.title for each in english[0].welcome.services] == ["Sign-in", "Analytics"]

        await stack.services["analytics"].kill()
        for client in (*english, *germans):
            await client.until_notices("analytics", 1)
        await stack.services["analytics"].start()
        for client in (*english, *germans):
            await client.until_notices("analytics", 2)

        down, recovered = germans[0].notices("analytics")
        words = german("services", "analytics")
        assert (down.text, down.lang) == (words["texts"]["down"], "de")
        assert (recovered.text, recovered.lang) == (words["texts"]["recovered"], "de")
        assert down.service.title == words["title"]
        reports = german("features", "analytics")
        assert features(down, "analytics") == {
            "title": reports["title"],
            "text": reports["texts"]["down"],
            "lang": "de",
        }
        down, recovered = english[0].notices("analytics")
        assert (down.text, down.lang) == ("Analytics is unavailable. We will tell you as soon as it is back.", "en")
        assert (recovered.text, recovered.lang) == ("Analytics is back to normal.", "en")
        assert features(down, "analytics") == {
            "title": "Usage reports",
            "text": "Unavailable for now: Usage reports.",
            "lang": "en",
        }
        for together in (english, germans):
            told = [each.frames[1:] for each in together]
            assert told == [told[0]] * len(told), "the same bytes for all who read the same"
        positions = [each.position for each in germans[0].notices()]
        assert [each.position for each in english[0].notices()] == positions


async def test_who_is_refused_is_told_why_in_their_language(tmp_path: Path) -> None:
    """Before there is any view that they could be in; what the node says of itself is English."""
    async with translated(tmp_path) as stack:
        url = stack.nodes[0].ws_url
        await stack.services["auth"].kill()
        await stack.until_status({"auth": "down"})
        for query, title, text, lang in (
            ("?locale=de-AT", "Anmeldung", german("services", "auth")["texts"]["down"], "de"),
            ("", "Sign-in", "Sign-in is unavailable, and we cannot connect you without it.", "en"),
            ("?locale=fr", "Sign-in", "Sign-in is unavailable, and we cannot connect you without it.", "en"),
        ):
            refused = await handshake(f"{url}{query}")
            assert await refused.closed() == (1011, "Sign-in is unavailable; please retry in a few seconds")
            rejected = refused.rejected
            assert [each.title for each in rejected.services] == [title]
            assert rejected.text.startswith(text)
            assert rejected.lang == lang
            assert rejected.retry_after_ms >= 5000
            [chat, reports] = rejected.features
            assert (chat.lang, reports.title) == (
                ("de", "Nutzungsberichte") if lang == "de" else ("en", "Usage reports")
            )
        gone = await handshake(f"{stack.nodes[0].status_url}?locale=de&services=nowhere")
        [goodbye] = gone.messages
        assert isinstance(goodbye, Goodbye)
        assert goodbye.lang == "en"
        await until_audiences(stack, 1)


async def test_who_waits_is_told_for_what_in_their_language(tmp_path: Path) -> None:
    """And is welcomed in it."""
    async with translated(tmp_path, admission="hold") as stack:
        await stack.services["auth"].kill()
        await stack.until_status({"auth": "down"})
        async with connect(f"{stack.nodes[0].ws_url}?locale=de") as waits:
            [waiting] = waits.messages
            assert isinstance(waiting, Waiting)
            assert (waiting.text, waiting.lang) == (german("services", "auth")["texts"]["down"], "de")
            await stack.services["auth"].start()
            await waits.until(lambda: isinstance(waits.messages[-1], Welcome))
            welcome = waits.messages[-1]
            assert isinstance(welcome, Welcome)
            assert [each.title for each in welcome.services] == ["Anmeldung", "Auswertung"]


async def test_languages_come_and_go_with_the_file(tmp_path: Path) -> None:
    """Whoever asked for one is told in it from the change on, on the same connection; a language that is gone costs
    nothing any more."""
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(run_stack(tmp_path))
        url = stack.nodes[0].ws_url
        german_, austrian, english = [
            await exits.enter_async_context(connect(f"{url}{query}")) for query in ("?locale=de", "?locale=de-AT", "")
        ]
        await until_audiences(stack, 1)

        async def changed(change: Callable[[dict[str, Any]], object], *titles: str) -> None:
            """Changes the file; each of the three is told a snapshot in which auth has its title."""
            had = [len(each.messages) for each in (german_, austrian, english)]
            await stack.edit(change)
            for client, title, before in zip((german_, austrian, english), titles, had, strict=True):
                await client.until(lambda client=client, before=before: len(client.messages) > before)  # type: ignore[misc]
                snapshot = client.messages[-1]
                assert isinstance(snapshot, SnapshotMessage)
                assert snapshot.services[0].title == title

        await changed(translate, "Anmeldung", "Anmeldung", "Sign-in")
        await until_audiences(stack, 2)
        await changed(
            lambda described: described["services"]["auth"]["locales"].update({"de-AT": {"title": "Einstieg"}}),
            "Anmeldung",
            "Einstieg",
            "Sign-in",
        )
        await until_audiences(stack, 3)
        await stack.services["auth"].kill()
        for client in (german_, austrian, english):
            await client.until_notices("auth", 1)
        assert [client.notices("auth")[0].lang for client in (german_, austrian, english)] == ["de", "de", "en"]
        await stack.services["auth"].start()
        for client in (german_, austrian, english):
            await client.until_notices("auth", 2)

        def forget(described: dict[str, Any]) -> None:
            for each in (*described["services"].values(), *described["features"].values()):
                del each["locales"]

        await changed(forget, "Sign-in", "Sign-in", "Sign-in")
        await until_audiences(stack, 1)
        await german_.aclose()
        await austrian.aclose()
        await stack.services["analytics"].kill()
        await english.until_notices("analytics", 1)
        await until_audiences(stack, 1)


async def test_beyond_the_most_views_a_part_is_the_whole_in_the_same_language(tmp_path: Path) -> None:
    """Somebody who asks for ever other parts takes nobody's language."""
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(translated(tmp_path, max_audiences=1))
        url = stack.nodes[0].ws_url

        async def client(query: str) -> RecordingClient:
            return await exits.enter_async_context(connect(f"{url}{query}"))

        part = await client("?services=auth&locale=fr")
        assert [each.title for each in part.welcome.services] == ["Sign-in"]
        whole = await client("?locale=de")
        further = await client("?services=analytics&locale=de-AT")
        for each in (whole, further):
            assert [service.title for service in each.welcome.services] == ["Anmeldung", "Auswertung"]
        await until_audiences(stack, 3)
        assert [each.title for each in (await client("?services=auth&locale=it")).welcome.services] == ["Sign-in"]
        await until_audiences(stack, 3)


# The document.


ROW = r"^\| (`?[^|]+`?) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$"


@pytest.mark.parametrize("row", [each for each in re.findall(ROW, DOCUMENT, re.MULTILINE) if each[1] != "title"])
def test_the_document_says_who_reads_what(row: tuple[str, str, str, str]) -> None:
    """The table is what the example gives."""
    [example] = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)
    catalogue = parse_settings(example, "docs/languages.md", {}).catalogue()
    auth = catalogue.services["auth"]
    for asked in re.findall(r"[\w-]+", row[0].replace("nothing", "it")):
        language = catalogue.language_for(asked)
        down, recovered = language.text(auth, EventKind.DOWN), language.text(auth, EventKind.RECOVERED)
        assert language.title(auth) == row[1]
        assert down is not None
        assert down.text.startswith(row[2].removesuffix(" …"))
        assert (recovered.text if recovered else "Sign-in is back to normal.") == row[3]
