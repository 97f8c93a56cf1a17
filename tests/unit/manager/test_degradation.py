"""Other ways to an answer, and work that waits."""

from __future__ import annotations

import asyncio

import pytest

from broadcaster.domain.errors import QueueFull
from broadcaster.domain.model import Status
from tests.support.managers import World, until


async def test_the_first_way_that_works_gives_the_answer(world: World) -> None:
    """And says so; a fallback may be a function or a coroutine function."""
    fails = {"model": False, "other": False}

    async def other(question: str) -> str:
        if fails["other"]:
            raise TimeoutError
        return f"other {question}"

    def canned(question: str) -> str:
        return "come back later"

    @world.manager.degradable("auth", other, canned)
    async def ask(question: str) -> str:
        if fails["model"]:
            raise OSError("gone")
        return f"model {question}"

    first = await ask("a")
    assert (first.value, first.is_degraded, first.why) == ("model a", False, "")
    fails["model"] = True
    second = await ask("b")
    assert (second.value, second.is_degraded) == ("other b", True)
    assert second.why.endswith("ask: OSError: gone")
    fails["other"] = True
    third = await ask("c")
    assert third.value == "come back later"
    assert [each.why for each in third.missed] == ["OSError: gone", "TimeoutError"]


async def test_a_service_that_is_announced_down_is_not_called(world: World) -> None:
    """The fallback answers at once."""
    called = 0

    @world.manager.degradable("auth", lambda: "canned")
    async def ask() -> str:
        nonlocal called
        called += 1
        return "model"

    await world.commit("auth", Status.DOWN)
    await until(lambda: world.manager.status("auth") is Status.DOWN)
    found = await ask()
    assert (found.value, called) == ("canned", 0)
    assert "circuit breaker is open" in found.why


async def test_without_any_way_the_last_error_is_raised(world: World) -> None:
    def broken() -> str:
        raise LookupError("nothing kept")

    @world.manager.degradable("auth", broken)
    async def ask() -> str:
        raise OSError

    with pytest.raises(LookupError, match="nothing kept"):
        await ask()


async def test_a_caller_s_mistake_is_no_reason_to_fall_back(world: World) -> None:
    world.manager.breaker("auth", ignore=(ValueError,))

    @world.manager.degradable("auth", lambda: "canned")
    async def ask() -> str:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await ask()


async def test_work_waits_until_the_service_is_back(world: World) -> None:
    """In the order of its coming."""
    done: list[int] = []

    async def work(number: int) -> int:
        done.append(number)
        return number

    queue = world.manager.queue("auth")
    assert await queue.run(work, 0) == 0
    await world.commit("auth", Status.DOWN)
    await until(lambda: world.manager.status("auth") is Status.DOWN)
    waiting = [asyncio.create_task(queue.run(work, number)) for number in (1, 2, 3)]
    await until(lambda: len(queue) == 3)
    assert done == [0]
    await world.commit("auth", Status.UP)
    async with asyncio.timeout(10):
        assert await asyncio.gather(*waiting) == [1, 2, 3]
    assert (done, len(queue)) == ([0, 1, 2, 3], 0)


async def test_a_queue_has_a_bound_and_a_deadline(world: World) -> None:
    """Whoever cannot wait is told at once, and whoever waited too long, then."""

    async def work() -> None: ...

    await world.commit("auth", Status.DOWN)
    await until(lambda: world.manager.status("auth") is Status.DOWN)
    queue = world.manager.queue("auth", most=2, deadline=0.2)
    waiting = [asyncio.create_task(queue.run(work)) for _ in range(2)]
    await until(lambda: len(queue) == 2)
    with pytest.raises(QueueFull, match="auth"):
        await queue.run(work)
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in results] == [TimeoutError] * 2
    assert len(queue) == 0


async def test_work_that_has_begun_has_no_deadline(world: World) -> None:
    begun = asyncio.Event()

    async def slow() -> str:
        begun.set()
        await asyncio.sleep(0.3)
        return "done"

    await world.commit("auth", Status.DOWN)
    await until(lambda: world.manager.status("auth") is Status.DOWN)
    waiting = asyncio.create_task(world.manager.queue("auth", deadline=0.25).run(slow))
    await asyncio.sleep(0)
    await world.commit("auth", Status.UP)
    async with asyncio.timeout(10):
        assert await waiting == "done"


async def test_while_the_service_is_well_nothing_waits(world: World) -> None:
    """Any number at a time."""
    together = 0
    all_there = asyncio.Event()

    async def work() -> None:
        nonlocal together
        together += 1
        if together == 150:
            all_there.set()
        await all_there.wait()

    queue = world.manager.queue("auth", most=1)
    async with asyncio.timeout(10):
        await asyncio.gather(*(queue.run(work) for _ in range(150)))
    assert len(queue) == 0


async def test_whoever_gives_up_leaves_its_place(world: World) -> None:
    """Cancelled while it waits, or in the moment in which it is its turn."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def long() -> None:
        begun.set()
        await go_on.wait()

    async def short() -> str:
        return "short"

    await world.commit("auth", Status.DOWN)
    await until(lambda: world.manager.status("auth") is Status.DOWN)
    queue = world.manager.queue("auth")
    first = asyncio.create_task(queue.run(long))
    await until(lambda: len(queue) == 1)
    await world.commit("auth", Status.UP)
    await begun.wait()
    second, third, fourth = (asyncio.create_task(queue.run(short)) for _ in range(3))
    await until(lambda: len(queue) == 4)
    second.cancel()
    go_on.set()
    await first
    third.cancel()
    async with asyncio.timeout(10):
        assert await fourth == "short"
    assert len(queue) == 0
    assert await queue.run(short) == "short"
