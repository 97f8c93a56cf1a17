"""The programs of docs/how-to/breakers.md, run as they stand, with servers that stop."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis.exceptions

from broadcaster.domain.breaker import BreakerState
from broadcaster.integrations.asyncpg import BreakerPool
from broadcaster.integrations.httpx import BreakerTransport, is_failed
from tests.support.listeners import Listener
from tests.support.peers import http, peer, says
from tests.support.ports import LOOPBACK
from tests.support.servers import PostgresServer, redis_server

TEXT = (Path(__file__).parents[2] / "docs" / "how-to" / "breakers.md").read_text()
HTTPX, ASYNCPG, REDIS, OTHER = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
(SETTINGS,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where programs look for their file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "services.yaml").write_text(SETTINGS)


def run(program: str, **others: str) -> dict[str, Any]:
    """The program's names; of its texts some are others."""
    for text, other in others.items():
        assert text in program
        program = program.replace(text, other)
    namespace: dict[str, Any] = {}
    exec(compile(program, "docs/how-to/breakers.md", "exec"), namespace)
    return namespace


def open_breaker(names: dict[str, Any], service: str) -> None:
    names["manager"].breaker(service).transition_to(BreakerState.FORCED_OPEN)


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Its lines, among those of the log."""
    return capsys.readouterr().out.splitlines()


async def test_httpx(capsys: pytest.CaptureFixture[str]) -> None:
    """It answers, fails in its own words, and rests."""
    async with peer(says(http("200 OK", b"because", connection="close"))) as at:
        names = run(HTTPX, **{"9101": str(at.port)})
        await names["main"]()
        assert "because" in printed(capsys)
    names = run(HTTPX, **{"9101": str(at.port)})
    async with names["client"]:
        assert (await names["ask"]("why?")).startswith("The assistant failed: ")
        open_breaker(names, "openai")
        assert await names["ask"]("why?") == "The assistant is resting. Ask again in 60 seconds."


async def test_other_statuses_may_count() -> None:
    """By the expression that the text gives."""
    [expression] = re.findall(r"`is_failure=(lambda response:.*?)`", TEXT, re.DOTALL)
    judge = eval(expression.replace("\n", " "), {"is_failed": is_failed})
    assert [judge(httpx.Response(status)) for status in (200, 429, 503)] == [False, True, True]
    BreakerTransport(run(HTTPX)["manager"].breaker("openai"), is_failure=judge)


async def test_asyncpg(postgres: PostgresServer) -> None:
    names = run(ASYNCPG, **{"postgresql://chat:secret@127.0.0.1:5432/chat": postgres.url})
    plain = names["asyncpg"].create_pool(names["DSN"], ssl=False, min_size=2, max_size=2)
    async with BreakerPool(plain, names["manager"].breaker("postgres")) as pool:
        assert await names["greet"](pool, "Anna") == "Hello, Anna! 4"
        open_breaker(names, "postgres")
        assert await names["greet"](pool, "Anna") == "No database for 60 seconds."
    await run(ASYNCPG, **{"postgresql://chat:secret@127.0.0.1:5432/chat": f"{postgres.url}?sslmode=disable"})["main"]()


async def test_redis(capsys: pytest.CaptureFixture[str]) -> None:
    async with redis_server() as server:
        names = run(REDIS, **{"redis://127.0.0.1:6379/0": server.url})
        await names["main"]()
        assert "Hello, Anna, for the 1. time!" in printed(capsys)
        async with names["plain"]:
            assert await names["visit"]("Anna") == "Hello, Anna, for the 2. time!"
            await server.kill()
            with pytest.raises(redis.exceptions.ConnectionError):
                await names["visit"]("Anna")
            assert names["manager"].breaker("redis").metrics().failures == 1
            open_breaker(names, "redis")
            assert await names["visit"]("Anna") == "Hello, Anna!"


async def test_any_other_call(capsys: pytest.CaptureFixture[str]) -> None:
    listener = Listener()
    listener.open()
    try:
        names = run(OTHER, **{"9101": str(listener.port)})
        await names["main"]()
        assert "there 1" in printed(capsys)
        assert names["breaker"].metrics().calls == 2
    finally:
        listener.close()
    assert await names["look"]() == "not there"
    with pytest.raises(OSError):
        await names["look_up"](LOOPBACK)
    assert names["breaker"].metrics().failures == 2
    open_breaker(names, "openai")
    assert await names["look"]() == "not asked for 60 seconds"
