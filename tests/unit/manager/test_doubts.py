"""What admissions go by that nobody vouches for any more: told to operators, and what fail_open makes of it."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator

import msgspec
import pytest
import structlog

from broadcaster.config.settings import Duration
from broadcaster.domain.admission import Verdict
from broadcaster.domain.freshness import Freshness
from broadcaster.domain.model import FeedState, ServiceState, Snapshot, Status
from broadcaster.manager import ServiceAvailabilityManager
from broadcaster.manager.doubts import doubts
from broadcaster.store.memory import MemoryStore
from tests.support.managers import SETTINGS, World, running_world, until

AUTH, REDIS = SETTINGS.services["auth"], SETTINGS.services["redis"]
CLOSED = msgspec.structs.replace(
    SETTINGS,
    services={
        "auth": AUTH,
        "vault": msgspec.structs.replace(AUTH, fail_open=False),
        "redis": REDIS,
    },
)
"""A service that fails closed beside one that does not."""


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with running_world(CLOSED) as made:
        yield made


def state(
    service: str, status: Status = Status.UNKNOWN, observed_at: float | None = 1.0, revision: int = 1
) -> ServiceState:
    return ServiceState(service=service, status=status, observed_at=observed_at, revision=revision)


@pytest.mark.parametrize(
    ("feed", "age", "states", "notes"),
    [
        (FeedState.LIVE, 0.2, [state("auth", Status.DOWN), state("vault", observed_at=None)], []),
        (FeedState.LIVE, 0.2, [state("auth", revision=0)], []),
        (
            FeedState.LOST,
            12.0,
            [state("auth", Status.UP)],
            ["the carrier (Redis) is not reached; admissions go by what was known 12s ago"],
        ),
        (FeedState.UNWATCHED, math.inf, [], ["no worker is heard; admissions go by no worker's word at all"]),
        (
            FeedState.LIVE,
            0.2,
            [state("auth"), state("vault")],
            [
                "nothing is known any more of auth; refuses nobody (fail_open)",
                "nothing is known any more of vault; refuses all (fail_open is off)",
            ],
        ),
    ],
)
def test_doubts_in_words(feed: FeedState, age: float, states: list[ServiceState], notes: list[str]) -> None:
    """What was never known is no doubt, and neither is a failure."""
    snapshot = Snapshot(services={each.service: each for each in states})
    assert doubts(CLOSED.catalogue(), snapshot, Freshness(feed=feed, age=age)).notes() == notes


async def test_fresh_answers_say_so(world: World) -> None:
    """What all is worth, how old each service's last observation is, and a verdict with both."""
    world.now += 3
    freshness = world.manager.freshness
    assert (freshness.feed, freshness.is_stale) == (FeedState.LIVE, False)
    assert 0 <= freshness.age < SETTINGS.feed.stale_after
    assert world.manager.age("auth") == 3
    admission = world.manager.admit()
    assert (admission.is_stale, admission.as_of, admission.age(world.now)) == (False, 1000.0, 3)


async def test_before_anything_is_known_ages_are_infinite() -> None:
    manager = World().manager
    assert (manager.freshness.age, manager.freshness.is_stale, manager.age("auth")) == (math.inf, True, math.inf)
    admission = manager.admit()
    assert (admission.is_stale, admission.as_of) == (True, None)


async def test_admissions_on_old_knowledge_say_so_and_operators_are_warned_once(world: World) -> None:
    """The verdict is what it was; a verdict from before does not stand in for it."""
    assert not world.manager.admit(requires=("auth",)).is_stale
    with structlog.testing.capture_logs() as logs:
        world.store.fail()
        await until(lambda: world.manager.feed_state is FeedState.LOST)
        admission = world.manager.admit(requires=("auth",))
        assert (admission.verdict, admission.is_stale) == (Verdict.ACCEPT_DEGRADED, True)
        before = world.manager.freshness.age
        await until(lambda: world.manager.freshness.age > before)
        world.store.heal()
        position = (await world.store.snapshot()).position
        await until(lambda: world.manager.feed_state is not FeedState.LOST)
        await world.store.heartbeat("w", world.now, {}, position)
        await until(lambda: world.manager.feed_state is FeedState.LIVE)
        assert not world.manager.admit(requires=("auth",)).is_stale
    told = [(each["event"], each["log_level"], each["feed"]) for each in logs if each["event"].startswith("knowledge")]
    assert told == [("knowledge_stale", "warning", "lost"), ("knowledge_fresh", "info", "live")]


