"""The node's HTTP routes: probes for an orchestrator, a health document, metrics, the page."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from broadcaster.protocol.messages import Goodbye
from tests.support.clients import connect, handshake
from tests.support.stack import DEADLINE, run_stack, until

TOKEN = "an operator's token"


async def test_health_is_public_without_internals_and_complete_for_operators(tmp_path: Path) -> None:
    """Anonymous callers see states and times; the token adds why, how fast, whose and what to do."""
    async with run_stack(tmp_path, changes={"node": {"operator_token": TOKEN}}) as stack:
        node = stack.nodes[0]
        well = await node.get("/health/dependencies")
        assert (well.status_code, well.headers["content-type"]) == (200, "application/health+json")
        assert well.json()["status"] == "pass"
        await stack.services["analytics"].kill()
        await stack.until_status({"analytics": "down"})
        warned = await node.get("/health/dependencies")
        assert (warned.status_code, warned.json()["status"]) == (200, "warn")
        await stack.services["auth"].kill()
        await stack.until_status({"auth": "down"})
        failed = await node.get("/health/dependencies")
        assert (failed.status_code, failed.json()["status"]) == (503, "fail")
        [check] = failed.json()["checks"]["auth:availability"]
        assert (check["status"], check["observedValue"], check["criticality"]) == ("fail", "down", "critical")
        assert check["age_seconds"] is not None
        assert check["since"]
        for internal in ("127.0.0.1", "rror", str(stack.services["auth"].port), "latency", "output"):
            assert internal not in failed.text

        wrong = await node.get("/health/dependencies", authorization="Bearer wrong")
        assert "output" not in wrong.text
        right = await node.get("/health/dependencies", authorization=f"Bearer {TOKEN}")
        [check] = right.json()["checks"]["auth:availability"]
        assert check["category"] == "refused"
        assert check["output"]


async def test_without_a_token_in_the_file_nobody_is_an_operator(tmp_path: Path) -> None:
    """An empty token does not match an empty token."""
    async with run_stack(tmp_path, services=("auth",)) as stack:
        for given in ("Bearer", "Bearer ''", "Basic Og=="):
            answer = await stack.nodes[0].get("/health/dependencies", authorization=given)
            assert "output" not in answer.text


async def test_live_ready_metrics_and_page(tmp_path: Path) -> None:
    """Each answers for what it is; the WebSocket paths say what they are to plain HTTP."""
    async with run_stack(tmp_path) as stack, connect(stack.nodes[0].ws_url):
        node = stack.nodes[0]
        assert (await node.get("/livez")).status_code == 200
        assert (await node.get("/readyz")).json() == {"status": "ready", "feed": "live", "reason": ""}
        await handshake(node.status_url)
        scraped = await node.get("/metrics")
        samples = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(scraped.text)
            for sample in family.samples
        }
        assert samples["broadcaster_connections", (("state", "active"),)] == 1
        assert samples["broadcaster_handshakes_total", (("verdict", "accept"),)] == 1
        assert samples["broadcaster_handshakes_total", (("verdict", "observer"),)] == 1
        assert samples["broadcaster_feed_state", (("state", "live"),)] == 1
        assert samples["broadcaster_service_status", (("service", "auth"), ("status", "up"))] == 1
        openmetrics = await node.get("/metrics", accept="application/openmetrics-text")
        assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
        page = await node.get("/")
        assert page.status_code == 200
        assert "<!doctype html>" in page.text.lower()
        assert "default-src 'self'" in page.headers["content-security-policy"]
        client = await node.get("/sdk/index.js")
        assert (client.status_code, client.headers["content-type"].split(";")[0]) == (200, "text/javascript")
        for path in ("/ws", "/ws/status"):
            assert (await node.get(path)).status_code == 426
        missing = await node.get("/nowhere")
        assert missing.status_code == 404


async def test_a_drained_node_says_goodbye(tmp_path: Path) -> None:
    """SIGTERM: a goodbye with a time to come back, close 1012, and the process ends with 0."""
    async with run_stack(tmp_path) as stack, connect(stack.nodes[0].ws_url) as client:
        process = stack.nodes[0]._process
        await stack.nodes[0].stop()
        code, reason = await client.closed()
        assert code == 1012
        assert reason
        goodbye = client.messages[-1]
        assert type(goodbye).__name__ == "Goodbye"
        assert 1000 <= goodbye.retry_after_ms <= 5000  # type: ignore[union-attr]
        assert process is not None
        assert process.returncode == 0
        assert "Traceback" not in stack.nodes[0].log


async def test_a_node_that_goes_away_is_not_ready_first(tmp_path: Path) -> None:
    """Before anybody is sent away a load balancer learns of it, and newcomers go elsewhere; a second signal hurries."""
    changes = {"node": {"drain_delay": "5m"}}
    async with run_stack(tmp_path, changes=changes) as stack, connect(stack.nodes[0].ws_url) as client:
        node = stack.nodes[0]
        os.kill(node.pid, signal.SIGTERM)
        async with asyncio.timeout(DEADLINE):
            while (ready := await node.get("/readyz")).status_code != 503:
                await asyncio.sleep(0.02)
        assert ready.json()["reason"] == "draining"
        assert not client.is_closed
        async with connect(node.ws_url) as newcomer:
            assert (await newcomer.closed())[0] == 1012
        os.kill(node.pid, signal.SIGTERM)
        assert (await client.closed())[0] == 1012
        await until(lambda: not node.is_running)


async def test_many_are_sent_away_one_after_the_other(tmp_path: Path) -> None:
    """Each with a time of its own to come back; none is forgotten, and the process ends in its time."""
    async with run_stack(tmp_path) as stack, AsyncExitStack() as opened:
        node = stack.nodes[0]
        clients = [await opened.enter_async_context(connect(node.ws_url)) for _ in range(60)]
        await node.stop()
        assert [(await each.closed())[0] for each in clients] == [1012] * 60
        goodbyes = [each.messages[-1] for each in clients]
        waits = {each.retry_after_ms for each in goodbyes if isinstance(each, Goodbye)}
        assert len(waits) > 10
        assert min(waits) >= 1000
        assert max(waits) <= 5000
        assert max(waits) - min(waits) > 2000
