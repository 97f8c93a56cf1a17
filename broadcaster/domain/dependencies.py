"""What ``depends_on`` says of services, whatever their states: what stands on what, and which belong together."""

from __future__ import annotations

from collections.abc import Mapping


def dependencies(service: str, depends_on: Mapping[str, tuple[str, ...]]) -> set[str]:
    """Everything that ``service`` stands on, directly or over others; not itself."""
    found: set[str] = set()
    frontier = [service]
    while frontier:
        frontier = [name for each in frontier for name in depends_on.get(each, ()) if name not in found]
        found.update(frontier)
    return found - {service}


def components(depends_on: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """For each service a name that all services share that depend on each other, over whatever chain."""
    root = {name: name for name in depends_on}

    def find(name: str) -> str:
        while root[name] != name:
            root[name] = name = root[root[name]]
        return name

    for name, below in depends_on.items():
        for each in below:
            if each in root:
                first, second = sorted((find(name), find(each)))
                root[second] = first
    return {name: find(name) for name in depends_on}
