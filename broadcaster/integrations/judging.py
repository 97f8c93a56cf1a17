"""What the gates of all frameworks share: which path needs what, and the verdict on one who asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from broadcaster.domain.admission import Admission
from broadcaster.manager.manager import ServiceAvailabilityManager

Requires = Sequence[str] | None
"""The services without which something cannot be served; None: all critical ones."""


class Paths:
    """The services that each path, and all below it, cannot be served without.

    Of several paths that fit the longest counts; what fits none needs no verdict. Raises ValueError for a service that
    is not in the settings, and for a path that could fit none.
    """

    def __init__(self, manager: ServiceAvailabilityManager, paths: Mapping[str, Requires]) -> None:
        for path, requires in paths.items():
            manager.expect_all(requires)
            if not path.startswith("/"):
                raise ValueError(f"the path {path!r} does not begin with '/', so that no request would be judged by it")
        self._manager = manager
        self._paths = dict(sorted(paths.items(), key=lambda item: len(item[0]), reverse=True))  # the longest first

    def __repr__(self) -> str:
        return f"Paths({self._paths})"

    def judge(self, path: str, user: Callable[[], str | None]) -> Admission | None:
        """The verdict on this path, None for one that needs none. ``user`` says who asks, where that is needed."""
        for each, requires in self._paths.items():
            if _is_below(path, each):
                return judge(self._manager, requires, user())
        return None


def judge(manager: ServiceAvailabilityManager, requires: Requires, user: str | None) -> Admission:
    """Like ``manager.admit``, but a service that left the settings since is missed by nobody."""
    if requires is not None:
        requires = [name for name in requires if name in manager.catalogue.services]
    return manager.admit(requires=requires, user=user)


def _is_below(path: str, above: str) -> bool:
    return path == above or path.startswith(above if above.endswith("/") else f"{above}/")
