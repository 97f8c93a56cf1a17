"""Plans in the one order, on the memory twin and on real Redis servers."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from broadcaster.domain.detection import Decision
from broadcaster.domain.errors import StoreUnavailable
from broadcaster.domain.model import EventKind, Plan, PlanAction, PlanChange, PlanKind, Position, Snapshot, Status
from broadcaster.domain.plans import PlanStep, add, end
from broadcaster.protocol.records import PlanRecord
from broadcaster.store.base import Outcome, Store
from broadcaster.store.planning import change_plans

NOW = 1_000_000.0
WORK = Plan(
    kind=PlanKind.MAINTENANCE,
    starts_at=NOW,
    until=NOW + 3600,
    by="anna@ops",
    reason='a "bigger" disk\u2028',
    has_begun=True,
)


def adding(plans: tuple[Plan, ...]) -> PlanStep:
    return add(plans, WORK, NOW)


async def begin(store: Store) -> Position:
    """An epoch in which auth was seen down at 100."""
    seeded = await store.seed(
        Snapshot(), epoch="e1", worker="w", now=1.0, reason="test", replaces=(await store.read()).snapshot.position
    )
    written = await commit(store, Status.DOWN, 0, seeded.position)
    assert written is Outcome.DONE
    return Position("e1", 1)


async def commit(store: Store, status: Status, expected: int, known: Position) -> Outcome:
    held = (await store.read()).snapshot.state("auth")
    decision = Decision(
        service="auth",
        kind=EventKind.DOWN if status is Status.DOWN else EventKind.RECOVERED,
        previous=held.status,
        status=status,
        at=100.0 + expected,
        incident="auth-1",
        plans=held.plans,
    )
    written = await store.commit(decision, commit=f"{status} {expected}", expected_revision=expected, known=known)
    return written.outcome


async def test_a_change_of_plans_has_its_place_in_the_order(store: Store) -> None:
    """It is in the snapshot, the history and on the channel, and leaves status and observation as they were."""
    known = await begin(store)
    before = (await store.read()).snapshot.state("auth")
    async with store.subscribe() as subscription:
        step = await change_plans(store, "auth", adding, at=NOW, by="anna@ops")
        published = await subscription.next(timeout=10)
    assert step is not None
    assert isinstance(published, PlanRecord)
    expected = PlanChange(
        position=Position("e1", 2),
        service="auth",
        at=NOW,
        action=PlanAction.ADDED,
        plan=WORK,
        by="anna@ops",
        plans=(WORK,),
    )
    assert published.entry() == expected
    assert (await store.history())[-1] == expected
    assert await store.replay(known) == [expected]
    state = (await store.read()).snapshot.state("auth")
    assert state == msgspec.structs.replace(before, revision=2, plans=(WORK,))


async def test_a_service_that_nobody_has_seen_can_have_plans(store: Store) -> None:
    await begin(store)
    await change_plans(store, "new", adding, at=NOW, by="anna")
    state = (await store.read()).snapshot.state("new")
    assert (state.status, state.observed_at, state.plans) == (Status.UNKNOWN, None, (WORK,))


async def test_transitions_and_plans_exclude_each_other(store: Store) -> None:
    """Of two writers that saw the same state one wins, whatever they write; nothing is lost from the other."""
    known = await begin(store)
    await change_plans(store, "auth", adding, at=NOW, by="anna")
    assert await commit(store, Status.UP, 1, known) is Outcome.CONFLICT
    assert await commit(store, Status.UP, 2, known) is Outcome.DONE
    state = (await store.read()).snapshot.state("auth")
    assert (state.status, state.plans) == (Status.UP, (WORK,))


async def test_changes_at_the_same_time_are_all_carried_through(store: Store) -> None:
    await begin(store)
    await asyncio.gather(*(change_plans(store, "auth", adding, at=NOW, by=f"w{number}") for number in range(4)))
    assert (await store.read()).snapshot.state("auth").plans == (WORK,) * 4


async def test_two_that_end_the_same_plan_end_it_once(store: Store) -> None:
    await begin(store)
    await change_plans(store, "auth", adding, at=NOW, by="anna")
    steps = await asyncio.gather(
        *(
            change_plans(store, "auth", lambda plans: end(plans, PlanKind.MAINTENANCE), at=NOW, by=name)
            for name in ("anna", "ben")
        )
    )
    assert sorted(step is None for step in steps) == [False, True]
    ended = [each for each in await store.history() if isinstance(each, PlanChange) and not each.plans]
    assert len(ended) == 1


async def test_plans_outlive_a_new_epoch(store: Store) -> None:
    """Whoever seeds an emptied carrier from what it knows brings the plans back."""
    await begin(store)
    await change_plans(store, "auth", adding, at=NOW, by="anna")
    known = (await store.read()).snapshot
    await store.seed(known, epoch="e2", worker="w", now=2.0, reason="empty", replaces=known.position)
    state = (await store.read()).snapshot.state("auth")
    assert (state.status, state.plans) == (Status.DOWN, (WORK,))


async def test_an_empty_carrier_takes_no_plans(store: Store) -> None:
    with pytest.raises(StoreUnavailable, match="broadcaster probe"):
        await change_plans(store, "auth", adding, at=NOW, by="anna")
