"""One part of the sample as a process: ``python -m broadcaster.sample NAME --port N``; or a user of its chat in a
terminal: ``python -m broadcaster.sample user NAME --port N``."""

from __future__ import annotations

import argparse
import asyncio
import sys
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path

import uvicorn

from broadcaster.domain.errors import BroadcasterError, StartupError
from broadcaster.logs import configure_logging
from broadcaster.sample.user import chat

NAMES = ("backend", "auth", "postgres", "analytics", "clickhouse", "assistant", "spare")

KEEP_ALIVE = 30
"""Seconds an idle connection is kept: longer than clients do (httpx: 5 s), or one may be closed just as it is used."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m broadcaster.sample", description=__doc__)
    parser.add_argument("name", choices=(*NAMES, "user"))
    parser.add_argument("who", nargs="?", default="you", help="the user's name")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, default=Path("sample-data"), help="of postgres and clickhouse")
    parser.add_argument("--config", type=Path, help="of the backend (default: the sample's own)")
    arguments = parser.parse_args()
    configure_logging("info")
    try:
        if arguments.name == "user":
            asyncio.run(chat(arguments.who, arguments.port))
            return 0
        run(arguments.name, arguments.port, arguments.data, arguments.config)
    except BroadcasterError as error:
        print(f"{arguments.name}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def run(name: str, port: int, data: Path, config: Path | None) -> None:
    """Runs until it is ended. Raises BroadcasterError where it cannot start."""
    match name:
        case "postgres":
            from broadcaster.sample import postgres

            postgres.become_server(port, data.absolute())
        case "clickhouse":
            from broadcaster.sample import clickhouse

            if program := clickhouse.find_program():
                clickhouse.become_server(program, port, data.absolute())
            serve(clickhouse.make_stand_in(), port)
        case "backend":
            if find_spec("fastapi") is None:
                raise StartupError("the chat needs FastAPI: install the extra status-broadcaster[sample]")
            from broadcaster.sample.chat.app import make_app, validate_startup

            with as_file(files("broadcaster.sample").joinpath("services.yaml")) as sample:
                asyncio.run(validate_startup(config or sample))
                serve(make_app(config or sample), port)
        case "auth":
            from broadcaster.sample import auth

            serve(auth.make_app(), port)
        case "analytics":
            from broadcaster.sample import analytics

            serve(analytics.make_app(), port)
        case _:
            from broadcaster.sample import assistant

            serve(assistant.make_app(name), port)


def serve(application: object, port: int) -> None:
    uvicorn.run(
        application,  # type: ignore[arg-type]
        host="127.0.0.1",
        port=port,
        log_config=None,
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE,
    )


if __name__ == "__main__":
    sys.exit(main())
