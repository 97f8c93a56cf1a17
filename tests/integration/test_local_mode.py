"""A manager for one process alone: no Redis, the same answers and events."""

from __future__ import annotations

import asyncio
from pathlib import Path

import yaml

from broadcaster.domain.admission import Verdict
from broadcaster.domain.model import EventKind, FeedState
from broadcaster.manager import ServiceAvailabilityManager, ServiceChanged
from tests.support.listeners import Listener
from tests.support.managers import until
from tests.support.ports import LOOPBACK
from tests.support.stack import DEADLINE


async def test_the_same_answers_and_events_without_redis(tmp_path: Path) -> None:
    """A service dies and comes back: status, admission, changes, and nothing left running at the end."""
    listener = Listener()
    listener.open()
    file = tmp_path / "services.yaml"
    probe = {"kind": "tcp", "host": LOOPBACK, "port": listener.port}
    service = {"probe": probe, "interval": "200ms", "fast_interval": "50ms", "timeout": "1s", "retries": 0}
    file.write_text(yaml.safe_dump({"services": {"auth": service}}))
    before = asyncio.all_tasks()
    async with ServiceAvailabilityManager.from_config(file, mode="local", env={}) as manager:
        changes = manager.changes()
        await manager.wait_until("auth", "up", timeout=DEADLINE)
        await until(lambda: manager.feed_state is FeedState.LIVE)
        assert manager.admit().verdict is Verdict.ACCEPT
        listener.close()
        await manager.wait_until("auth", "down", timeout=DEADLINE)
        assert manager.admit().blocking == ("auth",)
        listener.open()
        await manager.wait_until("auth", "up", timeout=DEADLINE)
        await changes.aclose()
        kinds = [each.kind async for each in changes if isinstance(each, ServiceChanged)]
        assert kinds == [EventKind.UP, EventKind.DOWN, EventKind.RECOVERED]
    listener.close()
    assert asyncio.all_tasks() == before
