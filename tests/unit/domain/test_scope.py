"""A part of the dependency matrix: whole in itself, and with nothing in it of what was left out."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.domain.features import FeatureStatus, feature_states
from broadcaster.domain.model import Catalogue, Criticality, Feature, Service, ServiceState, Snapshot, Status
from broadcaster.domain.scope import Scope

OPTIONAL = Criticality.OPTIONAL

CATALOGUE = Catalogue(
    services={
        "disk": Service(name="disk"),
        "db": Service(name="db", depends_on=("disk",)),
        "auth": Service(name="auth", depends_on=("db",), owner="accounts", texts={"down": "Nobody can sign in."}),
        "openai": Service(name="openai", criticality=OPTIONAL, depends_on=("proxy",)),
        "claude": Service(name="claude", criticality=OPTIONAL),
        "proxy": Service(name="proxy", criticality=OPTIONAL),
        "stats": Service(name="stats", criticality=OPTIONAL, depends_on=("db", "proxy")),
    },
    features={
        "chat": Feature(name="chat", title="Chat", requires=("auth",)),
        "assistant": Feature(name="assistant", requires=("auth",), any_of=("openai", "claude")),
        "reports": Feature(name="reports", requires=("stats",), texts={"down": "They pause."}),
        "home": Feature(name="home"),
    },
)
QUIET = msgspec.structs.replace(CATALOGUE, degradation=False)


def scope(services: str = "", features: str = "", *, internal: bool = False) -> Scope:
    return Scope(internal=internal, services=frozenset(services.split()), features=frozenset(features.split()))


def named(catalogue: Catalogue) -> Iterator[str]:
    """Every service that a catalogue mentions anywhere."""
    for key, service in catalogue.services.items():
        yield from (key, service.name, *service.depends_on)
    for feature in catalogue.features.values():
        yield from (*feature.requires, *feature.any_of)


def announced(catalogue: Catalogue) -> set[str]:
    return {name for name in catalogue.services if catalogue.is_announced(name)}


# By examples.


@pytest.mark.parametrize("catalogue", [CATALOGUE, QUIET])
def test_who_asks_for_nothing_is_told_everything(catalogue: Catalogue) -> None:
    """The whole of a catalogue is that catalogue itself, with nothing copied."""
    assert Scope().is_whole
    assert Scope().narrow(catalogue) is catalogue
    assert Scope().missing(catalogue) == ()


def test_an_operator_is_told_everything_that_is_announced_without_a_copy() -> None:
    """Where all is announced already operators are told of the same catalogue as users."""
    assert Scope(internal=True).narrow(CATALOGUE) is CATALOGUE


@pytest.mark.parametrize(
    ("asked", "services", "features"),
    [
        (scope("auth"), {"auth"}, set()),
        (scope("auth stats"), {"auth", "stats"}, set()),
        (scope(features="chat"), {"auth", "db", "disk"}, {"chat"}),
        (scope(features="assistant"), {"auth", "db", "disk", "openai", "proxy", "claude"}, {"assistant"}),
        (scope(features="reports"), {"stats", "db", "disk", "proxy"}, {"reports"}),
        (scope(features="home"), set(), {"home"}),
        (scope("claude", "chat"), {"claude", "auth", "db", "disk"}, {"chat"}),
        (scope("db", "chat"), {"auth", "db", "disk"}, {"chat"}),
        (scope(features="chat reports"), {"auth", "db", "disk", "stats", "proxy"}, {"chat", "reports"}),
        (scope("nowhere"), set(), set()),
        (scope("auth nowhere", "nothing"), {"auth"}, set()),
    ],
)
@pytest.mark.parametrize("internal", [False, True])
def test_a_part_is_what_was_asked_for_and_what_it_stands_on(
    asked: Scope, services: set[str], features: set[str], internal: bool
) -> None:
    """Services come alone, features with everything under them; both add up; who asks makes no difference."""
    told = msgspec.structs.replace(asked, internal=internal).narrow(CATALOGUE)
    assert set(told.services) == services
    assert set(told.features) == features


def test_a_part_keeps_the_order_of_the_file() -> None:
    """Two who ask for the same in another order are told the same, and in the order of the catalogue."""
    told = scope("stats db auth", "reports chat").narrow(CATALOGUE)
    assert list(told.services) == ["disk", "db", "auth", "proxy", "stats"]
    assert list(told.features) == ["chat", "reports"]
    assert scope("stats db", "reports chat") == scope("db stats", "chat reports")


def test_a_service_without_what_it_stands_on_stands_on_its_own() -> None:
    """Only the link to what was left out is gone; all else that is said of the service stays."""
    told = scope("auth stats db").narrow(CATALOGUE)
    assert told.services["auth"] == CATALOGUE.services["auth"]
    assert told.services["stats"] == msgspec.structs.replace(CATALOGUE.services["stats"], depends_on=("db",))
    assert told.services["db"] == msgspec.structs.replace(CATALOGUE.services["db"], depends_on=())


def test_a_feature_is_told_as_it_is() -> None:
    """Titles, texts and what it requires are the catalogue's."""
    told = scope(features="assistant reports").narrow(CATALOGUE)
    assert told.features == {name: CATALOGUE.features[name] for name in ("assistant", "reports")}


