"""Language tags: how they are written, what they fall back to, and which words a reader gets."""

from __future__ import annotations

import pytest

from broadcaster.domain.languages import Language, Said, Words, canonical, common, fallbacks, read
from broadcaster.domain.model import Catalogue, Criticality, Feature, Service

AUTH = Service(
    name="auth",
    title="Sign-in",
    texts={"down": "Nobody can sign in.", "recovered": "You can sign in."},
    locales={
        "de": Words(title="Anmeldung", texts={"down": "Niemand kann sich anmelden.", "degraded": "Es dauert."}),
        "de-CH": Words(texts={"degraded": "Es goht länger."}),
        "fr": Words(title="Connexion"),
    },
)
KNOWN = frozenset(AUTH.locales)
ENGLISH = Language()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("de", "de"),
        ("DE-at", "de-AT"),
        ("zh-hans-cn", "zh-Hans-CN"),
        ("en-ca-x-ca", "en-CA-x-ca"),
        ("sl-rozaj-1994", "sl-rozaj-1994"),
        ("gsw", "gsw"),
        ("", ""),
        ("x-own", ""),
        ("d", ""),
        ("de_AT", ""),
        ("de-", ""),
        ("-de", ""),
        ("de--AT", ""),
        ("de\n", ""),
        ("dé", ""),
        ("٣٣", ""),
        ("*", ""),
        ("de,en;q=0.5", ""),
        ("abcdefghi", ""),
        ("de-" + "-".join("a" * 8 for _ in range(8)), ""),
    ],
)
def test_a_tag_is_read_as_it_is_written_by_convention(text: str, expected: str) -> None:
    """Case says nothing; what is no tag is none, however long."""
    assert read(text) == expected
    assert not expected or canonical(expected.upper()) == expected


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("de", ["de"]),
        ("de-AT-1996", ["de-AT-1996", "de-AT", "de"]),
        ("zh-Hant-CN-x-own", ["zh-Hant-CN-x-own", "zh-Hant-CN", "zh-Hant", "zh"]),
    ],
)
def test_a_tag_falls_back_to_shorter_ones(tag: str, expected: list[str]) -> None:
    """One subtag after the other; one that introduces others goes with them."""
    assert list(fallbacks(tag)) == expected


@pytest.mark.parametrize(
    ("asked", "default", "expected"),
    [
        ("de", "en", ("de", "en")),
        ("de-AT", "en", ("de", "en")),
        ("de-CH-1996", "en", ("de-CH", "de", "en")),
        ("it", "en", ("en",)),
        ("en", "en", ("en",)),
        ("en-GB", "en", ("en",)),
        ("", "en", ("en",)),
        ("de-CH", "de", ("de-CH", "de")),
        ("de-AT", "de-AT", ("de-AT",)),
        ("fr-CA", "de", ("fr", "de")),
    ],
)
def test_a_reader_is_told_in_what_there_is(asked: str, default: str, expected: tuple[str, ...]) -> None:
    """Languages without words are not among them, and none stands behind the default."""
    assert Language.of(default).toward(asked, KNOWN - {default}) == Language(default=default, tags=expected)


@pytest.mark.parametrize(
    ("asked", "title", "down", "degraded", "recovered"),
    [
        ("", "Sign-in", "en", None, "en"),
        ("de", "Anmeldung", "de", "de", "en"),
        ("de-CH", "Anmeldung", "de", "de-CH", "en"),
        ("fr", "Connexion", "en", None, "en"),
        ("it", "Sign-in", "en", None, "en"),
    ],
)
def test_each_word_falls_back_by_itself(
    asked: str, title: str, down: str | None, degraded: str | None, recovered: str | None
) -> None:
    """What a language leaves out is said in the next, and each text says in which it is."""
    language = ENGLISH.toward(asked, KNOWN)
    assert language.title(AUTH) == title
    said = [language.text(AUTH, event) for event in ("down", "degraded", "recovered")]
    assert [each and each.lang for each in said] == [down, degraded, recovered]
    if asked == "de-CH":
        assert said == [
            Said("Niemand kann sich anmelden.", "de"),
            Said("Es goht länger.", "de-CH"),
            Said("You can sign in.", "en"),
        ]


def test_a_service_without_a_title_goes_by_its_name() -> None:
    """Also where one language has a title, and the reader's is another."""
    plain = Service(name="auth", locales={"fr": Words(title="Connexion")})
    assert ENGLISH.title(plain) == "auth"
    assert ENGLISH.toward("fr", {"fr"}).title(plain) == "Connexion"


@pytest.mark.parametrize(
    ("default", "asked", "title"),
    [
        ("en", "de", "Sign-in"),
        ("de-AT", "", "Login"),
        ("fr", "de", "Login"),
        ("en-GB", "de", "Sign-in"),
        ("fr", "", "Login"),
    ],
)
def test_an_english_sentence_has_english_titles(default: str, asked: str, title: str) -> None:
    """The default title where that is English, and else the one among the further languages."""
    english = {} if default.startswith("en") else {"en": Words(title="Login")}
    service = Service(name="auth", title="Sign-in", locales={"de": Words(title="Anmeldung"), **english})
    language = Language.of(default).toward(asked, frozenset(service.locales))
    assert language.english.title(service) == title
    assert all(tag.startswith("en") for tag in language.english.tags)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [(["de"], "de"), (["de", "de-AT"], "de"), (["de-AT", "de-CH"], "de"), (["zh-Hans-CN", "zh-Hans"], "zh-Hans")],
)
def test_texts_of_one_language_have_a_tag_in_common(tags: list[str], expected: str) -> None:
    assert common(tags) == expected


def test_only_words_that_users_may_be_told_make_a_language() -> None:
    """What is said of a service that is not announced makes no difference to anybody."""
    optional = Service(name="stats", criticality=Criticality.OPTIONAL, locales={"it": Words(title="Statistica")})
    feature = Feature(name="chat", locales={"es": Words(title="Charla")})
    catalogue = Catalogue(services={"auth": AUTH, "stats": optional}, features={"chat": feature})
    assert catalogue.languages == {"de", "de-CH", "fr", "it", "es"}
    quiet = Catalogue(services=catalogue.services, features=catalogue.features, degradation=False)
    assert quiet.languages == {"de", "de-CH", "fr", "es"}
    assert quiet.language_for("it") == quiet.language
    assert quiet.told_in(quiet.language_for("it")) is quiet
