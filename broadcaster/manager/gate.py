"""Admission at hand: judged once for a picture, enforced as far as the settings say, and counted."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from broadcaster.config.settings import GateSettings
from broadcaster.domain.admission import Admission, Enforcement, Verdict, admit, is_chosen, let_in, oldest_observation
from broadcaster.domain.model import Catalogue, FeedState, Snapshot

log = structlog.get_logger()

Requires = tuple[str, ...] | None

UNLOADED = (
    "nothing is known yet, so everybody is let in who is not to be refused without knowledge; "
    "is the manager entered (async with manager, or lifespan=lifespan(manager))?"
)

MOST_GATES = 256
"""Different requirements whose verdicts are kept; a program has a handful."""


class Gate:
    """Judges by ``snapshot()``, and notes what the ``feed()`` was worth: a change of that comes with another snapshot.
    ``unenforced`` counts the rejections that the settings did not let stand."""

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        catalogue: Catalogue,
        settings: GateSettings,
        *,
        feed: Callable[[], FeedState] = lambda: FeedState.LIVE,
    ) -> None:
        self._snapshot = snapshot
        self._feed = feed
        self._catalogue = catalogue
        self._settings = settings
        self._judged_by: Snapshot | None = None
        self._judged: dict[Requires, Admission] = {}
        self._logged: tuple[tuple[str, ...], object] | None = None
        self._has_warned = False
        self.unenforced = 0

    def __repr__(self) -> str:
        return f"Gate({self._settings.mode}, {self._settings.enforce_percent:g} %)"

    @property
    def is_partial(self) -> bool:
        """Whether it depends on the user if a rejection stands."""
        return self._settings.mode is Enforcement.ENFORCE and self._settings.enforce_percent < 100

    @property
    def is_closed(self) -> bool:
        """Whether somebody is refused now who needs all critical services."""
        is_on = self._settings.mode is Enforcement.ENFORCE and self._settings.enforce_percent > 0
        return is_on and self._look(None).verdict is Verdict.REJECT

    def use(self, catalogue: Catalogue, settings: GateSettings) -> None:
        """Judges by other settings from now on."""
        self._catalogue, self._settings, self._judged_by = catalogue, settings, None

    def judge(self, requires: Requires, user: str | None) -> Admission:
        """Costs a look-up where the picture is still the same."""
        admission = self._look(requires)
        if admission.verdict is Verdict.REJECT and not self._stands(user):
            self._note(admission)
            admission = let_in(admission)
        return admission

    def _look(self, requires: Requires) -> Admission:
        snapshot = self._snapshot()
        if self._judged_by is not snapshot or len(self._judged) > MOST_GATES:
            self._judged_by, self._judged = snapshot, {}
        admission = self._judged.get(requires)
        if admission is None:
            if not snapshot.position.epoch and not self._has_warned:
                self._has_warned = True
                log.warning("judging_unloaded", hint=UNLOADED)
            is_stale = self._feed() is not FeedState.LIVE
            if self._settings.mode is Enforcement.OFF:
                as_of = oldest_observation(self._catalogue, snapshot, requires)
                admission = Admission(verdict=Verdict.ACCEPT, as_of=as_of, is_stale=is_stale)
            else:
                admission = admit(self._catalogue, snapshot, requires, is_stale=is_stale)
            self._judged[requires] = admission
        return admission

    def _stands(self, user: str | None) -> bool:
        if self._settings.mode is not Enforcement.ENFORCE:
            return False
        percent = self._settings.enforce_percent
        return percent >= 100 or (user is not None and is_chosen(user, percent))

    def _note(self, admission: Admission) -> None:
        self.unenforced += 1
        known = (admission.blocking, self._snapshot().position)
        if self._logged != known:
            self._logged = known
            log.warning("would_reject", blocking=admission.blocking, causes=admission.causes)
