"""The page is made once a second and state of things, however many ask."""

from __future__ import annotations

from broadcaster.domain.history import History
from broadcaster.domain.model import Status
from broadcaster.node.pages import page as module
from broadcaster.node.pages.latencies import Latencies
from broadcaster.node.pages.page import StatusPage
from tests.support.managers import World, running_world, until


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


async def test_a_change_of_the_settings_is_another_page() -> None:
    """New titles are there at once, in what happened as well."""
    async with running_world() as world:
        page = made(world, History())
        before = page.get()
        world.manager.use(world.settings)
        assert page.get() is not before
