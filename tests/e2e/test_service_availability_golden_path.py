"""The plan's end-to-end tests: users through whole outages, with PostgreSQL, Redis and HTTP services for real."""

from __future__ import annotations

import asyncio
from pathlib import Path

import websockets

from broadcaster.protocol import codec
from broadcaster.protocol.messages import Rejected, Welcome
from tests.support.clients import connect, handshake, reduced
from tests.support.servers import postgres_server
from tests.support.stack import DEADLINE, run_stack


class TestServiceAvailabilityGoldenPath:
    async def test_complete_service_failure_recovery_cycle(self, tmp_path: Path) -> None:
        """PostgreSQL stops and comes back: notice, refusal, notice, welcome; on both nodes in the same order."""
        async with (
            postgres_server() as postgres,
            run_stack(
                tmp_path,
                probes={"postgres": {"kind": "postgres", "dsn": postgres.url}},
                carrier=True,
                nodes=2,
            ) as stack,
            connect(stack.nodes[0].ws_url) as first,
            connect(stack.nodes[1].ws_url) as second,
        ):
            for cycle in (1, 2):
                await postgres.stop()
                for client in (first, second):
                    await client.until_notices("postgres", 2 * cycle - 1)
                for node in stack.nodes:
                    refused = await handshake(node.ws_url)
                    assert [each.title for each in refused.rejected.services] == ["Message store"]
                await postgres.start()
                for client in (first, second):
                    await client.until_notices("postgres", 2 * cycle)
                for node in stack.nodes:
                    assert reduced((await handshake(node.ws_url)).welcome.features) == {}
            told = [[(each.position, each.kind.value) for each in c.notices()] for c in (first, second)]
            assert told[0] == told[1]
            assert [kind for _, kind in told[0]] == ["down", "recovered"] * 2
            revisions = [position.revision for position, _ in told[0]]
            assert revisions == list(range(revisions[0], revisions[0] + 4))

    async def test_user_experience_during_partial_service_outage(self, tmp_path: Path) -> None:
        """Two optional services fail one after the other: every message says what works, nobody is disconnected."""
        services = ("auth", "backend", "analytics", "assistant")
        async with run_stack(tmp_path, services=services) as stack, connect(stack.nodes[0].ws_url) as client:
            await stack.services["analytics"].kill()
            await client.until(lambda: client.notices("analytics"))
            stack.services["assistant"].pause()
            await client.until(lambda: client.notices("assistant"))
            newcomer = await handshake(stack.nodes[0].ws_url)
            assert reduced(newcomer.welcome.features) == {"analytics": "unavailable", "assistant": "unavailable"}
            assert "Usage reports" in newcomer.welcome.text
            assert "Assistant answers" in newcomer.welcome.text
            assert newcomer.truth()["auth"] == newcomer.truth()["backend"] == "up"
            stack.services["assistant"].resume()
            await stack.services["analytics"].start()
            await client.until(lambda: len(client.notices("analytics")) == len(client.notices("assistant")) == 2)
            assert not client.is_closed
            assert set(client.truth().values()) == {"up"}
            public = "".join(codec.encode(each).decode() for each in client.messages)
            for internal in ("127.0.0.1", "refused connection", "Errno", str(stack.services["auth"].port)):
                assert internal not in public

    async def test_1011_error_handling_and_recovery(self, tmp_path: Path) -> None:
        """A client that only follows the protocol gets through an outage: told why, told when, let in afterwards."""
        async with run_stack(tmp_path, changes={"node": {"retry_after": "200ms"}}) as stack:
            await stack.services["auth"].kill()
            await stack.until_status({"auth": "down"})
            refusals: list[Rejected] = []

            async def user() -> Welcome:
                while True:
                    async with websockets.connect(stack.nodes[0].ws_url, proxy=None) as socket:
                        message = codec.decode_message(await socket.recv())
                        if isinstance(message, Welcome):
                            return message
                        assert isinstance(message, Rejected)
                        await socket.wait_closed()
                        assert socket.close_code == 1011
                        assert socket.close_reason
                    refusals.append(message)
                    await asyncio.sleep(message.retry_after_ms / 1000)

            arriving = asyncio.create_task(user())
            async with asyncio.timeout(DEADLINE):
                while len(refusals) < 3:
                    await asyncio.sleep(0.01)
                await stack.services["auth"].start()
                welcome = await arriving
            assert {each.name: each.status.value for each in welcome.services}["auth"] == "up"
            for each in refusals:  # a wait that grows with the outage
                [auth] = each.services
                assert auth.since is not None
                outage = (each.at - auth.since).total_seconds()
                assert 200 <= each.retry_after_ms <= 200 + max(200, 500 * outage) + 2
