"""Health documents: what operators see of breakers and doubts, and what everybody sees of ages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import pytest

from broadcaster.domain.breaker import BreakerPolicy, BreakerState
from broadcaster.domain.errors import CallNotPermitted
from broadcaster.domain.model import FeedState, PlanKind, Status
from broadcaster.manager import health
from broadcaster.manager.breaker import ServiceBreaker
from tests.support.managers import World, until

FEW = BreakerPolicy(minimum_number_of_calls=2)


def document(world: World, *, internal: bool = True) -> tuple[int, dict[str, Any]]:
    """As it is sent."""
    status, made = health.dependencies(world.manager, world.now, internal=internal)
    sent: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(made))
    return status, sent


def check(document: dict[str, Any], service: str) -> dict[str, Any]:
    [found] = document["checks"][f"{service}:availability"]
    assert isinstance(found, dict)
    return found


def fail(breaker: ServiceBreaker, times: int = 2) -> None:
    for _ in range(times):
        with pytest.raises(OSError), breaker.permit():
            raise OSError


async def test_a_breaker_is_shown_as_it_is(world: World) -> None:
    """One that lets all through changes nothing of its service's check."""
    breaker = world.manager.breaker("auth", FEW)
    with breaker.permit():
        pass
    status, shown = document(world)
    auth = check(shown, "auth")
    assert (status, shown["status"], auth["status"], auth["output"]) == (200, "pass", "pass", "")
    del auth["breaker"]["since"]
    assert auth["breaker"] == {
        "state": "closed",
        "reason": None,
        "detail": "",
        "failure_rate": None,
        "slow_call_rate": None,
        "buffered_calls": 1,
        "not_permitted_calls": 0,
    }
    assert "breaker" not in check(shown, "redis"), "nobody asked for one"


async def test_an_open_breaker_warns_and_fails_nothing(world: World) -> None:
    """A critical service's as well: its watchers say that it is up."""
    breaker = world.manager.breaker("auth", FEW)
    fail(breaker)
    with pytest.raises(CallNotPermitted):
        breaker.permit()
    await until(lambda: breaker.metrics().lasted > 0.01)
    status, shown = document(world)
    auth = check(shown, "auth")
    assert (status, shown["status"], auth["status"], auth["observedValue"]) == (200, "warn", "warn", "up")
    assert auth["output"] == "its circuit breaker here is open: 2 of 2 calls failed"
    its = auth["breaker"]
    assert (its["state"], its["reason"], its["failure_rate"], its["slow_call_rate"]) == ("open", "failure_rate", 1, 0)
    assert (its["buffered_calls"], its["not_permitted_calls"]) == (2, 1)
    assert datetime.fromisoformat(its["since"]).timestamp() <= world.now - 0.01


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (BreakerState.FORCED_OPEN, "warn"),
        (BreakerState.OPEN, "warn"),
        (BreakerState.DISABLED, "pass"),
        (BreakerState.METRICS_ONLY, "pass"),
    ],
)
async def test_a_breaker_that_refuses_calls_warns(world: World, state: BreakerState, expected: str) -> None:
    world.manager.breaker("auth").transition_to(state)
    assert check(document(world)[1], "auth")["status"] == expected


async def test_a_service_that_is_down_fails_whatever_its_breaker(world: World) -> None:
    """A critical one, as ever."""
    world.manager.breaker("auth")
    await world.commit("auth", Status.DOWN)
    await until(lambda: world.manager.status("auth") is Status.DOWN)
    status, shown = document(world)
    auth = check(shown, "auth")
    assert (status, shown["status"], auth["status"], auth["breaker"]["state"]) == (503, "fail", "fail", "open")
    assert auth["output"].endswith("its circuit breaker here is open: down")


async def test_what_is_said_of_the_service_stands_before_what_its_breaker_says(world: World) -> None:
    await world.plan(PlanKind.OVERRIDE, Status.DEGRADED)
    await until(lambda: world.manager.status("auth") is Status.DEGRADED)
    fail(world.manager.breaker("auth", FEW))
    auth = check(document(world)[1], "auth")
    assert auth["status"] == "warn"
    assert auth["output"] == "said by anna; its circuit breaker here is open: 2 of 2 calls failed"


async def test_users_see_nothing_of_breakers(world: World) -> None:
    """Neither details nor what they make of a check."""
    fail(world.manager.breaker("auth", FEW))
    status, shown = document(world, internal=False)
    assert (status, shown["status"], check(shown, "auth")["status"]) == (200, "pass", "pass")
    assert "breaker" not in str(shown)
    assert "notes" not in shown


async def test_everybody_sees_how_old_it_is(world: World) -> None:
    """The whole, and each check."""
    world.now += 3
    _, shown = document(world, internal=False)
    assert (shown["feed"], shown["stale"]) == ("live", False)
    assert 0 <= shown["age_seconds"] < 60
    auth = check(shown, "auth")
    assert (auth["time"], auth["age_seconds"]) == ("1970-01-01T00:16:40+00:00", 3.0)


async def test_before_anybody_was_heard_there_is_no_age() -> None:
    _, shown = document(World(), internal=False)
    assert (shown["stale"], shown["age_seconds"], check(shown, "auth")["age_seconds"]) == (True, None, None)


async def test_operators_read_that_it_goes_by_old_knowledge(world: World) -> None:
    """Also what users must do without: the reason in words."""
    assert document(world)[1]["notes"] == []
    world.store.fail()
    await until(lambda: world.manager.feed_state is FeedState.LOST)
    _, shown = document(world)
    assert shown["stale"]
    [note] = shown["notes"]
    assert note.startswith("the carrier (Redis) is not reached; admissions go by what was known ")
