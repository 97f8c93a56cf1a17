"""Reports of failures reach whoever follows them, on the memory twin and on real Redis servers."""

from __future__ import annotations

import asyncio
from typing import Any

from broadcaster.domain.evidence import Report
from broadcaster.store.base import Store
from broadcaster.store.redis import RedisStore


def report(failures: int, service: str = "auth") -> Report:
    return Report(service=service, failures=failures, reporter="node-1")


async def test_reports_come_in_order_from_where_one_began(store: Store) -> None:
    """What was reported before the first call is not told; what comes after it is, once."""
    await store.report([report(1)])
    after, nothing = await store.reports("", 1)
    assert nothing == ()
    await store.report([report(2), report(3, "postgres")])
    await store.report([report(4)])
    further, reports = await store.reports(after, 1)
    assert reports == (report(2), report(3, "postgres"), report(4))
    assert await store.reports(further, 0.05) == (further, ())


async def test_a_waiting_reader_hears_at_once(store: Store) -> None:
    """A report ends the wait for it."""
    after, _ = await store.reports("", 1)
    waiting = asyncio.create_task(_first(store, after))
    await asyncio.sleep(0)
    await store.report([report(5)])
    async with asyncio.timeout(10):
        assert await waiting == report(5)


async def _first(store: Store, after: str) -> Report:
    while True:
        after, reports = await store.reports(after, 5)
        if reports:
            return reports[0]


async def test_only_the_latest_are_kept(store: Store) -> None:
    """A flood costs a bounded amount of memory."""
    after, _ = await store.reports("", 1)
    await store.report([report(1)])
    for _ in range(4):
        await store.report([report(failures) for failures in range(1, 1001)])
    _, reports = await store.reports(after, 1)
    assert len(reports) <= 1500


async def test_what_makes_no_sense_is_skipped(store: Store) -> None:
    """Anybody may write to the stream; garbage hides nothing that is good."""
    if not isinstance(store, RedisStore):
        return
    after, _ = await store.reports("", 1)
    client = store._client
    garbage: list[dict[Any, Any]] = [
        {"x": "y"},
        {"service": "auth", "failures": "-3"},
        {"service": b"\xff", "failures": "1"},
    ]
    for fields in garbage:
        await client.xadd("broadcaster:{" + store._keys.namespace + "}:evidence", fields)
    await client.xadd(store._keys.evidence, {"service": "auth", "failures": "2"})
    _, reports = await store.reports(after, 1)
    assert reports == (Report(service="auth", failures=2),)
