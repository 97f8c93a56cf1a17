"""How much of each day a service was up, however its changes fall."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.domain.model import Status
from broadcaster.domain.uptime import DAY_SECONDS, DAYS, Day, Timeline, Uptime

DAY = DAY_SECONDS
TODAY = 20_000
NOW = TODAY * DAY + DAY / 2

Changes = list[tuple[float, Status, bool]]

changes = st.lists(
    st.tuples(
        st.floats(min_value=NOW - 120 * DAY, max_value=NOW, allow_nan=False),
        st.sampled_from(Status),
        st.booleans(),
    ),
    max_size=40,
).map(lambda found: sorted(found, key=lambda each: each[0]))


def timeline(changed: Changes) -> Timeline:
    made = Timeline()
    for at, status, is_planned in changed:
        made.become(status, at, is_planned=is_planned)
    return made


def told_at(changed: Changes, at: float) -> str | None:
    """What was told at a moment, looked up the slow way."""
    told = None
    for began, status, is_planned in changed:
        if began <= at and (told is not None or status is not Status.UNKNOWN):
            told = "planned" if is_planned and status is not Status.UP else status.value
    return told


@given(changes)
def test_every_second_counts_once_and_as_what_was_told(changed: Changes) -> None:
    """Between any two changes the day has the seconds of what was told then, and nothing from before the first."""
    uptime = timeline(changed).uptime(NOW)
    edges = sorted(
        {NOW, *(at for at, *_ in changed), *((TODAY - back) * DAY for back in range(DAYS)), (TODAY - DAYS + 1) * DAY}
    )
    expected: dict[tuple[int, str], float] = {}
    for begin, end in itertools.pairwise(edges):
        told = told_at(changed, begin)
        day = math.floor(begin / DAY)
        if told is not None and TODAY - DAYS < day <= TODAY:
            expected[day, told] = expected.get((day, told), 0.0) + end - begin
    for number, counted in enumerate(uptime.days, TODAY - DAYS + 1):
        for told in ("up", "degraded", "down", "unknown", "planned"):
            found = 0.0 if counted is None else getattr(counted, told)
            assert found == pytest.approx(expected.get((number, told), 0.0), abs=1e-3)


@given(changes, st.lists(st.floats(min_value=0, max_value=1), max_size=5))
def test_looking_changes_nothing(changed: Changes, looks: list[float]) -> None:
    """A timeline that was looked at in between is as one that was not."""
    watched = Timeline()
    for index, (at, status, is_planned) in enumerate(changed):
        watched.become(status, at, is_planned=is_planned)
        if index < len(looks):
            watched.uptime(at + looks[index] * 10 * DAY)
    assert watched.uptime(NOW) == timeline(changed).uptime(NOW)


@given(changes)
def test_what_is_known_is_bounded_and_never_more_than_a_day(changed: Changes) -> None:
    """90 days, none longer than itself, and a part between 0 and 1."""
    made = timeline(changed)
    uptime = made.uptime(NOW)
    assert len(uptime.days) == DAYS
    assert len(made._days) <= DAYS
    for day in uptime.days:
        assert day is None or 0 <= day.counted <= DAY + 1e-3
    assert uptime.availability is None or 0.0 <= uptime.availability <= 1.0


def test_days_before_the_first_knowledge_have_no_data() -> None:
    """They are nothing, not 100 %."""
    made = timeline([(NOW - 2 * DAY, Status.UP, False)])
    uptime = made.uptime(NOW)
    assert uptime.days[:-3] == (None,) * (DAYS - 3)
    assert uptime.days[-3:] == (Day(up=DAY / 2), Day(up=DAY), Day(up=DAY / 2))
    assert (uptime.availability, uptime.span) == (1.0, 3)
    assert Timeline().uptime(NOW) == Uptime(days=(None,) * DAYS)
    assert Timeline().uptime(NOW).availability is None


def test_unknown_is_no_beginning_and_counts_neither_way() -> None:
    """What nobody observed is neither up nor down."""
    never = timeline([(NOW - DAY, Status.UNKNOWN, False)])
    assert not never.uptime(NOW).is_known
    uptime = timeline(
        [(NOW - 200, Status.UP, False), (NOW - 150, Status.UNKNOWN, False), (NOW - 50, Status.DOWN, False)]
    ).uptime(NOW)
    assert uptime.days[-1] == Day(up=50, unknown=100, down=50, outages=1)
    assert uptime.availability == pytest.approx(0.5)


def test_planned_work_counts_neither_way() -> None:
    """A service that is down in its maintenance had no outage; one that is up in it is up."""
    uptime = timeline(
        [
            (NOW - 400, Status.UP, False),
            (NOW - 300, Status.UP, True),
            (NOW - 200, Status.DOWN, True),
            (NOW - 100, Status.UP, False),
        ]
    ).uptime(NOW)
    assert uptime.days[-1] == Day(up=300, planned=100)
    assert (uptime.availability, uptime.outages) == (1.0, 0)


def test_an_outage_over_midnight_is_one_and_began_on_the_first_day() -> None:
    """Both days have their seconds; a gap in what is known makes no second outage of it."""
    midnight = TODAY * DAY
    uptime = timeline(
        [
            (midnight - 100, Status.DOWN, False),
            (midnight - 50, Status.UNKNOWN, False),
            (midnight - 10, Status.DOWN, False),
            (midnight + 20, Status.UP, False),
        ]
    ).uptime(midnight + 30)
    assert uptime.days[-2:] == (Day(down=60, unknown=40, outages=1), Day(down=20, up=10))
    assert uptime.outages == 1


def test_a_clock_that_runs_behind_takes_nothing_back() -> None:
    """A change that claims to be older than the one before it is as old."""
    made = timeline([(NOW - 100, Status.UP, False), (NOW - 50, Status.DOWN, False)])
    made.become(Status.UP, NOW - 80)
    assert made.uptime(NOW).days[-1] == Day(up=100, outages=1)