@pytest.mark.parametrize(
    ("asked", "users", "operators"),
    [
        (scope(), {"disk", "db", "auth"}, set(CATALOGUE.services)),
        (scope("auth stats"), {"auth"}, {"auth", "stats"}),
        (scope("stats"), set(), {"stats"}),
        (scope(features="reports"), {"db", "disk"}, {"stats", "proxy", "db", "disk"}),
    ],
)
def test_with_degradation_off_only_operators_hear_of_optional_services(
    asked: Scope, users: set[str], operators: set[str]
) -> None:
    """What is not announced is kept from users also when they ask for it; operators hear of whatever they ask for."""
    assert announced(asked.narrow(QUIET)) == users
    assert announced(msgspec.structs.replace(asked, internal=True).narrow(QUIET)) == operators


def test_what_is_not_announced_takes_no_feature_from_users() -> None:
    """With degradation off a feature's part says available to users, as the whole does, and the truth to operators."""
    down = Snapshot(services={"stats": ServiceState(service="stats", status=Status.DOWN)})
    down = msgspec.structs.replace(down, services={**ups(QUIET), **down.services})
    for internal, expected in ((False, FeatureStatus.AVAILABLE), (True, FeatureStatus.UNAVAILABLE)):
        for asked in (scope(internal=internal), scope(features="reports", internal=internal)):
            assert feature_states(asked.narrow(QUIET), down)["reports"].status is expected


@pytest.mark.parametrize(
    ("asked", "catalogue", "expected"),
    [
        (scope("auth", "chat"), CATALOGUE, ()),
        (scope("nowhere"), CATALOGUE, ("nowhere",)),
        (scope("auth zebra nowhere"), CATALOGUE, ("nowhere", "zebra")),
        (scope(features="nothing chat"), CATALOGUE, ("nothing",)),
        (scope("chat"), CATALOGUE, ("chat",)),
        (scope(features="auth"), CATALOGUE, ("auth",)),
        (scope("zebra", "nothing"), CATALOGUE, ("zebra", "nothing")),
        (scope("Auth"), CATALOGUE, ("Auth",)),
        (scope("stats auth"), QUIET, ("stats",)),
        (scope("stats auth", internal=True), QUIET, ()),
        (scope("stats nowhere", internal=True), QUIET, ("nowhere",)),
        (scope(features="reports"), QUIET, ()),
    ],
)
def test_names_that_are_not_told_of_are_missing(asked: Scope, catalogue: Catalogue, expected: tuple[str, ...]) -> None:
    """A service is no feature, nor the other way; what users may not know of is missing just as what there is not."""
    assert asked.missing(catalogue) == expected


def test_the_whole_of_a_part_is_for_the_same_people() -> None:
    """An operator who asked for a part becomes no user by it, and a user no operator."""
    for internal in (False, True):
        asked = scope("auth", "chat", internal=internal)
        assert not asked.is_whole
        assert asked.whole == Scope(internal=internal)
        assert asked.whole.is_whole


# Whatever the catalogue.


NAMES = ("a", "b", "c", "d", "e", "f")
FEATURES = ("x", "y", "z")


def ups(catalogue: Catalogue) -> dict[str, ServiceState]:
    return {name: ServiceState(service=name, status=Status.UP) for name in catalogue.services}


