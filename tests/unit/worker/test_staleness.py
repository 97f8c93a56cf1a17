"""What a worker says of services that their owners do not look at any more."""

from __future__ import annotations

from structlog.testing import capture_logs

from broadcaster.domain.model import ServiceState, Snapshot, Status
from broadcaster.store.memory import MemoryStore
from broadcaster.worker.staleness import LOOK_EVERY, Staleness

NOW = 1000.0


async def seeded(**observed: float | None) -> MemoryStore:
    store = MemoryStore()
    services = {
        name: ServiceState(service=name, status=Status.UP, observed_at=at, revision=1) for name, at in observed.items()
    }
    known = (await store.snapshot()).position
    await store.seed(Snapshot(services=services), epoch="e1", worker="w", now=1.0, reason="test", replaces=known)
    return store


async def test_each_expiry_and_each_return_is_told_once() -> None:
    """With its age, and whether it is this very worker that does not look."""
    store = await seeded(auth=NOW - 31, chat=NOW - 29, never=None)
    staleness = Staleness(store, {"auth": 30.0, "chat": 30.0, "never": 30.0, "gone": 30.0}, is_mine=lambda name: False)
    with capture_logs() as logs:
        await staleness.beat(NOW)
        await staleness.beat(NOW + LOOK_EVERY)
        await store.heartbeat("w", NOW, {"auth": NOW + 6, "chat": NOW + 6}, (await store.snapshot()).position)
        await staleness.beat(NOW + 2 * LOOK_EVERY)
        await staleness.beat(NOW + 3 * LOOK_EVERY)
    told = [(each["event"], each["service"]) for each in logs]
    assert told == [
        ("observation_expired", "auth"),
        ("observation_expired", "chat"),
        ("observed_again", "auth"),
        ("observed_again", "chat"),
    ]
    assert (logs[0]["age"], logs[0]["is_mine"]) == (31.0, False)


async def test_the_state_is_read_now_and_then_only() -> None:
    store = await seeded(auth=NOW - 31)
    staleness = Staleness(store, {"auth": 30.0}, is_mine=lambda name: True)
    await staleness.beat(NOW)
    store.fail()
    await staleness.beat(NOW + LOOK_EVERY - 0.1)
