"""What operators say of services for a time, and what becomes of it as time passes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.domain.admission import Verdict, admit
from broadcaster.domain.errors import PlanError
from broadcaster.domain.freshness import Carrier, effective
from broadcaster.domain.model import Catalogue, Plan, PlanAction, PlanKind, Service, ServiceState, Snapshot, Status
from broadcaster.domain.plans import FURTHEST, GRACE, LONGEST, MOST, add, advance, advanced, decide_plan, end

NOW = 1_000_000.0


def work(starts: float = 0.0, lasts: float = 3600.0, **fields: object) -> Plan:
    """Maintenance from ``starts`` seconds after NOW."""
    return Plan(kind=PlanKind.MAINTENANCE, starts_at=NOW + starts, until=NOW + starts + lasts, by="anna", **fields)  # type: ignore[arg-type]


def override(status: Status | None = Status.DOWN, *, starts: float = 0.0, lasts: float = 60.0) -> Plan:
    return Plan(kind=PlanKind.OVERRIDE, starts_at=NOW + starts, until=NOW + starts + lasts, by="anna", status=status)


def test_work_that_begins_now_has_begun() -> None:
    step = add((), work(), NOW)
    assert (step.action, step.plan.has_begun) == (PlanAction.ADDED, True)
    assert step.plans == (step.plan,)


def test_work_to_come_waits_for_its_time() -> None:
    """It is announced, begins, and expires; each once."""
    plans = add((), work(600), NOW).plans
    assert not plans[0].has_begun
    assert advance(plans, NOW + 599) is None
    begun = advance(plans, NOW + 600)
    assert begun is not None
    assert begun.action is PlanAction.BEGUN
    assert advance(begun.plans, NOW + 4199) is None
    expired = advance(begun.plans, NOW + 4200)
    assert expired is not None
    assert (expired.action, expired.plans) == (PlanAction.EXPIRED, ())


def test_a_new_override_takes_the_place_of_the_old_and_leaves_work_alone() -> None:
    plans = add((), work(), NOW).plans
    plans = add(plans, override(Status.DOWN), NOW).plans
    plans = add(plans, override(Status.UP), NOW + 1).plans
    assert sorted((each.kind.value, each.status) for each in plans if each.status) == [("override", Status.UP)]
    assert len(plans) == 2


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (work(-7200), "its end has passed already"),
        (work(10, -20), "over before it begins"),
        (work(10, 0), "over before it begins"),
        (work(0, LONGEST + 1), "longer than 30 days"),
        (work(FURTHEST + 1), "more than 365 days ahead"),
        (override(None), "must say up, degraded or down"),
        (override(Status.UNKNOWN), "must say up, degraded or down"),
        (override(starts=60), "begins at once"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(plan: Plan, why: str) -> None:
    with pytest.raises(PlanError, match=why):
        add((), plan, NOW)


def test_a_service_has_only_so_many_plans() -> None:
    plans: tuple[Plan, ...] = ()
    for number in range(MOST):
        plans = add(plans, work(number), NOW).plans
    with pytest.raises(PlanError, match=str(MOST)):
        add(plans, work(1), NOW)
    with pytest.raises(PlanError, match=str(MOST)):
        add(plans, override(), NOW)


def test_only_what_is_on_is_ended_unless_asked() -> None:
    """Work that is to come is called off on demand alone."""
    plans = add(add((), work(600), NOW).plans, work(), NOW).plans
    first = end(plans, PlanKind.MAINTENANCE)
    assert first is not None
    assert first.plan.has_begun
    assert end(first.plans, PlanKind.MAINTENANCE) is None
    assert end(plans, PlanKind.OVERRIDE) is None
    off = end(first.plans, PlanKind.MAINTENANCE, also_ahead=True)
    assert off is not None
    assert (off.action, off.plan.has_begun, off.plans) == (PlanAction.ENDED, False, ())


moments = st.integers(-2000, 2000)


@st.composite
def plan_sets(draw: st.DrawFn) -> tuple[Plan, ...]:
    plans: tuple[Plan, ...] = ()
    for starts, lasts in draw(st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 1000)), max_size=6)):
        plans = add(plans, work(starts, lasts), NOW).plans
    return plans


@given(plans=plan_sets(), at=moments, later=st.integers(0, 2000))
def test_time_does_to_plans_the_same_in_one_step_or_two(plans: tuple[Plan, ...], at: int, later: int) -> None:
    """Whoever looks late, or was away, ends up with the same plans; and time alone adds none."""
    then = NOW + at
    assert advanced(advanced(plans, then), then + later) == advanced(plans, then + later)
    assert advance(advanced(plans, then), then) is None
    assert len(advanced(plans, then)) <= len(plans)


@given(plans=plan_sets(), at=st.integers(0, 2500))
def test_what_is_on_is_what_the_clock_says(plans: tuple[Plan, ...], at: int) -> None:
    """A plan is on from its beginning (included) until its end (excluded)."""
    now = NOW + at
    expected = {(each.starts_at, each.until) for each in plans if each.starts_at <= now < each.until}
    found = {(each.starts_at, each.until) for each in advanced(plans, now) if each.has_begun}
    assert found == expected


# What readers make of it.


def seen(status: Status, *plans: Plan, observed_at: float = NOW) -> Snapshot:
    state = ServiceState(service="auth", status=status, since=1.0, observed_at=observed_at, revision=3, plans=plans)
    return Snapshot(services={"auth": state})


def on(plan: Plan) -> Plan:
    [found] = add((), plan, NOW).plans
    return found


def judged(snapshot: Snapshot, now: float = NOW, carrier: Carrier | None = None) -> ServiceState:
    return effective(snapshot, now=now, expires_after={"auth": 30.0}, carrier=carrier).state("auth")


CATALOGUE = Catalogue(services={"auth": Service(name="auth")})


@pytest.mark.parametrize("observed", list(Status))
@pytest.mark.parametrize("said", [Status.UP, Status.DEGRADED, Status.DOWN])
def test_an_override_is_told_whatever_is_observed(observed: Status, said: Status) -> None:
    """Also where nothing is observed any more, and where the reader lost the carrier of that name."""
    plan = on(override(said))
    snapshot = seen(observed, plan)
    lost = Carrier(service="auth", is_reached=False, since=NOW)
    for state in (judged(snapshot), judged(snapshot, NOW + 50), judged(snapshot, carrier=lost)):
        assert (state.status, state.since) == (said, NOW)
        assert "anna" in state.detail
    admission = admit(CATALOGUE, effective(snapshot, now=NOW, expires_after={}))
    assert (admission.verdict is Verdict.REJECT) is (said is Status.DOWN)


def test_an_override_ends_for_readers_without_any_worker() -> None:
    snapshot = seen(Status.UP, on(override(Status.DOWN, lasts=10)), observed_at=NOW + 10)
    assert judged(snapshot, NOW + 10).status is Status.DOWN
    assert judged(snapshot, NOW + 10 + GRACE).status is Status.UP


def test_planned_work_changes_no_status() -> None:
    snapshot = seen(Status.DOWN, on(work()))
    assert judged(snapshot).status is Status.DOWN
    assert judged(snapshot).maintenance is not None
    assert judged(snapshot, NOW + 3600 + GRACE).planned is None


def test_work_to_come_is_known_and_not_on() -> None:
    state = judged(seen(Status.UP, on(work(600)), observed_at=NOW + 590), NOW + 600)
    assert state.maintenance is None
    assert state.planned is not None
    later = judged(seen(Status.UP, on(work(600)), observed_at=NOW + 600), NOW + 600 + GRACE)
    assert later.maintenance is not None


def test_of_work_that_overlaps_the_one_that_ends_last_counts() -> None:
    state = judged(seen(Status.UP, on(work(lasts=60)), on(work(lasts=600))))
    assert state.maintenance is not None
    assert state.maintenance.until == NOW + 600


def test_a_decision_leaves_everything_but_the_plans_as_it_was() -> None:
    held = seen(Status.DOWN).state("auth")
    decision = decide_plan(held, add((), work(), NOW), at=NOW, by="anna")
    assert decision.state.plans == decision.plans
    assert (decision.state.status, decision.state.since) == (held.status, held.since)
