"""Only agreement makes a state."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.domain.model import Status
from broadcaster.domain.quorum import Vote, agreed, choose, disagreement, needed, told

OF = {"u": Status.UP, "d": Status.DOWN, "i": Status.DEGRADED}


def votes(letters: str) -> list[Vote]:
    return [Vote(worker=f"w{n}", zone="abc"[n % 3], status=OF[each], at=1.0) for n, each in enumerate(letters)]


@pytest.mark.parametrize(
    ("observers", "quorum", "expected"),
    [(0, 2, 0), (1, 2, 1), (2, 2, 2), (2, 1, 2), (3, 1, 2), (3, 2, 2), (3, 3, 3), (4, 2, 3), (5, 2, 3)],
)
def test_how_many_must_agree(observers: int, quorum: int, expected: int) -> None:
    """A majority of those alive, no fewer than the quorum, two where two are alive, and one survivor."""
    assert needed(observers, quorum) == expected


@pytest.mark.parametrize(
    ("letters", "observers", "expected"),
    [
        ("ddu", 3, Status.DOWN),
        ("duu", 3, Status.UP),
        ("diu", 3, Status.DEGRADED),
        ("iiu", 3, Status.DEGRADED),
        ("d", 3, None),  # two are alive and have not voted
        ("d", 1, Status.DOWN),
        ("du", 2, None),
        ("dd", 2, Status.DOWN),
        ("", 3, None),
        ("", 0, None),
    ],
)
def test_the_worst_that_enough_agree_on(letters: str, observers: int, expected: Status | None) -> None:
    """With a quorum of two."""
    assert agreed(votes(letters), observers, 2) is expected


@given(st.text("udi", max_size=7), st.integers(1, 4))
def test_one_alone_never_decides_among_several(letters: str, quorum: int) -> None:
    """With two or more alive, a single dissenter does not make a service unwell, and neither does silence."""
    if len(letters) >= 2 and letters.count("u") >= len(letters) - 1:
        assert agreed(votes(letters), len(letters), quorum) in (Status.UP, None)
    assert agreed([], max(1, len(letters)), quorum) is None


def test_who_sees_what_is_told() -> None:
    """For operators: how many, and from where."""
    assert told(votes("ddu"), 3, Status.DOWN) == "2 of 3 see it down, from a and b"
    assert disagreement(votes("duu"), 3) == "1 of 3 sees it down, from a"
    assert disagreement(votes("uuu"), 3) == ""


def test_observers_are_chosen_from_as_many_zones_as_there_are() -> None:
    """In the order of the ranking; a second one of a zone only when the zones run out."""
    zones = {"a1": "a", "a2": "a", "a3": "a", "b1": "b", "c1": "c"}
    assert choose(["a1", "a2", "b1", "a3", "c1"], zones, 3) == ["a1", "b1", "c1"]
    assert choose(["a1", "a2", "b1", "a3", "c1"], zones, 4) == ["a1", "b1", "c1", "a2"]
    assert choose(["a1"], {}, 3) == ["a1"]