@st.composite
def catalogues(draw: st.DrawFn) -> Catalogue:
    """Up to six services that stand on each other, without a circle, and up to three features on them."""
    names = draw(st.permutations(NAMES))[: draw(st.integers(1, len(NAMES)))]
    some = st.lists(st.sampled_from(names), unique=True, max_size=3).map(tuple)
    services = {
        name: Service(
            name=name,
            criticality=draw(st.sampled_from(Criticality)),
            depends_on=draw(st.lists(st.sampled_from(names[:number]), unique=True).map(tuple)) if number else (),
        )
        for number, name in enumerate(names)
    }
    order = draw(st.permutations(names))
    features = {
        name: Feature(name=name, requires=draw(some), any_of=draw(some)) for name in FEATURES[: draw(st.integers(0, 3))]
    }
    return Catalogue(
        services={name: services[name] for name in order}, features=features, degradation=draw(st.booleans())
    )


def subsets(names: tuple[str, ...]) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(names))


scopes = st.builds(Scope, internal=st.booleans(), services=subsets((*NAMES, "?")), features=subsets((*FEATURES, "?")))
snapshots = st.fixed_dictionaries({name: st.sampled_from(Status) for name in NAMES}).map(
    lambda statuses: Snapshot(
        services={name: ServiceState(service=name, status=status) for name, status in statuses.items()}
    )
)


@given(catalogues(), scopes)
def test_nothing_in_a_part_names_what_is_not_in_it(catalogue: Catalogue, asked: Scope) -> None:
    """Neither a service, nor a feature, stands on anything outside; and nothing comes that was in no catalogue."""
    told = asked.narrow(catalogue)
    assert set(named(told)) <= set(told.services)
    assert set(told.services) <= set(catalogue.services)
    assert set(told.features) <= set(catalogue.features)


@given(catalogues(), scopes)
def test_a_part_holds_what_was_asked_for_and_no_more_than_that_stands_on(catalogue: Catalogue, asked: Scope) -> None:
    """The smallest set with the services asked for, and with everything that the features stand on, chain by chain."""
    told = asked.narrow(catalogue)
    if asked.is_whole:
        assert (told.services, told.features) == (catalogue.services, catalogue.features)
        return
    features = [each for name, each in catalogue.features.items() if name in asked.features]
    closed = {name for each in features for name in (*each.requires, *each.any_of)}
    for _ in catalogue.services:
        closed |= {below for name in closed for below in catalogue.services[name].depends_on}
    assert set(told.services) == closed | (asked.services & set(catalogue.services))
    assert list(told.features) == [each.name for each in features]


@given(catalogues(), scopes, snapshots)
def test_a_features_state_is_the_same_in_every_part(catalogue: Catalogue, asked: Scope, snapshot: Snapshot) -> None:
    """Whatever happens, who is told of a part is told of its features what those are told who are told all."""
    whole = feature_states(asked.whole.narrow(catalogue), snapshot)
    part = feature_states(asked.narrow(catalogue), snapshot)
    assert part == {name: whole[name] for name in part}


@given(catalogues(), scopes)
def test_all_that_was_asked_for_is_told_or_is_missing(catalogue: Catalogue, asked: Scope) -> None:
    """Every name is one or the other, and never both."""
    told, missing = asked.narrow(catalogue), asked.missing(catalogue)
    services = {name for name in asked.services if told.is_announced(name)}
    features = asked.features & set(told.features)
    assert sorted(missing) == sorted([*(asked.services - services), *(asked.features - features)])


@given(catalogues(), scopes)
def test_users_are_told_of_no_more_than_is_announced(catalogue: Catalogue, asked: Scope) -> None:
    """No question gets more out of a node than what it announces to everybody; operators hear of whatever they name."""
    told = asked.narrow(catalogue)
    if asked.internal:
        assert announced(told) == set(told.services)
    else:
        assert announced(told) <= announced(catalogue)


@given(catalogues(), scopes)
def test_a_part_of_a_part_is_that_part(catalogue: Catalogue, asked: Scope) -> None:
    """Narrowing twice is narrowing once."""
    told = asked.narrow(catalogue)
    assert asked.narrow(told) == told
