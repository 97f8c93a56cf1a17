"""The browser client's own tests, in Node where it is there, and what its types and its package say."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import broadcaster

WEB = Path(__file__).parents[2] / "clients" / "web"
NODE_TESTS = "needs Node 18.19 or newer: apt install nodejs"
SECONDS = 100


def run_node(*arguments: str) -> str:
    """What a command prints. Skips where there is no Node that runs the tests."""
    node = shutil.which("node") or shutil.which("nodejs")
    if node is None:
        pytest.skip(f"no node on PATH; {NODE_TESTS}")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True, timeout=SECONDS).stdout
    if tuple(map(int, version.strip().lstrip("v").split(".")[:2])) < (18, 19):
        pytest.skip(f"node is {version.strip()}; {NODE_TESTS}")
    command = [node, *arguments]
    done = subprocess.run(command, cwd=WEB, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_the_browser_clients_own_tests_pass() -> None:
    """All of clients/web/test, on a clock and sockets of their own, against the shared vectors."""
    tests = sorted(path.relative_to(WEB).as_posix() for path in (WEB / "test").glob("*.test.js"))
    printed = run_node("--test", "--test-reporter=tap", *tests)
    counted = re.search(r"^# tests (\d+)$", printed, re.MULTILINE)
    assert counted is not None
    assert int(counted[1]) > 50


def weigh(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the script that CI prints the size with."""
    command = [sys.executable, str(WEB.parents[1] / "scripts" / "websize.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)


def test_the_size_is_printed_and_within_its_limit() -> None:
    """The script says what the package weighs on the wire."""
    done = weigh()
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.match(r"sdk [4-7]\.\d kB gzip \(limit 8\.0\)\n", done.stdout)


def test_what_is_too_big_fails(tmp_path: Path) -> None:
    """Code counts, comments do not; the element is weighed for itself, with the texts of one language."""
    noise = random.Random(1).randbytes(5_000).hex()
    comments = f"/** {noise}{noise}\n */\n  // {noise}{noise}\nlet a; // {noise}{noise}\n"
    (tmp_path / "index.js").write_text(f'export const code = "{noise}";\n{comments}')
    texts = tmp_path / "element" / "texts"
    texts.mkdir(parents=True)
    (texts / "en.js").write_text("export {};\n")
    (texts / "de.js").write_text(f'export const de = "{noise}{noise}";\n')
    done = weigh(str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.fullmatch(r"sdk [56]\.\d kB gzip \(limit 8\.0\)\nelement 0\.0 kB gzip \(limit 8\.0\)\n", done.stdout)
    (texts.parent / "index.js").write_text(f'export const code = "{random.Random(2).randbytes(9_000).hex()}";\n')
    done = weigh(str(tmp_path))
    assert done.returncode == 1
    assert re.search(r"^element 1\d\.\d kB gzip", done.stdout, re.MULTILINE)


def test_what_is_exported_has_types() -> None:
    """Every name that index.js exports is declared in index.d.ts, and the other way round."""
    exported = set(re.findall(r"\w+", " ".join(re.findall(r"export \{(.*?)\}", (WEB / "src/index.js").read_text()))))
    declared = set(re.findall(r"^export (?:class|function|const) (\w+)", (WEB / "src/index.d.ts").read_text(), re.M))
    assert exported == declared


def test_every_public_member_has_a_type() -> None:
    """What the client has without a # is what its types say it has."""
    code = (WEB / "src/client.js").read_text().split("export class AvailabilityClient")[1].split("\n}\n")[0]
    types = (WEB / "src/index.d.ts").read_text().split("export class AvailabilityClient")[1].split("\n}\n")[0]
    inherited = {"addEventListener", "removeEventListener"}
    has = set(re.findall(r"^  (?:get )?([a-z]\w+)\(", code, re.M)) - {"constructor"}
    says = set(re.findall(r"^  (?:readonly )?([a-z]\w+)[(:]", types, re.M)) - {"constructor", "url"} - inherited
    assert has == says
    assert set(re.findall(r"^  (\w+)<Type extends keyof EventMap>\(", types, re.M)) == inherited


def test_the_package_needs_nothing_and_is_as_old_as_the_rest() -> None:
    """No dependencies, so that no lock file names a host; the version is the Python package's."""
    package = json.loads((WEB / "package.json").read_text())
    assert not {name for name in package if "ependencies" in name}
    assert package["version"] == broadcaster.__version__
    assert not list(WEB.glob("package-lock.json"))
    for path in package["exports"]["."].values():
        assert (WEB / path).is_file()
