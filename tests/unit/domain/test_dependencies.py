"""What stands on what, and which services belong together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.domain.dependencies import components, dependencies

BELOW = {"chat": ("backend",), "backend": ("auth", "db"), "auth": ("db",), "db": (), "mail": ()}


@pytest.mark.parametrize(
    ("service", "below"),
    [("chat", {"backend", "auth", "db"}), ("auth", {"db"}), ("db", set()), ("unheard", set())],
)
def test_dependencies_are_all_of_them(service: str, below: set[str]) -> None:
    """Over whatever chain, and not the service itself."""
    assert dependencies(service, BELOW) == below


edges = st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=3).map(tuple))


@given(edges)
def test_services_that_depend_on_each_other_share_a_component(below: dict[str, tuple[str, ...]]) -> None:
    """Also in circles, which a file may not have, and with names that are not there."""
    found = components(below)
    assert found.keys() == below.keys()
    for name, others in below.items():
        for each in others:
            if each in below:
                assert found[name] == found[each]
        assert name not in dependencies(name, below)


def test_services_that_have_nothing_to_do_with_each_other_do_not() -> None:
    """Only connected ones share an owner."""
    found = components(BELOW)
    assert len({found[name] for name in ("chat", "backend", "auth", "db")}) == 1
    assert found["mail"] != found["db"]
