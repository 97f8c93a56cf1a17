"""Redis answers PING, and INFO says nothing worse: loading, read-only and a broken replication link are told apart."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import redis.asyncio
import redis.exceptions
from redis.asyncio.connection import AbstractConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from broadcaster.config.settings import RedisProbe
from broadcaster.domain.model import Category
from broadcaster.probes.base import DrivenProbe
from broadcaster.probes.classify import Finding, chain, failed, impaired
from broadcaster.probes.dial import open_socket
from broadcaster.probes.redact import url_secrets
from broadcaster.probes.tls import ClientTls

_REFUSALS = (
    # How the error begins, and what it means. Redis has no codes but these words.
    # It is there, has its data, and will serve them without anybody's help.
    ("LOADING", impaired, Category.LOADING),
    ("NOAUTH", failed, Category.AUTH),
    ("WRONGPASS", failed, Category.AUTH),
    ("DENIED", failed, Category.AUTH),
    ("invalid password", failed, Category.AUTH),
    ("invalid username", failed, Category.AUTH),
    ("max number of clients", failed, Category.OVERLOADED),
    ("BUSY", failed, Category.OVERLOADED),
    # The disk failed, and the server was told to take no writes then; it answers so to PING too.
    ("MISCONF", impaired, Category.READ_ONLY),
)


class RedisLook(DrivenProbe):
    def __init__(self, service: str, settings: RedisProbe, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(service, secrets=url_secrets(settings.url), clock=clock)
        self._settings = settings
        self._tls = ClientTls(settings.tls)

    async def _look(self) -> Finding:
        connection = self._connection()
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            await connection.send_command("PING", check_health=False)
            answer = await connection.read_response()
            if answer not in {b"PONG", "PONG"}:
                return failed(Category.BAD_RESPONSE, f"PING was answered with {answer!r}")
            try:
                info = await _info(connection, "replication") | await _info(connection, "persistence")
            except redis.exceptions.NoPermissionError:
                # The probe's user may see no more than that the server answers.
                return Finding()
            return judge(info, allow_replica=self._settings.allow_replica)
        finally:
            await _drop(connection)

    def _meaning(self, error: Exception) -> Finding | None:
        for each in chain(error):
            if isinstance(each, redis.exceptions.BusyLoadingError):
                return impaired(Category.LOADING, str(each))
            if isinstance(each, redis.exceptions.MasterDownError):
                return failed(Category.REPLICATION, str(each))
            if isinstance(each, redis.exceptions.AuthenticationError | redis.exceptions.NoPermissionError):
                return failed(Category.AUTH, str(each))
            for words, finding, category in _REFUSALS:
                if isinstance(each, redis.exceptions.RedisError) and words.lower() in str(each).lower():
                    return finding(category, str(each))
        if isinstance(error, redis.exceptions.InvalidResponse):
            return failed(Category.BAD_RESPONSE, f"this is not Redis: {error}")
        if isinstance(error, redis.exceptions.ResponseError):
            return failed(Category.BAD_RESPONSE, str(error))
        if isinstance(error, redis.exceptions.ConnectionError) and "closed by server" in str(error):
            return failed(Category.RESET, str(error))
        return None

    def _connection(self) -> AbstractConnection:
        options = parse_url(self._settings.url)
        # The deadline is the driver's, and so are retries: inside the client they would hide what is to be seen.
        common: dict[str, Any] = {
            "protocol": 2,
            "socket_timeout": None,
            "socket_connect_timeout": None,
            "retry": Retry(NoBackoff(), 0),
            "driver_info": None,
        }
        common |= {
            name: options[name] for name in ("username", "password", "db", "path", "host", "port") if name in options
        }
        if "path" in common:
            return redis.asyncio.UnixDomainSocketConnection(**common)
        return _Connection(tls=self._tls if self._settings.url.startswith("rediss:") else None, **common)


class _Connection(redis.asyncio.Connection):
    """A connection whose socket is opened by us; TLS is what the probe's settings say, not the URL."""

    def __init__(self, *, tls: ClientTls | None, **options: Any) -> None:
        super().__init__(**options)
        self._tls = tls

    async def _connect(self) -> None:
        connection = await open_socket(self.host, self.port)
        try:
            self._reader, self._writer = await asyncio.open_connection(
                sock=connection,
                ssl=None if self._tls is None else self._tls.context(),
                server_hostname=None if self._tls is None else self._tls.server_name(self.host),
            )
        except BaseException:
            connection.close()
            raise


def judge(info: dict[str, str], *, allow_replica: bool = False) -> Finding:
    """What INFO's replication and persistence sections say of the server."""
    if info.get("loading", "0") != "0":
        return impaired(Category.LOADING, "INFO says loading")
    is_replica = info.get("role") == "slave"
    if is_replica and info.get("master_link_status") == "down":
        return impaired(Category.REPLICATION, "a replica without a link to its master")
    if is_replica and not allow_replica:
        return impaired(Category.READ_ONLY, "a replica: it takes no writes")
    if info.get("aof_last_write_status", "ok") != "ok":
        return impaired(Category.READ_ONLY, "the last write to the append-only file failed")
    return Finding()


async def _info(connection: AbstractConnection, section: str) -> dict[str, str]:
    await connection.send_command("INFO", section, check_health=False)
    answer = await connection.read_response()
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else str(answer)
    pairs = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: value for name, _, value in pairs}


async def _drop(connection: AbstractConnection) -> None:
    # Not disconnect() alone: with TLS that waits for the other side's goodbye.
    writer = connection._writer
    if writer is not None:
        writer.transport.abort()
    await connection.disconnect(nowait=True)
