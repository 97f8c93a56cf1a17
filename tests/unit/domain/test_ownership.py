"""Rendezvous hashing: everybody computes the same, and little moves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from broadcaster.domain.ownership import ranking, share

names = st.sets(st.text("abcdef0123456789-", min_size=1, max_size=8), min_size=1, max_size=12)


@given(names, names)
def test_every_service_has_exactly_one_first_choice(services: set[str], workers: set[str]) -> None:
    """The shares of all workers are a partition of the services."""
    shares = [share(services, worker, workers) for worker in workers]
    assert sorted(name for each in shares for name in each) == sorted(services)


@given(names, names)
def test_the_first_of_the_ranking_has_it_in_its_share(services: set[str], workers: set[str]) -> None:
    """Both say the same, in whatever order the workers are named."""
    for service in services:
        order = ranking(service, workers)
        assert sorted(order) == sorted(workers)
        assert order == ranking(service, sorted(workers, reverse=True))
        assert service in share(services, order[0], workers)


@given(names, names, st.text("xyz", min_size=1))
def test_a_newcomer_takes_and_nothing_else_moves(services: set[str], workers: set[str], new: str) -> None:
    """What does not go to the newcomer stays where it was."""
    for worker in workers:
        assert share(services, worker, workers | {new}) <= share(services, worker, workers)


def test_the_shares_are_even() -> None:
    """A thousand services over four workers: each has about its quarter."""
    services, workers = [f"s{n}" for n in range(1000)], {"a", "b", "c", "d"}
    assert all(180 < len(share(services, worker, workers)) < 320 for worker in workers)
