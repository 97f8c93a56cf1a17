"""Incidents and days, from what was committed and from what is told: the same either way, and bounded."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.domain.freshness import effective
from broadcaster.domain.history import MOST_INCIDENTS, MOST_UPDATES, History, Incident
from broadcaster.domain.model import (
    Entry,
    EventKind,
    Plan,
    PlanAction,
    PlanChange,
    PlanKind,
    Position,
    ServiceState,
    Snapshot,
    Status,
    Transition,
    event_kind,
)
from broadcaster.domain.replica import Replica
from broadcaster.domain.uptime import DAY_SECONDS, DAYS, Day

T = 20_000 * DAY_SECONDS + 1000.0
SERVICES = ("auth", "chat", "db")


class Committed:
    """Entries of one epoch, as a carrier would keep them."""

    def __init__(self, epoch: str = "e") -> None:
        self.entries: list[Entry] = []
        self._epoch = epoch
        self._status = dict.fromkeys(SERVICES, Status.UNKNOWN)
        self._plans: dict[str, tuple[Plan, ...]] = dict.fromkeys(SERVICES, ())

    def _next(self) -> Position:
        return Position(self._epoch, len(self.entries) + 1)

    def change(self, service: str, status: Status, at: float, *, incident: str = "", by: Iterable[str] = ()) -> None:
        previous, self._status[service] = self._status[service], status
        self.entries.append(
            Transition(
                position=self._next(),
                service=service,
                kind=event_kind(previous, status),
                previous=previous,
                status=status,
                at=at,
                incident=incident,
                caused_by=tuple(by),
            )
        )

    def plan(self, service: str, plan: Plan, action: PlanAction, at: float) -> None:
        kept = () if action in (PlanAction.ENDED, PlanAction.EXPIRED) else (plan,)
        self._plans[service] = kept
        self.entries.append(
            PlanChange(position=self._next(), service=service, at=at, action=action, plan=plan, by="op", plans=kept)
        )


def replayed(*committed: Committed) -> History:
    made = History()
    for each in committed:
        made.replay(each.entries)
    return made


def told(committed: Committed) -> History:
    """The same, heard change by change as a node does."""
    replica, made = Replica(Snapshot(position=Position(committed._epoch, 0))), History()
    for entry in committed.entries:
        replica.apply(entry)
        made.take(
            effective(replica.snapshot, now=entry.at, expires_after={}), entry.at, service=entry.service, at=entry.at
        )
    return made


def incidents(made: History, *services: str) -> list[Incident]:
    return list(made.incidents(services or SERVICES))


def outage() -> Committed:
    """The database takes the chat with it; both recover, one after the other."""
    committed = Committed()
    for name in SERVICES:
        committed.change(name, Status.UP, T)
    committed.change("db", Status.DOWN, T + 100, incident="db-1")
    committed.change("chat", Status.DEGRADED, T + 110, incident="db-1", by=["db"])
    committed.change("chat", Status.DOWN, T + 120, incident="db-1", by=["db"])
    committed.change("db", Status.UP, T + 200, incident="db-1")
    committed.change("chat", Status.UP, T + 230, incident="db-1")
    return committed


def test_an_incident_lasts_until_each_service_has_recovered() -> None:
    """One for all that belongs together, with its root, its worst, and every update in order."""
    committed = outage()
    [found] = incidents(replayed(committed))
    assert (found.name, found.began, found.ended) == ("db-1", T + 100, T + 230)
    assert found.worst == {"db": Status.DOWN, "chat": Status.DOWN}
    assert found.roots == ("db",)
    assert [(each.service, each.kind, each.at) for each in found.updates] == [
        ("db", EventKind.DOWN, T + 100),
        ("chat", EventKind.DEGRADED, T + 110),
        ("chat", EventKind.DOWN, T + 120),
        ("db", EventKind.RECOVERED, T + 200),
        ("chat", EventKind.RECOVERED, T + 230),
    ]
    committed.entries.pop()
    [still] = incidents(replayed(committed))
    assert still.is_open
    assert still.unwell == {"chat"}


def test_who_hears_of_a_part_is_told_of_that_part() -> None:
    """Services that are not announced appear in no incident, not even as a cause."""
    made = replayed(outage())
    [chat] = incidents(made, "chat")
    assert (chat.began, chat.ended, set(chat.worst)) == (T + 110, T + 230, {"chat"})
    assert chat.roots == ("chat",)
    assert all(not each.caused_by for each in chat.updates)
    assert incidents(made, "auth") == []


def test_an_override_is_an_incident_and_planned_work_is_said() -> None:
    """What is told instead of what is observed is what users went through; its end is the end of it."""
    committed = Committed()
    committed.change("auth", Status.UP, T)
    override = Plan(
        kind=PlanKind.OVERRIDE, starts_at=T + 10, until=T + 500, by="op", status=Status.DOWN, has_begun=True
    )
    committed.plan("auth", override, PlanAction.ADDED, T + 10)
    committed.plan("auth", override, PlanAction.ENDED, T + 40)
    work = Plan(kind=PlanKind.MAINTENANCE, starts_at=T + 50, until=T + 100, by="op", has_begun=True)
    committed.plan("auth", work, PlanAction.ADDED, T + 50)
    committed.change("auth", Status.DOWN, T + 60, incident="auth-2")
    committed.change("auth", Status.UP, T + 80, incident="auth-2")
    committed.plan("auth", work, PlanAction.EXPIRED, T + 100)
    for made in (replayed(committed), told(committed)):
        planned, overridden = incidents(made)
        assert (planned.name, planned.is_planned, planned.began) == ("auth-2", True, T + 60)
        assert (overridden.is_planned, overridden.began, overridden.ended) == (False, T + 10, T + 40)
        assert made.uptime("auth", T + 200).days[-1] == Day(up=150, down=30, planned=20, outages=1)


def test_a_node_that_knows_only_the_snapshot_begins_with_its_states() -> None:
    """Without a history a state says since when it is, and before that there is no data."""
    made = History()
    state = ServiceState(service="auth", status=Status.DOWN, since=T, incident="auth-1", revision=3)
    snapshot = Snapshot(position=Position("e", 9), services={"auth": state, "chat": ServiceState(service="chat")})
    made.take(snapshot, T + 60)
    assert made.uptime("auth", T + 60).days[-1] == Day(down=60, outages=1)
    assert not made.uptime("chat", T + 60).is_known
    assert [each.name for each in incidents(made)] == ["auth-1"]
    revision = made.revision
    made.take(snapshot, T + 61)
    assert made.revision == revision


def test_what_is_not_observed_any_more_ends_no_incident() -> None:
    """A gap counts as a gap, and a service that is found well after it has recovered."""
    made = History()
    up = ServiceState(service="auth", status=Status.UP, since=T)
    made.take(Snapshot(services={"auth": up}), T)
    down = msgspec.structs.replace(up, status=Status.DOWN, since=T + 10, incident="auth-1")
    unknown = msgspec.structs.replace(down, status=Status.UNKNOWN, since=T + 20)
    for now, state in ((T + 11, down), (T + 21, unknown), (T + 25, down), (T + 26, unknown), (T + 30, up)):
        made.take(Snapshot(services={"auth": state}), now)
        assert [each.is_open for each in incidents(made)] == [now < T + 30]
    assert made.uptime("auth", T + 40).days[-1] == Day(up=20, down=11, unknown=9, outages=1)
    [found] = incidents(made)
    assert [(each.kind, each.at) for each in found.updates] == [
        (EventKind.DOWN, T + 10),
        (EventKind.RECOVERED, T + 30),
    ]


def test_nothing_is_known_of_a_service_that_is_not_told_of() -> None:
    """A carrier that was emptied, or a service that was taken out: the time after that counts as unknown, not as up."""
    made = History()
    made.take(Snapshot(services={"auth": ServiceState(service="auth", status=Status.UP, since=T)}), T)
    made.take(Snapshot(position=Position("f", 0)), T + 10)
    assert made.uptime("auth", T + 30).days[-1] == Day(up=10, unknown=20)
    revision = made.revision
    made.take(Snapshot(position=Position("f", 0)), T + 30)
    assert made.revision == revision


def test_a_time_that_is_yet_to_come_is_not_believed() -> None:
    """A worker whose clock is a day ahead: what it says is so from now on, and an outage is on today's bar. A clock
    that is a little ahead is, or processes would not agree."""
    committed = Committed()
    committed.change("auth", Status.UP, T)
    committed.change("auth", Status.DOWN, T + DAY_SECONDS, incident="auth-1")
    late = History()
    late.replay(committed.entries, T + 20)
    early = History()
    early.replay(committed.entries[:1], T + 10)
    state = committed.entries[1].state(ServiceState(service="auth"))
    early.take(Snapshot(services={"auth": state}), T + 20, service="auth", at=T + DAY_SECONDS)
    unasked = History()
    unasked.replay(committed.entries[:1], T + 10)
    unasked.take(Snapshot(services={"auth": state}), T + 20)
    for made in (late, early, unasked):
        assert made.uptime("auth", T + 30).days[-1] == Day(up=20, down=10, outages=1)
        assert [each.began for each in incidents(made)] == [T + 20]
    close = History()
    close.replay(committed.entries, T + DAY_SECONDS - 1)
    assert [each.began for each in incidents(close)] == [T + DAY_SECONDS]


def test_replaying_again_adds_nothing_and_a_new_epoch_goes_on() -> None:
    """Positions say what is known; another epoch's are all new."""
    committed = outage()
    made = replayed(committed)
    before = (made.revision, incidents(made))
    made.replay(committed.entries)
    assert (made.revision, incidents(made)) == before
    later = Committed("f")
    later.change("auth", Status.UP, T)
    later.change("auth", Status.DOWN, T + 300, incident="auth-9")
    made.replay(later.entries)
    assert [each.name for each in incidents(made)] == ["auth-9", "db-1"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(SERVICES),
            st.sampled_from([Status.UP, Status.DEGRADED, Status.DOWN]),
            st.floats(min_value=0.5, max_value=40_000),
        ),
        max_size=60,
    )
)
def test_what_is_replayed_is_what_was_told(steps: list[tuple[str, Status, float]]) -> None:
    """A node that starts later has the same days and incidents as one that was there."""
    committed, at, number = Committed(), T, 0
    status = dict.fromkeys(SERVICES, Status.UNKNOWN)
    open_incident: dict[str, str] = {}
    for service, new, passed in steps:
        at += passed
        if status[service] is new:
            continue
        status[service] = new
        if new is not Status.UP and service not in open_incident:
            number += 1
            open_incident[service] = f"{service}-{number}"
        committed.change(service, new, at, incident=open_incident.get(service, ""))
        if new is Status.UP:
            open_incident.pop(service, None)
    late, early = replayed(committed), told(committed)
    assert incidents(late) == incidents(early)
    for service in SERVICES:
        assert late.uptime(service, at + 10) == early.uptime(service, at + 10)
    for found in incidents(late):
        assert found.is_open is bool(found.unwell)
        assert found.began <= found.updated
        assert [each.at for each in found.updates] == sorted(each.at for each in found.updates)
    assert {name for each in incidents(late) for name in each.unwell} == set(open_incident)


