"""Breakers around an application's calls: by their own evidence, and by what is announced."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
import structlog

from broadcaster.config.settings import BreakerSettings, Duration, Settings
from broadcaster.domain.breaker import BreakerPolicy, BreakerState
from broadcaster.domain.errors import BreakerError, CallNotPermitted
from broadcaster.domain.model import Status
from broadcaster.manager.breaker import ServiceBreaker
from tests.support.managers import SETTINGS, World, running_world, until

FEW = BreakerPolicy(minimum_number_of_calls=2, wait_duration_in_open_state=5, randomized_wait_factor=0)


class Calls:
    """A breaker on a clock of the test's own, and calls through it."""

    def __init__(self, **options: tuple[type[BaseException], ...]) -> None:
        self.now = 100.0
        self.reported = self.failed = 0
        self.breaker = ServiceBreaker(
            "db", FEW, clock=lambda: self.now, chance=lambda: 0.5, report=self._note, **options
        )

    def _note(self, failed: bool) -> None:
        self.reported += 1
        self.failed += failed

    async def call(self, error: BaseException | None = None, *, seconds: float = 0.0) -> str:
        async with self.breaker:
            self.now += seconds
            if error is not None:
                raise error
        return "done"


async def failing(calls: Calls, times: int, error: Exception) -> None:
    for _ in range(times):
        with pytest.raises(type(error)):
            await calls.call(error)


async def test_failures_open_it_and_are_reported() -> None:
    """What is refused then says when to come again, and was not made."""
    calls = Calls()
    await failing(calls, 2, OSError("gone"))
    assert (calls.breaker.state, calls.reported, calls.failed) == (BreakerState.OPEN, 2, 2)
    with pytest.raises(CallNotPermitted) as refused:
        await calls.call()
    assert (refused.value.service, refused.value.retry_after) == ("db", 5.0)
    calls.now += 5
    assert [await calls.call() for _ in range(3)] == ["done"] * 3
    assert calls.breaker.state.value == "closed"


async def test_slow_calls_are_reported_too() -> None:
    calls = Calls()
    for _ in range(2):
        await calls.call(seconds=6.0)
    assert (calls.breaker.state, calls.reported, calls.failed) == (BreakerState.OPEN, 2, 0)


async def test_exceptions_that_are_ignored_say_nothing() -> None:
    calls = Calls(ignore=(KeyError,))
    await failing(calls, 5, KeyError("mine"))
    assert (calls.breaker.state, calls.breaker.metrics().calls, calls.reported) == (BreakerState.CLOSED, 0, 0)


async def test_what_a_breaker_within_refuses_says_nothing() -> None:
    """A call that was not made is no evidence; nor is it a success that would close a half-open breaker."""
    calls = Calls()
    await failing(calls, 10, CallNotPermitted("another", 1.0))
    assert (calls.breaker.state, calls.reported, calls.breaker.metrics().calls) == (
        BreakerState.CLOSED,
        0,
        0,
    )


async def test_exceptions_that_are_not_recorded_are_answers() -> None:
    calls = Calls(record=(OSError,))
    await failing(calls, 5, ValueError("no such row"))
    assert (calls.breaker.metrics().calls, calls.breaker.metrics().failures) == (5, 0)


async def test_a_cancelled_call_says_nothing() -> None:
    """Also while its places are few."""
    calls = Calls()
    await failing(calls, 2, OSError("gone"))
    calls.now += 5
    for _ in range(10):
        with pytest.raises(asyncio.CancelledError):
            await calls.call(asyncio.CancelledError())
    assert calls.breaker.state is BreakerState.HALF_OPEN
    assert await calls.call() == "done"


async def test_tasks_that_use_it_at_a_time_leave_what_they_entered() -> None:
    """Interleaved, and one within another of the same task."""
    calls = Calls()
    gate = asyncio.Event()

    async def one(error: Exception | None) -> None:
        async with calls.breaker, calls.breaker:
            await gate.wait()
            if error:
                raise error

    tasks = [asyncio.create_task(one(None)), asyncio.create_task(one(OSError()))]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    metrics = calls.breaker.metrics()
    assert (metrics.calls, metrics.failures) == (4, 2)


async def test_it_decorates_a_coroutine_function() -> None:
    calls = Calls()

    @calls.breaker
    async def fetch(key: str, *, fail: bool = False) -> str:
        """Looks it up."""
        if fail:
            raise OSError(key)
        return key

    assert fetch.__doc__ == "Looks it up."
    assert await fetch("a") == "a"
    with pytest.raises(OSError, match="b"):
        await fetch("b", fail=True)
    with pytest.raises(CallNotPermitted):
        await fetch("a")


async def test_every_transition_is_logged_once() -> None:
    calls = Calls()
    with structlog.testing.capture_logs() as logs:
        await failing(calls, 2, OSError("gone"))
        with pytest.raises(CallNotPermitted):
            await calls.call()
    assert [(each["event"], each["state"], each["log_level"]) for each in logs] == [
        ("breaker_changed", "open", "warning")
    ]


