"""Notices on an application's own sockets: in its own format, worded once for all, and nobody waits for a slow one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import parse_qs

import structlog

from broadcaster.domain import languages
from broadcaster.domain.languages import Language
from broadcaster.domain.model import Catalogue
from broadcaster.protocol import codec
from broadcaster.protocol.messages import SUBPROTOCOL, Message

log = structlog.get_logger()

MOST_PENDING = 32
"""Messages that wait for a socket; more of them become one snapshot."""

Format = Callable[[Message], str | None]
"""A message in an application's own words; None for one that it does not pass on."""

Wording = tuple[Format, str]
"""How a socket is told: the format, and the language that it asked for."""


class StarletteSocket(Protocol):
    """What Starlette and FastAPI have."""

    async def send_text(self, data: str) -> None: ...


class PlainSocket(Protocol):
    """What ``websockets`` has."""

    async def send(self, message: str) -> None: ...


Telling = Callable[[Catalogue], Message | None]
"""A message to whoever is told this catalogue; None where there is none."""

Socket = StarletteSocket | PlainSocket | Callable[[str], Awaitable[None]]


def plain(message: Message) -> str:
    """The message as the protocol has it."""
    return codec.encode(message).decode()


def asks_for_notices(subprotocols: Iterable[str] = (), query: str = "") -> bool:
    """Whether a client asked for notices: by offering the subprotocol, or by ``notices=1`` in the query. Clients that
    never heard of them do neither."""
    return SUBPROTOCOL in subprotocols or parse_qs(query).get("notices", ["0"])[-1] in ("1", "true", "yes")


def asked_locale(query: str) -> str:
    """The language that a client asks for by ``locale=`` in the query, in its canonical form; '' for none, and for what
    is no language tag."""
    return languages.read(parse_qs(query).get("locale", [""])[-1])


class Attachment:
    """One socket that is told. ``async with`` it for as long as the socket lives; its end never raises."""

    def __init__(self, attachments: Attachments, socket: Socket, wording: Wording, greeting: str | None) -> None:
        self._attachments = attachments
        self._send = _sender(socket)
        self.wording = wording
        self._pending: deque[str] = deque() if greeting is None else deque([greeting])
        self._is_behind = False
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"Attachment({len(self._pending)} pending)"

    async def __aenter__(self) -> Self:
        self._attachments.add(self)
        self._task = asyncio.create_task(self._tell(), name="attached socket")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._attachments.remove(self)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def take(self, text: str) -> None:
        """Something to tell. A socket that is too far behind is told how things stand, once it takes something."""
        self._pending.append(text)
        if len(self._pending) > MOST_PENDING:
            self._pending.popleft()
            self._is_behind = True
        self._more.set()

    async def _tell(self) -> None:
        while True:
            if self._is_behind:
                self._is_behind = False
                text = self._attachments.snapshot(self.wording)
                if text is None:
                    continue  # a format without a word for it: the newest that are pending must do
                self._pending.clear()
            elif self._pending:
                text = self._pending.popleft()
            else:
                self._more.clear()
                await self._more.wait()
                continue
            try:
                await self._send(text)
            except Exception as error:  # noqa: BLE001 - whatever a framework raises for a socket that is gone
                log.info("attached_socket_gone", error=str(error) or type(error).__name__)
                self._attachments.remove(self)
                return


class Attachments:
    """All sockets that are told. ``snapshot`` and ``welcome`` give how things stand, ``catalogue`` what there is to
    tell of."""

    def __init__(self, catalogue: Callable[[], Catalogue], snapshot: Telling, welcome: Telling) -> None:
        self._catalogue = catalogue
        self._snapshot = snapshot
        self._welcome = welcome
        self._by_wording: dict[Wording, set[Attachment]] = {}

    def __repr__(self) -> str:
        return f"Attachments({len(self)} in {len(self._by_wording)} wordings)"

    def __len__(self) -> int:
        return sum(map(len, self._by_wording.values()))

    def attach(self, socket: Socket, format: Format, *, greet: bool, locale: str) -> Attachment:  # noqa: A002
        wording = format, languages.read(locale)
        return Attachment(
            self, socket, wording, _Telling(self._catalogue(), self._welcome).text(wording) if greet else None
        )

    def add(self, attachment: Attachment) -> None:
        self._by_wording.setdefault(attachment.wording, set()).add(attachment)

    def remove(self, attachment: Attachment) -> None:
        """Tells it nothing more; a second time does nothing."""
        together = self._by_wording.get(attachment.wording)
        if together is not None:
            together.discard(attachment)
            if not together:
                del self._by_wording[attachment.wording]

    def tell(self, message: Telling) -> None:
        """Tells everybody, worded once for each format and language that there are words in."""
        telling = _Telling(self._catalogue(), message)
        for wording, together in self._by_wording.items():
            text = telling.text(wording)
            if text is not None:
                for attachment in together:
                    attachment.take(text)

    def snapshot(self, wording: Wording) -> str | None:
        return _Telling(self._catalogue(), self._snapshot).text(wording)


class _Telling:
    """One thing to tell: a message for each language, and a text for each format of it, made when they are needed."""

    def __init__(self, catalogue: Catalogue, message: Telling) -> None:
        self._catalogue = catalogue
        self._message = message
        self._messages: dict[Language, Message | None] = {}
        self._texts: dict[tuple[Format, Language], str | None] = {}

    def text(self, wording: Wording) -> str | None:
        to_text, locale = wording
        language = self._catalogue.language_for(locale)
        if language not in self._messages:
            self._messages[language] = self._message(self._catalogue.told_in(language))
        message = self._messages[language]
        if message is None:
            return None
        if (to_text, language) not in self._texts:
            self._texts[to_text, language] = _worded(to_text, message)
        return self._texts[to_text, language]


def _worded(to_text: Format, message: Message) -> str | None:
    try:
        return to_text(message)
    except Exception:
        log.exception("format_failed", message=type(message).__name__)
        return None


def _sender(socket: Socket) -> Callable[[str], Awaitable[None]]:
    for name in ("send_text", "send"):
        method = getattr(socket, name, None)
        if method is not None:
            found: Callable[[str], Awaitable[None]] = method
            return found
    if callable(socket):
        return socket
    raise TypeError(f"{socket!r} has neither send_text() nor send(), and cannot be called")
