"""Circuit breakers' policies in services.yaml: defaults, what a service says otherwise, and what makes no sense."""

from __future__ import annotations

from importlib.resources import files

import msgspec
import pytest

from broadcaster.config.loader import parse_settings
from broadcaster.config.schema import json_schema
from broadcaster.config.settings import PERCENTAGES, BreakerSettings, Settings
from broadcaster.domain.breaker import BreakerPolicy, SlidingWindowType
from broadcaster.domain.errors import ConfigError

STARTER = files("broadcaster.config").joinpath("starter.yaml").read_text(encoding="utf-8")
PROBE = "probe: {kind: tcp, host: h, port: 1}"


def parse(breaker: str = "", *, of_a: str = "") -> Settings:
    return parse_settings(written(breaker, of_a), "f.yaml", {})


def written(breaker: str, of_a: str) -> str:
    """A file with services ``a`` and ``b``; what ``a`` says begins in column 17 of line 4, the section in 11 of 6."""
    return f"services:\n  a:\n    {PROBE}\n    breaker: {{{of_a}}}\n  b: {{{PROBE}}}\nbreaker: {{{breaker}}}\n"


def test_a_file_that_says_nothing_means_the_defaults() -> None:
    assert parse().breaker_policy("a") == BreakerPolicy()


def test_the_names_are_those_of_the_policy() -> None:
    """All of them, in the same order."""
    assert BreakerSettings.__struct_fields__ == BreakerPolicy.__struct_fields__


def test_every_value_is_read() -> None:
    """Percentages become parts, durations seconds."""
    text = """
      failure_rate_threshold: 40, slow_call_rate_threshold: 12.5, slow_call_duration_threshold: 250ms,
      permitted_number_of_calls_in_half_open_state: 7, sliding_window_type: count_based, sliding_window_size: 9,
      minimum_number_of_calls: 8, wait_duration_in_open_state: 2s, exponential_backoff_multiplier: 1,
      exponential_max_wait_duration_in_open_state: 2m, randomized_wait_factor: 0,
      automatic_transition_from_open_to_half_open_enabled: true, max_wait_duration_in_half_open_state: 1h,
      trust_announcement: "10"
    """
    policy = BreakerPolicy(
        failure_rate_threshold=0.4,
        slow_call_rate_threshold=0.125,
        slow_call_duration_threshold=0.25,
        permitted_number_of_calls_in_half_open_state=7,
        sliding_window_type=SlidingWindowType.COUNT_BASED,
        sliding_window_size=9,
        minimum_number_of_calls=8,
        wait_duration_in_open_state=2.0,
        exponential_backoff_multiplier=1.0,
        exponential_max_wait_duration_in_open_state=120.0,
        randomized_wait_factor=0.0,
        automatic_transition_from_open_to_half_open_enabled=True,
        max_wait_duration_in_half_open_state=3600.0,
        trust_announcement=10.0,
    )
    assert parse(text).breaker_policy("b") == policy
    assert parse(of_a=text).breaker_policy("a") == policy
    assert set(PERCENTAGES) <= set(BreakerPolicy.__struct_fields__)


