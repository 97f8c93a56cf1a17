"""What a type checker makes of calls through breakers, fallbacks and queues. Checked, never run: see test_typing.py."""

from __future__ import annotations

import asyncio
from typing import assert_type

from broadcaster.domain.breaker import BreakerMetrics, BreakerPolicy, BreakerState
from broadcaster.domain.errors import CallNotPermitted
from broadcaster.manager import ServiceAvailabilityManager
from broadcaster.manager.breaker import ServiceBreaker
from broadcaster.manager.degradation import Outcome, RecoveryQueue

manager = ServiceAvailabilityManager.from_config("services.yaml")
breaker = manager.breaker("openai")
assert_type(breaker, ServiceBreaker)
assert_type(manager.breaker("openai", BreakerPolicy(), record=(OSError,), ignore=(KeyError,)), ServiceBreaker)
manager.breaker("openai", record=OSError)  # type: ignore[arg-type]  # a tuple of them


@breaker
async def ask(question: str, *, patience: float = 1.0) -> list[str]:
    return [question]


@manager.breaker("openai")
async def ping() -> None: ...


@breaker  # type: ignore[arg-type]  # it must be a coroutine function
def not_awaited() -> int:
    return 1


class Client:
    @manager.breaker("openai")
    async def ask(self, question: str) -> int:
        return len(question)


async def through_a_breaker() -> None:
    async with breaker as entered:
        assert_type(entered, None)
    with breaker.permit():
        pass
    with breaker:  # type: ignore[attr-defined]  # it takes ``async with``
        pass
    assert_type(await ask("why", patience=2), list[str])
    assert_type(await ping(), None)
    assert_type(await Client().ask("why"), int)
    await ask(7)  # type: ignore[arg-type]
    await ask("why", hurry=True)  # type: ignore[call-arg]
    await Client().ask()  # type: ignore[call-arg]
    assert_type(breaker.state, BreakerState)
    assert_type(breaker.metrics(), BreakerMetrics)
    try:
        await ask("why")
    except CallNotPermitted as refused:
        assert_type(refused.retry_after, float)


async def ask_another(question: str) -> str:
    return question


def say_so(question: str) -> str:
    return question


def count(question: str) -> int:
    return len(question)


def say_nothing() -> str:
    return ""


@manager.degradable("openai", ask_another, say_so)
async def answer(question: str) -> str:
    return question


def guess(question: str, *, deep: bool = False) -> int:
    return 0


@manager.degradable("openai", guess)
async def rate(question: str, *, deep: bool = False) -> int:
    return len(question)


@manager.degradable("openai", count)
async def answer_or_count(question: str) -> str:
    return question


@manager.degradable("openai", ask_another)
async def answer_or_nothing(question: str) -> str | None:
    return None


@manager.degradable("openai")
async def answer_alone(question: str) -> str:
    return question


@manager.degradable("openai", say_nothing)  # type: ignore[arg-type]  # the fallback takes something else
async def answer_to_something(question: str) -> str:
    return question


async def with_less() -> None:
    outcome = await answer("why")
    assert_type(outcome, Outcome[str])
    assert_type(outcome.value, str)
    assert_type(outcome.is_degraded, bool)
    assert_type(await rate("why", deep=True), Outcome[int])
    assert_type(await answer_or_count("why"), Outcome[str | int])
    assert_type(await answer_or_nothing("why"), Outcome[str | None])
    assert_type(await answer_alone("why"), Outcome[str])
    async with asyncio.TaskGroup() as tasks:
        assert_type(tasks.create_task(answer("why")), asyncio.Task[Outcome[str]])
        assert_type(tasks.create_task(ask("why")), asyncio.Task[list[str]])
    await answer(7)  # type: ignore[arg-type]
    await rate("why", depth=1)  # type: ignore[call-arg]


async def save(message: str, *, twice: bool = False) -> int:
    return len(message)


async def later() -> None:
    queue = manager.queue("postgres", most=10, deadline=60)
    assert_type(queue, RecoveryQueue)
    assert_type(await queue.run(save, "hello", twice=True), int)
    assert_type(len(queue), int)
    await queue.run(save)  # type: ignore[call-arg]
    await queue.run(save, 7)  # type: ignore[arg-type]
    await queue.run(save("hello"))  # type: ignore[arg-type]  # the function, not what it returns
