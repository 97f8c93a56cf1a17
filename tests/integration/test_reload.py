"""A services.yaml that changes under a running worker and node."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import yaml

from tests.support.clients import connect
from tests.support.commands import finished
from tests.support.ports import LOOPBACK, free_port
from tests.support.stack import PACE, Program, Stack, run_stack, until


def rewrite(stack: Stack, *, without: str = "", **services: Any) -> None:
    """Replaces the file as an editor does: in one step."""
    described = yaml.safe_load(stack.config.read_text())
    described["services"].pop(without, None)
    described["features"].pop(without, None)
    described["services"] |= services
    _replace(stack.config, yaml.safe_dump(described, sort_keys=False))


def _replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


async def until_logged(stack: Stack, event: str) -> None:
    """Until the worker and the node have both said so."""
    assert stack.worker is not None
    worker, node = stack.worker, stack.nodes[0]
    await until(lambda: event in worker.log and event in node.log, event)


async def test_added_and_removed_services_reach_everybody_who_is_connected(tmp_path: Path) -> None:
    """Nobody is disconnected, a failure that lasts is carried over, and what did not change is not told again."""
    async with run_stack(tmp_path) as stack, connect(stack.nodes[0].ws_url) as client:
        await stack.services["analytics"].kill()
        await client.until_notices("analytics", 1)
        cache = {
            "title": "Cache",
            "criticality": "optional",
            "probe": {"kind": "redis", "url": stack.redis.url},
            **PACE,
        }
        rewrite(stack, cache=cache)
        await client.until(lambda: client.truth() == {"auth": "up", "analytics": "down", "cache": "up"})
        await stack.services["analytics"].start()
        await client.until_notices("analytics", 2)
        rewrite(stack, without="analytics")
        await client.until(lambda: client.truth() == {"auth": "up", "cache": "up"})
        await stack.services["auth"].kill()
        await client.until_notices("auth", 1)
        assert [each.kind.value for each in client.notices("analytics")] == ["down", "recovered"]
        assert [each.kind.value for each in client.notices("auth")] == ["down"]
        assert set(await stack.statuses()) == {"auth", "cache"}
        assert not client.is_closed


async def test_a_broken_file_is_refused_and_the_old_one_kept(tmp_path: Path) -> None:
    """The error says where; watching and serving go on; the repaired file is taken."""
    async with run_stack(tmp_path) as stack, connect(stack.nodes[0].ws_url) as client:
        good = stack.config.read_text()
        _replace(stack.config, good.replace("kind: http", "kind: htpt", 1))
        await until_logged(stack, "settings_refused")
        assert stack.worker is not None
        assert "services.yaml:" in stack.worker.log
        assert "htpt" in stack.worker.log
        stack.config.unlink()
        await until(lambda: "cannot be read" in stack.nodes[0].log, "a missing file told")
        await stack.services["auth"].kill()
        await client.until_notices("auth", 1)
        stack.config.write_text(good.replace("title: Sign-in", "title: Login"))
        await until_logged(stack, "settings_reloaded")
        await stack.services["auth"].start()
        await client.until_notices("auth", 2)
        assert [each.kind.value for each in client.notices("auth")] == ["down", "recovered"]


async def test_a_hangup_reloads_and_ends_nothing(tmp_path: Path) -> None:
    """SIGHUP as often as one likes: the file is read, nothing changed, and everybody lives."""
    async with run_stack(tmp_path) as stack, connect(stack.nodes[0].ws_url) as client:
        assert stack.worker is not None
        for each in (stack.worker, stack.nodes[0]):
            for _ in range(20):
                os.kill(each.pid, signal.SIGHUP)
                await asyncio.sleep(0)
        await until_logged(stack, "settings_unchanged")
        rewrite(stack, without="analytics")
        for each in (stack.worker, stack.nodes[0]):
            os.kill(each.pid, signal.SIGHUP)
        await client.until(lambda: client.truth() == {"auth": "up"})
        await stack.services["auth"].kill()
        await client.until_notices("auth", 1)


async def test_a_node_with_another_file_is_shown(tmp_path: Path) -> None:
    """Operators read it in the status, in the node's health document and in its log; users are not told."""
    async with run_stack(tmp_path) as stack:
        other = tmp_path / "other.yaml"
        described = stack.config.read_text().replace("title: Sign-in", "title: Login")
        other.write_text(f"{described}node: {{operator_token: token-of-operators}}\n")
        port = free_port()
        arguments = ["--config", str(other), "--redis-url", stack.redis.url, "--host", LOOPBACK, "--port", str(port)]
        node = Program(tmp_path, "other", ["broadcaster", "serve", *arguments], port=port)
        await node.start()
        try:
            await until(lambda: "settings_differ" in node.log, "told by the node")
            told = (await node.get("/health/dependencies", Authorization="Bearer token-of-operators")).json()
            assert len(told["settings_differ"]) == 2
            assert "settings_differ" not in (await node.get("/health/dependencies")).json()
            assert "broadcaster_settings_differ 2.0" in (await node.get("/metrics")).text
            shown = await finished("status", *stack.flags)
            assert shown.code == 0
            assert shown.err.count("uses other settings than this file") == 1
        finally:
            await node.kill()
