"""The plan's integration tests: real services, a real worker, a real node, real handshakes."""

from __future__ import annotations

from pathlib import Path

from tests.support.clients import connect, handshake, reduced
from tests.support.stack import run_stack


class TestWebSocketServiceDependencies:
    async def test_websocket_handshake_with_auth_service_down(self, tmp_path: Path) -> None:
        """With the auth service killed a handshake is completed, explained and closed with 1011."""
        async with run_stack(tmp_path) as stack:
            await stack.services["auth"].kill()
            await stack.until_status({"auth": "down"})
            async with connect(stack.nodes[0].ws_url) as client:
                code, reason = await client.closed()
            assert code == 1011
            assert reason is not None
            assert "Sign-in" in reason
            assert len(reason.encode()) <= 123
            rejected = client.rejected
            assert [each.title for each in rejected.services] == ["Sign-in"]
            assert rejected.services[0].status.value == "down"
            assert "Sign-in" in rejected.text
            assert {each.name: each.status.value for each in rejected.features} == {
                "chat": "unavailable",
                "analytics": "available",
            }
            assert 5000 <= rejected.retry_after_ms <= 10_000
            assert len(client.messages) == 1

            observer = await handshake(stack.nodes[0].status_url)
            assert observer.truth() == {"auth": "down", "analytics": "up"}

    async def test_websocket_graceful_degradation_messaging(self, tmp_path: Path) -> None:
        """With an optional service killed users stay, are told what they lose, and newcomers are welcome."""
        async with run_stack(tmp_path) as stack, connect(stack.nodes[0].ws_url) as client:
            assert reduced(client.welcome.features) == {}
            assert client.welcome.text == ""
            await stack.services["analytics"].kill()
            await client.until(lambda: client.notices("analytics"))
            [notice] = client.notices("analytics")
            assert notice.kind.value == "down"
            assert "Analytics" in notice.text
            assert reduced(notice.features) == {"analytics": "unavailable"}
            assert not client.is_closed

            newcomer = await handshake(stack.nodes[0].ws_url)
            assert reduced(newcomer.welcome.features) == {"analytics": "unavailable"}
            assert "Usage reports" in newcomer.welcome.text

    async def test_graceful_degradation_can_be_switched_off(self, tmp_path: Path) -> None:
        """GRACEFUL_DEGRADATION_ENABLED=false: optional services are not announced, critical ones still gate."""
        env = {"GRACEFUL_DEGRADATION_ENABLED": "false"}
        async with run_stack(tmp_path, env=env) as stack, connect(stack.nodes[0].ws_url) as client:
            assert [each.name for each in client.welcome.services] == ["auth"]
            await stack.services["analytics"].kill()
            await stack.until_status({"analytics": "down"})
            await stack.services["auth"].kill()
            await client.until(lambda: client.notices("auth"))
            assert client.notices("analytics") == []
            newcomer = await handshake(stack.nodes[0].ws_url)
            assert [each.name for each in newcomer.rejected.services] == ["auth"]

    async def test_service_recovery_websocket_functionality(self, tmp_path: Path) -> None:
        """When the killed services are back, users are told and handshakes are welcome without reductions."""
        async with run_stack(tmp_path) as stack, connect(stack.nodes[0].ws_url) as client:
            for name in ("auth", "analytics"):
                await stack.services[name].kill()
            await client.until(lambda: client.notices("auth") and client.notices("analytics"))
            for name in ("auth", "analytics"):
                await stack.services[name].start()
            await client.until(lambda: len(client.notices("auth")) == 2 and len(client.notices("analytics")) == 2)
            for name in ("auth", "analytics"):
                assert [each.kind.value for each in client.notices(name)] == ["down", "recovered"]
            assert reduced(client.notices("analytics")[-1].features) == {}
            newcomer = await handshake(stack.nodes[0].ws_url)
            assert reduced(newcomer.welcome.features) == {}
            assert newcomer.truth() == client.truth() == {"auth": "up", "analytics": "up"}
