"""Where screenshots go."""

from __future__ import annotations

import os
from pathlib import Path


def pictures(of: str, elsewhere: Path) -> Path:
    """A folder for the pictures of one thing: below the one that ``SCREENSHOTS`` names, else ``elsewhere``."""
    folder = Path(os.environ.get("SCREENSHOTS") or elsewhere) / of
    folder.mkdir(parents=True, exist_ok=True)
    return folder
