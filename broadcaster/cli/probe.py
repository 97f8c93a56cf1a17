"""``broadcaster probe``: the worker."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from broadcaster.cli.options import ConfigPath, LogLevel, RedisUrl, find_redis, find_settings_file
from broadcaster.cli.running import run_fast
from broadcaster.logs import configure_logging


def probe(
    *,
    config: ConfigPath = None,
    redis_url: RedisUrl = None,
    metrics_port: Annotated[int, Parameter(help="Answer Prometheus on this port; 0 for none.")] = 0,
    metrics_host: Annotated[str, Parameter(help="The address for that.")] = "127.0.0.1",
    log_level: LogLevel = "info",
) -> int:
    """Watch every service of the file until SIGTERM or Ctrl-C, and publish what changes. SIGHUP, or a change of the
    file, has it read anew."""
    file = find_settings_file(config)
    configure_logging(log_level)
    from broadcaster.worker.run import run_worker

    return run_fast(
        run_worker(
            file,
            redis_url=find_redis(redis_url, file.settings),
            metrics_host=metrics_host,
            metrics_port=metrics_port,
        )
    )
