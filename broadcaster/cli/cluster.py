"""Several node processes on one port: the kernel spreads connections over them (SO_REUSEPORT), we keep them alive."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import structlog

from broadcaster.cli.supervisor import Child, Supervisor
from broadcaster.node.server import bind

log = structlog.get_logger()


async def serve_many(flags: Sequence[str], *, redis_url: str, workers: int, host: str, port: int, grace: float) -> int:
    """Runs ``workers`` processes of ``broadcaster serve`` until SIGTERM or SIGINT; returns the exit code.

    A process that ends by itself is started again. At the end each has ``grace`` seconds to drain; a second signal
    hurries them, SIGHUP is passed on. Raises StartupError where the port cannot be had.
    """
    with reserved(host, port) as chosen, tempfile.TemporaryDirectory(prefix="status-broadcaster-") as meeting:
        supervisor = Supervisor(say=_say, tell=lambda text: log.warning("process_ended", told=text))
        stopping = asyncio.Event()
        received: list[int] = []

        def stop(number: int) -> None:
            if received:
                supervisor.signal(signal.SIGTERM)
            received.append(number)
            stopping.set()

        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, stop, each)
        loop.add_signal_handler(signal.SIGHUP, supervisor.signal, signal.SIGHUP)
        # Everybody can read a process's arguments, and the URL may hold a password.
        env = {**os.environ, "REDIS_URL": redis_url}
        base = [sys.executable, "-m", "broadcaster", "serve", *flags, "--host", host, "--port", str(chosen)]
        try:
            for number in range(workers):
                command = [*base, "--meeting", str(Path(meeting) / str(number))]
                supervisor.start(Child(f"node {number}", command, env, restart=True))
            log.info("node_started", host=host, port=chosen, workers=workers)
            await stopping.wait()
        finally:
            await supervisor.stop(grace, at_once=True)
    log.info("node_stopped")
    return 130 if signal.SIGINT in received else 0


@contextlib.contextmanager
def reserved(host: str, port: int) -> Iterator[int]:
    """The port, kept from others while our processes share it. Raises StartupError where somebody has it."""
    # Asked without sharing, so that it fails also where somebody shares it; and without listening, as a client that
    # came in between would be taken and cut off.
    with bind(host, port) as alone:
        chosen = int(alone.getsockname()[1])
    with bind(host, chosen, is_shared=True):
        yield chosen


def _say(name: str, line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
