"""``broadcaster serve``: the node."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from broadcaster.cli.logs import configure_logging
from broadcaster.cli.options import ConfigPath, LogLevel, RedisUrl, find_redis, find_settings_file
from broadcaster.cli.running import run_fast


def serve(
    *,
    config: ConfigPath = None,
    redis_url: RedisUrl = None,
    host: Annotated[str | None, Parameter(help="Where to listen; else node.host of the file.")] = None,
    port: Annotated[int | None, Parameter(help="The port; else node.port of the file. 0: any free one.")] = None,
    log_level: LogLevel = "info",
) -> int:
    """Serve WebSocket users and health pages until SIGTERM or Ctrl-C. SIGHUP, or a change of the file, has it read
    anew."""
    file = find_settings_file(config)
    configure_logging(log_level)
    from broadcaster.node import server

    return run_fast(server.serve(file, redis_url=find_redis(redis_url, file.settings), host=host, port=port))
