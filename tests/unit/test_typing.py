"""What users' type checkers infer of the API: ``tests/typing`` is code of theirs, with the types that it should have.

A line there that must not type-check has ``# type: ignore[code]``; mypy complains of one that does after all.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

WRONG = """\
from typing import assert_type

from broadcaster.manager import ServiceAvailabilityManager

manager = ServiceAvailabilityManager.from_config("services.yaml")
assert_type(manager.status("auth"), str)
manager.status(7)
manager.status("auth")  # type: ignore[arg-type]
"""


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What mypy has to say of users' code, and of a file with three mistakes. One run: it takes seconds."""
    folder = tmp_path_factory.mktemp("checked")
    wrong = folder / "wrong.py"
    wrong.write_text(WRONG)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--cache-dir",
        str(folder / "cache"),
        "tests/typing",
        str(wrong),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "checked" in done.stdout, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if ": error: " in line]


def test_users_get_the_types_that_they_should(complaints: list[str]) -> None:
    """No line has another type than expected, and every wrong use is found."""
    assert [each for each in complaints if each.startswith("tests/typing/")] == []
    assert list((ROOT / "tests" / "typing").glob("*.py"))


def test_a_wrong_type_a_wrong_use_and_a_needless_excuse_are_found(complaints: list[str]) -> None:
    """Otherwise no complaint would say nothing."""
    codes = [each.rpartition("[")[2].rstrip("]") for each in complaints if "wrong.py" in each]
    assert codes == ["assert-type", "arg-type", "unused-ignore"]
