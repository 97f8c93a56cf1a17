"""Keeps children running: starts them, passes on what they say, restarts those that must not end, ends all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence

from broadcaster.store.children import end, spawn, wait

RESTART_SECONDS = (0.5, 30.0)
"""The first and the longest pause before a child that crashed is started again; it doubles in between."""

STEADY_SECONDS = 60.0
"""A child that ran this long is restarted with the first pause again."""


class Child:
    """One program under supervision. ``restart``: whether it is started again when it ends by itself. ``needs`` are the
    variables of ``env`` that whoever starts it by hand has to give it as well."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str],
        *,
        restart: bool,
        needs: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.command = list(command)
        self.env = env
        self.restart = restart
        self.needs = needs
        self.process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"Child({self.name!r}, pid={self.pid})"

    @property
    def pid(self) -> int:
        return self.process.pid if self.process else 0

    @property
    def command_line(self) -> str:
        """What a person types to start it by hand."""
        return shlex.join([*with_variables(self.env, self.needs), *self.command])


def with_variables(env: Mapping[str, str], names: Sequence[str]) -> list[str]:
    """What stands before a command so that it has these variables; nothing where none is needed."""
    return ["env", *(f"{name}={env[name]}" for name in names)] if names else []


async def _ended(process: subprocess.Popen[bytes], grace: float) -> None:
    if process.poll() is None:
        await end(process, grace=grace)


class Supervisor:
    """``say(child, line)`` gets every line a child prints, ``tell(text)`` what happens to children."""

    def __init__(self, *, say: Callable[[str, str], None], tell: Callable[[str], None]) -> None:
        self._say = say
        self._tell = tell
        self._children: list[Child] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._is_ending = False

    def start(self, child: Child) -> None:
        """Starts a child and watches it. Raises StartupError if it cannot be started."""
        self._children.append(child)
        reading = self._spawn(child)
        self._tasks[child.name] = asyncio.create_task(self._watch(child, reading), name=f"child {child.name}")

    def has_ended(self, name: str) -> bool:
        """Whether this child ended and is not started again."""
        return name in self._tasks and self._tasks[name].done()

    def signal(self, number: int) -> None:
        """Passes a signal on to all children. SIGTERM tells them to end, so that none is started again."""
        self._is_ending = self._is_ending or number == signal.SIGTERM
        for child in self._children:
            if child.process is not None and child.process.poll() is None:
                child.process.send_signal(number)

    async def stop(self, grace: float = 5.0, *, at_once: bool = False) -> None:
        """Ends the children, the last started first or all ``at_once``, each within ``grace`` seconds or by force."""
        self._is_ending = True
        running = [child.process for child in reversed(self._children) if child.process is not None]
        if at_once:
            await asyncio.gather(*(_ended(process, grace) for process in running))
        else:
            for process in running:
                await _ended(process, grace)
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def kill(self) -> None:
        """Ends them all at once."""
        self._is_ending = True
        for child in self._children:
            if child.process is not None and child.process.poll() is None:
                child.process.kill()

    async def _watch(self, child: Child, reading: asyncio.Task[None]) -> None:
        loop = asyncio.get_running_loop()
        first, longest = RESTART_SECONDS
        pause = first
        while True:
            started = loop.time()
            assert child.process is not None
            status = await wait(child.process)
            await reading
            if self._is_ending:
                return
            if not child.restart:
                self._tell(f"{child.name} (pid {child.pid}) ended. Start it again with:\n    {child.command_line}")
                return
            pause = first if loop.time() - started > STEADY_SECONDS else pause
            self._tell(f"{child.name} (pid {child.pid}) ended with status {status}; starting it again in {pause:g} s")
            await asyncio.sleep(pause)
            pause = min(longest, pause * 2)
            reading = self._spawn(child)

    def _spawn(self, child: Child) -> asyncio.Task[None]:
        inner, outer = os.pipe()
        try:
            with open(outer, "wb") as output:
                child.process = spawn(child.command, env=child.env, output=output)
        except BaseException:
            os.close(inner)
            raise
        return asyncio.create_task(self._read(child.name, inner), name=f"output of {child.name}")

    async def _read(self, name: str, descriptor: int) -> None:
        reader = asyncio.StreamReader()
        with open(descriptor, "rb", buffering=0) as pipe:  # noqa: ASYNC230 - a pipe's end, nothing is read here
            transport, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), pipe
            )
            with contextlib.closing(transport):
                while True:
                    try:
                        line = await reader.readline()
                    except ValueError:  # longer than any line of ours
                        continue
                    if not line:
                        return
                    self._say(name, line.decode(errors="replace").rstrip())
