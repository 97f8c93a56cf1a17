"""The words of services.yaml in several languages: read, checked, and no matter for those who do not use them."""

from __future__ import annotations

import pytest

from broadcaster.config.loader import parse_settings
from broadcaster.config.schema import json_schema
from broadcaster.config.settings import Settings
from broadcaster.domain.errors import ConfigError
from broadcaster.domain.languages import Language, Words

PROBE = "{kind: tcp, host: h, port: 1}"
FILE = f"""\
default_locale: DE
services:
  a:
    probe: {PROBE}
    title: Anmeldung
    locales:
      en: {{title: Sign-in, texts: {{down: Nobody can sign in.}}}}
      pt-br: {{title: Entrar}}
      no: {{texts: {{up: Ja}}}}
features:
  f:
    requires: [a]
    locales: {{EN-gb: {{texts: {{degraded: Slow.}}}}}}
"""


def parse(text: str) -> Settings:
    return parse_settings(text, "f.yaml", {})


def refused(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return caught.value.lines()


def service(locales: str, *, default: str = "en") -> str:
    """A file whose service has these locales, on line 5 from column 14."""
    return f"default_locale: {default}\nservices:\n  a:\n    probe: {PROBE}\n    locales: {locales}\n"


def test_words_are_read_with_their_tags_as_they_are_written_by_convention() -> None:
    """Whatever the case in the file; ``no`` is Norwegian, and not a falsehood."""
    catalogue = parse(FILE).catalogue()
    assert catalogue.language == Language.of("de")
    assert catalogue.services["a"].locales == {
        "en": Words(title="Sign-in", texts={"down": "Nobody can sign in."}),
        "pt-BR": Words(title="Entrar"),
        "no": Words(texts={"up": "Ja"}),
    }
    assert catalogue.features["f"].locales == {"en-GB": Words(texts={"degraded": "Slow."})}
    assert catalogue.languages == {"en", "pt-BR", "no", "en-GB"}


def test_without_a_word_of_it_all_is_english() -> None:
    catalogue = parse(f"services: {{a: {{probe: {PROBE}}}}}").catalogue()
    assert catalogue.language == Language()
    assert catalogue.languages == frozenset()


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (
            service("{de_AT: {title: x}}"),
            "f.yaml:5:15: services.a.locales.de_AT: must be a language tag (BCP 47) such as de, pt-BR or zh-Hans",
        ),
        (
            service("{de: {title: x}}", default="german!"),
            "f.yaml:1:17: default_locale: must be a language tag (BCP 47) such as de, pt-BR or zh-Hans",
        ),
        (
            service("{de: {title: x}, DE: {title: y}}"),
            "f.yaml:5:35: services.a.locales.DE: is the same language as de (put the words of both together)",
        ),
        (
            service("{de: {title: x}}", default="De"),
            "f.yaml:5:19: services.a.locales.de: de is the default_locale, whose words stand beside 'locales' "
            "(move them there, or name the language that those are in as default_locale)",
        ),
        (
            service("{de: {}}"),
            "f.yaml:5:19: services.a.locales.de: says nothing (give it a title or texts, or leave it out)",
        ),
        (
            service("{de: {titel: x}}"),
            "f.yaml:5:20: services.a.locales.de.titel: unknown field (did you mean 'title'?)",
        ),
        (
            service("{de: {texts: {gone: x}}}"),
            "f.yaml:5:28: services.a.locales.de.texts.gone: must be one of up, down, degraded, recovered",
        ),
        (service("[de]"), "f.yaml:5:14: services.a.locales: must be a mapping, is a list"),
        (service("{de: Anmeldung}"), "f.yaml:5:19: services.a.locales.de: must be a mapping, is a single value"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_to_do(file: str, expected: str) -> None:
    assert expected in refused(file)


def test_a_feature_s_mistakes_are_told_as_well() -> None:
    lines = refused(FILE.replace("EN-gb", "de"))
    assert len(lines) == 1
    assert " features.f.locales.de: de is the default_locale" in lines[0]


def test_editors_know_the_words() -> None:
    """A service's and a feature's are the same."""
    schema = json_schema()
    for name in ("ServiceSettings", "FeatureSettings"):
        locales = schema["$defs"][name]["properties"]["locales"]
        assert locales["additionalProperties"] == {"$ref": "#/$defs/WordsSettings"}
        assert "A-Za-z" in locales["propertyNames"]["pattern"]
    assert schema["properties"]["default_locale"]["default"] == "en"


PLAIN = f"""\
services:
  a: {{probe: {PROBE}, texts: {{up: b, down: a}}, breaker: {{sliding_window_size: 5}}}}
  b: {{probe: {PROBE}, interval: 2s}}
features:
  f: {{title: F, requires: [a, b], texts: {{down: x, degraded: y}}}}
"""


def test_a_file_without_languages_has_the_fingerprint_that_it_always_had() -> None:
    """Workers of the version before share the services with those of this one."""
    assert parse(PLAIN).shape == "365e9fd37c7e"


def test_words_in_further_languages_are_part_of_the_fingerprint() -> None:
    """A version before does not read such a file, and goes on by another."""
    shapes = {
        parse(text).shape
        for text in (
            PLAIN,
            PLAIN + "default_locale: de\n",
            PLAIN.replace("interval: 2s", "interval: 2s, locales: {de: {title: x}}"),
            PLAIN.replace("title: F,", "title: F, locales: {de: {title: x}},"),
            PLAIN.replace("title: F,", "title: F, locales: {de: {title: y}},"),
        )
    }
    assert len(shapes) == 5
    assert parse(PLAIN + "default_locale: en\n").shape == parse(PLAIN).shape
