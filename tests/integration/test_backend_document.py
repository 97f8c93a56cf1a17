"""The examples of docs/backend.md, run as they stand."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import starlette.datastructures
import yaml

from broadcaster.config.loader import load_settings, parse_settings
from broadcaster.domain.breaker import BreakerPolicy
from broadcaster.domain.model import FeedState
from broadcaster.manager import ServiceAvailabilityManager
from tests.support.managers import until
from tests.support.stack import DEADLINE, Stack, run_stack

TEXT = (Path(__file__).parents[2] / "docs" / "backend.md").read_text()
FOLLOW, GATE, BREAKER, LESS, NOTICES, METRICS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
SECTIONS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
async def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stack]:
    """The services that the examples name; their file is where they look for it."""
    async with run_stack(tmp_path, services=("auth", "postgres", "openai")) as made:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("REDIS_URL", made.redis.url)
        yield made


def run(example: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    exec(compile(example, "docs/backend.md", "exec"), namespace)
    return namespace


async def test_following(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints what it knows."""
    async with asyncio.timeout(DEADLINE):
        await run(FOLLOW)["main"]()
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1].startswith("up {")
    assert printed.rstrip().endswith("accept")


async def test_the_gate(stack: Stack) -> None:
    """It is built, and health pages answer through it."""
    namespace = run(GATE)
    async with namespace["manager"] as manager:
        for service in ("auth", "postgres", "openai"):
            await manager.wait_until(service, "up", timeout=DEADLINE)
        await until(lambda: manager.feed_state is FeedState.LIVE)
        transport = httpx.ASGITransport(app=namespace["gated"])
        async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
            assert (await client.get("/health")).json()["status"] == "pass"
            assert (await client.get("/login")).status_code == 404


async def test_the_breaker(stack: Stack) -> None:
    """Calls go through, and a service that is announced down is not called."""
    namespace = run(BREAKER)

    async def ask_model(question: str) -> str:
        return question.upper()

    namespace["ask_model"] = ask_model
    async with ServiceAvailabilityManager.from_config("services.yaml") as manager:
        await manager.wait_until("openai", "up", timeout=DEADLINE)
        assert await namespace["answer"](manager, "why?") == "WHY?"
        await stack.services["openai"].kill()
        await manager.wait_until("openai", "down", timeout=DEADLINE)
        assert (await namespace["answer"](manager, "why?")).startswith("The assistant is resting.")


async def test_less_instead_of_nothing(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """The other way is taken, and said."""
    await run(LESS)["chat"]()
    printed = capsys.readouterr().out.splitlines()[-1]
    assert printed == "Another model says: why? True ask: TimeoutError"


async def test_notices_on_a_socket(stack: Stack) -> None:
    """In the application's words, for a client that asked."""
    namespace = run(NOTICES)
    sent: list[str] = []
    heard = asyncio.Event()

    class Socket:
        url = starlette.datastructures.URL("ws://chat/ws?notices=1")

        async def send_text(self, data: str) -> None:
            sent.append(data)
            heard.set()

    async def talk(socket: Socket) -> None:
        await stack.services["openai"].kill()
        async with asyncio.timeout(DEADLINE):
            await heard.wait()

    namespace["talk"] = talk
    async with ServiceAvailabilityManager.from_config("services.yaml") as manager:
        await manager.wait_until("openai", "up", timeout=DEADLINE)
        await namespace["serve"](manager, Socket())
    assert sent[0].startswith("system: ")


async def test_metrics(stack: Stack) -> None:
    """A scrape tells what the manager knows."""
    namespace = run(METRICS)
    async with namespace["manager"] as manager:
        await manager.wait_until("openai", "up", timeout=DEADLINE)
        async with manager.breaker("openai"):
            pass
        transport = httpx.ASGITransport(app=namespace["application"])
        async with httpx.AsyncClient(transport=transport, base_url="http://application") as client:
            scraped = (await client.get("/metrics/")).text.splitlines()
    assert 'broadcaster_service_status{service="openai",status="up"} 1.0' in scraped
    assert 'broadcaster_breaker_calls_total{kind="successful",service="openai"} 1.0' in scraped


def test_the_defaults_of_breakers() -> None:
    """All settings, in their order, with what a file that says nothing gets."""
    section = TEXT.split("## Circuit breakers\n")[1].split("\n## ")[0]
    found = dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", section, re.MULTILINE))
    defaults = msgspec.structs.asdict(BreakerPolicy())
    assert list(found) == list(defaults)
    file = {"breaker": {name: yaml.safe_load(value) for name, value in found.items()}}
    service = {"services": {"auth": {"probe": {"kind": "tcp", "host": "127.0.0.1", "port": 1}}}}
    assert parse_settings(yaml.safe_dump(service | file), "f.yaml", {}).breaker_policy("auth") == BreakerPolicy()


@pytest.mark.parametrize("section", SECTIONS)
def test_the_settings(section: str, tmp_path: Path) -> None:
    """They are settings as they stand."""
    file = tmp_path / "services.yaml"
    service = {"services": {"auth": {"probe": {"kind": "tcp", "host": "127.0.0.1", "port": 1}}}}
    file.write_text(yaml.safe_dump(service) + section)
    assert load_settings(file, {}).services
