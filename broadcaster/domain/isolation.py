"""An observer that sees everything fail at once suspects itself first."""

from __future__ import annotations


def looks_isolated(failing: int, watched: int) -> bool:
    """Whether more than half of the services that were not known to be down failed when they were last looked at."""
    return 2 * failing > watched
