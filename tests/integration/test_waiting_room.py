"""``admission: hold``: who comes while a critical service is down stays, hears what happens, and is let in."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from broadcaster.protocol.messages import Goodbye, Notice, Rejected, Waiting, Welcome
from tests.support.clients import RecordingClient, connect
from tests.support.metrics import scrape
from tests.support.stack import Stack, run_stack

HOLD = {"node": {"admission": "hold"}}
SLOWLY = {"node": {"admission": "hold", "reconnect_rate": 20}}


async def down(stack: Stack, service: str) -> None:
    await stack.services[service].kill()
    await stack.until_status({service: "down"})


async def waiting(stack: Stack) -> float:
    return (await scrape(stack.nodes[0]))[("broadcaster_waiting_connections",)]


async def welcomed(client: RecordingClient) -> Welcome:
    await client.until(lambda: any(isinstance(each, Welcome) for each in client.messages))
    [found] = [each for each in client.messages if isinstance(each, Welcome)]
    return found


async def test_who_waits_hears_what_happens_and_is_let_in(tmp_path: Path) -> None:
    """First why, then every change, then a welcome when it is over: all on one connection."""
    async with run_stack(tmp_path, changes=HOLD) as stack:
        await down(stack, "auth")
        async with connect(stack.nodes[0].ws_url) as client:
            [first] = client.messages
            assert isinstance(first, Waiting)
            assert {each.name: each.status.value for each in first.services}["auth"] == "down"
            assert first.text.startswith("Sign-in is unavailable")
            assert "let in as soon as it is back" in first.text
            assert await waiting(stack) == 1
            await down(stack, "analytics")
            await client.until_notices("analytics", 1)
            assert not any(isinstance(each, Welcome) for each in client.messages)
            await stack.services["auth"].start()
            welcome = await welcomed(client)
            assert {each.name: each.status.value for each in welcome.services}["auth"] == "up"
            assert client.truth() == {**client.truth(), "auth": "up", "analytics": "down"}
            assert await waiting(stack) == 0
            await stack.services["analytics"].start()  # and goes on as any other
            await client.until_notices("analytics", 2)
            assert not client.is_closed


async def test_observers_do_not_wait(tmp_path: Path) -> None:
    """They need no service, and have their welcome at once."""
    async with run_stack(tmp_path, changes=HOLD) as stack:
        await down(stack, "auth")
        async with connect(stack.nodes[0].status_url) as client:
            assert isinstance(client.messages[0], Welcome)


async def test_who_came_before_the_outage_is_welcomed_once(tmp_path: Path) -> None:
    """Only who waits is let in; the others hear of the recovery as ever."""
    async with run_stack(tmp_path, changes=HOLD) as stack, connect(stack.nodes[0].ws_url) as client:
        await down(stack, "auth")
        await stack.services["auth"].start()
        await client.until_notices("auth", 2)
        assert [each.kind.value for each in client.notices("auth")] == ["down", "recovered"]
        assert sum(isinstance(each, Welcome) for each in client.messages) == 1


async def test_many_are_let_in_one_after_the_other(tmp_path: Path) -> None:
    """In the order of their coming, at the rate of the settings; each is told once, whatever it heard before."""
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(run_stack(tmp_path, changes=SLOWLY))
        await down(stack, "auth")
        clients = [await exits.enter_async_context(connect(stack.nodes[0].ws_url)) for _ in range(20)]
        last = clients[-1]
        await stack.services["auth"].start()
        await welcomed(clients[0])
        assert not any(isinstance(each, Welcome) for each in last.messages), "all were let in together"
        await last.until_notices("auth", 1)
        assert [type(each) for each in last.messages] == [Waiting, Notice]
        for client in clients:
            await welcomed(client)
        times = [(await welcomed(client)).at for client in clients]
        assert times == sorted(times)


async def test_a_relapse_keeps_the_rest_waiting(tmp_path: Path) -> None:
    """Whoever was not let in yet waits on, and is let in after the next recovery."""
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(run_stack(tmp_path, changes=SLOWLY))
        await down(stack, "auth")
        clients = [await exits.enter_async_context(connect(stack.nodes[0].ws_url)) for _ in range(100)]
        await stack.services["auth"].start()
        await welcomed(clients[0])
        await down(stack, "auth")
        still = await waiting(stack)
        assert 0 < still < len(clients)
        await stack.services["auth"].start()
        for client in clients:
            await welcomed(client)
        assert await waiting(stack) == 0


async def test_who_waits_is_sent_away_like_anybody(tmp_path: Path) -> None:
    """A node that ends says goodbye to those who wait, too."""
    async with run_stack(tmp_path, changes=HOLD) as stack:
        await down(stack, "auth")
        async with connect(stack.nodes[0].ws_url) as client:
            os.kill(stack.nodes[0].pid, signal.SIGTERM)
            code, _ = await client.closed()
            assert code == 1012
            assert isinstance(client.messages[-1], Goodbye)


@pytest.mark.parametrize("changes", [{}, {"node": {"admission": "reject"}}])
async def test_rejecting_is_the_default(tmp_path: Path, changes: dict[str, object]) -> None:
    """Without ``hold`` nobody waits."""
    async with run_stack(tmp_path, changes=changes) as stack:
        await down(stack, "auth")
        async with connect(stack.nodes[0].ws_url) as client:
            await asyncio.wait_for(client.closed(), 20)
            assert isinstance(client.messages[0], Rejected)
