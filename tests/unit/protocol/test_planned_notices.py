"""Planned work and overrides in people's words."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from broadcaster.domain.admission import admit
from broadcaster.domain.model import (
    Catalogue,
    Category,
    Criticality,
    EventKind,
    FeedState,
    Plan,
    PlanAction,
    PlanChange,
    PlanKind,
    Position,
    Service,
    ServiceState,
    Snapshot,
    Status,
)
from broadcaster.protocol import codec, notices
from broadcaster.protocol.messages import Notice

NOON = 1_767_268_800.0  # 2026-01-01 12:00 UTC
CATALOGUE = Catalogue(
    services={
        "db": Service(name="db", title="Message store", texts={"down": "Our own words."}),
        "chat": Service(name="chat", title="Chat", depends_on=("db",)),
        "stats": Service(name="stats", title="Analytics", criticality=Criticality.OPTIONAL),
    }
)


def work(hours: float = 2, starts: float = NOON, *, begun: bool = True, reason: str = "") -> Plan:
    return Plan(
        kind=PlanKind.MAINTENANCE,
        starts_at=starts,
        until=starts + hours * 3600,
        by="anna@ops-7.internal",
        reason=reason,
        has_begun=begun,
    )


def override(status: Status, reason: str = "") -> Plan:
    return Plan(
        kind=PlanKind.OVERRIDE,
        starts_at=NOON,
        until=NOON + 60,
        by="anna@ops-7.internal",
        reason=reason,
        status=status,
        has_begun=True,
    )


def world(revision: int = 7, *, plans: Mapping[str, tuple[Plan, ...]] | None = None, **statuses: str) -> Snapshot:
    return Snapshot(
        position=Position("e", revision),
        services={
            name: ServiceState(
                service=name,
                status=Status(statuses.get(name, "up")),
                since=NOON - 60,
                category=Category.REFUSED if name in statuses else None,
                plans=(plans or {}).get(name, ()),
            )
            for name in CATALOGUE.services
        },
    )


def told(action: PlanAction, plan: Plan, *left: Plan, **statuses: str) -> str:
    """The text for a change of db's plans that leaves ``left``."""
    after = world(8, plans={"db": left}, **statuses)
    change = PlanChange(
        position=after.position, service="db", at=NOON, action=action, plan=plan, by=plan.by, plans=tuple(left)
    )
    notice = notices.plan_notice(CATALOGUE, world(), after, change)
    assert notice.quiet is (notice.text == "")
    assert "internal" not in codec.encode(notice).decode()
    return notice.text


def test_work_is_told_with_its_end_and_reason() -> None:
    plan = work(reason="A bigger disk")
    assert told(PlanAction.ADDED, plan, plan) == "Planned work on Message store until 14:00 UTC. A bigger disk."
    assert told(PlanAction.BEGUN, plan, plan) == "Planned work on Message store until 14:00 UTC. A bigger disk."


def test_a_reason_keeps_its_own_punctuation() -> None:
    plan = work(reason=" Why not? ")
    assert told(PlanAction.ADDED, plan, plan).endswith("UTC. Why not?")


def test_work_on_another_day_is_told_with_its_day() -> None:
    plan = work(30)
    assert told(PlanAction.ADDED, plan, plan) == "Planned work on Message store until 2 Jan, 18:00 UTC."
    ahead = work(2, NOON + 86400, begun=False)
    assert told(PlanAction.ADDED, ahead, ahead) == "Planned work on Message store: 2 Jan, 12:00 UTC to 14:00 UTC."


@pytest.mark.parametrize("action", [PlanAction.ENDED, PlanAction.EXPIRED])
def test_the_end_is_told_with_what_is_still_amiss(action: PlanAction) -> None:
    assert told(action, work()) == "Planned work on Message store is over."
    assert told(action, work(), db="down") == "Planned work on Message store is over. It is still unavailable."


def test_work_that_never_began_is_called_off() -> None:
    assert told(PlanAction.ENDED, work(begun=False)) == "Planned work on Message store was called off."


def test_work_beside_work_that_goes_on_longer_is_not_told() -> None:
    longer = work(4)
    assert told(PlanAction.ENDED, work(1), longer) == ""
    assert told(PlanAction.BEGUN, work(1), work(1), longer) == ""


def test_an_override_that_changes_nothing_is_not_told() -> None:
    assert told(PlanAction.ADDED, override(Status.UP), override(Status.UP)) == ""


def notice(kind: EventKind, before: Snapshot, after: Snapshot, service: str = "db") -> Notice:
    return notices.notice(CATALOGUE, before, after, kind, service, NOON)


def test_what_fails_in_planned_work_is_explained_by_it() -> None:
    """Also against a team's own words, which know nothing of it; and where another service stands on it."""
    plans = {"db": (work(),)}
    down = world(8, plans=plans, db="down")
    found = notice(EventKind.DOWN, world(plans=plans), down)
    assert found.text == "Message store is unavailable because of planned work until 14:00 UTC."
    both = world(9, plans=plans, db="down", chat="down")
    affected = notice(EventKind.DOWN, down, both, "chat")
    assert affected.text == ("Chat is affected: Message store is unavailable because of planned work until 14:00 UTC.")


def test_work_to_come_explains_nothing() -> None:
    plans = {"db": (work(1, NOON + 600, begun=False),)}
    assert notice(EventKind.DOWN, world(plans=plans), world(8, plans=plans, db="down")).text == "Our own words."


def test_a_refused_handshake_is_explained_by_planned_work() -> None:
    snapshot = world(plans={"db": (work(),)}, db="down", chat="down")
    admission = admit(CATALOGUE, snapshot)
    rejected = notices.rejected(CATALOGUE, admission, snapshot, NOON, 5000)
    assert rejected.text.startswith("Message store is unavailable because of planned work until 14:00 UTC, and we")
    reason = notices.closing_reason(CATALOGUE, admission, snapshot, NOON)
    assert reason == "Message store is unavailable because of planned work until 14:00 UTC"


def test_an_override_is_told_with_its_reason() -> None:
    after = world(8, plans={"stats": (override(Status.DOWN, "We move house"),)}, stats="down")
    found = notice(EventKind.DOWN, world(), after, "stats")
    assert found.text == ("Analytics is unavailable. We will tell you as soon as it is back. We move house.")
    assert not found.quiet


def test_what_is_observed_under_an_override_is_quiet() -> None:
    """The view says what the override says."""
    plans = {"stats": (override(Status.UP),)}
    found = notice(EventKind.DOWN, world(plans=plans), world(8, plans=plans), "stats")
    assert found.quiet
    assert found.service.status is Status.UP


def test_a_welcome_names_planned_work() -> None:
    plans = {"db": (work(),), "stats": (work(1, NOON + 600, begun=False),)}
    welcome = notices.welcome(CATALOGUE, world(plans=plans), FeedState.LIVE, NOON)
    assert welcome.text == "Planned work on Message store until 14:00 UTC."
    views = {each.name: each for each in welcome.services}
    assert views["db"].planned
    assert views["db"].planned.has_begun
    assert views["stats"].planned
    assert not views["stats"].planned.has_begun
    assert views["chat"].planned is msgspec.UNSET
    unwell = notices.welcome(CATALOGUE, world(plans=plans, db="down"), FeedState.LIVE, NOON)
    assert unwell.text == "Planned work on Message store until 14:00 UTC."
