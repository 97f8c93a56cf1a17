"""``tail`` and ``status`` through outages, as an operator sees them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from tests.support.servers import tied_command
from tests.support.stack import DEADLINE, Stack, run_stack, until


async def status(stack: Stack) -> int:
    command = [sys.executable, "-m", "broadcaster", "status", *stack.flags]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode


async def test_status_tells_by_its_exit_code(tmp_path: Path) -> None:
    """0 all up, 3 an optional one down, 4 a critical one, 5 no Redis."""
    async with run_stack(tmp_path) as stack:
        assert await status(stack) == 0
        await stack.services["analytics"].kill()
        await stack.until_status({"analytics": "down"})
        assert await status(stack) == 3
        await stack.services["auth"].kill()
        await stack.until_status({"auth": "down"})
        assert await status(stack) == 4
        await stack.redis.kill()
        assert await status(stack) == 5


async def test_tail_survives_a_redis_that_comes_back_empty(tmp_path: Path) -> None:
    """Lines before and after, data on stdout only, and what was missed is said on stderr."""
    async with run_stack(tmp_path) as stack:
        out, err = tmp_path / "out", tmp_path / "err"
        command = [sys.executable, "-m", "broadcaster", "tail", "-o", "json", *stack.flags]
        with out.open("wb") as stdout, err.open("wb") as stderr:
            tail = subprocess.Popen(tied_command(command), stdout=stdout, stderr=stderr)

        def kinds() -> list[tuple[str, str]]:
            lines = [json.loads(line) for line in out.read_text().splitlines()]
            return [(line["service"], line["kind"]) for line in lines if "kind" in line]

        try:
            # It follows from its first connection on; a change that it cannot miss shows that it is there.
            async with asyncio.timeout(DEADLINE):
                while ("analytics", "down") not in kinds():
                    await stack.services["analytics"].kill()
                    await stack.until_status({"analytics": "down"})
                    await asyncio.sleep(0.3)
                    await stack.services["analytics"].start()
                    await stack.until_status({"analytics": "up"})
            await stack.redis.kill()
            await stack.until_feed("lost")
            await stack.redis.start()
            await stack.until_feed("live")
            await stack.services["auth"].kill()
            await until(lambda: ("auth", "down") in kinds(), f"the line after the restart; stderr: {err.read_text()}")
            assert kinds().count(("auth", "down")) == 1
            said = err.read_text().lower()
            assert "traceback" not in said
            assert "epoch" in said or "lost" in said, said
        finally:
            tail.terminate()
            tail.wait()
