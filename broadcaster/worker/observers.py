"""Services that several workers observe: each votes, and whoever owns the service concludes from the votes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping

import msgspec
import structlog

from broadcaster.domain.model import Status
from broadcaster.domain.ownership import ranking
from broadcaster.domain.quorum import Vote, agreed, choose, disagreement
from broadcaster.store.base import Presence, Store

log = structlog.get_logger()


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """How a service is observed: by how many, how many must agree, and the seconds for which a vote is good."""

    observers: int
    quorum: int
    expires_after: float


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """The votes on a service that this worker owns, of ``observers`` that are alive."""

    votes: tuple[Vote, ...]
    observers: int
    quorum: int


class Observers:
    """This worker's part in observing ``services``.

    ``among`` gives the workers that are to be believed, itself included, ``owned`` the services it concludes on.
    ``on_assigned`` and ``on_unassigned`` are told which services it observes; ``vote_of`` gives its vote on one.
    ``beat`` is called with every heartbeat.
    """

    def __init__(
        self,
        store: Store,
        *,
        worker: str,
        services: Mapping[str, Observed],
        among: Callable[[], Mapping[str, Presence]],
        owned: Callable[[], Collection[str]],
        vote_of: Callable[[str], Vote | None],
        on_assigned: Callable[[str], None],
        on_unassigned: Callable[[str], Awaitable[None]],
        on_votes: Callable[[str, Agreement], None],
    ) -> None:
        self._store = store
        self._worker = worker
        self._services = services
        self._among = among
        self._owned = owned
        self._vote_of = vote_of
        self._on_assigned = on_assigned
        self._on_unassigned = on_unassigned
        self._on_votes = on_votes
        self._assigned: set[str] = set()
        self._cast: dict[str, Vote] = {}
        self._disagreements: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Observers({self._worker!r}, {len(self._assigned)} services)"

    async def beat(self, now: float) -> None:
        """Takes up and leaves services, casts votes, and hands the votes on what is owned on. Raises StoreError."""
        if not self._services:
            return
        among = self._among()
        zones = {name: its.zone for name, its in among.items()}
        chosen = {name: choose(ranking(name, among), zones, its.observers) for name, its in self._services.items()}
        mine = {name for name, workers in chosen.items() if self._worker in workers}
        for name in self._assigned - mine:
            await self._on_unassigned(name)
        for name in mine - self._assigned:
            self._on_assigned(name)
        left = self._assigned - mine
        self._assigned = mine
        await self._cast_votes(left)
        await self._count_votes(chosen, now)

    async def withdraw(self) -> None:
        """Takes all votes back: they cannot be believed. Raises StoreError."""
        if self._cast:
            await self._store.vote(self._worker, dict.fromkeys(self._cast))
            self._cast = {}

    async def _cast_votes(self, left: Collection[str]) -> None:
        votes: dict[str, Vote | None] = dict.fromkeys(left)
        for name in self._assigned:
            vote = self._vote_of(name)
            if vote is not None and vote != self._cast.get(name):
                votes[name] = vote
        if votes:
            await self._store.vote(self._worker, votes)
        for name, cast in votes.items():
            if cast is None:
                self._cast.pop(name, None)
            else:
                self._cast[name] = cast

    async def _count_votes(self, chosen: Mapping[str, list[str]], now: float) -> None:
        mine = [name for name in self._owned() if name in self._services]
        if not mine:
            return
        for name, votes in (await self._store.votes(mine)).items():
            its = self._services[name]
            fresh = tuple(vote for vote in votes if vote.worker in chosen[name] and now - vote.at <= its.expires_after)
            self._note(name, disagreement(fresh, len(chosen[name])))
            self._on_votes(name, Agreement(votes=fresh, observers=len(chosen[name]), quorum=its.quorum))

    def _note(self, name: str, told: str) -> None:
        if told != self._disagreements.get(name, ""):
            self._disagreements[name] = told
            log.info("observers_disagree" if told else "observers_agree", service=name, detail=told)


def conclusion(agreement: Agreement) -> tuple[Status, Vote] | None:
    """The status agreed on with the newest vote for it (which says why), or None."""
    status = agreed(agreement.votes, agreement.observers, agreement.quorum)
    if status is None:
        return None
    votes = [vote for vote in agreement.votes if vote.status is status] or list(agreement.votes)
    return status, max(votes, key=lambda vote: vote.at)
