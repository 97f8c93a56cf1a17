"""The README's examples, run as they stand."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
import sys
from pathlib import Path

import websockets
import yaml

from tests.support.listeners import Listener
from tests.support.ports import LOOPBACK, free_port
from tests.support.stack import DEADLINE, run_stack

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


async def run_for_a_while(code: str, folder: Path, redis_url: str, expected: str) -> str:
    """Runs a program until it has printed ``expected``, or ends; what it printed."""
    process = await asyncio.create_subprocess_exec(
        *("/usr/bin/env", f"REDIS_URL={redis_url}", "PYTHONUNBUFFERED=1", sys.executable, "-c", code),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    printed = ""
    try:
        async with asyncio.timeout(DEADLINE):
            while expected not in printed and (line := await process.stdout.readline()):
                printed += line.decode()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    return printed


async def test_the_backends_example(tmp_path: Path) -> None:
    """Ten lines that embed the manager print a verdict and a status."""
    [backend] = [each for each in blocks("python") if "manager.listen" in each]
    async with run_stack(tmp_path, services=("auth", "postgres")) as stack:
        printed = await run_for_a_while(backend, tmp_path, stack.redis.url, "accept")
    assert "accept () up" in printed


async def test_the_fastapi_example(tmp_path: Path) -> None:
    """As pasted, but for the ports: refused in words while nothing listens, and served soon after something does."""
    [application] = [each for each in blocks("python") if "FastAPI" in each]
    [settings] = [each for each in blocks("yaml") if "postgres" in each]
    service, port = Listener(), free_port()
    (tmp_path / "app.py").write_text(application)
    settings = settings.replace("port: 5432}", f"port: {service.port}}}\n    interval: 500ms")
    (tmp_path / "services.yaml").write_text(settings)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uvicorn", "app:app", "--port", str(port)),
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"ws://{LOOPBACK}:{port}/ws"
    try:
        async with asyncio.timeout(DEADLINE):
            while (found := await echo(url)) != ("rejected", 1011):
                assert found in (("HELLO", None), (None, None)), "it starts, and knows nothing yet"
                await asyncio.sleep(0.1)
            service.open()
            while await echo(url) != ("HELLO", None):
                await asyncio.sleep(0.1)
    finally:
        service.close()
        if process.returncode is None:
            process.kill()
        await process.wait()


async def echo(url: str) -> tuple[str | None, int | None]:
    """What somebody is answered who says hello, or the type of the message instead and the close code; nothing while
    nobody listens."""
    try:
        async with websockets.connect(url, proxy=None) as socket:
            with contextlib.suppress(websockets.ConnectionClosed):  # who is refused may have been told already
                await socket.send("hello")
            answer = await socket.recv()
            if answer == "HELLO":
                return "HELLO", None
            await socket.wait_closed()
            return json.loads(answer)["type"], socket.close_code
    except OSError:
        return None, None


async def test_the_chat_clients_example(tmp_path: Path) -> None:
    """Ten lines that connect print a welcome."""
    [client] = [each for each in blocks("python") if "websockets.connect" in each]
    async with run_stack(tmp_path, services=("auth",)) as stack:
        code = client.replace("ws://127.0.0.1:8895/ws", stack.nodes[0].ws_url)
        assert code != client
        printed = await run_for_a_while(code, tmp_path, stack.redis.url, "welcome")
    assert "welcome" in printed


async def test_the_python_clients_example(tmp_path: Path) -> None:
    """It says how things stand, as pasted."""
    [client] = [each for each in blocks("python") if "broadcaster_client" in each]
    async with run_stack(tmp_path, services=("auth",)) as stack:
        code = client.replace("ws://127.0.0.1:8895/ws", stack.nodes[0].ws_url)
        assert code != client
        printed = await run_for_a_while(code, tmp_path, stack.redis.url, "link")
    assert "All is well." in printed


async def test_the_operators_commands_exist(tmp_path: Path) -> None:
    """Every `broadcaster` command and flag that the README shows is one."""
    [operator] = [each for each in blocks("sh") if "broadcaster status" in each]
    assert "broadcaster tail -o json --since 1h --no-follow" in operator
    async with run_stack(tmp_path) as stack:
        shown = re.findall(r"^broadcaster (status|tail .*--no-follow)", operator, re.MULTILINE)
        assert len(shown) == 2
        for line in shown:
            command = [sys.executable, "-m", "broadcaster", *line.split(), *stack.flags]
            done = await asyncio.to_thread(
                subprocess.run, command, capture_output=True, text=True, timeout=DEADLINE, check=False
            )
            assert done.returncode == 0, done.stderr
            assert "auth" in done.stdout


async def test_the_starter_file_is_valid(tmp_path: Path) -> None:
    """`config init` writes a file that `config validate` accepts, with the plan's services."""
    target = tmp_path / "services.yaml"
    for arguments in (["init", str(target)], ["validate", "-c", str(target)]):
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "broadcaster", "config", *arguments],
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    services = yaml.safe_load(target.read_text())["services"]
    assert {"backend", "auth", "postgres", "redis", "clickhouse", "openai", "anthropic"} <= services.keys()
