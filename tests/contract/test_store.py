"""What every store promises, on the memory twin and on real Redis servers."""

from __future__ import annotations

import asyncio

import pytest

from broadcaster.domain.detection import Decision
from broadcaster.domain.model import Category, EventKind, Position, ServiceState, Snapshot, Status
from broadcaster.protocol.records import AnyRecord, HeartbeatRecord, SeedRecord, TransitionRecord
from broadcaster.store.base import Outcome, Store, Subscription

START = Position("e1", 0)


def decision(service: str = "auth", status: Status = Status.DOWN, at: float = 100.0) -> Decision:
    return Decision(
        service=service,
        kind=EventKind.DOWN if status is Status.DOWN else EventKind.UP,
        previous=Status.UNKNOWN,
        status=status,
        at=at,
        category=Category.REFUSED if status is Status.DOWN else None,
        detail='said "no"\n\u2028 ümläut',
        latency=0.25,
    )


async def seeded(store: Store, epoch: str = "e1", services: dict[str, ServiceState] | None = None) -> Position:
    reading = await store.read()
    written = await store.seed(
        Snapshot(services=services or {}),
        epoch=epoch,
        worker="w",
        now=1.0,
        reason="test",
        replaces=reading.snapshot.position,
    )
    assert written.outcome is Outcome.DONE
    return written.position


async def record(subscription: Subscription) -> AnyRecord:
    found = await subscription.next(timeout=10)
    assert found is not None, "no record within 10 s"
    return found


async def test_an_empty_store_reads_as_no_position(store: Store) -> None:
    """Nothing is known of a carrier that was never seeded, and nobody was heard there."""
    reading = await store.read()
    assert reading.snapshot == Snapshot()
    assert reading.heartbeat_age is None


async def test_an_unseeded_store_refuses_writes(store: Store) -> None:
    """A commit or heartbeat on an empty carrier says that it must be seeded and writes nothing."""
    committed = await store.commit(decision(), commit="c1", expected_revision=0, known=START)
    beaten = await store.heartbeat("w", 1.0, {"auth": 1.0}, START)
    assert (committed.outcome, beaten.outcome) == (Outcome.UNSEEDED, Outcome.UNSEEDED)
    assert (await store.read()).snapshot == Snapshot()


async def test_a_commit_is_recorded_and_announced_together(store: Store) -> None:
    """After a commit the snapshot, the history and the channel tell the same."""
    known = await seeded(store)
    async with store.subscribe() as subscription:
        written = await store.commit(decision(), commit="c1", expected_revision=0, known=known)
        published = await record(subscription)
    assert written.outcome is Outcome.DONE
    assert written.position == Position("e1", 1)
    assert isinstance(published, TransitionRecord)
    transition = published.entry()
    assert transition.position == Position("e1", 1)
    assert (transition.service, transition.status, transition.detail) == ("auth", Status.DOWN, decision().detail)
    assert await store.history() == [transition]
    state = (await store.read()).snapshot.state("auth")
    assert (state.status, state.since, state.revision, state.category) == (Status.DOWN, 100.0, 1, Category.REFUSED)
    assert state.observed_at == 100.0


async def test_a_repeated_commit_makes_no_second_event(store: Store) -> None:
    """The retry of a commit whose reply was lost is a success with the first one's position."""
    known = await seeded(store)
    await store.commit(decision(), commit="c1", expected_revision=0, known=known)
    again = await store.commit(decision(), commit="c1", expected_revision=0, known=known)
    assert (again.outcome, again.position) == (Outcome.REPEATED, Position("e1", 1))
    assert len(await store.history()) == 1


async def test_a_commit_on_an_outdated_state_is_refused(store: Store) -> None:
    """Compare-and-set: of two writers that saw the same state one wins, the other is told what is there now."""
    known = await seeded(store)
    await store.commit(decision(), commit="mine", expected_revision=0, known=known)
    lost = await store.commit(decision(status=Status.UP), commit="other", expected_revision=0, known=known)
    assert lost.outcome is Outcome.CONFLICT
    assert lost.position == Position("e1", 1)
    assert lost.state is not None
    assert lost.state.status is Status.DOWN
    assert len(await store.history()) == 1


async def test_concurrent_commits_get_contiguous_revisions(store: Store) -> None:
    """Twenty writers of twenty services leave one order without a hole."""
    known = await seeded(store)
    async with store.subscribe() as subscription:
        await asyncio.gather(
            *(store.commit(decision(f"s{n}"), commit=f"c{n}", expected_revision=0, known=known) for n in range(20))
        )
        published = [await record(subscription) for _ in range(20)]
    revisions = [each.revision for each in published if isinstance(each, TransitionRecord)]
    assert revisions == list(range(1, 21))


async def test_a_heartbeat_travels_the_way_of_the_news(store: Store) -> None:
    """It carries the position and the observations, and the snapshot keeps their times and its age."""
    known = await seeded(store)
    async with store.subscribe() as subscription:
        beaten = await store.heartbeat("w1", 50.0, {"auth": 49.5}, known)
        heard = await record(subscription)
    assert beaten.outcome is Outcome.DONE
    assert heard == HeartbeatRecord(epoch="e1", revision=0, worker="w1", at=50.0, observed={"auth": 49.5})
    reading = await store.read()
    assert reading.snapshot.state("auth").observed_at == 49.5
    assert reading.snapshot.state("auth").status is Status.UNKNOWN
    assert reading.heartbeat_age is not None
    assert 0 <= reading.heartbeat_age < 10


