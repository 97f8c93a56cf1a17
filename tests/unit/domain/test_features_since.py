"""What is concluded from one snapshot after another is what would be concluded from each alone."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.domain.features import feature_states
from broadcaster.domain.model import Catalogue, Feature, Position, Service, ServiceState, Snapshot, Status

NAMES = "abcde"

services = st.fixed_dictionaries({name: st.lists(st.sampled_from(NAMES), max_size=2).map(tuple) for name in NAMES})
needs = st.lists(st.sampled_from(NAMES), max_size=3).map(tuple)
features = st.dictionaries(st.sampled_from("vwxyz"), st.tuples(needs, needs), max_size=5)
history = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(Status)), max_size=20)


def catalogue(below: dict[str, tuple[str, ...]], made: dict[str, tuple[tuple[str, ...], tuple[str, ...]]]) -> Catalogue:
    return Catalogue(
        services={name: Service(name=name, depends_on=on) for name, on in below.items()},
        features={name: Feature(name=name, requires=all_of, any_of=any_of) for name, (all_of, any_of) in made.items()},
    )


@given(services, features, history)
def test_conclusions_that_build_on_each_other_are_right(
    below: dict[str, tuple[str, ...]],
    made: dict[str, tuple[tuple[str, ...], tuple[str, ...]]],
    changes: list[tuple[str, Status]],
) -> None:
    """Whatever changes, and whatever stands on what, also in circles."""
    told, before = catalogue(below, made), Snapshot(position=Position("e", 0))
    for revision, (name, status) in enumerate(changes, 1):
        state = ServiceState(service=name, status=status, revision=revision)
        after = Snapshot(position=Position("e", revision), services={**before.services, name: state})
        alone = msgspec.structs.replace(after)
        assert feature_states(told, after, since=before) == feature_states(told, alone)
        before = after


def test_another_catalogue_is_concluded_for_itself() -> None:
    """Settings that change leave nothing of the old ones behind."""
    snapshot = Snapshot(services={"a": ServiceState(service="a", status=Status.DOWN)})
    before = catalogue({"a": ()}, {"x": (("a",), ())})
    after = catalogue({"a": ()}, {"y": ((), ())})
    assert list(feature_states(before, snapshot)) == ["x"]
    assert list(feature_states(after, snapshot, since=snapshot)) == ["y"]
