"""Prints what the browser client weighs on the wire, and fails where that is more than it may.

It is gzipped in one piece, without the comments and the indentation that every bundler takes away. Names stay as they
are, so what users load is less once it is minified. Of the element's texts only the English ones count: a page loads
one language.
"""

from __future__ import annotations

import gzip
import re
import sys
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "clients" / "web" / "src"
LIMIT = 8_000

_INDENTATION = re.compile(r"^[ \t]+|[ \t]+$", re.MULTILINE)
_COMMENT = re.compile(r"(^|[;,{]) *// .*$", re.MULTILINE)
_DOCUMENTATION = re.compile(r"/\*\*.*?\*/", re.DOTALL)
_EMPTY_LINES = re.compile(r"\n+")


def parts(source: Path) -> Iterator[tuple[str, list[Path]]]:
    """What is weighed for itself: the client, and the element where there is one."""
    yield "sdk", sorted(source.glob("*.js"))
    element = source / "element"
    if element.is_dir():
        texts = element / "texts"
        files = (path for path in element.rglob("*.js") if texts not in path.parents or path.name == "en.js")
        yield "element", sorted(files)


def bare(code: str) -> str:
    """The code without comments, indentation and empty lines."""
    return _EMPTY_LINES.sub("\n", _DOCUMENTATION.sub("", _COMMENT.sub(r"\1", _INDENTATION.sub("", code))))


def weight(files: list[Path]) -> int:
    """How many bytes these are, gzipped in one piece."""
    code = "\n".join(bare(path.read_text(encoding="utf-8")) for path in files)
    return len(gzip.compress(code.encode(), compresslevel=9, mtime=0))


def main(source: Path) -> int:
    """Prints a line for each part; 1 where one is over the limit."""
    weights = {name: weight(files) for name, files in parts(source)}
    for name, size in weights.items():
        print(f"{name} {size / 1000:.1f} kB gzip (limit {LIMIT / 1000:.1f})")
    return 1 if max(weights.values()) > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else SOURCE))
