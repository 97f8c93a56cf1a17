"""What commands have in common: their flags, and where the config file and Redis are found."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from broadcaster.config.durations import parse_duration
from broadcaster.config.environment import REDIS_SCHEMES
from broadcaster.config.loader import load_settings
from broadcaster.config.reload import SettingsFile
from broadcaster.config.settings import DEFAULT_REDIS_URL, Settings
from broadcaster.config.tree import closest
from broadcaster.config.urls import url_fault
from broadcaster.domain.errors import ConfigError, Problem

CONFIG_VARIABLE = "BROADCASTER_CONFIG"
DEFAULT_CONFIG = Path("services.yaml")

ConfigPath = Annotated[
    Path | None, Parameter(alias="-c", help="Your services.yaml; else $BROADCASTER_CONFIG, else ./services.yaml.")
]
RedisUrl = Annotated[
    str | None, Parameter(help="Where Redis is; else $REDIS_URL, else redis.url of the file, else this machine.")
]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"], Parameter(help="The least that is logged to standard error.")
]
OutputFormat = Annotated[Literal["text", "json"], Parameter(alias="-o", help="For people, or for programs.")]
ServiceNames = Annotated[tuple[str, ...], Parameter(help="Only this service; may be given several times.", negative="")]


def config_path(config: Path | None, env: Mapping[str, str]) -> Path:
    """The flag, else the environment, else ``services.yaml`` here."""
    return config or Path(env.get(CONFIG_VARIABLE) or DEFAULT_CONFIG)


def find_settings(config: Path | None) -> Settings:
    """The settings of the file that is meant. Raises ConfigError."""
    return load_settings(config_path(config, os.environ), os.environ)


def find_settings_file(config: Path | None) -> SettingsFile:
    """The file that is meant, to follow as it changes. Raises ConfigError."""
    return SettingsFile(config_path(config, os.environ), os.environ)


def find_redis(redis_url: str | None, settings: Settings) -> str:
    """The flag, else the environment, else the file, else this machine. Raises ConfigError if the flag is no URL."""
    fault = url_fault(redis_url, REDIS_SCHEMES) if redis_url else ""
    if fault:
        raise usage_error("--redis-url", fault, "must begin with redis://, rediss:// or unix://")
    return redis_url or os.environ.get("REDIS_URL") or settings.redis.url or DEFAULT_REDIS_URL


def usage_error(flag: str, message: str, hint: str) -> ConfigError:
    """What is wrong with a flag, to be raised: exit code 2."""
    return ConfigError(flag, [Problem(line=0, column=0, path="", message=message, hint=hint)])


def selected(config: Path | None, settings: Settings, services: tuple[str, ...]) -> tuple[str, ...]:
    """The services named, or all of the file. Raises ConfigError for a name that the file does not have."""
    known = tuple(settings.services)
    problems = [
        Problem(line=0, column=0, path="", message=f"no service is called {name!r}", hint=closest(name, known))
        for name in services
        if name not in settings.services
    ]
    if problems:
        raise ConfigError(str(config_path(config, os.environ)), problems)
    return tuple(dict.fromkeys(services)) or known


def parse_moment(tokens: Iterable[object], direction: int, expected: str) -> float:
    """Unix seconds from a command line's token: a duration that leads back (-1) or ahead (1) from now, or an RFC 3339
    time with its offset. Raises ValueError, with ``expected``, for anything else."""
    [token] = tokens
    text = str(getattr(token, "value", token))
    if re.fullmatch(r"[0-9.]+(ms|s|m|h)?", text):
        return time.time() + direction * parse_duration(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ValueError(expected)
    return at.timestamp()
