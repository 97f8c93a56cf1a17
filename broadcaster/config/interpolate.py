"""``${VAR}``, ``${VAR:-default}`` and ``$$`` in the values of a config file.

Applied to parsed scalars, never to the text of the file: what a variable holds cannot change the file's structure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_TOKEN = re.compile(r"\$\$|\$\{(?P<inside>[^}]*)\}|\$\{")
_INSIDE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.DOTALL)


class InterpolationError(ValueError):
    """A reference that cannot be resolved. ``offset`` is where in the text it stands; ``hint`` what would be right.

    Neither holds the value of a variable.
    """

    def __init__(self, message: str, hint: str, offset: int) -> None:
        super().__init__(message)
        self.hint = hint
        self.offset = offset


def interpolate(text: str, env: Mapping[str, str]) -> str:
    """The text with its references resolved. As in a shell, ``:-`` also stands in for a variable that is empty.

    A ``$`` that begins none of the three forms stands for itself. Raises InterpolationError at the first reference
    that cannot be resolved.
    """

    def resolve(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        inside = match["inside"]
        if inside is None:
            raise InterpolationError("'${' without '}'", "write '$$' for a plain dollar sign", match.start())
        parsed = _INSIDE.fullmatch(inside)
        if parsed is None or "${" in inside:
            raise InterpolationError(
                "not a reference to an environment variable",
                "write '${NAME}' or '${NAME:-default}', without references inside the default",
                match.start(),
            )
        name, default = parsed["name"], parsed["default"]
        value = env.get(name)
        if default is not None:
            return value or default
        if value is None:
            raise InterpolationError(
                f"the environment variable {name} is not set",
                f"set it, or write '${{{name}:-default}}'",
                match.start(),
            )
        return value

    return _TOKEN.sub(resolve, text)
