"""The simulation of an outage's end: what a crowd does by the node's rule, and by others."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "simulate_reconnects.py"


@pytest.fixture(scope="module")
def simulation() -> Iterator[ModuleType]:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("simulate_reconnects", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_an_outages_end_brings_no_stampede(simulation: ModuleType) -> None:
    """2,000 clients, two minutes: nobody is lost, no second after the end brings a tenth of them; others' rules do."""
    rules = simulation.RULES
    ours = simulation.play(rules["told by the node"], 2000, 120.0, 1)
    fixed = simulation.play(rules["every 5 s"], 2000, 120.0, 1)
    assert len(ours.let_in) == len(fixed.let_in) == 2000
    assert ours.peak(120, 200) < 200 < fixed.peak(120, 200)
    assert max(ours.let_in) <= 35.0


def test_every_arrival_is_counted(simulation: ModuleType) -> None:
    """A client that waits 5 s each time comes 25 times in two minutes."""
    found = simulation.play(simulation.RULES["every 5 s"], 10, 120.0, 1)
    assert sum(found.seconds.values()) == 250


def test_it_prints_a_row_a_rule(simulation: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulation.main(["--clients", "200", "--outage", "30"]) == 0
    printed = capsys.readouterr().out
    for name in simulation.RULES:
        assert f"│ {name}" in printed