def test_a_service_says_what_differs() -> None:
    """The rest is as in the section."""
    settings = parse("failure_rate_threshold: 40, minimum_number_of_calls: 5", of_a="failure_rate_threshold: 90")
    a, b = settings.breaker_policy("a"), settings.breaker_policy("b")
    assert (a.failure_rate_threshold, a.minimum_number_of_calls) == (0.9, 5)
    assert (b.failure_rate_threshold, b.minimum_number_of_calls) == (0.4, 5)
    assert a.trust_announcement == BreakerPolicy().trust_announcement


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("failure_rate_threshold: 0.5", "'0.5' is not a percentage from 1 to 100 (half is 50)"),
        ("slow_call_rate_threshold: 101", "'101' is not a percentage from 1 to 100 (half is 50)"),
        ("failure_rate_threshold: 50%", "'50%' is not a percentage from 1 to 100 (half is 50)"),
        ("failure_rate_threshold: [50]", "must be a percentage from 1 to 100 (half is 50), is a list"),
        ("slow_call_duration_threshold: 0", "'0' is not a duration such as 250ms, 30s, 5m or 1h"),
        ("sliding_window_type: counted", "'counted' is not one of count_based, time_based"),
        ("sliding_window_size: 10001", "'10001' is not a whole number from 1 to 10000"),
        ("permitted_number_of_calls_in_half_open_state: 0", "'0' is not a whole number from 1 to 10000"),
        ("minimum_number_of_calls: 0", "'0' is not a whole number of at least 1"),
        ("exponential_backoff_multiplier: 0.9", "'0.9' is not a number of at least 1"),
        ("randomized_wait_factor: 1", "'1' is not a number from 0 up to, and not including, 1"),
        ("wait_duration_in_open_state: 2m", "must not be above exponential_max_wait_duration_in_open_state (1m)"),
        ("exponential_max_wait_duration_in_open_state: 4s", "must not be below wait_duration_in_open_state (5s)"),
        ("wait_in_open_state: 4s", "unknown field (did you mean 'wait_duration_in_open_state'?)"),
    ],
)
def test_what_makes_no_sense_is_told_where_it_stands(text: str, problem: str) -> None:
    """In the section, and of a service."""
    for file, where in ((written(text, ""), "f.yaml:6:"), (written("", text), "f.yaml:4:")):
        with pytest.raises(ConfigError) as caught:
            parse_settings(file, "f.yaml", {})
        [line] = caught.value.lines()
        assert line.startswith(where)
        path = ("" if where == "f.yaml:6:" else "services.a.") + "breaker." + text.split(":")[0]
        assert f" {path}: {problem}" in line


def test_a_service_s_open_times_are_judged_with_those_of_the_section() -> None:
    """It is its own mistake only where it says something."""
    settings = parse(
        "wait_duration_in_open_state: 2m, exponential_max_wait_duration_in_open_state: 3m",
        of_a="failure_rate_threshold: 10",
    )
    assert settings.breaker_policy("a").wait_duration_in_open_state == 120
    with pytest.raises(ConfigError) as caught:
        parse("exponential_max_wait_duration_in_open_state: 6s", of_a="wait_duration_in_open_state: 7s")
    [line] = caught.value.lines()
    assert line.startswith("f.yaml:4:44: services.a.breaker.wait_duration_in_open_state: must not be above ")
    with pytest.raises(ConfigError) as caught:
        parse("exponential_max_wait_duration_in_open_state: 1s", of_a="failure_rate_threshold: 10")
    assert len(caught.value.lines()) == 1


def test_how_an_application_calls_is_no_matter_of_those_who_watch() -> None:
    """Processes with other breakers share a namespace in peace."""
    assert parse().shape == parse("failure_rate_threshold: 40", of_a="sliding_window_size: 5").shape


def test_editors_know_the_section() -> None:
    definitions = json_schema()["$defs"]
    known = definitions["BreakerSettings"]["properties"]
    assert tuple(known) == BreakerPolicy.__struct_fields__
    assert definitions["ServiceSettings"]["properties"]["breaker"] == {"$ref": "#/$defs/BreakerSettings"}


def test_the_starter_s_breakers_are_settings() -> None:
    """What is commented out there is right when it no longer is."""
    lines = STARTER.splitlines()
    begin = lines.index("# breaker:")
    section = [line.removeprefix("# ") for line in lines[begin : lines.index("", begin)]]
    begin = lines.index("    # breaker:")
    of_openai = [line.replace("# ", "", 1) for line in lines[begin : begin + 2]]
    lines[begin : begin + 2] = of_openai
    settings = parse_settings("\n".join([*lines, *section]) + "\n", "starter.yaml", {})
    assert settings.breaker_policy("anthropic") == BreakerPolicy(), "it names the defaults"
    expected = msgspec.structs.replace(BreakerPolicy(), slow_call_duration_threshold=30.0)
    assert settings.breaker_policy("openai") == expected
