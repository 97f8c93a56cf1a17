"""What a type checker makes of code that asks a manager, and follows it. Checked, never run: see test_typing.py."""

from __future__ import annotations

import os
from pathlib import Path
from typing import assert_never, assert_type

from broadcaster.domain.admission import Admission, Verdict
from broadcaster.domain.features import FeatureState, FeatureStatus
from broadcaster.domain.model import EventKind, FeedState, PlanChange, Position, ServiceState, Snapshot, Status
from broadcaster.manager import (
    Change,
    ChangeStream,
    FeedChanged,
    PlanChanged,
    ServiceAvailabilityManager,
    ServiceChanged,
    SnapshotReplaced,
    asks_for_notices,
)
from broadcaster.manager.refusals import Refusal

manager = ServiceAvailabilityManager.from_config("services.yaml")
assert_type(manager, ServiceAvailabilityManager)
assert_type(ServiceAvailabilityManager.from_config(Path("x"), mode="local", env=os.environ), ServiceAvailabilityManager)
ServiceAvailabilityManager.from_config("services.yaml", "local")  # type: ignore[call-arg]  # by name only
ServiceAvailabilityManager.from_config(7)  # type: ignore[arg-type]


async def answers() -> None:
    async with manager as entered:
        assert_type(entered, ServiceAvailabilityManager)
    async with ServiceAvailabilityManager.from_config("services.yaml") as another:
        assert_type(another.status("auth"), Status)
    with manager:  # type: ignore[attr-defined]  # it takes ``async with``
        pass

    assert_type(await manager.wait_loaded(timeout=5), bool)
    assert_type(manager.status("auth"), Status)
    assert_type(manager.state("auth"), ServiceState)
    assert_type(manager.state("auth").since, float)
    assert_type(manager.snapshot, Snapshot)
    assert_type(manager.position, Position)
    assert_type(manager.feed_state, FeedState)
    assert_type(manager.features(), dict[str, FeatureState])
    assert_type(manager.features()["chat"].status, FeatureStatus)
    assert_type(asks_for_notices(["availability.v1"], query="notices=1"), bool)
    manager.snapshot = Snapshot()  # type: ignore[misc]  # it is read only
    manager.status(Status.UP, "auth")  # type: ignore[call-arg]


def admissions() -> None:
    admission = manager.admit()
    assert_type(admission, Admission)
    assert_type(manager.admit(requires=("auth",), user="anna"), Admission)
    assert_type(admission.verdict, Verdict)
    assert_type(admission.blocking, tuple[str, ...])
    assert_type(admission.reduced, tuple[FeatureState, ...])
    assert_type(manager.refuse(admission), Refusal)
    assert_type(manager.refuse(admission).retry_after, int)
    match admission.verdict:
        case Verdict.ACCEPT | Verdict.ACCEPT_DEGRADED:
            pass
        case Verdict.REJECT:
            pass
        case _:
            assert_never(admission.verdict)
    admission.verdict = Verdict.ACCEPT  # type: ignore[misc]  # it is frozen
    manager.admit(("auth",))  # type: ignore[call-arg]  # by name only
    manager.admit(requires=7)  # type: ignore[arg-type]


async def changes() -> None:
    assert_type(manager.changes(), ChangeStream)
    async with manager.changes() as stream:
        async for change in stream:
            assert_type(change, ServiceChanged | PlanChanged | SnapshotReplaced | FeedChanged)
            if isinstance(change, ServiceChanged):
                assert_type(change.kind, EventKind)
                assert_type(change.service, str)
            elif isinstance(change, PlanChanged):
                assert_type(change.change, PlanChange)
            elif isinstance(change, SnapshotReplaced):
                assert_type(change.after, Snapshot)
            elif isinstance(change, FeedChanged):
                assert_type(change.state, FeedState)
            else:
                assert_never(change)
    async for change in manager.changes():
        match change:
            case ServiceChanged(service=service, after=after):
                assert_type(service, str)
                assert_type(after.status(service), Status)
            case _:
                pass
        change.service  # type: ignore[union-attr]  # noqa: B018 - not every change is of a service
    for _ in manager.changes():  # type: ignore[attr-defined]  # it takes ``async for``
        pass


async def waiting() -> None:
    assert_type(await manager.wait_until("auth", "up"), ServiceState)
    assert_type(await manager.wait_until("auth", Status.UP, timeout=30), ServiceState)
    await manager.wait_until("auth", "upp")  # type: ignore[arg-type]
    await manager.wait_until("auth")  # type: ignore[call-arg]
    await manager.wait_until("auth", "up", timeout="30s")  # type: ignore[arg-type]
    manager.wait_until("auth", "up")  # type: ignore[unused-coroutine]  # it takes ``await``


def listening() -> None:
    def log(change: Change) -> None: ...

    stop = manager.listen(log)
    assert_type(stop(), None)

    def log_text(change: str) -> None: ...

    manager.listen(log_text)  # type: ignore[arg-type]


@manager.on(event="recovered", service="postgres")
def warm_up(change: ServiceChanged) -> int:
    return 1


@manager.on(event=EventKind.DOWN)
async def page(change: ServiceChanged) -> None: ...


@manager.on()
def any_change_will_do(change: Change) -> None: ...


async def handlers_keep_their_type(change: ServiceChanged) -> None:
    assert_type(warm_up(change), int)
    assert_type(await page(change), None)
    warm_up("auth")  # type: ignore[arg-type]


@manager.on()  # type: ignore[type-var]
def takes_something_else(change: FeedChanged) -> None: ...


@manager.on()  # type: ignore[type-var]
def takes_nothing() -> None: ...


@manager.on("down")  # type: ignore[call-arg]  # by name only
def by_position(change: ServiceChanged) -> None: ...
