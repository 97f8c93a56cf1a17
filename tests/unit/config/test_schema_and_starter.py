"""The JSON Schema for editors, and the file people begin with."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any

import pytest
import yaml

from broadcaster.config.loader import parse_settings
from broadcaster.config.schema import json_schema
from broadcaster.domain.model import Criticality

STARTER = files("broadcaster.config").joinpath("starter.yaml").read_text(encoding="utf-8")


def fits(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """Whether ``value`` fits ``schema``: the part of JSON Schema that ours uses, and an error for any other part."""
    known = {
        "$ref", "$schema", "$defs", "title", "description", "default", "anyOf", "const", "enum", "type", "pattern",
        "minimum", "maximum", "exclusiveMinimum", "items", "properties", "patternProperties", "additionalProperties",
        "propertyNames", "minProperties", "required",
    }  # fmt: skip
    assert schema.keys() <= known, schema.keys() - known
    types: dict[str, Any] = {
        "object": dict,
        "array": list,
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
    }
    if "$ref" in schema:
        return fits(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root)
    if "anyOf" in schema and not any(fits(value, each, root) for each in schema["anyOf"]):
        return False
    if "const" in schema and value != schema["const"]:
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if schema.get("type") == "null":
        return value is None
    if "type" in schema:
        if not isinstance(value, types[schema["type"]]):
            return False
        if isinstance(value, bool) and schema["type"] != "boolean":
            return False
    if isinstance(value, str):
        return re.search(schema.get("pattern", ""), value) is not None
    if isinstance(value, int | float):
        is_within = schema.get("minimum", value) <= value <= schema.get("maximum", value)
        return bool(is_within and value > schema.get("exclusiveMinimum", value - 1))
    if isinstance(value, list):
        return all(fits(each, schema["items"], root) for each in value)
    if isinstance(value, dict) and schema.get("type") == "object":
        return fits_object(value, schema, root)
    return True


def fits_object(value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any]) -> bool:
    if not set(schema.get("required", ())) <= value.keys() or len(value) < schema.get("minProperties", 0):
        return False
    names = re.compile(schema.get("propertyNames", {}).get("pattern", ""))
    for name, each in value.items():
        if not names.search(name):
            return False
        own = schema.get("properties", {}).get(name)
        if own is None and any(re.search(pattern, name) for pattern in schema.get("patternProperties", {})):
            continue
        further = schema.get("additionalProperties", True) if own is None else own
        if further is False or (isinstance(further, dict) and not fits(each, further, root)):
            return False
    return True


class TestStarter:
    def test_it_is_valid_with_an_empty_environment(self) -> None:
        """Whoever writes it out has a file that works."""
        settings = parse_settings(STARTER, "starter.yaml", {})
        critical = [name for name, each in settings.services.items() if each.criticality is Criticality.CRITICAL]
        assert critical == ["backend", "auth", "postgres", "redis"]
        assert list(settings.services) == [*critical, "clickhouse", "openai", "anthropic"]
        assert list(settings.features) == ["chat", "assistant", "history", "analytics"]
        assert settings.features["assistant"].any_of == ("openai", "anthropic")
        assert settings.redis.service == "redis"

    def test_it_shows_what_users_and_operators_get(self) -> None:
        """Every service has a title, an owner and a runbook, every feature a text for its loss."""
        settings = parse_settings(STARTER, "starter.yaml", {})
        assert all(each.title and each.owner and each.runbook for each in settings.services.values())
        assert all("down" in each.texts for each in settings.features.values())

    def test_it_fits_the_schema(self) -> None:
        """Editors find nothing wrong with it."""
        schema = json_schema()
        assert fits(yaml.safe_load(STARTER), schema, schema)

    def test_its_words_in_another_language_are_right_when_they_are_no_longer_commented_out(self) -> None:
        """They are the backend's, and the default language is the one that it names."""
        lines = STARTER.splitlines()
        begin = next(number for number, line in enumerate(lines) if line.startswith("    # locales:"))
        end = next(number for number in range(begin, len(lines)) if lines[number].startswith("    runbook:"))
        lines[begin:end] = [line.replace("# ", "", 1) for line in lines[begin:end]]
        lines[lines.index("# default_locale: en")] = "default_locale: en"
        catalogue = parse_settings("\n".join(lines), "starter.yaml", {}).catalogue()
        assert catalogue.languages == {"de"}
        assert catalogue.services["backend"].locales["de"].title == "Chat-Server"


class TestSchema:
    @pytest.mark.parametrize(
        ("file", "expected"),
        [
            ("services: {a: {probe: {kind: tcp, host: h, port: 80}}}", True),
            ("services: {a: {probe: {kind: tcp, host: h, port: '${PORT}'}, fall: '${FALL:-3}', interval: 2.5}}", True),
            ("services: {a: {probe: {kind: redis, url: 'redis://h'}, criticality: '${C}', timeout: null}}", True),
            ("{services: {a: {probe: {kind: tcp, host: h, port: 80}}}, x-anything: [1]}", True),
            ("services: {}", False),
            ("{}", False),
            (
                "services: {a: {probe: {kind: tcp, host: h, port: 80}}, 'b b': {probe: {kind: tcp, host: h, port: 1}}}",
                False,
            ),
            ("services: {a: {probe: {kind: tcp, host: h, port: 80}, intervall: 3s}}", False),
            ("services: {a: {probe: {kind: tcp, host: h, port: 0}}}", False),
            ("services: {a: {probe: {kind: tcp, host: h, port: 80}, interval: soon}}", False),
            ("services: {a: {probe: {kind: tcp, host: h, port: 80}, interval: 0}}", False),
            ("services: {a: {probe: {kind: tcp, host: h, port: 80}, texts: {gone: x}}}", False),
            ("services: {a: {probe: {kind: tcp, host: h, port: 80}, locales: {de-AT: {texts: {down: x}}}}}", True),
            ("{services: {a: {probe: {kind: tcp, host: h, port: 80}}}, default_locale: zh-Hans}", True),
            ("services: {a: {probe: {kind: tcp, host: h, port: 80}, locales: {de_AT: {title: x}}}}", False),
            ("services: {a: {probe: {kind: tcp, host: h, port: 80}, locales: {de: {owner: x}}}}", False),
            ("services: {a: {probe: {kind: tcp, port: 80}}}", False),
            ("services: {a: {probe: {kind: telnet, host: h, port: 80}}}", False),
            ("services: {a: {probe: {kind: tcp, host: h, port: 80}, criticality: vital}}", False),
            ("{services: {a: {probe: {kind: tcp, host: h, port: 80}}}, bogus: 1}", False),
        ],
    )
    def test_schema_and_loader_agree(self, file: str, expected: bool) -> None:
        """What an editor marks is what the loader refuses."""
        schema = json_schema()
        assert fits(yaml.safe_load(file), schema, schema) is expected

    def test_defaults_and_descriptions_are_told(self) -> None:
        """An editor can show what a field that is left out means."""
        service = json_schema()["$defs"]["ServiceSettings"]
        assert service["properties"]["interval"]["default"] == "10s"
        assert service["properties"]["criticality"]["default"] == "critical"
        assert "timeout" in service["description"]
