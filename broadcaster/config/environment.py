"""The environment variables that stand in for what a file does not say."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from broadcaster.config.durations import parse_duration
from broadcaster.config.settings import Duration
from broadcaster.config.tree import Inspection
from broadcaster.config.urls import url_fault

TIMEOUT_CRITICAL = "DEPENDENCY_CHECK_TIMEOUT_CRITICAL"
TIMEOUT_OPTIONAL = "DEPENDENCY_CHECK_TIMEOUT_OPTIONAL"
RETRY_COUNT = "DEPENDENCY_CHECK_RETRY_COUNT"
DEGRADATION = "GRACEFUL_DEGRADATION_ENABLED"
REDIS_URL = "REDIS_URL"

REDIS_SCHEMES = ("redis", "rediss", "unix")

_SWITCH = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


class EnvironmentDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """What the variables say, or else the plan's values. A variable that is empty says nothing."""

    timeout_critical: Duration = Duration(30)
    timeout_optional: Duration = Duration(10)
    retries: int = 3
    graceful_degradation: bool = True
    redis_url: str = ""


def read_environment(env: Mapping[str, str], inspection: Inspection) -> EnvironmentDefaults:
    """Reads the variables; what cannot be read is noted, by the variable's name and without its value."""
    plan = EnvironmentDefaults()
    return EnvironmentDefaults(
        timeout_critical=_duration(env, TIMEOUT_CRITICAL, plan.timeout_critical, inspection),
        timeout_optional=_duration(env, TIMEOUT_OPTIONAL, plan.timeout_optional, inspection),
        retries=_count(env, RETRY_COUNT, plan.retries, inspection),
        graceful_degradation=_switch(env, DEGRADATION, plan.graceful_degradation, inspection),
        redis_url=_redis_url(env, inspection),
    )


def _duration(env: Mapping[str, str], name: str, default: Duration, inspection: Inspection) -> Duration:
    text = env.get(name, "")
    if not text:
        return default
    try:
        return parse_duration(text)
    except ValueError as error:
        _note(inspection, name, str(error))
        return default


def _count(env: Mapping[str, str], name: str, default: int, inspection: Inspection) -> int:
    text = env.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 4 and int(text) <= 100):
        _note(inspection, name, "must be a whole number from 0 to 100")
        return default
    return int(text)


def _switch(env: Mapping[str, str], name: str, default: bool, inspection: Inspection) -> bool:
    text = env.get(name, "").strip().lower()
    if text and text not in _SWITCH:
        _note(inspection, name, "must be true or false")
    return _SWITCH.get(text, default)


def _redis_url(env: Mapping[str, str], inspection: Inspection) -> str:
    url = env.get(REDIS_URL, "")
    fault = url_fault(url, REDIS_SCHEMES) if url else ""
    if fault:
        _note(inspection, REDIS_URL, f"{fault}; must begin with redis://, rediss:// or unix://")
    return url


def _note(inspection: Inspection, name: str, message: str) -> None:
    inspection.add((0, 0), (f"${name}",), message)
