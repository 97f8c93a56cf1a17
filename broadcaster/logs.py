"""Logging to standard error: lines for people on a terminal, JSON objects elsewhere."""

from __future__ import annotations

import logging
import os
import sys

import structlog

CHATTY = ("httpx", "httpcore", "websockets", "asyncio")
"""Libraries that are heard from a warning on at any level; some log URLs, and URLs may hold secrets."""


def configure_logging(level: str) -> None:
    """Sets up structlog, and the standard library's logging to come out the same way.

    ``level`` is ``debug``, ``info``, ``warning`` or ``error``. Libraries are heard from a warning on.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    human = sys.stderr.isatty()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if human else "iso", utc=not human),
    ]
    render: list[structlog.typing.Processor]
    if human:
        # The plain traceback: the others show local variables, which may hold secrets.
        render = [
            structlog.dev.ConsoleRenderer(
                colors=not os.environ.get("NO_COLOR"), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    else:
        render = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)
    for name in CHATTY:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
