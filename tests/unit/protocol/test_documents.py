"""The documented protocol is the real one: schemas, examples and the table of close codes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from broadcaster.protocol import codec
from broadcaster.protocol.closing import CATALOGUE
from broadcaster.protocol.messages import AnyMessage
from broadcaster.protocol.schema import rendered, schemas

DOCS = Path(__file__).parents[3] / "docs"
PROTOCOL = (DOCS / "protocol.md").read_text()
EXAMPLES = re.findall(r"^```json\n(.*?)^```$", PROTOCOL, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", schemas())
def test_the_documented_schemas_are_the_structs(name: str) -> None:
    """``scripts/schemas`` would change nothing."""
    assert (DOCS / "schemas" / f"{name}.json").read_text() == rendered(schemas()[name])


def test_no_schema_is_left_over() -> None:
    """Every file of docs/schemas is made from a struct."""
    assert {path.stem for path in (DOCS / "schemas").iterdir()} == set(schemas())


def test_schemas_let_later_versions_pass() -> None:
    """No schema forbids fields that it does not know."""
    assert '"additionalProperties": false' not in "".join(map(rendered, schemas().values()))


@pytest.mark.parametrize("example", EXAMPLES, ids=[json.loads(each)["type"] for each in EXAMPLES])
def test_an_example_is_a_complete_message(example: str) -> None:
    """Decoding and encoding an example of the documentation gives the same JSON: no field is missing or made up."""
    assert json.loads(codec.encode(codec.decode_message(example))) == json.loads(example)


def test_every_message_has_an_example_under_its_name() -> None:
    """The reference has one section with one example for each message type."""
    known = {kind.__struct_config__.tag for kind in AnyMessage.__args__}
    assert {json.loads(each)["type"] for each in EXAMPLES} == known
    assert set(re.findall(r"^### (\w+)$", PROTOCOL, re.MULTILINE)) == known


def test_the_table_of_close_codes_is_the_catalogue() -> None:
    """The documented close codes, reasons and advice are the catalogue's, in its order."""
    rows = [line for line in PROTOCOL.splitlines() if re.match(r"\| \d{4} \|", line)]
    assert rows == [f"| {each.code} | `{each.name}` | {each.reason} | `{each.reconnect.value}` |" for each in CATALOGUE]
