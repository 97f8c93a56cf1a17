"""Two hundred clients in a real browser lose their node: another takes them, and everybody hears everything once."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from playwright.async_api import Browser

from broadcaster.domain.model import Status
from broadcaster.store.redis import RedisStore
from tests.support.balancer import balancing
from tests.support.commits import Writer
from tests.support.metrics import scrape
from tests.support.stack import DEADLINE, run_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLIENTS = 200
SERVICES = [f"service-{number}" for number in range(30)]
# Nobody looks at them: there is no worker, and what is written holds for as long as the test takes.
SERVICE = {"criticality": "optional", "stale_after": "1h", "probe": {"kind": "tcp", "host": "127.0.0.1", "port": 9}}
SETTINGS = {"services": dict.fromkeys(SERVICES, SERVICE), "features": {}}
KILLED_AFTER = 10
MILLISECONDS = DEADLINE * 1000

OPEN = """
async (count) => {
  const { AvailabilityClient } = await import("/sdk/index.js");
  window.heard = [];
  window.clients = [];
  for (let each = 0; each < count; each++) {
    const client = new AvailabilityClient("/ws/status", { share: false });
    const heard = [];
    client.addEventListener("notice", ({ detail }) => heard.push(`${detail.service.name} ${detail.kind}`));
    window.clients.push(client);
    window.heard.push(heard);
  }
  await Promise.all(window.clients.map((client) => client.connect()));
}
"""
ALL_OPEN = "(revision) => clients.every((each) => each.connection === 'open' && each.position?.revision === revision)"
TRUTH = "clients.map((each) => [...each.services.values()].map(({ name, status }) => `${name} ${status}`))"


async def test_a_node_is_killed_under_two_hundred_clients(browser: Browser, tmp_path: Path) -> None:
    """Services go down one by one, also while nobody is connected; each client hears of each once, in order."""
    async with (
        run_stack(tmp_path, services=(), changes=SETTINGS, nodes=2, worker=False) as stack,
        RedisStore.connect(stack.redis.url, timeout=DEADLINE) as store,
        balancing([node.port for node in stack.nodes]) as balancer,
    ):
        first, second = stack.nodes
        writer = Writer(store, clock=time.time)
        await writer.seed()
        for service in SERVICES:
            await writer.commit(service, Status.UP)
        page = await (await browser.new_context()).new_page()
        failures: list[str] = []
        page.on("pageerror", lambda error: failures.append(str(error)))
        await page.goto(f"{balancer.url}/livez")
        await page.evaluate(OPEN, CLIENTS)
        await page.wait_for_function(ALL_OPEN, arg=len(SERVICES), timeout=MILLISECONDS)
        assert (await scrape(first))["broadcaster_connections", "active"] == CLIENTS
        for number, service in enumerate(SERVICES):
            if number == KILLED_AFTER:
                await asyncio.gather(first.kill(), writer.commit(service, Status.DOWN))
            else:
                await writer.commit(service, Status.DOWN)
        await page.wait_for_function(ALL_OPEN, arg=2 * len(SERVICES), timeout=MILLISECONDS)
        assert (await scrape(second))["broadcaster_connections", "active"] == CLIENTS
        expected = [f"{service} down" for service in SERVICES]
        assert await page.evaluate("heard") == [expected] * CLIENTS
        assert await page.evaluate(TRUTH) == [expected] * CLIENTS
        assert failures == []
