"""The table of supported scenarios is complete, and every test that it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from broadcaster.config.loader import load_settings
from scripts.rehearsing.stage import CRITICAL, SERVICES, TROUBLES

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "supported-scenarios.md").read_text()
SAMPLE = ROOT / "broadcaster" / "sample" / "services.yaml"


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    section = DOCUMENT.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_service_and_every_trouble_was_rehearsed() -> None:
    """All that the sample stands on, in all ways; nobody left hanging, nothing lost; 10,000 handshakes and more."""
    found = rows("Rehearsed")
    assert [tuple(row[:2]) for row in found] == [(service, trouble) for service in SERVICES for trouble in TROUBLES]
    assert sum(int(row[2].replace(",", "")) for row in found) >= 10_000
    for service, trouble, _, refused, silent, _, _, _, lost, bare, told, _ in found:
        assert (silent, lost, bare) == ("0", "0", "0"), (service, trouble)
        assert service in CRITICAL or refused == "0", (service, trouble)
        assert told != "-", (service, trouble)


def test_the_rehearsal_knows_the_sample_s_services() -> None:
    """A service that is added to the sample is rehearsed."""
    settings = load_settings(SAMPLE, {})
    assert {*SERVICES, "backend"} == set(settings.services)
    critical = {name for name, each in settings.services.items() if each.criticality == "critical"}
    assert {*CRITICAL, "backend"} == critical


def test_what_is_expected_of_every_service_and_trouble_is_said_and_tested() -> None:
    """A row for each service, a row for each trouble, and tests that exist for all of them and everything else."""
    expected = {row[0] for row in rows("What is expected")}
    assert {f"{service} is away" for service in SERVICES} <= expected
    assert {f"a service is {trouble}" for trouble in TROUBLES if trouble != "flapping"} <= expected
    assert "a service is flapping" in expected
    for row in rows("What is expected"):
        named = re.findall(r"`([^`]+)`", row[-1])
        assert named, row
        for each in named:
            assert exists(each), f"{row[0]}: there is no {each}"


def exists(test: str) -> bool:
    """Whether ``path.py::[Class::]function`` is there."""
    path, *names = test.split("::")
    nodes: list[ast.stmt] = ast.parse((ROOT / "tests" / path).read_text()).body
    for name in names:
        found = [
            each
            for each in nodes
            if isinstance(each, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and each.name == name
        ]
        if not found:
            return False
        nodes = found[0].body
    return bool(names)