async def test_a_writer_of_an_old_epoch_is_told(store: Store) -> None:
    """A commit that knows another epoch is refused; a heartbeat still counts, and says so."""
    await seeded(store)
    elsewhere = Position("e0", 7)
    committed = await store.commit(decision(), commit="c1", expected_revision=0, known=elsewhere)
    beaten = await store.heartbeat("w", 1.0, {}, elsewhere)
    assert (committed.outcome, beaten.outcome) == (Outcome.OTHER_EPOCH, Outcome.OTHER_EPOCH)
    assert beaten.position == START


async def test_a_store_that_lost_transitions_says_so(store: Store) -> None:
    """A writer that knows more than the carrier of the same epoch learns that it was rewound."""
    await seeded(store)
    ahead = Position("e1", 5)
    committed = await store.commit(decision(), commit="c1", expected_revision=0, known=ahead)
    beaten = await store.heartbeat("w", 1.0, {}, ahead)
    assert (committed.outcome, beaten.outcome) == (Outcome.REWOUND, Outcome.REWOUND)
    assert await store.history() == []


async def test_seeding_begins_an_epoch_with_what_is_known(store: Store) -> None:
    """A new epoch holds the given states under revisions 1..n, an empty history, and is announced."""
    known = await seeded(store)
    await store.commit(decision("old"), commit="c1", expected_revision=0, known=known)
    held = {
        "auth": ServiceState(service="auth", status=Status.DOWN, since=5.0, revision=9, observed_at=6.0),
        "chat": ServiceState(service="chat", status=Status.UP, since=4.0, revision=3),
    }
    async with store.subscribe() as subscription:
        assert await seeded(store, "e2", held) == Position("e2", 2)
        announced = await record(subscription)
    assert isinstance(announced, SeedRecord)
    assert (announced.epoch, announced.revision) == ("e2", 2)
    snapshot = (await store.read()).snapshot
    assert snapshot.position == Position("e2", 2)
    assert set(snapshot.services) == {"auth", "chat"}
    assert (snapshot.state("auth").status, snapshot.state("auth").revision) == (Status.DOWN, 1)
    assert (snapshot.state("auth").since, snapshot.state("auth").observed_at) == (5.0, 6.0)
    assert await store.history() == []


async def test_only_one_of_two_seeders_wins(store: Store) -> None:
    """Seeding compares the position it replaces: the second finds it changed and writes nothing."""
    await seeded(store, "e1")
    late = await store.seed(Snapshot(), epoch="e2", worker="w", now=1.0, reason="late", replaces=Position())
    assert (late.outcome, late.position) == (Outcome.CONFLICT, START)


async def test_replay_is_complete_or_none(store: Store) -> None:
    """Missed transitions come back in order; of another epoch, or trimmed, nothing does."""
    known = await seeded(store)
    for n in range(4):
        await store.commit(decision(f"s{n}"), commit=f"c{n}", expected_revision=0, known=known)
    missed = await store.replay(Position("e1", 2))
    assert missed is not None
    assert [each.position.revision for each in missed] == [3, 4]
    assert await store.replay(Position("e1", 4)) == []
    assert await store.replay(Position("e0", 2)) is None


@pytest.mark.parametrize("stream_length", [2])
async def test_a_trimmed_stream_does_not_replay_with_a_hole(small_store: Store) -> None:
    """What the stream no longer holds cannot be replayed: the reader is sent to the snapshot."""
    known = await seeded(small_store)
    for n in range(300):
        await small_store.commit(decision(f"s{n}"), commit=f"c{n}", expected_revision=0, known=known)
    assert await small_store.replay(Position("e1", 1)) is None


async def test_history_is_bounded_and_oldest_first(store: Store) -> None:
    """``history(limit)`` gives the latest few, oldest of them first."""
    known = await seeded(store)
    for n in range(5):
        await store.commit(decision(f"s{n}"), commit=f"c{n}", expected_revision=0, known=known)
    assert [each.service for each in await store.history(limit=2)] == ["s3", "s4"]


async def test_a_subscription_that_hears_nothing_returns_none(store: Store) -> None:
    """``next`` gives the caller its time back."""
    async with store.subscribe() as subscription:
        assert await subscription.next(timeout=0.05) is None


async def test_a_cancelled_wait_loses_no_record(store: Store) -> None:
    """Whoever cancels ``next`` and asks again gets the record that came meanwhile."""
    known = await seeded(store)
    async with store.subscribe() as subscription:
        waiting = asyncio.create_task(subscription.next(timeout=30))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await store.commit(decision(), commit="c1", expected_revision=0, known=known)
        assert isinstance(await record(subscription), TransitionRecord)


async def test_a_heartbeat_says_how_long_probes_took(store: Store) -> None:
    """Beside when they ended; a worker that says nothing of it is heard all the same."""
    known = await seeded(store)
    async with store.subscribe() as subscription:
        await store.heartbeat("w1", 50.0, {"auth": 49.5}, known, {"auth": 0.0125})
        await store.heartbeat("w1", 51.0, {"auth": 50.5}, known)
        heard = [await record(subscription) for _ in range(2)]
    assert [dict(each.latencies) for each in heard if isinstance(each, HeartbeatRecord)] == [{"auth": 0.0125}, {}]
