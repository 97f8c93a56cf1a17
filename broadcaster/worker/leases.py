"""Which services this worker owns: claimed and given up as workers come and go, one call of the carrier a beat."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping

import msgspec
import structlog

from broadcaster.domain.detection import DetectorState
from broadcaster.domain.errors import StoreError
from broadcaster.domain.ownership import share
from broadcaster.store.base import Fence, Grant, Leased, Presence, Store

log = structlog.get_logger()

KEEP_EVERY = 10.0
"""Seconds after which a state that changed only a little is kept for a successor again."""


class Leases:
    """Holds leases on this worker's share of ``services`` among all workers with the same settings.

    ``services`` gives each a key; services of one key have one owner (those that depend on each other, so that causes
    are judged from first-hand evidence).

    ``states`` gives what is known of the services that are held. ``on_gained`` is told of a new service and what its
    last owner knew, ``on_lost`` of one that another worker has, or is to have: when it returns, nothing of the service
    may be under way. ``may_release`` says whether a service can be handed over at this moment.
    """

    def __init__(
        self,
        store: Store,
        *,
        worker: str,
        services: Mapping[str, str],
        presence: Presence,
        ttl: float,
        states: Callable[[], Mapping[str, DetectorState]],
        on_gained: Callable[[str, DetectorState | None], None],
        on_lost: Callable[[str], Awaitable[None]],
        may_release: Callable[[str], bool] = lambda service: True,
    ) -> None:
        self._store = store
        self._worker = worker
        self._keys = dict(services)
        self._presence = presence
        self._ttl = ttl
        self._states = states
        self._on_gained = on_gained
        self._on_lost = on_lost
        self._may_release = may_release
        self._held: dict[str, int] = {}
        self._giving_up: dict[str, DetectorState | None] = {}
        self._peers: Mapping[str, Presence] = {}
        self._kept: dict[str, tuple[float, DetectorState]] = {}
        self._share: set[str] = set()
        self._shared_among: frozenset[str] = frozenset()
        self._others_shapes: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"Leases({self._worker!r}, {len(self._held)} held, {len(self._peers)} peers)"

    @property
    def among(self) -> Mapping[str, Presence]:
        """The workers that share the services: alive, with the same settings, and not blind; itself included."""
        return {name: self._presence if name == self._worker else self._peers[name] for name in self._shared_among}

    def be_blind(self, is_blind: bool) -> None:
        """Says of this worker that its network cannot be believed: whoever sees better takes over."""
        self._presence = msgspec.structs.replace(self._presence, is_blind=is_blind)

    @property
    def held(self) -> Collection[str]:
        """The services this worker owns, as far as it knows."""
        return self._held.keys()

    @property
    def peers(self) -> Mapping[str, Presence]:
        """The other workers that are alive."""
        return self._peers

    def fence(self, service: str) -> Fence | None:
        """What a commit for ``service`` must show; None if it is not held."""
        token = self._held.get(service)
        return None if token is None else Fence(worker=self._worker, token=token, ttl=self._ttl)

    async def renew(self) -> None:
        """One beat: a sign of life, what is known is kept, the share is claimed and the rest handed over.

        Raises StoreError; then nothing changed here, and what is held is asked for again with the next beat.
        """
        keep = self._worth_keeping()
        for name in [name for name in self._held if name not in self._share and self._may_release(name)]:
            # Whoever takes over begins with the last that was seen here.
            known = self._states().get(name)
            await self._on_lost(name)
            self._drop(name)
            self._giving_up[name] = known
        released = {name: state for name, state in self._giving_up.items() if name not in self._share}
        leased = await self._store.lease(
            self._worker,
            self._presence,
            ttl=self._ttl,
            keep=keep | {name: state for name, state in released.items() if state is not None},
            release=released.keys(),
            claim=[name for name in self._share if name not in self._held],
        )
        now = asyncio.get_running_loop().time()
        self._kept.update({name: (now, state) for name, state in keep.items() if name in self._held})
        self._giving_up = {}
        await self._take(leased)
        if not leased.was_alive:
            # Others may have taken what is held here, and nobody took the share yet if this is the first beat.
            await self._take(await self._claim_all())

    async def leave(self) -> None:
        """Gives everything up at once, for an end in good order. Raises StoreError."""
        held, self._held = self._held, {}
        await self._store.leave(self._worker, held, self._states())

    async def _claim_all(self) -> Leased:
        wanted = self._held.keys() | self._share
        return await self._store.lease(
            self._worker, self._presence, ttl=self._ttl, keep={}, release=(), claim=sorted(wanted)
        )

    async def _take(self, leased: Leased) -> None:
        self._meet(leased.peers)
        for name, grant in leased.grants.items():
            await self._settle(name, grant)

    async def _settle(self, name: str, grant: Grant) -> None:
        held = self._held.get(name)
        if grant.token is None:
            if held is not None:
                log.warning("lease_lost", service=name, owner=grant.owner)
                await self._on_lost(name)
                self._drop(name)
            return
        if held == grant.token:
            return
        if held is not None and grant.owner:
            # It was somebody else's meanwhile: what this worker knew of it is out of date.
            await self._on_lost(name)
            self._drop(name)
            held = None
        self._held[name] = grant.token
        if held is None:
            if grant.owner:
                log.info("lease_taken_over", service=name, owner=grant.owner)
            self._on_gained(name, grant.state)

    def _meet(self, peers: Mapping[str, Presence]) -> None:
        for name in peers.keys() - self._peers.keys():
            log.info("worker_met", peer=name, zone=peers[name].zone)
        for name in self._peers.keys() - peers.keys():
            log.warning("worker_gone", peer=name)
        self._peers = dict(peers)
        others = frozenset(its.shape for its in peers.values() if its.shape != self._presence.shape)
        if others - self._others_shapes:
            log.warning("settings_differ", mine=self._presence.shape, others=sorted(others))
        self._others_shapes = others
        # Workers with other settings may not know our services: what they hold they keep, what is free is ours.
        alike = {name: its for name, its in peers.items() if its.shape == self._presence.shape}
        alike[self._worker] = self._presence
        among = frozenset(name for name, its in alike.items() if not its.is_blind) or frozenset(alike)
        if among != self._shared_among:
            self._shared_among = among
            mine = share(set(self._keys.values()), self._worker, among)
            self._share = {name for name, key in self._keys.items() if key in mine}

    def _worth_keeping(self) -> dict[str, DetectorState]:
        now = asyncio.get_running_loop().time()
        worth = {}
        for name, state in self._states().items():
            if name not in self._held:
                continue
            at, known = self._kept.get(name, (float("-inf"), None))
            if state == known:
                continue
            if state.is_undecided or known is None or state.status is not known.status or now - at >= KEEP_EVERY:
                worth[name] = state
        return worth

    def _drop(self, name: str) -> None:
        self._held.pop(name, None)
        self._kept.pop(name, None)


async def leave_quietly(leases: Leases) -> None:
    """Leaves if the carrier can be reached; otherwise the leases run out by themselves."""
    try:
        await leases.leave()
    except StoreError as error:
        log.warning("leases_not_given_up", error=str(error))
