"""What a worker tells Prometheus, over its own port."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.support.commands import finished
from tests.support.metrics import Samples, scrape
from tests.support.ports import free_port
from tests.support.stack import DEADLINE, Program, Stack, run_stack


def watching(stack: Stack, port: int) -> Program:
    """A worker that can be scraped."""
    return stack.program("scraped", "probe", "--metrics-port", str(port), port=port, env={})


async def until_scraped(worker: Program, expected: Samples) -> Samples:
    """Until at least these values are told."""
    async with asyncio.timeout(DEADLINE):
        while True:
            found = await scrape(worker)
            if all(found.get(name, -1.0) >= value for name, value in expected.items()):
                return found
            await asyncio.sleep(0.05)


async def test_a_worker_tells_what_its_probes_cost_and_find(tmp_path: Path) -> None:
    """Counts by service and outcome, seconds, lateness, processor time, what it owns, whether Redis is there."""
    async with run_stack(tmp_path, worker=False, nodes=0) as stack:
        worker = watching(stack, free_port())
        await worker.start()
        try:
            ok, failed = ("broadcaster_probes_total", "auth", "ok"), ("broadcaster_probes_total", "auth", "failed")
            found = await until_scraped(worker, {ok: 3, ("broadcaster_services_owned",): 2})
            assert failed not in found
            assert 0 < found["broadcaster_probe_seconds_total", "auth"] < 60
            assert found[("broadcaster_probe_lateness_seconds_count",)] >= 3
            assert found[("process_cpu_seconds_total",)] > 0
            assert found[("broadcaster_carrier_reachable",)] == 1
            await stack.services["auth"].kill()
            await until_scraped(worker, {failed: 2})
            await stack.redis.kill()
            async with asyncio.timeout(DEADLINE):
                while (await scrape(worker))[("broadcaster_carrier_reachable",)] == 1:
                    await asyncio.sleep(0.05)
        finally:
            await worker.kill()


async def test_a_service_that_is_gone_from_the_settings_is_gone_from_the_metrics(tmp_path: Path) -> None:
    async with run_stack(tmp_path, worker=False, nodes=0) as stack:
        worker = watching(stack, free_port())
        await worker.start()
        try:
            await until_scraped(worker, {("broadcaster_probes_total", "analytics", "ok"): 1})
            before, _, _ = stack.config.read_text().partition("  analytics:")
            replacement = tmp_path / "services.new"
            replacement.write_text(before)
            replacement.replace(stack.config)
            async with asyncio.timeout(DEADLINE):
                while any("analytics" in name for name in await scrape(worker)):
                    await asyncio.sleep(0.05)
            await until_scraped(worker, {("broadcaster_services_owned",): 1})
        finally:
            await worker.kill()


async def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    async with run_stack(tmp_path, services=("auth",), worker=False) as stack:
        done = await finished("probe", *stack.flags, "--metrics-port", str(stack.nodes[0].port))
    assert done.code == 1
    assert "choose another with --metrics-port" in done.err
    assert "Traceback" not in done.err
