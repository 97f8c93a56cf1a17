"""What a program tells Prometheus, read by Prometheus' own parser."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from tests.support.stack import Program

Samples = dict[tuple[str, ...], float]


async def scrape(program: Program) -> Samples:
    """Every sample by its name and the sorted values of its labels."""
    families = text_string_to_metric_families((await program.get("/metrics")).text)
    return {(each.name, *sorted(each.labels.values())): each.value for family in families for each in family.samples}