def test_memory_is_bounded() -> None:
    """However often a service fails: the oldest incidents go, those that are over first, and updates in the middle."""
    committed = Committed()
    committed.change("db", Status.DOWN, T, incident="db-0")
    for number in range(MOST_INCIDENTS + 20):
        committed.change("auth", Status.DOWN, T + 10 * number, incident=f"auth-{number}")
        committed.change("auth", Status.UP, T + 10 * number + 5, incident=f"auth-{number}")
    for number in range(MOST_UPDATES):
        committed.change("db", [Status.DEGRADED, Status.DOWN][number % 2], T + 9000 + number, incident="db-0")
    made = replayed(committed)
    found = incidents(made)
    assert len(found) == MOST_INCIDENTS
    assert found[0].name == f"auth-{MOST_INCIDENTS + 19}"
    assert found[-1].name == "db-0"
    assert len(found[-1].updates) == MOST_UPDATES
    assert (found[-1].updates[0].at, found[-1].updates[-1].at) == (T, T + 9000 + MOST_UPDATES - 1)


def test_what_ended_before_the_days_that_are_kept_goes() -> None:
    """An incident of a quarter ago is no longer told once another comes."""
    committed = Committed()
    committed.change("auth", Status.DOWN, T, incident="auth-1")
    committed.change("auth", Status.UP, T + 10, incident="auth-1")
    committed.change("chat", Status.DOWN, T + (DAYS + 1) * DAY_SECONDS, incident="chat-1")
    assert [each.name for each in incidents(replayed(committed))] == ["chat-1"]
