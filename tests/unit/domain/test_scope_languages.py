"""Scopes with a language: whoever reads the same words has the same scope, whatever they asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.domain.languages import Language, Words
from broadcaster.domain.model import Catalogue, Criticality, Feature, Service
from broadcaster.domain.scope import Scope


def words(*tags: str) -> dict[str, Words]:
    return {tag: Words(title=f"in {tag}") for tag in tags}


CATALOGUE = Catalogue(
    services={
        "db": Service(name="db"),
        "auth": Service(name="auth", depends_on=("db",), locales=words("de")),
        "stats": Service(name="stats", criticality=Criticality.OPTIONAL, locales=words("fr", "de-CH")),
    },
    features={
        "chat": Feature(name="chat", requires=("auth",)),
        "reports": Feature(name="reports", requires=("stats",)),
    },
)
QUIET = Catalogue(services=CATALOGUE.services, features=CATALOGUE.features, degradation=False)


def scope(locale: str, services: str = "", features: str = "", *, internal: bool = False) -> Scope:
    return Scope(
        internal=internal, services=frozenset(services.split()), features=frozenset(features.split()), locale=locale
    )


@pytest.mark.parametrize(
    ("asked", "settled"),
    [
        (scope(""), ""),
        (scope("en"), ""),
        (scope("it"), ""),
        (scope("de"), "de"),
        (scope("de-AT"), "de"),
        (scope("de-CH"), "de-CH"),
        (scope("fr-CA"), "fr"),
        (scope("de-CH", "auth"), "de"),
        (scope("fr", "auth"), ""),
        (scope("de", "db"), ""),
        (scope("fr", features="chat"), ""),
        (scope("fr", features="reports"), "fr"),
        (scope("de", features="chat"), "de"),
    ],
)
def test_a_language_is_settled_by_the_words_that_there_are(asked: Scope, settled: str) -> None:
    """In what is told: a language of another part makes no view of its own."""
    assert asked.settled(CATALOGUE) == Scope(services=asked.services, features=asked.features, locale=settled)


def test_words_that_only_operators_are_told_are_theirs() -> None:
    """With degradation off an optional service's languages are settled for operators, and for nobody else."""
    assert scope("fr").settled(QUIET).locale == ""
    assert scope("fr", internal=True).settled(QUIET).locale == "fr"


def test_who_asks_for_no_language_is_told_without_a_copy() -> None:
    """As is who asks for one that there are no words in: nothing is computed for them."""
    for locale in ("", "it", "en-GB"):
        assert scope(locale).narrow(CATALOGUE) is CATALOGUE
    german = scope("de-AT").narrow(CATALOGUE)
    assert german.language == Language(default="en", tags=("de", "en"))
    assert (german.services, german.features) == (CATALOGUE.services, CATALOGUE.features)


def test_the_whole_of_a_part_is_in_the_same_language() -> None:
    """Whoever is told more than they asked for still reads it."""
    assert scope("de", "auth").whole == scope("de")
    assert scope("de").is_whole
    assert scope("de", "nowhere").missing(CATALOGUE) == ("nowhere",)


TAGS = ("de", "de-AT", "de-CH", "de-CH-1996", "en", "en-GB", "fr", "zh-Hant")
NAMES = ("a", "b", "c")


@st.composite
def catalogues(draw: st.DrawFn) -> Catalogue:
    default = draw(st.sampled_from(TAGS))
    tags = st.sets(st.sampled_from([tag for tag in TAGS if tag != default])).map(lambda found: words(*found))
    services = {
        name: Service(name=name, criticality=draw(st.sampled_from(Criticality)), locales=draw(tags)) for name in NAMES
    }
    features = {"x": Feature(name="x", requires=("a",), locales=draw(tags))}
    return Catalogue(
        services=services, features=features, degradation=draw(st.booleans()), language=Language.of(default)
    )


scopes = st.builds(
    Scope,
    internal=st.booleans(),
    services=st.frozensets(st.sampled_from(NAMES)),
    features=st.frozensets(st.sampled_from(("x",))),
    locale=st.sampled_from(("", "it", "de-CH-1996-x-own", *TAGS)),
)


@given(catalogues(), scopes)
def test_what_is_settled_is_told_what_was_asked_for(catalogue: Catalogue, asked: Scope) -> None:
    """The same catalogue in the same language; settling it again changes nothing."""
    settled = asked.settled(catalogue)
    assert settled.narrow(catalogue) == asked.narrow(catalogue)
    assert settled.settled(catalogue) == settled


@given(catalogues(), scopes)
def test_languages_are_no_more_than_there_are_words_in(catalogue: Catalogue, asked: Scope) -> None:
    """Whatever clients ask for, there are as many views as the settings have languages, and one."""
    settled = asked.settled(catalogue).locale
    told = asked.narrow(catalogue)
    assert settled == "" or settled in told.languages
    assert told.language.default == catalogue.language.default
    assert set(told.language.tags) <= {*told.languages, catalogue.language.default}
