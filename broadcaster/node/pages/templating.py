"""Templates, and what came of them: bytes that are made once and sent to everybody who asks."""

from __future__ import annotations

import gzip
import hashlib
import math
import re
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Generic, TypeVar

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from broadcaster.node.pages.words import moment

T = TypeVar("T")

WORTH_PACKING = 600
"""Bytes from which on a body is sent packed to whoever takes it so."""

CHEAP = 0.02
"""Seconds of work that may be done anew whenever somebody asks for it."""

REST = 20.0
"""How many times as long as the work the rest after it is: all who ask for one thing take a twentieth of the time."""

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML document can have, however it is written."""

_environment = Environment(
    loader=PackageLoader("broadcaster.node.pages"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=StrictUndefined,
    auto_reload=False,
)
_environment.globals["moment"] = moment
for _each in _environment.list_templates():
    _environment.get_template(_each)  # compiled now, which takes longer than the first who asks should wait
_environment.globals["badge"] = _environment.get_template("macros.html").module.badge  # type: ignore[attr-defined]


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
    """A body, the same packed by gzip (empty where that is not worth it), and a tag that differs where it does."""

    body: bytes
    packed: bytes
    tag: str
    media_type: str


def render(template: str, /, **values: object) -> Markup:
    """The template with these values, of which everything that is not Markup is escaped."""
    return Markup(_environment.get_template(template).render(**values))  # noqa: S704 - it escapes


def rendered(body: str | bytes, media_type: str) -> Rendered:
    """What is sent of a body."""
    if isinstance(body, str):
        body = _NO_XML.sub("\ufffd", body).encode()
    return Rendered(
        body=body,
        packed=gzip.compress(body, 6, mtime=0) if len(body) >= WORTH_PACKING else b"",
        tag=f'W/"{hashlib.sha256(body).hexdigest()[:20]}"',
        media_type=media_type,
    )


def answer(request: Request, what: Rendered, headers: Mapping[str, str], *, status: int = 200) -> Response:
    """The response to one who may have it already (``If-None-Match``), or takes it packed."""
    headers = {**headers, "ETag": what.tag, "Vary": "Accept-Encoding"}
    known = request.headers.get("if-none-match", "")
    if status == 200 and what.tag in (each.strip() for each in known.split(",")):
        return Response(status_code=304, headers=headers)
    if what.packed and _takes_gzip(request.headers.get("accept-encoding", "")):
        headers["Content-Encoding"] = "gzip"
        return Response(what.packed, status_code=status, headers=headers, media_type=what.media_type)
    return Response(what.body, status_code=status, headers=headers, media_type=what.media_type)


class Latest(Generic[T]):
    """The last thing that was made, and what of: it is made anew when that differs. What took more than ``CHEAP`` to
    make is kept in any case for ``rest`` times as long as that. ``cpu`` and ``clock`` give seconds."""

    __slots__ = ("_clock", "_cpu", "_key", "_made", "_rest", "_rests_until")

    def __init__(
        self,
        *,
        rest: float = 0.0,
        cpu: Callable[[], float] = time.thread_time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rest = rest
        self._cpu = cpu
        self._clock = clock
        self._key: Hashable = None
        self._made: T | None = None
        self._rests_until = -math.inf

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        if self._made is None or (self._key != key and self._clock() >= self._rests_until):
            began = self._cpu()
            self._made, self._key = make(), key
            took = self._cpu() - began
            self._rests_until = self._clock() + self._rest * took if took > CHEAP else -math.inf
        return self._made


class Same:
    """Equal to itself wrapped again, and to nothing else; keeps it alive."""

    __slots__ = ("_of",)

    def __init__(self, of: object) -> None:
        self._of = of

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other._of is self._of

    def __hash__(self) -> int:
        return id(self._of)


def _takes_gzip(accepted: str) -> bool:
    for each in accepted.lower().split(","):
        coding, _, parameters = each.partition(";")
        if coding.strip() == "gzip":
            return parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
