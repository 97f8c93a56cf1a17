"""When clients come back: bounded, spread, and wider the longer it lasts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from broadcaster.domain.reconnects import after_goodbye, after_rejection

chances = st.floats(0, 1)


@given(chance=chances, outage=st.floats(0, 1e6))
def test_a_refused_client_waits_no_less_and_no_more_than_the_settings_say(chance: float, outage: float) -> None:
    assert 5 <= after_rejection(chance, outage=outage, least=5, most=30) <= 35


@given(chance=chances, outage=st.floats(0, 1e6), later=st.floats(0, 1e6))
def test_the_longer_it_lasts_the_longer_they_wait(chance: float, outage: float, later: float) -> None:
    soon = after_rejection(chance, outage=outage, least=5, most=30)
    assert after_rejection(chance, outage=outage + later, least=5, most=30) >= soon


def test_the_window_follows_the_outage() -> None:
    """At its beginning 5 to 10 s, after 40 s of it 5 to 25 s, after an hour 5 to 35 s."""
    ends = [after_rejection(1.0, outage=outage, least=5, most=30) for outage in (0, 40, 3600)]
    assert ends == [10, 25, 35]
    assert after_rejection(0.0, outage=3600, least=5, most=30) == 5


@given(chance=chances, clients=st.integers(0, 1_000_000))
def test_whoever_is_sent_away_is_spread_by_how_many_they_are(chance: float, clients: int) -> None:
    wait = after_goodbye(chance, clients=clients, least=5, rate=1000)
    assert 1 <= wait <= max(5, clients / 1000)


def test_a_node_of_fifteen_thousand_spreads_them_over_fifteen_seconds() -> None:
    waits = [after_goodbye(number / 100, clients=15_000, least=5, rate=1000) for number in (0, 100)]
    assert waits == [3, 15]
