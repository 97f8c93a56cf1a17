"""The Python sample client, run as a person runs it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tests.support.servers import tied_command
from tests.support.stack import DEADLINE, run_stack

CLIENT = Path(__file__).parents[2] / "clients" / "python" / "status_client.py"


async def until_line(process: asyncio.subprocess.Process, start: str) -> str:
    """Reads what the client prints up to a line that starts like this. Raises TimeoutError with what came instead."""
    assert process.stdout is not None
    seen = []
    try:
        async with asyncio.timeout(DEADLINE):
            while line := (await process.stdout.readline()).decode().rstrip():
                seen.append(line)
                if line.startswith(start):
                    return line
    except TimeoutError:
        raise TimeoutError(f"no line starts with {start!r}: {seen}") from None
    raise AssertionError(f"the client ended: {seen}")


async def test_the_sample_client_tells_its_user_what_happens(tmp_path: Path) -> None:
    """It says welcome, what fails, why it is turned away, that the server is gone, and welcome again."""
    async with run_stack(tmp_path, changes={"node": {"retry_after": "200ms"}}) as stack:
        node = stack.nodes[0]
        command = tied_command([sys.executable, "-u", str(CLIENT), node.ws_url])
        env = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=env)
        try:
            assert await until_line(process, "welcome") == "welcome: All is well."
            await stack.services["auth"].kill()
            assert "Sign-in is unavailable" in await until_line(process, "notice")
            await node.kill()
            await until_line(process, "closed: the connection broke")
            await until_line(process, "no connection")
            await node.start()
            assert "we cannot connect you" in await until_line(process, "rejected")
            assert "Sign-in" in await until_line(process, "closed")
            await stack.services["auth"].start()
            await until_line(process, "welcome")
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()
