"""Circuit breakers around an application's own calls: decided here and now, moved by what is announced to all.

A breaker never waits for the carrier. What its calls see is its own evidence; a service that is announced ``down``
opens it at once on every node, and a recovery lets the next calls test it gently. What fails here is told to the
workers, who look for themselves.
"""

from __future__ import annotations

import asyncio
import functools
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

import msgspec
import structlog

from broadcaster.domain.breaker import Breaker, BreakerMetrics, BreakerPolicy, BreakerState, Permit
from broadcaster.domain.errors import CallNotPermitted
from broadcaster.domain.model import Status

log = structlog.get_logger()

P = ParamSpec("P")
T = TypeVar("T")

Failed = tuple[type[BaseException], ...]


class CallCounts(msgspec.Struct, kw_only=True, gc=False):
    """Calls of one breaker since its beginning. Each is ``successful``, ``failed``, or ``ignored``: it said nothing of
    the service, by its exception or because it was cancelled. The slow ones are counted beside that."""

    successful: int = 0
    failed: int = 0
    ignored: int = 0
    slow_successful: int = 0
    slow_failed: int = 0


class ServiceBreaker:
    """The breaker of one service in one process. ``report`` is called for every call that failed (True), and for every
    other that was slow (False).

    ``ignore`` are exceptions that say nothing of the service (a caller's mistake); ``record`` those that do, all
    others count as successes: somebody answered. A cancelled call says nothing. Any number of calls may be under way.
    """

    def __init__(
        self,
        service: str,
        policy: BreakerPolicy,
        *,
        record: Failed = (Exception,),
        ignore: Failed = (),
        report: Callable[[bool], None] = lambda failed: None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.service = service
        self._breaker = Breaker(policy, clock())
        self.counts = CallCounts()
        self._record = record
        self._ignore = ignore
        self._report = report
        self._clock = clock
        self._chance = chance
        self._entered: dict[asyncio.Task[Any] | None, list[Call]] = {}  # what each task is in by ``async with``

    def __repr__(self) -> str:
        return f"ServiceBreaker({self.service!r}, {self._breaker.state})"

    @property
    def state(self) -> BreakerState:
        """As of the last call."""
        return self._breaker.state

    def metrics(self) -> BreakerMetrics:
        """Its window and rates now; safe to be asked for from another thread."""
        return self._breaker.metrics(self._clock())

    @property
    def policy(self) -> BreakerPolicy:
        return self._breaker.policy

    def use(self, policy: BreakerPolicy) -> None:
        """Goes on by another policy, in the state that it is in; see ``Breaker.use``. The same one changes nothing."""
        if policy != self._breaker.policy:
            self._breaker.use(policy, self._clock())
            log.info("breaker_policy", service=self.service)

    def advance(self) -> None:
        """What time does without a call, where the policy wants that; see ``Breaker.advance``."""
        self._breaker.advance(self._clock())
        self._log()

    def permit(self) -> Call:
        """Leave for one call, as a context manager: ``with breaker.permit(): ...``.

        Raises CallNotPermitted while the breaker is open, or its test calls are under way.
        """
        now = self._clock()
        permit = self._breaker.permit(now)
        self._log()
        if permit is None:
            raise CallNotPermitted(self.service, self._breaker.retry_after(now))
        return Call(self, permit, now)

    async def __aenter__(self) -> None:
        """``async with breaker:`` around one call; any number of tasks may do so at a time, and each leaves what it
        entered."""
        self._entered.setdefault(asyncio.current_task(), []).append(self.permit())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task = asyncio.current_task()
        if task not in self._entered:  # entered in another, as by a generator that the loop finalises
            task = next(iter(self._entered))
        calls = self._entered[task]
        calls.pop().end(error)
        if not calls:
            del self._entered[task]

    def __call__(self, function: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        """A decorator: each call of the coroutine function needs a permit."""

        @functools.wraps(function)
        async def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
            with self.permit():
                return await function(*args, **kwargs)

        return guarded

    def ignores(self, error: BaseException) -> bool:
        """Whether the error says nothing of the service."""
        return isinstance(error, self._ignore)

    def transition_to(self, state: BreakerState) -> None:
        """What an operator commands: ``forced_open``, ``disabled``, ``metrics_only``, or ``closed`` to begin anew."""
        self._breaker.transition_to(state, self._clock(), self._chance())
        self._log()

    def announce(self, status: Status) -> None:
        """What the service's watchers say of it; see ``Breaker.announce``."""
        self._breaker.announce(status, self._clock(), self._chance())
        self._log()

    def end(self, permit: Permit, began: float, error: BaseException | None) -> None:
        """The permit's call is over. For ``Call`` only."""
        # A call that a breaker within refused was not made: it says nothing.
        is_nothing = not isinstance(error, Exception) or isinstance(error, CallNotPermitted) or self.ignores(error)
        is_evidence = error is None or not is_nothing
        self.settle(permit, isinstance(error, self._record) if is_evidence else None, self.seconds_since(began))

    def seconds_since(self, began: float) -> float:
        """Of the breaker's own clock. For ``Call`` only."""
        return self._clock() - began

    def settle(self, permit: Permit, failed: bool | None, duration: float) -> None:
        """The permit's call is over, and judged; None says nothing of the service. For ``Call`` only."""
        counts, is_slow = self.counts, duration > self._breaker.policy.slow_call_duration_threshold
        if failed is None:
            counts.ignored += 1
            self._breaker.release(permit)
        elif failed:
            counts.failed += 1
            counts.slow_failed += is_slow
            self._breaker.record_failure(permit, self._clock(), duration, self._chance())
            self._report(True)
        else:
            counts.successful += 1
            counts.slow_successful += is_slow
            self._breaker.record_success(permit, self._clock(), duration, self._chance())
            if is_slow:
                self._report(False)
        self._log()

    def _log(self) -> None:
        for each in self._breaker.take_transitions():
            tell = log.warning if each.state is BreakerState.OPEN else log.info
            tell(
                "breaker_changed",
                service=self.service,
                previous=each.previous.value,
                state=each.state.value,
                reason=each.reason.value,
                detail=each.detail,
            )


class Call:
    """One permitted call, from ``with`` to its end."""

    __slots__ = ("_began", "_breaker", "_is_over", "_permit")

    def __init__(self, breaker: ServiceBreaker, permit: Permit, began: float) -> None:
        self._breaker = breaker
        self._permit = permit
        self._began = began
        self._is_over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(error)

    def end(self, error: BaseException | None) -> None:
        """The call is over; a second time does nothing."""
        if not self._is_over:
            self._is_over = True
            self._breaker.end(self._permit, self._began, error)

    def elapsed(self) -> float:
        """Seconds since the call was permitted."""
        return self._breaker.seconds_since(self._began)

    def settle(self, failed: bool | None, *, duration: float | None = None) -> None:
        """The call is over, as its caller judges it: it failed, it did not, or (None) it says nothing of the service.

        ``record`` and ``ignore`` of the breaker are not asked. ``duration`` is the seconds that the service took, where
        that is not all the time since the permit. A second end does nothing.
        """
        if not self._is_over:
            self._is_over = True
            self._breaker.settle(self._permit, failed, self.elapsed() if duration is None else duration)
