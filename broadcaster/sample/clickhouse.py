"""A ClickHouse for the sample: this process becomes the one that is installed, or else a stand-in for it."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from broadcaster.store.embedded import free_port

log = structlog.get_logger()

STAND_IN = "no clickhouse-server on this machine: a stand-in counts the events, in memory"


def find_program() -> str | None:
    """The path of ``clickhouse-server``, None where there is none."""
    return shutil.which("clickhouse-server", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


def configure(folder: Path, port: int) -> Path:
    """Writes a configuration for a server on loopback with its data in ``folder``; the file's path."""
    settings = {
        "listen_host": "127.0.0.1",
        "http_port": str(port),
        "tcp_port": str(free_port()),
        "path": f"{folder}/",
        "tmp_path": f"{folder}/tmp/",  # noqa: S108 - in our own folder
        "user_files_path": f"{folder}/user_files/",
        "users_config": "users.xml",
        "default_profile": "default",
        "default_database": "default",
        "mark_cache_size": "5368709",
        "logger": "<level>error</level><console>true</console>",
    }
    user = "<password></password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>"
    rules = {"profiles": "<default/>", "quotas": "<default/>", "users": f"<default>{user}</default>"}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.xml").write_text(f"<yandex>{elements(settings)}</yandex>")
    (folder / "users.xml").write_text(f"<yandex>{elements(rules)}</yandex>")
    return folder / "config.xml"


def become_server(program: str, port: int, folder: Path) -> None:
    """Runs ClickHouse on ``port``; does not return."""
    os.execv(program, [program, f"--config-file={configure(folder, port)}"])  # noqa: S606


def make_stand_in() -> Starlette:
    """As much of ClickHouse's HTTP interface as the sample uses: a ping, events that are inserted, and their count."""
    log.warning("stand_in", reason=STAND_IN)
    counts: Counter[str] = Counter()

    async def ping(request: Request) -> Response:
        return PlainTextResponse("Ok.\n")

    async def query(request: Request) -> Response:
        body = await request.body()
        text = request.query_params.get("query") or body.decode()
        if text.startswith("INSERT"):
            counts.update(msgspec.json.decode(line)["kind"] for line in body.splitlines())
            return PlainTextResponse("")
        if re.match("SELECT kind", text):
            return PlainTextResponse("".join(f"{kind}\t{count}\n" for kind, count in sorted(counts.items())))
        return PlainTextResponse("1\n" if text.startswith("SELECT") else "")

    return Starlette(routes=[Route("/ping", ping), Route("/", query, methods=["POST"])])


def elements(values: Mapping[str, str]) -> str:
    """As XML."""
    return "".join(f"<{name}>{value}</{name}>" for name, value in values.items())
