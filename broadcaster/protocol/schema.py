"""JSON Schemas of everything that goes over a wire, made from the structs; ``docs/schemas`` holds them as files.

Unknown fields are allowed: readers ignore what they do not know.
"""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from broadcaster.protocol.messages import AnyMessage
from broadcaster.protocol.records import AnyRecord, StateRecord

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_DOCUMENTS: dict[str, tuple[str, Any]] = {
    "messages": ("What a node says to its clients", AnyMessage),
    "records": ("What is published on the channel and kept in the stream", AnyRecord),
    "state": ("A service's state in the snapshot hash", StateRecord),
}


def schemas() -> dict[str, dict[str, Any]]:
    """One schema a document, by the file's name without ``.json``."""
    return {
        name: {"$schema": DIALECT, "title": title, **_tidied(msgspec.json.schema(kind))}
        for name, (title, kind) in _DOCUMENTS.items()
    }


def rendered(schema: dict[str, Any]) -> str:
    """The schema as the text of its file."""
    return msgspec.json.format(msgspec.json.encode(schema), indent=2).decode() + "\n"


def _tidied(value: Any) -> Any:
    """Descriptions without the indentation and line breaks that docstrings have."""
    if isinstance(value, dict):
        return {
            key: " ".join(inspect.cleandoc(each).split())
            if key == "description" and isinstance(each, str)
            else _tidied(each)
            for key, each in value.items()
        }
    return [_tidied(each) for each in value] if isinstance(value, list) else value
