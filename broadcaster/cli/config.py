"""``broadcaster config``: check, describe or begin a ``services.yaml``."""

from __future__ import annotations

import os
import sys
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from broadcaster.cli.options import DEFAULT_CONFIG, ConfigPath, config_path
from broadcaster.cli.output import Cell, put, say, table, wants_colour
from broadcaster.config.durations import format_duration
from broadcaster.config.loader import load_settings
from broadcaster.config.settings import Settings
from broadcaster.domain.errors import StartupError
from broadcaster.domain.pacing import worst_case

UNNOTICED = 300.0
"""Seconds for which a failure may go unnoticed without a warning."""

HEADER = ("SERVICE", "PROBE", "CRITICALITY", "INTERVAL", "DOWN IF REFUSED", "DOWN IF HANGING", "DEPENDS ON")


def validate(*, config: ConfigPath = None) -> int:
    """Check services.yaml and say what it means: after how long at most a failure is noticed.

    Exits with 2, and every mistake with its place, if it cannot be used.
    """
    path = config_path(config, os.environ)
    settings = load_settings(path, os.environ)
    put(*summary(settings, colour=wants_colour(sys.stdout)))
    for warning in slow_detection(settings):
        say(warning)
    say(f"{path} is valid")
    return 0


def slow_detection(settings: Settings) -> list[str]:
    """A warning for each service whose failure may go unnoticed for longer than ``UNNOTICED``."""
    return [
        f"warning: {name} may hang for {format_duration(round(worst_case(each.pace)))} before it is known to be down; "
        "a shorter interval, timeout or fast_timeout, or a lower fall, would tell sooner"
        for name, each in settings.services.items()
        if worst_case(each.pace) > UNNOTICED
    ]


def summary(settings: Settings, *, colour: bool) -> list[str]:
    """Services and features, for people."""
    rows = [
        (
            Cell(name),
            Cell(str(each.probe.__struct_config__.tag)),
            Cell(each.criticality.value),
            Cell(format_duration(each.interval)),
            Cell(f"within {format_duration(worst_case(each.pace, is_definitive=True))}"),
            Cell(f"within {format_duration(worst_case(each.pace))}"),
            Cell(", ".join(each.depends_on)),
        )
        for name, each in settings.services.items()
    ]
    lines = table(HEADER, rows, colour=colour)
    if settings.features:
        features = [
            (Cell(name), Cell(", ".join(each.requires)), Cell(" or ".join(each.any_of)))
            for name, each in settings.features.items()
        ]
        lines += ["", *table(("FEATURE", "REQUIRES", "ONE OF"), features, colour=colour)]
    return lines


def schema() -> int:
    """Print the JSON Schema of services.yaml, for editors.

    With the YAML language server, begin the file with '# yaml-language-server: $schema=services.schema.json'.
    """
    import json

    from broadcaster.config.schema import json_schema

    put(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return 0


def init(
    path: Annotated[Path, Parameter(help="The file to write; - for standard output.")] = DEFAULT_CONFIG,
    *,
    force: Annotated[bool, Parameter(help="Replace the file if there is one.", negative="")] = False,
) -> int:
    """Write a commented starter file: seven services, and the features that stand on them."""
    text = files("broadcaster.config").joinpath("starter.yaml").read_text(encoding="utf-8")
    if str(path) == "-":
        put(text.rstrip("\n"))
        return 0
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise StartupError(f"{path} is there already; --force replaces it") from error
    except OSError as error:
        raise StartupError(f"cannot write {path}: {error.strerror or type(error).__name__}") from error
    say(f"wrote {path}; next: broadcaster config validate -c {path}")
    return 0
