"""The Python client as a package of its own: what its wheel holds and needs, and that it needs nothing else."""

from __future__ import annotations

import email
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.support.commands import running_command
from tests.support.stack import run_stack

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "clients" / "python"
README = (SOURCE / "README.md").read_text()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from ``clients/python`` alone."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=SOURCE, check=True, capture_output=True)
    [found] = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for packages with the wheel in it, and with what it says that it needs; nothing else."""
    folder = tmp_path_factory.mktemp("site-packages")
    with ZipFile(wheel) as archive:
        archive.extractall(folder)
    for name in ("msgspec", "websockets"):
        spec = find_spec(name)
        assert spec is not None
        assert spec.submodule_search_locations is not None
        (folder / name).symlink_to(spec.submodule_search_locations[0])
    return folder


def test_the_wheel_is_whole(wheel: Path) -> None:
    """Every module, the mark that it has types, the licence; two requirements; and no more."""
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
        [about] = [each for each in names if each.endswith(".dist-info/METADATA")]
        metadata = email.message_from_bytes(archive.read(about))
        [licence] = [each for each in names if each.endswith("/LICENSE")]
        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()
    code = {f"broadcaster_client/{each.name}" for each in (SOURCE / "broadcaster_client").iterdir() if each.is_file()}
    assert {each for each in names if ".dist-info/" not in each} == code
    assert "broadcaster_client/py.typed" in code
    required = {re.split(r"[<>=]", each)[0] for each in metadata.get_all("Requires-Dist", [])}
    assert (metadata["Name"], required) == ("status-broadcaster-client", {"msgspec", "websockets"})
    assert str(metadata.get_payload()).strip() == README.strip()


async def test_the_first_example_needs_the_wheel_and_what_it_names(installed: Path, tmp_path: Path) -> None:
    """In an empty folder, as it stands, by an interpreter that has these three packages and no other."""
    [code, *_] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "follow.py").write_text(code)
    folder = tmp_path / "stack"
    folder.mkdir()
    async with run_stack(folder, services=("auth",), worker=False) as stack:
        command = [sys.executable, "-S", "-u", str(tmp_path / "follow.py"), stack.nodes[0].ws_url]
        env = {"PYTHONPATH": str(installed), "NO_PROXY": "*", "no_proxy": "*", "PYTHONDONTWRITEBYTECODE": "1"}
        async with running_command(command, env=env) as program:
            await program.until(lambda: program.out)
            assert await program.interrupt() != 0
    assert "ModuleNotFoundError" not in program.told
    assert program.out[0]


WITH_SOCKS = """
import asyncio
from broadcaster_client import ProxyUnusable, connect

async def main():
    try:
        async with connect("ws://127.0.0.1:1/ws", proxy="socks5://user:secret@127.0.0.1:1"):
            print("entered")
    except ProxyUnusable as error:
        print(error)

asyncio.run(main())
"""


def test_a_proxy_that_takes_another_package_is_told(installed: Path, tmp_path: Path) -> None:
    """Once, in words, and not as a mistake of ours; what websockets needs for SOCKS is not among our requirements."""
    command = [sys.executable, "-S", "-B", "-c", WITH_SOCKS]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(installed)}, capture_output=True, text=True)
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.startswith("the proxy cannot be used: ")
    assert "python-socks" in done.stdout
    assert "secret" not in done.stdout
