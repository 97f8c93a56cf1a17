"""``broadcaster tail`` with a node's URL, run as an operator runs it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.commands import finished, running, running_command
from tests.support.ports import free_port
from tests.support.stack import run_stack

TOKEN = "token-of-operators"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Where a node tells of one service."""
    async with run_stack(tmp_path_factory.mktemp("node"), services=("auth",), worker=False) as stack:
        yield stack.nodes[0].status_url


async def test_tail_follows_a_node(tmp_path: Path) -> None:
    """As it follows Redis: a change a line, for people or programs, and the rest in words on standard error."""
    async with run_stack(tmp_path, changes={"node": {"operator_token": TOKEN}}) as stack:
        node = stack.nodes[0]
        env = {"BROADCASTER_OPERATOR_TOKEN": TOKEN}
        async with (
            running("tail", node.status_url) as people,
            running("tail", node.status_url, "-o", "json", "--operators", "-s", "analytics", env=env) as program,
        ):
            await people.until(lambda: "following from here on. All is well." in people.told)
            await program.until(lambda: "following" in program.told)
            await stack.services["analytics"].kill()
            await people.until(lambda: people.out)
            assert re.search(r"^\d{4}-.* down +analytics +was up, refused$", people.out[-1])
            await program.until(lambda: program.out)
            line = json.loads(program.out[-1])
            assert (line["service"], line["kind"], line["previous"]) == ("analytics", "down", "up")
            assert line["detail"]
            assert {"epoch", "revision", "at", "incident", "latency", "caused_by"} <= line.keys()
            await node.kill()
            await people.until(lambda: "The status feed is lost (the connection broke)." in people.told)
            await node.start()
            await people.until(lambda: people.told.count("following from here on") == 2)
            assert await people.interrupt() == 130
            assert await program.interrupt() == 130
            assert "Traceback" not in people.told + program.told


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["URL", "--operators"], 2, "needs a token in $BROADCASTER_OPERATOR_TOKEN"),
        (["URL", "--since", "1h"], 2, "--since: is not for a node's URL"),
        (["URL", "--no-follow"], 2, "--no-follow: is not for a node's URL"),
        (["URL", "-s", "x"], 2, "Not here: x. Services are auth"),
        (["URL/nowhere"], 1, "HTTP status 404: No WebSocket here. Try /ws or /ws/status."),
        (["ws://node:99999/ws"], 2, "Port out of range"),
        (["http://localhost"], 2, "must begin with ws:// or wss://"),
        (["--operators"], 2, "--operators: is for a node's URL"),
    ],
)
async def test_tail_says_what_it_cannot_do(node_url: str, arguments: list[str], code: int, words: str) -> None:
    done = await finished("tail", *[each.replace("URL", node_url) for each in arguments])
    assert (done.code, done.out) == (code, "")
    assert words in done.err
    assert "Traceback" not in done.err


async def test_a_wrong_token_is_told_in_the_nodes_words(node_url: str) -> None:
    """Also one that cannot be a token at all, without telling it."""
    for token, code, words in (
        ("wrong", 1, "HTTP status 401: Operators need"),
        ("sec ret", 2, "a token has no spaces"),
    ):
        done = await finished("tail", node_url, "--operators", env={"BROADCASTER_OPERATOR_TOKEN": token})
        assert (done.code, done.out) == (code, "")
        assert words in done.err
        assert token not in done.err.replace(words, "")


async def test_a_night_without_the_node_is_told_with_its_times() -> None:
    """Once that it is lost, and why; then it is tried again until Ctrl-C, without another word."""
    async with running("tail", f"ws://localhost:{free_port()}/ws/status") as tail:
        await tail.until(lambda: tail.err)
        assert re.fullmatch(
            r"broadcaster: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  The status feed is lost \(connection refused\)\. "
            r"Trying again until it is back\.",
            tail.err[0],
        )
        assert await tail.interrupt() == 130
        assert (tail.out, len(tail.err)) == ([], 1)


async def test_a_reader_that_goes_away_ends_it(tmp_path: Path) -> None:
    """As with ``tail ... | head -1``: quietly, at the next line, and with the code of a broken pipe."""
    async with run_stack(tmp_path) as stack:
        url = stack.nodes[0].status_url
        script = f"{sys.executable} -m broadcaster tail {url} | head -1; exit ${{PIPESTATUS[0]}}"
        async with running_command(["/bin/bash", "-c", script]) as pipe:
            await pipe.until(lambda: "following from here on. All is well." in pipe.told)
            for _ in range(2):
                await stack.services["analytics"].kill()
                await stack.until_status({"analytics": "down"})
                await stack.services["analytics"].start()
                await stack.until_status({"analytics": "up"})
            assert await pipe.ended() == 141
            assert len(pipe.out) == 1
            assert "Traceback" not in pipe.told
