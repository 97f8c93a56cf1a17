"""What may be told now, and what changes it: the feed's snapshot, judged by age, plans and first-hand evidence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing

import msgspec

from broadcaster.config.settings import Settings
from broadcaster.domain.freshness import Carrier, effective
from broadcaster.domain.model import FeedState, Plan, PlanChange, ServiceState, Snapshot, Status, event_kind
from broadcaster.manager.changes import FeedChanged, Listeners, PlanChanged, ServiceChanged, SnapshotReplaced
from broadcaster.store.base import Store
from broadcaster.store.feed import Feed, Replaced, Replanned, StateChanged, Transitioned, Update

CHECK_SECONDS = 1.0
"""How often the age of observations is looked at."""

TOGETHER_SECONDS = 0.001
"""Seconds in which updates go together, so that a burst is not told piece by piece; then others have a turn."""


class Picture:
    """Follows the feed of ``store``, and tells ``listeners`` what changes. ``clock`` gives Unix seconds."""

    def __init__(self, store: Store, settings: Settings, listeners: Listeners, clock: Callable[[], float]) -> None:
        self.feed = Feed(store, settings.feed)
        self.loaded = asyncio.Event()
        """Set once the carrier was read."""
        self._listeners = listeners
        self._clock = clock
        self._evidence: Carrier | None = None
        self._adopt(settings)
        self._effective = self._judge()

    def __repr__(self) -> str:
        return f"Picture({self.feed!r})"

    @property
    def snapshot(self) -> Snapshot:
        """What may be told now. The same object until something changes, be it what it is worth."""
        return self._effective

    def use(self, settings: Settings) -> None:
        """Goes on by other services, told as a SnapshotReplaced. How the carrier is read stays."""
        before = self._effective
        self._adopt(settings)
        # A snapshot of its own: what was drawn from the old one was drawn by the old settings.
        self._effective = msgspec.structs.replace(self._judge())
        self._listeners.tell(SnapshotReplaced(before=before, after=self._effective, reason="settings"))

    def _adopt(self, settings: Settings) -> None:
        self._carrier = settings.redis.service
        self._expires_after: Mapping[str, float] = {
            name: each.expires_after for name, each in settings.services.items()
        }

    async def follow(self) -> None:
        """Follows until it is cancelled."""
        time, last = asyncio.get_running_loop().time, 0.0
        async with aclosing(self.feed.updates()) as updates:
            async for update in updates:
                self._take(update)
                if self.feed.is_loaded:
                    self.loaded.set()
                if time() - last > TOGETHER_SECONDS:
                    await asyncio.sleep(0)
                    last = time()

    def _take(self, update: Update) -> None:
        if isinstance(update, StateChanged):
            self._note_feed(update.state)
            self._listeners.tell(FeedChanged(state=update.state, reason=update.reason))
            return
        before = self._refresh()
        match update:
            case Transitioned(transition=transition):
                self._listeners.tell(
                    ServiceChanged(
                        service=transition.service,
                        kind=transition.kind,
                        at=transition.at,
                        before=before,
                        after=self._effective,
                        incident=transition.incident,
                    )
                )
                self._tell_others(before, transition.service)
            case Replanned(change=change):
                self._tell_plan(change, before)
                self._tell_others(before, change.service)
            case Replaced(reason=reason):
                self._listeners.tell(SnapshotReplaced(before=before, after=self._effective, reason=reason))

    def _tell_plan(self, change: PlanChange, before: Snapshot) -> None:
        """An override, and its end, is an event where it changes what is told; all else is news of plans."""
        was, now = before.status(change.service), self._effective.status(change.service)
        if was is now or now is Status.UNKNOWN:
            self._listeners.tell(PlanChanged(change=change, before=before, after=self._effective))
            return
        self._listeners.tell(
            ServiceChanged(
                service=change.service,
                kind=event_kind(was, now),
                at=change.at,
                before=before,
                after=self._effective,
            )
        )

    def _note_feed(self, state: FeedState) -> None:
        """Reaching the carrier, or not, is first-hand evidence of the service that stands for it."""
        is_reached = state is not FeedState.LOST
        if self._evidence is None or self._evidence.is_reached is not is_reached:
            self._evidence = Carrier(service=self._carrier, is_reached=is_reached, since=self._clock())
        before = self._refresh()
        if self._effective is before:
            self._effective = msgspec.structs.replace(before)  # what was concluded from it was worth something else
        service = self._carrier
        was, now = before.status(service), self._effective.status(service)
        if was is not now and now is not Status.UNKNOWN:
            self._listeners.tell(
                ServiceChanged(
                    service=service,
                    kind=event_kind(was, now),
                    at=self._clock(),
                    before=before,
                    after=self._effective,
                    local=True,
                )
            )
        self._tell_others(before, service)

    def _tell_others(self, before: Snapshot, told: str) -> None:
        """What changed beside the service that was told of: observations that expired or came back, plans that began
        or ended without a word."""
        if before is not self._effective and any(name != told for name in _changed(before, self._effective)):
            self._listeners.tell(SnapshotReplaced(before=before, after=self._effective, reason="observations"))

    async def watch_age(self) -> None:
        """Looks what expires, until it is cancelled."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            self._tell_others(self._refresh(), "")

    def _refresh(self) -> Snapshot:
        """Judges anew; returns the picture before. The object stays the same where nothing differs."""
        before, after = self._effective, self._judge()
        if after.position != before.position or after.services != before.services:
            self._effective = after
        return before

    def _judge(self) -> Snapshot:
        return effective(
            self.feed.snapshot,
            now=self._clock(),
            expires_after=self._expires_after,
            carrier=self._evidence,
        )


def _changed(before: Snapshot, after: Snapshot) -> Iterator[str]:
    """The services of which something else may be told after than before."""
    for name in before.services.keys() | after.services.keys():
        was, now = before.services.get(name), after.services.get(name)
        if was is not now and _told(was) != _told(now):
            yield name


def _told(state: ServiceState | None) -> tuple[Status, Plan | None] | None:
    return None if state is None else (state.status, state.planned)
