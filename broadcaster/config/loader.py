"""``services.yaml`` read, interpolated, checked and completed; or everything that is wrong with it, in one error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from broadcaster.config.checks import Checker
from broadcaster.config.decode import Decoder
from broadcaster.config.environment import EnvironmentDefaults, read_environment
from broadcaster.config.settings import Duration, ServiceSettings, Settings
from broadcaster.config.tree import MAX_BYTES, Inspection, compose
from broadcaster.domain.errors import ConfigError, Problem
from broadcaster.domain.model import Criticality


def load_settings(path: Path, env: Mapping[str, str]) -> Settings:
    """The settings in the file at ``path``; ``env`` is what references and defaults are taken from.

    Raises ConfigError for a file that cannot be read, is not YAML or holds anything wrong. No value of a variable and
    no URL appears in its text.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        hint = "'broadcaster config init' writes a starter file" if isinstance(error, FileNotFoundError) else ""
        message = f"cannot be read: {error.strerror or type(error).__name__}"
        raise ConfigError(str(path), [Problem(line=0, column=0, path="", message=message, hint=hint)]) from error
    if len(raw) > MAX_BYTES:
        problem = Problem(line=0, column=0, path="", message=f"larger than {MAX_BYTES // 1024} KiB")
        raise ConfigError(str(path), [problem])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        problem = Problem(line=line, column=column, path="", message="not UTF-8", hint="save the file as UTF-8")
        raise ConfigError(str(path), [problem]) from error
    return parse_settings(text, str(path), env)


def parse_settings(text: str, file: str, env: Mapping[str, str]) -> Settings:
    """The settings in ``text``; ``file`` is what errors call it. Raises ConfigError with every problem found.

    In what is returned every service has its ``timeout`` and ``retries``, and ``graceful_degradation`` is decided.
    """
    inspection = Inspection(file)
    defaults = read_environment(env, inspection)
    root = compose(text, inspection)
    if root is None:
        inspection.raise_if_any()
        raise AssertionError("a file without a root and without a problem")
    decoder = Decoder(env, inspection)
    settings = decoder.decode(root, Settings)
    Checker(inspection, decoder.places).check(settings)
    inspection.raise_if_any()
    return _complete(settings, defaults)


def _complete(settings: Settings, defaults: EnvironmentDefaults) -> Settings:
    """What the file leaves open, from the environment or the plan."""
    replace = msgspec.structs.replace
    degradation = settings.graceful_degradation
    return replace(
        settings,
        services={name: _complete_service(each, defaults) for name, each in settings.services.items()},
        redis=settings.redis if settings.redis.url else replace(settings.redis, url=defaults.redis_url),
        graceful_degradation=defaults.graceful_degradation if degradation is None else degradation,
    )


def _complete_service(service: ServiceSettings, defaults: EnvironmentDefaults) -> ServiceSettings:
    critical = service.criticality is Criticality.CRITICAL
    timeout = defaults.timeout_critical if critical else defaults.timeout_optional
    return msgspec.structs.replace(
        service,
        # A service probed more often than the default for a service in doubt is not probed less often when in doubt.
        fast_interval=Duration(min(service.fast_interval, service.interval)),
        timeout=timeout if service.timeout is None else service.timeout,
        retries=defaults.retries if service.retries is None else service.retries,
    )
