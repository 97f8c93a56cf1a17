"""The page is made once a second and state of things, however many ask."""

from __future__ import annotations

import time

import pytest

from broadcaster.domain.history import History
from broadcaster.domain.model import Status
from broadcaster.node.pages import page as module
from broadcaster.node.pages import templating
from broadcaster.node.pages.atom import IncidentFeed
from broadcaster.node.pages.latencies import Latencies
from broadcaster.node.pages.page import StatusPage
from broadcaster.node.pages.templating import Latest
from tests.support.managers import World, running_world, until


class SlowPattern:
    """Takes a while over every document, as if it were long."""

    def sub(self, replacement: str, text: str) -> str:
        began = time.thread_time()
        while time.thread_time() < began + 0.05:
            pass
        return text


def made(world: World, history: History) -> StatusPage:
    return StatusPage(world.manager, history, Latencies(world.manager), lambda: world.now)


async def test_it_is_made_anew_when_the_second_or_the_state_is_another() -> None:
    """The very same bytes until then; what users get is never what operators get."""
    async with running_world() as world:
        page = made(world, History())
        first = page.get()
        assert page.get() is first
        assert page.get(internal=True).body != first.body
        assert page.get() is first
        world.now += 1
        second = page.get()
        assert second.tag != first.tag
        await world.commit("auth", Status.DOWN)
        await until(lambda: world.manager.status("auth") is Status.DOWN)
        third = page.get()
        assert third is not second
        assert b"auth" in third.body
        assert b'data-level="down"' in third.body


async def test_what_happened_is_made_anew_when_something_did_or_time_passed() -> None:
    """Days and incidents are most of the page; they are not made every second."""
    async with running_world() as world:
        history = History()
        history.take(world.manager.snapshot, world.now)
        page, kept = made(world, history), set[int]()
        for _ in range(module.PAST_SECONDS):
            page.get()
            kept.add(id(page._past[False]._made))
            world.now += 1
        assert len(kept) <= 2
        await world.commit("auth", Status.DOWN)
        await until(lambda: world.manager.status("auth") is Status.DOWN)
        history.take(world.manager.snapshot, world.now, service="auth", at=world.now)
        assert b"Ongoing" in page.get().body


def test_what_is_dear_rests_after_it_was_made() -> None:
    """As many times as long as its making took, whatever is asked for; what is cheap is made whenever it differs."""
    seconds = {"cpu": 0.0, "clock": 100.0}
    latest: Latest[str] = Latest(rest=20.0, cpu=lambda: seconds["cpu"], clock=lambda: seconds["clock"])

    def made(key: str, took: float) -> str:
        def make() -> str:
            seconds["cpu"] += took
            return key

        return latest.get(key, make)

    assert [made("a", 0.01), made("b", 0.01), made("c", 0.25)] == ["a", "b", "c"]
    seconds["clock"] += 4.9
    assert made("d", 0.25) == "c"
    seconds["clock"] += 0.2
    assert made("e", 0.01) == "e"
    assert made("f", 0.01) == "f"


async def test_a_page_that_is_dear_is_not_made_for_everybody_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is the feed: with very many services somebody who asks all the time would take much from everybody else."""
    async with running_world() as world:
        history = History()
        monkeypatch.setattr(templating, "_NO_XML", SlowPattern())
        page, feed = made(world, history), IncidentFeed(world.manager, history, namespace="test")
        first, entries = (page.get(), page.get(internal=True)), feed.get()
        world.now += 1
        history.take(world.manager.snapshot, world.now)
        world.manager.use(world.settings)
        assert (page.get(), page.get(internal=True)) == first
        assert feed.get() is entries


async def test_a_change_of_the_settings_is_another_page() -> None:
    """New titles are there at once, in what happened as well."""
    async with running_world() as world:
        page = made(world, History())
        before = page.get()
        world.manager.use(world.settings)
        assert page.get() is not before
