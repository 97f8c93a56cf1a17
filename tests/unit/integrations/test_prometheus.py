"""What an application tells Prometheus of its manager."""

from __future__ import annotations

import asyncio
import math
import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from broadcaster.domain.breaker import BreakerPolicy, BreakerState
from broadcaster.domain.errors import CallNotPermitted
from broadcaster.domain.model import FeedState, PlanKind, Status
from broadcaster.integrations.prometheus import ManagerCollector
from tests.support.managers import World, running_world, until

TEXT = (Path(__file__).parents[3] / "docs" / "backend.md").read_text()
FEW = BreakerPolicy(minimum_number_of_calls=2)

Samples = dict[str, float]


def scraped(world: World) -> Samples:
    """As Prometheus reads it, by name and labels: ``name{label=value,...}``."""
    registry = CollectorRegistry()
    registry.register(ManagerCollector(world.manager))
    return {
        sample.name + "".join(f",{key}={value}" for key, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }


async def test_what_is_known_is_told() -> None:
    """The feed and its age, and of each service status, age and plans."""
    async with running_world() as world:
        await world.commit("auth", Status.DOWN)
        await world.plan(PlanKind.MAINTENANCE)
        await until(lambda: world.manager.state("auth").maintenance is not None)
        world.now += 3
        seen = scraped(world)
        assert seen["broadcaster_feed_state,state=live"] == 1
        assert seen["broadcaster_feed_state,state=lost"] == 0
        assert 0 <= seen["broadcaster_feed_age_seconds"] < 60
        assert seen["broadcaster_feed_revision"] == world.manager.position.revision
        assert seen["broadcaster_settings_differ"] == 0
        assert seen["broadcaster_service_status,service=auth,status=down"] == 1
        assert seen["broadcaster_service_status,service=auth,status=up"] == 0
        assert seen["broadcaster_service_age_seconds,service=auth"] == 3
        assert seen["broadcaster_service_plan,plan=maintenance,service=auth"] == 1
        assert seen["broadcaster_service_plan,plan=override,service=auth"] == 0
        assert seen["broadcaster_unenforced_rejections_total"] == 0
        names = [family.name for family in ManagerCollector(world.manager).collect()]
        assert not [name for name in names if "breaker" in name], "nobody asked for one"
        world.store.fail()
        await until(lambda: world.manager.feed_state is FeedState.LOST)
        assert scraped(world)["broadcaster_feed_state,state=lost"] == 1


def test_what_was_never_heard_is_infinitely_old() -> None:
    """An alert on an age needs no second rule."""
    seen = scraped(World())
    assert seen["broadcaster_feed_age_seconds"] == math.inf
    assert seen["broadcaster_service_age_seconds,service=auth"] == math.inf


def test_breakers_are_told() -> None:
    """State, calls by what they came to, and what their windows hold; rates where there is enough to judge."""
    world = World()
    breaker = world.manager.breaker("auth", FEW, ignore=(KeyError,))
    with breaker.permit():
        pass
    with pytest.raises(KeyError), breaker.permit():
        raise KeyError
    assert "broadcaster_breaker_failure_rate,service=auth" not in scraped(world)
    with pytest.raises(OSError), breaker.permit():
        raise OSError
    with pytest.raises(CallNotPermitted):
        breaker.permit()
    seen = scraped(world)
    states = {state: seen[f"broadcaster_breaker_state,service=auth,state={state.value}"] for state in BreakerState}
    assert states == {state: float(state is BreakerState.OPEN) for state in BreakerState}
    kinds = ("successful", "failed", "ignored", "not_permitted")
    assert [seen[f"broadcaster_breaker_calls_total,kind={kind},service=auth"] for kind in kinds] == [1, 1, 1, 1]
    buffered = [seen[f"broadcaster_breaker_buffered_calls,kind={kind},service=auth"] for kind in kinds[:2]]
    assert buffered == [1, 1]
    assert [seen[f"broadcaster_breaker_slow_calls_total,kind={kind},service=auth"] for kind in kinds[:2]] == [0, 0]
    assert seen["broadcaster_breaker_failure_rate,service=auth"] == 0.5
    assert seen["broadcaster_breaker_slow_call_rate,service=auth"] == 0


async def test_a_scrape_may_come_on_another_thread() -> None:
    """``prometheus_client.start_http_server`` answers on one of its own, where no event loop runs."""
    async with running_world() as world:
        world.manager.breaker("auth")
        seen = await asyncio.to_thread(scraped, world)
        assert seen["broadcaster_feed_age_seconds"] < 60
        assert seen["broadcaster_breaker_state,service=auth,state=closed"] == 1


def test_every_metric_is_explained() -> None:
    """docs/backend.md has all of them, and nothing else."""
    world = World()
    world.manager.breaker("auth")
    families = ManagerCollector(world.manager).collect()
    told = {each.name + ("_total" if each.type == "counter" else "") for each in families}
    section = TEXT.split("## Metrics\n")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)", section, re.MULTILINE)) == told