async def test_fail_open_decides_once_nothing_is_known_any_more(world: World) -> None:
    """The feed is lost: first all goes on as it was, and then services fail open, or closed, as they say."""
    manager = world.manager
    with structlog.testing.capture_logs() as logs:
        world.store.fail()
        await until(lambda: manager.feed_state is FeedState.LOST)
        assert manager.admit(requires=("auth",)).verdict is not Verdict.REJECT
        assert manager.admit(requires=("vault",)).verdict is not Verdict.REJECT
        world.now += AUTH.expires_after + 1
        await until(lambda: manager.status("vault") is Status.UNKNOWN)
        assert manager.admit(requires=("auth",)).verdict is not Verdict.REJECT
        assert manager.admit(requires=("vault",)).blocking == ("vault",)
        assert manager.admit(requires=("vault",)).age(world.now) == AUTH.expires_after + 1
        assert (manager.doubts().admitting, manager.doubts().refusing) == (("auth",), ("vault",))
        world.store.heal()
        position = (await world.store.snapshot()).position
        observed = dict.fromkeys(CLOSED.services, world.now)
        await until(lambda: manager.feed_state is not FeedState.LOST)
        await world.store.heartbeat("w", world.now, observed, position)
        await until(lambda: manager.status("vault") is Status.UP)
        assert manager.admit(requires=("vault",)).verdict is Verdict.ACCEPT
    [expired] = [each for each in logs if each["event"] == "knowledge_expired"]
    assert (expired["admitting"], expired["refusing"]) == (("auth",), ("vault",))
    assert [each["event"] for each in logs if each["event"] == "knowledge_complete"] == ["knowledge_complete"]


async def test_workers_that_fall_silent_are_a_doubt() -> None:
    """The carrier answers, and nobody watches: the age grows from the last word of a worker."""
    feed = msgspec.structs.replace(SETTINGS.feed, stale_after=Duration(0.1))
    with structlog.testing.capture_logs() as logs:
        async with running_world(msgspec.structs.replace(SETTINGS, feed=feed)) as world:
            assert not world.manager.admit().is_stale
            world.now += 1  # for the carrier, which tells how long ago that was
            await until(lambda: world.manager.feed_state is FeedState.UNWATCHED)
            assert 0.1 <= world.manager.freshness.age < 10
            assert world.manager.admit().is_stale, "a verdict from before does not stand in for it"
    assert [each["feed"] for each in logs if each["event"] == "knowledge_stale"] == ["unwatched"]


async def test_a_start_on_what_was_said_long_ago_is_a_doubt() -> None:
    """The age is that of the last word of a worker, not of the start."""
    world = World()
    await world.seed()
    world.now += 100
    with structlog.testing.capture_logs() as logs:
        async with world.manager:
            await until(lambda: world.manager.feed_state is FeedState.UNWATCHED)
            assert 100 <= world.manager.freshness.age < 200
    [told] = [each for each in logs if each["event"] == "knowledge_stale"]
    assert (told["feed"], told["age_seconds"] >= 100, told["notes"] != []) == ("unwatched", True, True)


async def test_a_beginning_before_any_worker_is_no_old_knowledge() -> None:
    """Nothing is said of it that would be said at every start; the answers say it."""
    world = World()
    with structlog.testing.capture_logs() as logs:
        async with world.manager:
            await until(lambda: world.manager.feed_state is FeedState.UNWATCHED)
            assert world.manager.freshness.is_stale
            assert world.manager.doubts().notes() != []
    assert [each["event"] for each in logs if each["event"].startswith("knowledge")] == []


def test_judging_before_anything_is_known_is_said_once() -> None:
    """A manager that nobody entered lets in whomever it is asked about: that must not go unnoticed."""
    manager = ServiceAvailabilityManager(SETTINGS, MemoryStore())
    with structlog.testing.capture_logs() as logs:
        verdicts = [manager.admit(requires=requires).verdict for requires in (None, ["auth"], None)]
    assert Verdict.REJECT not in verdicts
    assert [(each["event"], each["log_level"]) for each in logs] == [("judging_unloaded", "warning")]
    assert "lifespan=lifespan(manager)" in logs[0]["hint"]
