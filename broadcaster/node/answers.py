"""What clients are told who cannot stay: prepared for many at once, with the times to come back spread between them.

All who are told at the same time would otherwise come back together.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import structlog

from broadcaster.config.settings import NodeSettings
from broadcaster.domain.admission import admit
from broadcaster.domain.languages import Language
from broadcaster.domain.model import Catalogue, Position, Snapshot
from broadcaster.domain.reconnects import after_goodbye
from broadcaster.manager.manager import ServiceAvailabilityManager
from broadcaster.manager.refusals import refusal
from broadcaster.node.frames import text_frame
from broadcaster.protocol.closing import Closing
from broadcaster.protocol.messages import Message

log = structlog.get_logger()

VARIANTS = 32
"""Answers that are encoded for all."""


class Rejections:
    """For those whom admission refuses; encoded anew when the picture changes, and after ``outdate``. They are told of
    everything, each in the language that they asked for."""

    __slots__ = ("_clock", "_logged", "_manager", "_prepared", "_settings", "_snapshot")

    def __init__(self, manager: ServiceAvailabilityManager, settings: NodeSettings, clock: Callable[[], float]) -> None:
        self._manager = manager
        self._settings = settings
        self._clock = clock
        self._snapshot: Snapshot | None = None
        self._prepared: dict[Language, tuple[list[bytes], Closing]] = {}
        self._logged: tuple[tuple[str, ...], Position] | None = None

    def outdate(self) -> None:
        self._snapshot = None

    def draw(self, locale: str) -> tuple[bytes, Closing]:
        """A rejection for a reader of this language ('': whatever), and what the connection closes with after it."""
        if self._snapshot is not self._manager.snapshot:
            self._snapshot = self._manager.snapshot
            self._prepared = {}
        catalogue = self._manager.catalogue
        language = catalogue.language_for(locale) if locale else catalogue.language
        prepared = self._prepared.get(language)
        if prepared is None:
            prepared = self._prepared[language] = self._prepare(catalogue.told_in(language))
        frames, why = prepared
        return random.choice(frames), why  # noqa: S311

    def _prepare(self, catalogue: Catalogue) -> tuple[list[bytes], Closing]:
        manager, settings, now = self._manager, self._settings, self._clock()
        snapshot = manager.snapshot
        admission = admit(catalogue, snapshot)
        if self._logged != (admission.blocking, manager.position):
            log.warning("handshakes_rejected", blocking=admission.blocking, causes=admission.causes)
            self._logged = (admission.blocking, manager.position)
        refusals = [
            refusal(
                catalogue,
                admission,
                snapshot,
                now,
                chance=chance,
                least=settings.retry_after,
                most=settings.retry_after_most,
            )
            for chance in _chances()
        ]
        return [text_frame(each.message) for each in refusals], refusals[0].closing


class Farewells:
    """For those whom the node sends away; encoded anew after ``outdate``."""

    __slots__ = ("_clients", "_clock", "_frames", "_say", "_settings")

    def __init__(
        self,
        say: Callable[[float, int], Message],
        settings: NodeSettings,
        clock: Callable[[], float],
        clients: Callable[[], int],
    ) -> None:
        self._say = say
        self._settings = settings
        self._clock = clock
        self._clients = clients
        self._frames: list[bytes] = []

    def outdate(self) -> None:
        self._frames = []

    def draw(self) -> bytes:
        if not self._frames:
            least, rate, clients = self._settings.retry_after, self._settings.reconnect_rate, self._clients()
            waits = (after_goodbye(chance, clients=clients, least=least, rate=rate) for chance in _chances())
            self._frames = [text_frame(self._say(self._clock(), round(wait * 1000))) for wait in waits]
        return random.choice(self._frames)  # noqa: S311


def _chances() -> Iterator[float]:
    """Numbers from 0 to 1 at random, and evenly spread all the same."""
    return ((number + random.random()) / VARIANTS for number in range(VARIANTS))  # noqa: S311
