"""Who owns a service, and that nobody else can commit: on the memory twin and on real Redis servers."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

import msgspec

from broadcaster.domain.detection import Decision, DetectorState
from broadcaster.domain.model import Category, EventKind, Position, Snapshot, Status
from broadcaster.domain.quorum import Vote
from broadcaster.store.base import Fence, Leased, Outcome, Presence, Store, Written

LONG = 60.0
SHORT = 0.2
HERE = Presence(zone="a", shape="s1")


async def lease(
    store: Store,
    worker: str,
    claim: Collection[str] = (),
    *,
    ttl: float = LONG,
    keep: Mapping[str, DetectorState] | None = None,
    release: Collection[str] = (),
) -> Leased:
    return await store.lease(worker, HERE, ttl=ttl, keep=keep or {}, release=release, claim=claim)


async def token_of(store: Store, worker: str, service: str, *, ttl: float = LONG) -> int:
    token = (await lease(store, worker, [service], ttl=ttl)).grants[service].token
    assert token is not None, f"{worker} does not get {service}"
    return token


async def commit(store: Store, worker: str, token: int, *, ttl: float = LONG, expected: int = 0) -> Written:
    snapshot = (await store.read()).snapshot
    decision = Decision(
        service="auth", kind=EventKind.DOWN, previous=Status.UNKNOWN, status=Status.DOWN, at=100.0 + token
    )
    return await store.commit(
        decision,
        commit=f"{worker}:{token}",
        expected_revision=expected,
        known=snapshot.position,
        fence=Fence(worker=worker, token=token, ttl=ttl),
    )


async def seed(store: Store) -> None:
    await store.seed(Snapshot(), epoch="e1", worker="w", now=1.0, reason="test", replaces=Position())


async def expired(store: Store, worker: str) -> None:
    """Until the others take the worker for dead."""
    async with asyncio.timeout(10):
        while worker in (await lease(store, "watcher", ttl=SHORT)).peers:
            await asyncio.sleep(0.02)


async def test_a_free_service_is_granted_and_a_held_one_is_not(store: Store) -> None:
    """One owner at a time; who asks in vain is told who it is."""
    first = (await lease(store, "w1", ["auth", "chat"])).grants
    assert all(grant.token is not None and grant.owner == "" for grant in first.values())
    second = (await lease(store, "w2", ["auth"])).grants["auth"]
    assert (second.token, second.owner) == (None, "w1")


async def test_an_owner_that_asks_again_keeps_its_token(store: Store) -> None:
    """Asking twice is no new ownership."""
    token = await token_of(store, "w1", "auth")
    again = (await lease(store, "w1", ["auth"])).grants["auth"]
    assert (again.token, again.owner) == (token, "w1")


async def test_the_living_are_listed_with_what_they_say_of_themselves(store: Store) -> None:
    """A worker sees the others, not itself; the dead are not listed."""
    first = await lease(store, "w1", ttl=SHORT)
    assert (first.was_alive, first.peers) == (False, {})
    second = await lease(store, "w2", ttl=SHORT)
    assert second.peers == {"w1": HERE}
    assert (await lease(store, "w2", ttl=LONG)).was_alive
    await expired(store, "w1")
    assert not (await lease(store, "w1", ttl=SHORT)).was_alive


async def test_a_dead_owner_is_followed_with_what_it_knew(store: Store) -> None:
    """The service moves once the owner gave no sign of life for the ttl; evidence goes along; the token grows."""
    token = await token_of(store, "w1", "auth")
    state = DetectorState(status=Status.UP, failed=2, bad=2, pending=2, recent="ooff", latencies=(0.1, 0.25))
    await lease(store, "w1", keep={"auth": state, "chat": DetectorState()})
    await expired(store, "w1")
    grants = (await lease(store, "w2", ["auth", "chat"], ttl=SHORT)).grants
    assert grants["auth"].owner == "w1"
    assert (grants["auth"].token or 0) > token
    assert grants["auth"].state == state
    assert grants["chat"].state is None, "what a worker knows of a service that it does not own is not kept"


async def test_a_service_given_up_is_free_at_once(store: Store) -> None:
    """For a handover, and at a worker's end in good order."""
    token = await token_of(store, "w1", "auth")
    state = DetectorState(status=Status.DOWN, failed=3)
    await lease(store, "w1", keep={"auth": state}, release=["auth"])
    handed = (await lease(store, "w2", ["auth"])).grants["auth"]
    assert handed.token is not None
    assert (handed.owner, handed.state) == ("", state)
    await lease(store, "w1", release=["auth"])  # it is not w1's to give any more
    assert (await lease(store, "w3", ["auth"])).grants["auth"].owner == "w2"
    await store.leave("w1", {"auth": token}, {})
    assert (await lease(store, "w3", ["auth"])).grants["auth"].owner == "w2"
    better = DetectorState(status=Status.UP, good=1)
    await store.leave("w2", {"auth": handed.token}, {"auth": better})
    last = await lease(store, "w3", ["auth"])
    assert last.grants["auth"].token is not None
    assert last.grants["auth"].state == better
    assert last.peers == {}


