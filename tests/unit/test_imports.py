"""Imports point one way: a room may import only rooms above it, and the domain nothing but values."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "broadcaster"

ROOMS = (
    "domain",
    "config",
    "protocol",
    "store",
    "probes",
    "worker",
    "manager",
    "integrations",
    "node",
    "sample",
    "cli",
)

DOMAIN_MAY_USE = {
    "__future__",
    "broadcaster",
    "collections",
    "enum",
    "functools",
    "hashlib",
    "itertools",
    "math",
    "msgspec",
    "re",
    "statistics",
    "typing",
}


CLIENT = Path(__file__).parents[2] / "clients" / "python" / "broadcaster_client"

CLIENT_MAY_USE = {"broadcaster_client", "msgspec", "websockets", *sys.stdlib_module_names}


def imported(file: Path) -> Iterator[str]:
    """Every module a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide the direction"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def violations(package: Path) -> list[str]:
    found = []
    for file in sorted(package.rglob("*.py")):
        room = file.relative_to(package).parts[0]
        if room not in ROOMS:
            if len(file.relative_to(package).parts) > 1:
                found.append(f"{file.relative_to(package)}: no room of the design")
            continue
        for module in imported(file):
            parts = module.split(".")
            if room == "domain" and parts[0] not in DOMAIN_MAY_USE:
                found.append(f"{file.relative_to(package)}: the domain imports {module}")
            if parts[0] != "broadcaster" or len(parts) < 2 or parts[1] not in ROOMS:
                continue
            if ROOMS.index(parts[1]) > ROOMS.index(room):
                found.append(f"{file.relative_to(package)}: {room} imports {module}")
    return found


def test_imports_point_one_way() -> None:
    """No file of the package imports from a room below its own."""
    assert violations(PACKAGE) == []


def test_the_client_stands_alone() -> None:
    """It is a package of its own: two dependencies, and nothing of ``broadcaster``."""
    files = sorted(CLIENT.rglob("*.py"))
    assert files
    foreign = [
        (file.name, each) for file in files for each in imported(file) if each.split(".")[0] not in CLIENT_MAY_USE
    ]
    assert foreign == []


@pytest.mark.parametrize(
    ("file", "line", "complaint"),
    [
        ("store/feed.py", "from broadcaster.node.hub import Hub", "store imports broadcaster.node.hub.Hub"),
        ("config/x.py", "def f():\n    import broadcaster.cli.main", "config imports broadcaster.cli.main"),
        ("domain/x.py", "import asyncio", "the domain imports asyncio"),
        ("domain/x.py", "from redis import Redis", "the domain imports redis.Redis"),
        ("lobby/x.py", "import os", "no room of the design"),
    ],
)
def test_the_check_sees_a_violation(tmp_path: Path, file: str, line: str, complaint: str) -> None:
    """A planted import in the wrong direction is found and named."""
    planted = tmp_path / file
    planted.parent.mkdir()
    planted.write_text(line)
    assert [each for each in violations(tmp_path) if complaint in each]
