"""``broadcaster serve``: the node."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from broadcaster.cli.options import ConfigPath, LogLevel, RedisUrl, config_path, find_redis, find_settings_file
from broadcaster.cli.running import run_fast
from broadcaster.logs import configure_logging

GRACE = 5.0
"""Seconds that a process has for its end beside the time that draining takes."""


def serve(
    *,
    config: ConfigPath = None,
    redis_url: RedisUrl = None,
    host: Annotated[str | None, Parameter(help="Where to listen; else node.host of the file.")] = None,
    port: Annotated[int | None, Parameter(help="The port; else node.port of the file. 0: any free one.")] = None,
    workers: Annotated[int, Parameter(help="Processes that share the port.", validator=Number(gte=1, lte=256))] = 1,
    meeting: Annotated[Path | None, Parameter(show=False)] = None,
    log_level: LogLevel = "info",
) -> int:
    """Serve WebSocket users and health pages until SIGTERM or Ctrl-C. SIGHUP, or a change of the file, has it read
    anew."""
    file = find_settings_file(config)
    configure_logging(log_level)
    from broadcaster.node import server

    found, node = find_redis(redis_url, file.settings), file.settings.node
    if workers == 1:
        return run_fast(server.serve(file, redis_url=found, host=host, port=port, meeting=meeting))
    from broadcaster.cli.cluster import serve_many

    flags = ["--config", str(config_path(config, os.environ)), "--log-level", log_level]
    return asyncio.run(
        serve_many(
            flags,
            redis_url=found,
            workers=workers,
            host=host or node.host,
            port=node.port if port is None else port,
            grace=(node.drain_delay or 0.0) + node.drain_seconds + GRACE,
        )
    )
