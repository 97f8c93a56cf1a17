"""A YAML file as nodes that know their places, and the list of everything wrong with it.

Nothing is constructed from the file but nodes. Aliases and merge keys work; a budget on the values read bounds what
they can multiply.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from broadcaster.domain.errors import ConfigError, Problem

MAX_BYTES = 512 * 1024
MAX_VALUES = 50_000

Path = tuple[str | int, ...]
Place = tuple[int, int]
"""Line and column, from 1."""

_NULL, _MERGE = "tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"


class Inspection:
    """One reading of one file: what is wrong with it, all of it told in one go, and how much may still be read."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._found: dict[Problem, None] = {}
        self._left = MAX_VALUES

    def __repr__(self) -> str:
        return f"Inspection({self.file!r}, {len(self._found)} problems)"

    def add(self, place: Place, path: Path, message: str, hint: str = "") -> None:
        line, column = place
        self._found[Problem(line=line, column=column, path=dotted(path), message=message, hint=hint)] = None

    def spend(self, node: Node) -> None:
        """Counts one value read. Raises ConfigError where aliases have multiplied them beyond reason."""
        self._left -= 1
        if self._left < 0:
            self.add(place_of(node), (), f"more than {MAX_VALUES} values, aliases counted each time they are used")
            self.raise_if_any()

    def raise_if_any(self) -> None:
        if self._found:
            raise ConfigError(self.file, list(self._found))


def dotted(path: Path) -> str:
    """``("services", "auth", "depends_on", 0)`` as ``services.auth.depends_on[0]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def place_of(node: Node) -> Place:
    return node.start_mark.line + 1, node.start_mark.column + 1


def is_null(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.tag == _NULL


def named(node: Node) -> str:
    """What a node is, in a person's words and without its content."""
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    return "empty" if is_null(node) else "a single value"


def closest(name: str, known: Iterable[str]) -> str:
    """A hint for a name that is not among the known ones."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"did you mean '{near[0]}'?"
    return f"known: {', '.join(known)}" if known else ""


def compose(text: str, inspection: Inspection) -> MappingNode | None:
    """The root mapping of the only document in ``text``; None, with a problem noted, for anything else."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        # Not str(error): it quotes the line, and the line may hold a secret.
        said = ", ".join(part for part in (error.context, error.problem) if part)
        inspection.add(place, (), f"not YAML: {said}", _syntax_hint(text, place))
        return None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        place = (before.count("\n") + 1, error.position - before.rfind("\n"))
        inspection.add(place, (), "a control character that YAML does not allow")
        return None
    except RecursionError:
        inspection.add((1, 1), (), "nested too deeply")
        return None
    if isinstance(root, MappingNode):
        return root
    if root is None or is_null(root):
        inspection.add((1, 1), (), "the file is empty", "'broadcaster config init' writes a starter file")
    else:
        inspection.add(place_of(root), (), f"must be a mapping with 'services', is {named(root)}")
    return None


def entries(node: MappingNode, path: Path, inspection: Inspection) -> dict[str, tuple[Node, Node]]:
    """The mapping's keys and values, with merge keys (``<<``) resolved: what is written out wins over what is merged.

    Duplicate keys and keys that are no plain text are problems.
    """
    return _entries(node, path, inspection, ())


def _entries(
    node: MappingNode, path: Path, inspection: Inspection, within: tuple[Node, ...]
) -> dict[str, tuple[Node, Node]]:
    own: dict[str, tuple[Node, Node]] = {}
    merged: dict[str, tuple[Node, Node]] = {}
    for key, value in node.value:
        inspection.spend(key)
        if key.tag == _MERGE:
            for source in value.value if isinstance(value, SequenceNode) else [value]:
                if not isinstance(source, MappingNode) or source is node or source in within:
                    inspection.add(place_of(key), path, "'<<' must name another mapping, or a list of them")
                    continue
                if len(within) >= 8:
                    inspection.add(place_of(key), path, "mappings merged into mappings too deeply")
                    continue
                for name, entry in _entries(source, path, inspection, (*within, node)).items():
                    merged.setdefault(name, entry)
        elif not isinstance(key, ScalarNode):
            inspection.add(place_of(key), path, f"a key must be a text, is {named(key)}")
        elif key.value in own:
            first = place_of(own[key.value][0])[0]
            inspection.add(place_of(key), (*path, key.value), "written twice", f"the first is on line {first}")
        else:
            own[key.value] = (key, value)
    return own | {name: entry for name, entry in merged.items() if name not in own}


def _syntax_hint(text: str, place: Place) -> str:
    lines = text.splitlines()
    line = lines[place[0] - 1] if place[0] <= len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "indent with spaces, not tabs"
    if "${" in line:
        return 'put a value with ${...} inside {...} or [...] into quotes: "${NAME}"'
    return ""
