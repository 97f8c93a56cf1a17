"""Child processes that never outlive us, whatever ends us."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from broadcaster.domain.errors import StartupError

_PR_SET_PDEATHSIG = 1
_PR_GET_PDEATHSIG = 2


def spawn(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    output: IO[bytes] | int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Starts ``command`` as a child that the kernel kills when this process dies, also by SIGKILL.

    The child has a session of its own, so that Ctrl-C in a terminal reaches only us. Call it from the main thread:
    the kernel watches the thread that made the child (prctl(2), PR_SET_PDEATHSIG). Elsewhere than on Linux the
    child is only ended by an orderly end of ours. Raises StartupError if the program cannot be started.
    """
    try:
        return subprocess.Popen(  # noqa: S603
            list(command),
            env=None if env is None else dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output is not subprocess.DEVNULL else subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_die_with(os.getpid()) if sys.platform == "linux" else None,
        )
    except OSError as error:
        raise StartupError(f"cannot start {command[0]}: {error.strerror or error}") from error


async def end(child: subprocess.Popen[bytes], *, grace: float = 5.0) -> int:
    """Asks the child to end (SIGTERM), makes it end (SIGKILL) after ``grace`` seconds; returns its exit status.

    Cancelled, it kills the child at once.
    """
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
    try:
        async with asyncio.timeout(grace):
            return await wait(child)
    except (TimeoutError, asyncio.CancelledError):
        child.kill()
        status = child.wait()
        if (task := asyncio.current_task()) and task.cancelling():
            raise
        return status


async def wait(child: subprocess.Popen[bytes]) -> int:
    """Waits for the child's end without a thread; cancelling leaves it running."""
    while (status := child.poll()) is None:  # noqa: ASYNC110 - the kernel has no event for it that asyncio knows
        await asyncio.sleep(0.02)
    return status


def stay_tied() -> Callable[[], None]:
    """What a child of ours calls right after it became another user, which undoes the tie to us (prctl(2))."""
    signal_number = ctypes.c_int(0)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_GET_PDEATHSIG, ctypes.byref(signal_number), 0, 0, 0)
    return _die_with(os.getppid()) if signal_number.value else lambda: None


def _die_with(parent: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # the parent died before the kernel was told to watch it
            os.kill(os.getpid(), signal.SIGKILL)

    return prepare
