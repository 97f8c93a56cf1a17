"""From YAML nodes to the structs of ``settings.py``, guided by their types, noting every problem with its place.

msgspec would stop at the first thing wrong and knows no lines. A value that cannot be read is noted and replaced by
its field's default, so that everything else is still checked; the result is of use only if nothing was noted.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple, TypeVar

import msgspec
import yaml
from msgspec import inspect
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from broadcaster.config.durations import EXPECTED, parse_duration
from broadcaster.config.interpolate import InterpolationError, interpolate
from broadcaster.config.tree import (
    Inspection,
    Path,
    Place,
    closest,
    entries,
    is_null,
    named,
    place_of,
)
from broadcaster.config.urls import url_fault

S = TypeVar("S", bound=msgspec.Struct)

UNREADABLE: Any = msgspec.UNSET
"""Stands for what could not be read, also in a struct whose required field it is."""

_STANDARD_TAG = "tag:yaml.org,2002:"
_EXTENSION = "x-"
"""Top-level keys with this prefix are ignored: a place for anchors."""


class _Scalar(NamedTuple):
    text: str
    plain: bool  # written without quotes, so that YAML's reading of it (number, true, null ...) counts
    interpolated: bool  # holds the value of a variable: never to be repeated in a message

    @property
    def shown(self) -> str:
        return "what the variable holds is not" if self.interpolated else f"{self.text[:40]!r} is not"


class Decoder:
    """Decodes the nodes of one file. ``places`` tells afterwards where each path that was given stands."""

    def __init__(self, env: Mapping[str, str], inspection: Inspection) -> None:
        self._env = env
        self._inspection = inspection
        self.places: dict[Path, Place] = {}

    def decode(self, root: MappingNode, type_: type[S]) -> S:
        """The whole file as ``type_``. Problems are noted in the inspection, not raised."""
        decoded: S = self._struct(root, _struct_type(type_), ())
        return decoded

    def _read(self, node: Node, kind: inspect.Type, path: Path) -> Any:
        self._inspection.spend(node)
        self.places[path] = place_of(node)
        extra: Mapping[str, Any] = {}
        if isinstance(kind, inspect.Metadata):
            extra, kind = kind.extra or {}, kind.type
        match kind:
            case inspect.StructType():
                return self._struct(node, kind, path)
            case inspect.DictType():
                return self._mapping(node, kind, path)
            case inspect.VarTupleType():
                return self._list(node, kind, path)
            case inspect.UnionType():
                return self._union(node, kind, path)
            case _:
                return self._scalar(node, kind, path, extra)

    def _struct(self, node: Node, kind: inspect.StructType, path: Path) -> Any:
        if not isinstance(node, MappingNode):
            return self._wrong(node, path, f"must be a mapping, is {named(node)}")
        fields = {field.encode_name: field for field in kind.fields}
        given = entries(node, path, self._inspection)
        values: dict[str, Any] = {}
        for key, (key_node, value) in given.items():
            field = fields.get(key)
            if field is not None:
                read = self._read(value, field.type, (*path, key))
                if read is not UNREADABLE:
                    values[key] = read
            elif key != kind.tag_field and (path or not key.startswith(_EXTENSION)):
                known = [*fields, kind.tag_field] if kind.tag_field else fields
                self._inspection.add(place_of(key_node), (*path, key), "unknown field", closest(key, known))
        for name, field in fields.items():
            if field.required and name not in values:
                values[name] = UNREADABLE
                if name not in given:
                    self._wrong(node, path, f"'{name}' is missing", f"must be {_expected(field.type)}")
        return kind.cls(**values)

    def _mapping(self, node: Node, kind: inspect.DictType, path: Path) -> Any:
        if not isinstance(node, MappingNode):
            return self._wrong(node, path, f"must be a mapping, is {named(node)}")
        decoded = {}
        given = entries(node, path, self._inspection)
        for key, (key_node, value) in given.items():
            self._check_text(key, kind.key_type, place_of(key_node), (*path, key))
            read = self._read(value, kind.value_type, (*path, key))
            if read is not UNREADABLE:
                decoded[key] = read
        if kind.min_length and not given:
            return self._wrong(node, path, "must not be empty")
        return decoded

    def _list(self, node: Node, kind: inspect.VarTupleType, path: Path) -> Any:
        if not isinstance(node, SequenceNode):
            return self._wrong(node, path, f"must be a list, is {named(node)}", "write [one, two]")
        read = [self._read(item, kind.item_type, (*path, index)) for index, item in enumerate(node.value)]
        return tuple(item for item in read if item is not UNREADABLE)

    def _union(self, node: Node, kind: inspect.UnionType, path: Path) -> Any:
        if kind.includes_none and is_null(node):
            return None
        members = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
        if len(members) == 1:
            return self._read(node, members[0], path)
        structs = [each for each in members if isinstance(each, inspect.StructType)]
        return self._tagged(node, structs, path) if structs else self._natural(node, path)

    def _tagged(self, node: Node, kinds: list[inspect.StructType], path: Path) -> Any:
        """One of several structs, told apart by the value of their tag field."""
        field = kinds[0].tag_field or ""
        by_tag = {str(each.tag): each for each in kinds}
        if not isinstance(node, MappingNode):
            return self._wrong(node, path, f"must be a mapping with '{field}', is {named(node)}")
        # Only the tag is looked up here; duplicates and bad keys are noted when the struct is read.
        given = entries(node, path, Inspection(self._inspection.file))
        if field not in given:
            return self._wrong(node, path, f"'{field}' is missing", f"one of {', '.join(by_tag)}")
        value = given[field][1]
        scalar = self._text(value, (*path, field))
        if scalar is None:
            return UNREADABLE
        if scalar.text not in by_tag:
            return self._wrong(value, (*path, field), f"{scalar.shown} known", closest(scalar.text, by_tag))
        return self._struct(node, by_tag[scalar.text], path)

    def _natural(self, node: Node, path: Path) -> Any:
        """A value of no one type: read as YAML reads it."""
        scalar = self._text(node, path)
        if scalar is None:
            return UNREADABLE
        if not scalar.plain:
            return scalar.text
        return natural(scalar.text)

    def _scalar(self, node: Node, kind: inspect.Type, path: Path, extra: Mapping[str, Any]) -> Any:
        expected = str(extra["rule"]) if isinstance(kind, inspect.FloatType) and "rule" in extra else _expected(kind)
        if not isinstance(node, ScalarNode):
            return self._wrong(node, path, f"must be {expected}, is {named(node)}")
        if is_null(node):
            return self._wrong(node, path, f"must be {expected}, is empty", "remove the key to have the default")
        scalar = self._text(node, path)
        if scalar is None:
            return UNREADABLE
        if isinstance(kind, inspect.StrType):
            return self._string(node, scalar, kind, path, extra)
        value = _convert(scalar.text, kind)
        if value is UNREADABLE or (not scalar.plain and not scalar.interpolated and not _is_worded(kind)):
            hint = "write it without quotes" if value is not UNREADABLE else ""
            if isinstance(kind, inspect.EnumType):
                hint = _near(scalar.text, [str(each.value) for each in kind.cls])
            return self._wrong(node, path, f"{scalar.shown} {expected}", hint)
        return value

    def _string(
        self, node: ScalarNode, scalar: _Scalar, kind: inspect.StrType, path: Path, extra: Mapping[str, Any]
    ) -> Any:
        schemes = extra.get("schemes")
        if schemes and scalar.text:
            fault = url_fault(scalar.text, schemes)
            if fault:
                return self._wrong(node, path, fault, f"must begin with {' or '.join(f'{s}://' for s in schemes)}")
        if not self._check_text(scalar.text, inspect.Metadata(kind, extra=dict(extra)), place_of(node), path):
            return UNREADABLE
        return scalar.text

    def _check_text(self, text: str, kind: inspect.Type, place: Place, path: Path) -> bool:
        """Notes a text that breaks its type's pattern; tells whether it keeps it."""
        extra: Mapping[str, Any] = {}
        if isinstance(kind, inspect.Metadata):
            extra, kind = kind.extra or {}, kind.type
        if not isinstance(kind, inspect.StrType) or not kind.pattern or re.search(kind.pattern, text, re.ASCII):
            return True
        if "choices" in extra:
            self._inspection.add(
                place, path, f"must be one of {', '.join(extra['choices'])}", _near(text, extra["choices"])
            )
        else:
            self._inspection.add(place, path, f"must be {extra['rule']}")
        return False

    def _text(self, node: Node, path: Path) -> _Scalar | None:
        """The scalar with its references resolved; None, with a problem noted, where that cannot be."""
        if not isinstance(node, ScalarNode):
            self._wrong(node, path, f"must be a single value, is {named(node)}")
            return None
        if not node.tag.startswith(_STANDARD_TAG):
            self._wrong(node, path, "YAML tags such as '!name' have no meaning here")
            return None
        try:
            text = interpolate(node.value, self._env)
        except InterpolationError as error:
            line, column = place_of(node)
            offset = error.offset + 1 if node.style in ("'", '"') else error.offset
            same_line = "\n" not in node.value[: error.offset] and node.style in (None, "'", '"')
            place = (line, column + offset) if same_line else (line, column)
            self._inspection.add(place, path, str(error), error.hint)
            return None
        return _Scalar(text, plain=node.style is None, interpolated="${" in node.value)

    def _wrong(self, node: Node, path: Path, message: str, hint: str = "") -> Any:
        self._inspection.add(place_of(node), path, message, hint)
        return UNREADABLE


