"""ClickHouse's HTTP interface says Ok. to a ping, and answers a query."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import httpx

from broadcaster.config.settings import ClickHouseProbe
from broadcaster.domain.model import Category
from broadcaster.probes.base import DrivenProbe
from broadcaster.probes.classify import Finding, failed, status_finding
from broadcaster.probes.fetch import Answer, fetch, http_meaning
from broadcaster.probes.redact import url_secrets
from broadcaster.probes.tls import ClientTls

_CODES = {
    # src/Common/ErrorCodes.cpp
    159: Category.TIMEOUT,  # TIMEOUT_EXCEEDED
    192: Category.AUTH,  # UNKNOWN_USER
    193: Category.AUTH,  # WRONG_PASSWORD
    194: Category.AUTH,  # REQUIRED_PASSWORD
    195: Category.AUTH,  # IP_ADDRESS_NOT_ALLOWED
    202: Category.OVERLOADED,  # TOO_MANY_SIMULTANEOUS_QUERIES
    241: Category.OVERLOADED,  # MEMORY_LIMIT_EXCEEDED
    242: Category.READ_ONLY,  # TABLE_IS_READ_ONLY
    252: Category.OVERLOADED,  # TOO_MANY_PARTS
    439: Category.OVERLOADED,  # CANNOT_SCHEDULE_TASK
    497: Category.AUTH,  # ACCESS_DENIED
    516: Category.AUTH,  # AUTHENTICATION_FAILED
}

_EXCEPTION = re.compile(r"\bCode: (\d+)[.,].{0,4096}?DB::(?:\w+::)*(?:Net)?Exception", re.DOTALL)


class ClickHouseLook(DrivenProbe):
    def __init__(self, service: str, settings: ClickHouseProbe, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(service, secrets={*url_secrets(settings.url), settings.password} - {""}, clock=clock)
        self._settings = settings
        self._tls = ClientTls(settings.tls)

    async def _look(self) -> Finding:
        url = httpx.URL(self._settings.url)
        ping = await fetch(str(url.copy_with(path=url.path.rstrip("/") + "/ping", query=None)), tls=self._tls)
        if ping.status != 200:
            return status_finding(ping.status, f"/ping was answered with status {ping.status}")
        if ping.body.strip() != b"Ok.":
            return failed(Category.BAD_RESPONSE, "/ping was not answered with 'Ok.': this is not ClickHouse")
        headers = {"x-clickhouse-user": self._settings.user, "x-clickhouse-key": self._settings.password}
        answer = await fetch(
            str(url),
            tls=self._tls,
            method="POST",
            headers={name: value for name, value in headers.items() if value},
            body=self._settings.query.encode(),
        )
        return judge(answer)

    def _meaning(self, error: Exception) -> Finding | None:
        return http_meaning(error)


def judge(answer: Answer) -> Finding:
    """What the answer to the query says of the server."""
    text = answer.body.decode(errors="replace")
    # A query that fails when the first rows are out has status 200 already; its error is at the end of the body.
    in_body = _EXCEPTION.search(text)
    code = answer.headers.get("x-clickhouse-exception-code", in_body.group(1) if in_body else "")
    if code.isdecimal():
        by_status = Category.SERVER_ERROR if answer.status >= 500 or answer.status < 400 else Category.BAD_RESPONSE
        words = text[in_body.start() :] if in_body else text
        return failed(_CODES.get(int(code), by_status), f"status {answer.status}, {words}".strip())
    if not 200 <= answer.status < 300:
        return status_finding(answer.status, f"the query was answered with status {answer.status}")
    return Finding()
