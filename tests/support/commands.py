"""Commands of the product as child processes whose output is read while it comes.

::

    async with running("tail", *stack.flags, "-o", "json") as tail:
        await tail.until(lambda: tail.out)          # lines of standard output; tail.err has those of standard error
        assert await tail.interrupt() == 130

They die with the process that started them, also when that is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from tests.support.servers import tied_command
from tests.support.stack import DEADLINE

FOREIGN = ("REDIS_URL", "BROADCASTER_CONFIG", "GRACEFUL_DEGRADATION_ENABLED", "FORCE_COLOR")
"""Variables that would change what a command does; a test that wants one gives it."""


class Finished(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str


class Command:
    """A running command."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self.process = process
        self.out: list[str] = []
        self.err: list[str] = []
        self._more = asyncio.Event()
        self._reading = [
            asyncio.create_task(self._read(process.stdout, self.out)),
            asyncio.create_task(self._read(process.stderr, self.err)),
        ]

    async def _read(self, stream: asyncio.StreamReader, lines: list[str]) -> None:
        async for line in stream:
            lines.append(line.decode(errors="replace").rstrip("\n"))
            self._more.set()
        self._more.set()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def told(self) -> str:
        """Standard error so far."""
        return "\n".join(self.err)

    async def until(self, condition: Callable[[], object], what: str = "") -> None:
        """Waits for a condition on the output. Raises TimeoutError with all output if it is not met, also at its end.

        A condition on anything else is looked at only when a line comes.
        """
        try:
            async with asyncio.timeout(DEADLINE):
                while not condition():
                    if all(task.done() for task in self._reading):
                        raise TimeoutError
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            raise TimeoutError("\n".join(["not met: " + what, *self.out, "--- standard error", *self.err])) from None

    async def signal(self, number: int) -> int:
        """Sends a signal and waits for the end; the exit code."""
        self.process.send_signal(number)
        return await self.ended()

    async def interrupt(self) -> int:
        """Ctrl-C, and the exit code."""
        return await self.signal(signal.SIGINT)

    async def ended(self) -> int:
        """Waits for the end by itself; the exit code."""
        try:
            async with asyncio.timeout(DEADLINE):
                await asyncio.gather(*self._reading)
                return await self.process.wait()
        except TimeoutError:
            raise TimeoutError("\n".join(["has not ended", *self.out, "--- standard error", *self.err])) from None

    async def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        await asyncio.gather(*self._reading)


@asynccontextmanager
async def running(*arguments: str, env: Mapping[str, str] | None = None) -> AsyncIterator[Command]:
    """``broadcaster ARGUMENTS`` as a process; killed at the end if it still runs."""
    async with running_command([sys.executable, "-m", "broadcaster", *arguments], env=env) as command:
        yield command


@asynccontextmanager
async def running_command(command: Sequence[str], *, env: Mapping[str, str] | None = None) -> AsyncIterator[Command]:
    """Any program as a process; killed at the end if it still runs."""
    inherited = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    process = await asyncio.create_subprocess_exec(
        *tied_command(command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=inherited | dict(env or {}),
        # A suite that a shell runs in the background ignores SIGINT, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    started = Command(process)
    try:
        yield started
    finally:
        await started.kill()


async def finished(*arguments: str, env: Mapping[str, str] | None = None) -> Finished:
    """Runs ``broadcaster ARGUMENTS`` to its end."""
    async with running(*arguments, env=env) as command:
        code = await command.ended()
    return Finished(code, "\n".join(command.out), command.told)
