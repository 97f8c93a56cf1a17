"""Doing less instead of failing: other ways to an answer, in order, and work that waits until a service is back."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar

import structlog

from broadcaster.domain.errors import CallNotPermitted, QueueFull
from broadcaster.domain.model import Status
from broadcaster.manager.breaker import ServiceBreaker

log = structlog.get_logger()

P = ParamSpec("P")
T = TypeVar("T")

Way = Callable[P, Awaitable[T]] | Callable[P, T]


@dataclass(frozen=True, slots=True)
class Miss:
    """A way that led nowhere, and why in a few words for the log."""

    way: str
    why: str


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """An answer: ``value``, by which ``way``, and what was tried before. ``is_degraded``: not by the first way."""

    value: T
    way: str
    missed: tuple[Miss, ...] = ()

    @property
    def is_degraded(self) -> bool:
        return bool(self.missed)

    @property
    def why(self) -> str:
        """Why it is not what it should be; '' if it is."""
        return "; ".join(f"{each.way}: {each.why}" for each in self.missed)


def degradable(
    breaker: ServiceBreaker, fallbacks: Sequence[Way[P, T]]
) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Coroutine[Any, Any, Outcome[T]]]]:
    """A decorator: tries the coroutine function through ``breaker``, and where that fails or is not let through, the
    fallbacks in order, each with the same arguments.

    A fallback is a function or a coroutine function; one that raises leads to the next. What the last one raises is
    raised; so are, at once, an exception that says nothing of the service (``ignore`` of the breaker), and a
    cancellation.
    """

    def decorate(function: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, Outcome[T]]]:
        ways: list[Way[P, T]] = [breaker(function), *fallbacks]

        @functools.wraps(function)
        async def answer(*args: P.args, **kwargs: P.kwargs) -> Outcome[T]:
            missed: list[Miss] = []
            for number, way in enumerate(ways):
                name = getattr(way, "__qualname__", repr(way))
                try:
                    found = way(*args, **kwargs)
                    value = await found if inspect.isawaitable(found) else found
                except Exception as error:
                    if number == len(ways) - 1 or (number == 0 and breaker.ignores(error)):
                        raise
                    missed.append(Miss(name, _why(error)))
                    continue
                if missed:
                    log.info("degraded_answer", service=breaker.service, way=name, missed=[each.way for each in missed])
                return Outcome(value, name, tuple(missed))
            raise AssertionError("there is at least one way")

        return answer

    return decorate


class RecoveryQueue:
    """Work on a service that waits while it is down: at most ``most`` pieces, each for ``deadline`` seconds.

    When the service is back, what waited is done in the order of its coming, one after the other, so that it is not
    thrown upon a service that just recovered; what comes meanwhile waits its turn. Otherwise nothing waits.
    """

    def __init__(
        self,
        service: str,
        *,
        status: Callable[[], Status],
        until_back: Callable[[], Awaitable[None]],
        most: int,
        deadline: float,
    ) -> None:
        self.service = service
        self._status = status
        self._until_back = until_back
        self._most = most
        self._deadline = deadline
        self._turns: deque[asyncio.Future[None]] = deque()
        self._is_busy = False

    def __repr__(self) -> str:
        return f"RecoveryQueue({self.service!r}, {len(self)} waiting)"

    def __len__(self) -> int:
        """How many pieces wait, or are done in their turn."""
        return len(self._turns) + self._is_busy

    async def run(self, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """What ``function`` returns, as soon as it is its turn.

        Raises QueueFull at once where too many wait, TimeoutError where its deadline passes before it could begin.
        Cancelled, it gives up its place.
        """
        if not self._is_busy and self._status() is not Status.DOWN:
            return await function(*args, **kwargs)
        try:
            async with asyncio.timeout(self._deadline) as waiting:
                await self._turn()
                try:
                    while self._status() is Status.DOWN:
                        await self._until_back()
                    waiting.reschedule(None)
                    return await function(*args, **kwargs)
                finally:
                    self._next()
        except TimeoutError:
            if not waiting.expired():
                raise  # the function's own
            raise TimeoutError(f"{self.service} was not back within {self._deadline:g} s") from None

    async def _turn(self) -> None:
        if not self._is_busy:
            self._is_busy = True
            return
        if len(self) >= self._most:
            raise QueueFull(self.service, self._most)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self._next()  # it was given the turn in the moment in which it gave up
            elif turn in self._turns:
                self._turns.remove(turn)
            raise

    def _next(self) -> None:
        while self._turns:
            turn = self._turns.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._is_busy = False


def _why(error: Exception) -> str:
    if isinstance(error, CallNotPermitted):
        return "not called, its circuit breaker is open"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
