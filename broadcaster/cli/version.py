"""Which version this is."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    """The installed distribution's version; ``unknown`` where the package runs without having been installed."""
    try:
        return metadata.version("status-broadcaster")
    except metadata.PackageNotFoundError:
        return "unknown"
