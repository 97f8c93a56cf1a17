"""What docs/node.md says of settings and metrics is what the node has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from broadcaster.config.durations import format_duration
from broadcaster.config.settings import Duration, NodeSettings
from broadcaster.manager.manager import ServiceAvailabilityManager
from broadcaster.node.counts import NodeCounts
from broadcaster.node.crowd import Crowd
from broadcaster.node.hub import Hub
from broadcaster.node.metrics import NodeCollector
from broadcaster.store.memory import MemoryStore
from scripts.benching.application import settings

TEXT = (Path(__file__).parents[3] / "docs" / "node.md").read_text()


def rows(heading: str) -> Iterator[list[str]]:
    """The table below a heading, without its head."""
    section = TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]
    for line in section.splitlines():
        if line.startswith("| `"):
            yield [cell.strip() for cell in line.strip("| ").split(" | ")]


def shown(value: object) -> str:
    """A default as the table has it."""
    match value:
        case None | "" | ():
            return "none"
        case Duration():
            return f"`{format_duration(value)}`"
        case float():
            return f"`{value:g}`"
        case _:
            return f"`{value}`"


def test_every_setting_is_there_with_its_default() -> None:
    """In the order of the settings, and none that there is not."""
    defaults = {name: shown(value) for name, value in msgspec.structs.asdict(NodeSettings()).items()}
    defaults["max_connections_per_address"] = "no limit"
    found = {name.strip("`"): default.removesuffix(" |") for name, default, *_ in rows("Settings")}
    assert found == defaults
    assert list(found) == list(defaults)


async def test_every_metric_is_there() -> None:
    """All that a node tells Prometheus is explained, and nothing else."""
    node, counts = settings(), NodeCounts()
    manager = ServiceAvailabilityManager(node, MemoryStore())
    hub = Hub(manager, node.node, counts, Crowd(1, None))
    families = NodeCollector(counts, manager, hub).collect()
    told = {each.name + ("_total" if each.type == "counter" else "") for each in families}
    assert {re.sub(r"[`{].*", "", name.lstrip("`")) for name, *_ in rows("What to watch")} == told