async def test_only_the_owner_commits(store: Store) -> None:
    """The token is a fence: without it, or with an old one, nothing is written."""
    await seed(store)
    token = await token_of(store, "w1", "auth")
    for worker, shown in (("w2", token), ("w1", token + 1)):
        refused = await commit(store, worker, shown)
        assert (refused.outcome, refused.position) == (Outcome.UNLEASED, Position("e1", 0))
    assert (await commit(store, "w1", token)).outcome is Outcome.DONE
    assert (await commit(store, "w1", token)).outcome is Outcome.REPEATED


async def test_a_paused_owner_that_wakes_up_cannot_commit(store: Store) -> None:
    """Its lease ran out; whether or not somebody took over, what it concluded before its pause is refused."""
    await seed(store)
    old = await token_of(store, "w1", "auth", ttl=SHORT)
    await expired(store, "w1")
    assert (await commit(store, "w1", old, ttl=SHORT)).outcome is Outcome.UNLEASED
    new = await token_of(store, "w2", "auth", ttl=SHORT)
    await lease(store, "w1", ttl=LONG)  # awake, and alive again
    assert (await commit(store, "w1", old)).outcome is Outcome.UNLEASED
    assert (await commit(store, "w2", new)).outcome is Outcome.DONE
    assert [each.service for each in await store.history()] == ["auth"]


async def test_votes_are_kept_for_each_observer_until_replaced_or_taken_back(store: Store) -> None:
    """Everybody's vote on a service can be read; a service without votes has none."""
    first = Vote(
        worker="w1", zone="a", status=Status.DOWN, at=1.0, category=Category.TIMEOUT, detail='"x"', latency=2.0
    )
    second = Vote(worker="w2", status=Status.UP, at=1.5)
    await store.vote("w1", {"auth": first, "chat": second})
    await store.vote("w2", {"auth": second})
    found = await store.votes(["auth", "mail"])
    assert set(found["auth"]) == {first, second}
    assert found["mail"] == ()
    better = msgspec.structs.replace(first, status=Status.UP)
    await store.vote("w1", {"auth": better, "chat": None})
    found = await store.votes(["auth", "chat"])
    assert set(found["auth"]) == {better, second}
    assert found["chat"] == ()


async def test_who_is_present_is_known_to_all(store: Store) -> None:
    """Workers by their leases, readers by saying so; whoever takes leave is gone at once."""
    await lease(store, "w1")
    there = Presence(zone="b", shape="s2")
    assert (await store.attend("n1", there, within=LONG)).readers == {"n1": there}
    found = await store.attend("n2", HERE, within=LONG)
    assert (found.workers, found.readers) == ({"w1": HERE}, {"n1": there, "n2": HERE})
    await store.attend("n1", None, within=LONG)
    assert (await store.attend("", None, within=LONG)).readers == {"n2": HERE}


async def test_whoever_is_silent_is_not_present(store: Store) -> None:
    await lease(store, "w1")
    await store.attend("n1", HERE, within=SHORT)
    await asyncio.sleep(2 * SHORT)
    found = await store.attend("n2", HERE, within=SHORT)
    assert (found.workers, found.readers) == ({}, {"n2": HERE})