async def test_a_service_that_is_announced_down_opens_the_breaker_at_once(world: World) -> None:
    """And its recovery lets the first calls test it."""
    breaker = world.manager.breaker("auth")
    await world.commit("auth", Status.DOWN)
    await until(lambda: breaker.state is BreakerState.OPEN)
    with pytest.raises(CallNotPermitted):
        breaker.permit()
    await world.commit("auth", Status.UP)
    await until(lambda: breaker.state is BreakerState.HALF_OPEN)
    for _ in range(3):
        with breaker.permit():
            pass
    assert breaker.state.value == "closed"


async def test_one_that_is_asked_for_during_an_outage_knows_of_it(world: World) -> None:
    await world.commit("auth", Status.DOWN)
    await until(lambda: world.manager.status("auth") is Status.DOWN)
    assert world.manager.breaker("auth").state is BreakerState.OPEN


async def test_there_is_one_for_each_service(world: World) -> None:
    assert world.manager.breaker("auth") is world.manager.breaker("auth")
    assert list(world.manager.breakers) == ["auth"]
    with pytest.raises(ValueError, match="nobody"):
        world.manager.breaker("nobody")


async def test_calls_are_counted_by_what_they_came_to() -> None:
    """Each once; slow ones beside that, and those that say nothing."""
    calls = Calls(ignore=(KeyError,))
    await calls.call(seconds=6)
    with pytest.raises(KeyError):
        await calls.call(KeyError())
    with pytest.raises(asyncio.CancelledError):
        await calls.call(asyncio.CancelledError())
    await failing(calls, 1, OSError())
    with pytest.raises(CallNotPermitted):
        await calls.call()
    counts = calls.breaker.counts
    assert (counts.successful, counts.failed, counts.ignored) == (1, 1, 2)
    assert (counts.slow_successful, counts.slow_failed) == (1, 0)
    assert calls.breaker.metrics().not_permitted == 1


async def test_a_call_that_is_ended_twice_counts_once() -> None:
    calls = Calls()
    call = calls.breaker.permit()
    call.end(OSError())
    call.end(OSError())
    assert (calls.breaker.counts.failed, calls.reported) == (1, 1)


def settings(*, of_auth: BreakerSettings = BreakerSettings(), **of_all: float) -> Settings:  # noqa: B008
    services = {**SETTINGS.services, "auth": msgspec.structs.replace(SETTINGS.services["auth"], breaker=of_auth)}
    return msgspec.structs.replace(SETTINGS, services=services, breaker=BreakerSettings(**of_all))  # type: ignore[arg-type]


async def test_the_policy_is_that_of_the_settings() -> None:
    """Of the service, or of all; one that is given wins."""
    of_auth = BreakerSettings(failure_rate_threshold=10.0)
    manager = World(settings(of_auth=of_auth, minimum_number_of_calls=5)).manager
    auth, redis = manager.breaker("auth").policy, manager.breaker("redis").policy
    assert (auth.failure_rate_threshold, auth.minimum_number_of_calls) == (0.1, 5)
    assert (redis.failure_rate_threshold, redis.minimum_number_of_calls) == (0.5, 5)
    other = World(settings(minimum_number_of_calls=5)).manager
    assert other.breaker("auth", FEW).policy == FEW


async def test_other_settings_are_gone_on_by(world: World) -> None:
    """By breakers that are there already, in the state that they are in; one that was given a policy keeps it."""
    auth, redis = world.manager.breaker("auth"), world.manager.breaker("redis", FEW)
    await world.commit("auth", Status.DOWN)
    await until(lambda: auth.state is BreakerState.OPEN)
    world.manager.use(settings(minimum_number_of_calls=7))
    assert (auth.policy.minimum_number_of_calls, auth.state) == (7, BreakerState.OPEN)
    assert redis.policy == FEW
    gone = msgspec.structs.replace(SETTINGS, services={"redis": SETTINGS.services["redis"]}, features={})
    world.manager.use(gone)
    assert auth.policy.minimum_number_of_calls == 7, "nobody says anything of it any more"


async def test_settings_that_make_no_sense_change_nothing(world: World) -> None:
    """Files are checked before; what code makes is refused as a whole."""
    auth = world.manager.breaker("auth")
    before = world.manager.catalogue
    with pytest.raises(BreakerError):
        world.manager.use(settings(wait_duration_in_open_state=Duration(61)))
    assert (world.manager.catalogue, auth.policy) == (before, BreakerPolicy())


async def test_an_open_time_ends_without_a_call_where_the_settings_say_so() -> None:
    """Within a second."""
    soon = settings(
        minimum_number_of_calls=1,
        wait_duration_in_open_state=Duration(0.001),
        automatic_transition_from_open_to_half_open_enabled=True,
    )
    async with running_world(soon) as world:
        breaker = world.manager.breaker("auth")
        with pytest.raises(OSError), breaker.permit():
            raise OSError
        assert breaker.state is BreakerState.OPEN
        await until(lambda: breaker.state is BreakerState.HALF_OPEN)


async def test_what_a_breaker_sees_is_told_to_the_workers(world: World) -> None:
    """As evidence on the carrier, which changes no state by itself."""
    breaker = world.manager.breaker("auth", FEW)
    before, _ = await world.store.reports("", timeout=0)
    for _ in range(2):
        with pytest.raises(OSError), breaker.permit():
            raise OSError
    async with asyncio.timeout(10):
        _, [report] = await world.store.reports(before, timeout=10)
    assert (report.service, report.failures) == ("auth", 2)
    assert world.manager.status("auth") is Status.UP
