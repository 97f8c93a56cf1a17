"""The JSON Schema of ``services.yaml``, for editors. Made from the structs, so that it cannot say anything else.

msgspec's own generator knows neither defaults of our durations nor references to the environment.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Any

import msgspec
from msgspec import inspect

from broadcaster.config.durations import PATTERN, format_duration
from broadcaster.config.settings import Duration, Settings

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_REFERENCE = {"type": "string", "pattern": r"\$\{"}
"""A value that the environment will give, whatever it has to be in the end."""

Schema = dict[str, Any]


def json_schema() -> Schema:
    """The schema as a JSON object. A string with ``${`` in it is allowed wherever a single value stands."""
    definitions: dict[str, Schema] = {}
    settings = inspect.type_info(Settings)
    _schema(settings, definitions)
    root = definitions.pop(Settings.__name__)
    return {
        "$schema": DIALECT,
        "title": "services.yaml of status-broadcaster",
        **root,
        # Room for anchors; the loader ignores these keys too.
        "patternProperties": {"^x-": {}},
        "$defs": definitions,
    }


def _schema(kind: inspect.Type, definitions: dict[str, Schema]) -> Schema:
    match kind:
        case inspect.Metadata():
            return _schema(kind.type, definitions)
        case inspect.StructType():
            return _reference(kind, definitions)
        case inspect.UnionType():
            return {"anyOf": [_schema(each, definitions) for each in kind.types]}
        case inspect.DictType():
            values = {"type": "object", "additionalProperties": _schema(kind.value_type, definitions)}
            keys = _key_pattern(kind.key_type)
            least = {"minProperties": kind.min_length} if kind.min_length else {}
            return {**values, **keys, **least}
        case inspect.VarTupleType():
            return {"type": "array", "items": _schema(kind.item_type, definitions)}
        case inspect.NoneType():
            return {"type": "null"}
        case _:
            return _single(kind)


def _single(kind: inspect.Type) -> Schema:
    match kind:
        case inspect.StrType(pattern=None):
            return {"type": "string"}
        case inspect.StrType():
            return {"anyOf": [{"type": "string", "pattern": kind.pattern}, _REFERENCE]}
        case inspect.EnumType():
            return {"anyOf": [{"enum": [member.value for member in kind.cls]}, _REFERENCE]}
        case inspect.BoolType():
            return {"anyOf": [{"type": "boolean"}, _REFERENCE]}
        case inspect.FloatType():
            return {"anyOf": [{"type": "number"}, _REFERENCE]}
        case inspect.IntType():
            bounds = {"minimum": kind.ge, "maximum": kind.le}
            number = {"type": "integer"} | {key: each for key, each in bounds.items() if each is not None}
            return {"anyOf": [number, _REFERENCE]}
        case inspect.CustomType(cls=cls) if cls is Duration:
            written = {"type": "string", "pattern": PATTERN}
            return {"anyOf": [written, {"type": "number", "exclusiveMinimum": 0}, _REFERENCE]}
        case _:
            raise TypeError(f"settings.py uses a type that has no schema: {kind}")


def _reference(kind: inspect.StructType, definitions: dict[str, Schema]) -> Schema:
    name = kind.cls.__name__
    if name not in definitions:
        definitions[name] = {}  # its place in the order, before what it refers to
        definitions[name] = _struct(kind, definitions)
    return {"$ref": f"#/$defs/{name}"}


def _struct(kind: inspect.StructType, definitions: dict[str, Schema]) -> Schema:
    properties: dict[str, Schema] = {}
    required = [field.encode_name for field in kind.fields if field.required]
    if kind.tag_field:
        properties[kind.tag_field] = {"const": kind.tag}
        required.insert(0, kind.tag_field)
    for field in kind.fields:
        properties[field.encode_name] = _schema(field.type, definitions) | _default(field.default)
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    described = _description(kind.cls)
    return described | schema | ({"required": required} if required else {})


def _default(value: object) -> Schema:
    if value is None or value == () or isinstance(value, msgspec.Struct) or value is msgspec.NODEFAULT:
        return {}
    if isinstance(value, Duration):
        return {"default": format_duration(value)}
    return {"default": value.value if isinstance(value, Enum) else value}


def _description(cls: type) -> Schema:
    if cls.__dict__.get("__doc__") is None:
        return {}
    return {"description": re.sub(r"\s+", " ", cls.__doc__ or "").replace("``", "'").strip()}


def _key_pattern(kind: inspect.Type) -> Schema:
    inner = kind.type if isinstance(kind, inspect.Metadata) else kind
    pattern = inner.pattern if isinstance(inner, inspect.StrType) else None
    return {"propertyNames": {"pattern": pattern}} if pattern else {}
