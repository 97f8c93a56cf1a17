"""``broadcaster probe``: the worker."""

from __future__ import annotations

from broadcaster.cli.logs import configure_logging
from broadcaster.cli.options import ConfigPath, LogLevel, RedisUrl, find_redis, find_settings_file
from broadcaster.cli.running import run_fast


def probe(*, config: ConfigPath = None, redis_url: RedisUrl = None, log_level: LogLevel = "info") -> int:
    """Watch every service of the file until SIGTERM or Ctrl-C, and publish what changes. SIGHUP, or a change of the
    file, has it read anew."""
    file = find_settings_file(config)
    configure_logging(log_level)
    from broadcaster.worker.run import run_worker

    return run_fast(run_worker(file, redis_url=find_redis(redis_url, file.settings)))