def natural(text: str) -> str | int | float | bool | None:
    """A plain scalar as YAML 1.1 reads it (null, true, 8080, 0.5), with anything else a text."""
    resolved: str = _resolver().resolve(ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    tag = resolved.removeprefix(_STANDARD_TAG)
    if tag == "null":
        return None
    if tag == "bool":
        return text.lower() in _TRUE
    if tag in ("int", "float"):
        try:
            return int(text, 0) if tag == "int" else float(text)
        except ValueError:
            return text
    return text


_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")


def _convert(text: str, kind: inspect.Type) -> Any:
    match kind:
        case inspect.IntType():
            if not re.fullmatch(r"[+-]?[0-9]{1,18}", text, re.ASCII):
                return UNREADABLE
            number = int(text)
            within = (kind.ge is None or number >= kind.ge) and (kind.le is None or number <= kind.le)
            return number if within else UNREADABLE
        case inspect.FloatType():
            if not re.fullmatch(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?", text, re.ASCII):
                return UNREADABLE
            value = float(text)
            above = (kind.gt is None or value > kind.gt) and (kind.ge is None or value >= kind.ge)
            within = above and (kind.le is None or value <= kind.le) and (kind.lt is None or value < kind.lt)
            return value if within else UNREADABLE
        case inspect.BoolType():
            word = text.lower()
            return True if word in _TRUE else False if word in _FALSE else UNREADABLE
        case inspect.EnumType():
            return next((each for each in kind.cls if each.value == text), UNREADABLE)
        case inspect.CustomType():
            try:
                return parse_duration(text)
            except ValueError:
                return UNREADABLE
        case _:
            raise TypeError(f"settings.py uses a type that is not read from files: {kind}")


def _is_worded(kind: inspect.Type) -> bool:
    """Whether quoting a value of this type is a matter of taste."""
    return isinstance(kind, inspect.EnumType | inspect.CustomType)


def _expected(kind: inspect.Type) -> str:
    match kind:
        case inspect.Metadata():
            return _expected(kind.type)
        case inspect.IntType(ge=None):
            return "a whole number"
        case inspect.IntType(le=None):
            return f"a whole number of at least {kind.ge}"
        case inspect.IntType():
            return f"a whole number from {kind.ge} to {kind.le}"
        case inspect.FloatType(gt=None, le=None, lt=None):
            return f"a number of at least {kind.ge:g}"
        case inspect.FloatType(gt=None, le=None):
            return f"a number from {kind.ge:g} up to, and not including, {kind.lt:g}"
        case inspect.FloatType(gt=None):
            return f"a number from {kind.ge:g} to {kind.le:g}"
        case inspect.FloatType(le=None):
            return f"a number above {kind.gt:g}"
        case inspect.FloatType():
            return f"a number above {kind.gt:g}, up to {kind.le:g}"
        case inspect.BoolType():
            return "true or false"
        case inspect.EnumType():
            return f"one of {', '.join(str(_value(each)) for each in kind.cls)}"
        case inspect.CustomType():
            return EXPECTED
        case inspect.VarTupleType():
            return "a list"
        case inspect.StrType():
            return "a text"
        case _:
            return "a mapping"


def _value(member: Enum) -> object:
    return member.value


def _near(text: str, choices: Sequence[str]) -> str:
    """A hint for a text that is not among choices the message lists already."""
    hint = closest(text, choices)
    return hint if hint.startswith("did") else ""


@functools.cache
def _struct_type(type_: type[msgspec.Struct]) -> inspect.StructType:
    described = inspect.type_info(type_)
    if not isinstance(described, inspect.StructType):
        raise TypeError(f"not a struct: {type_}")
    return described


@functools.cache
def _resolver() -> yaml.SafeLoader:
    return yaml.SafeLoader("")
