"""Each is told what is theirs: users, operators, and those who ask for a part, in one outage after the other."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import websockets
from msgspec import UNSET

from broadcaster.domain.detection import Decision
from broadcaster.domain.model import Category, EventKind, Status
from broadcaster.protocol.messages import (
    FeedNotice,
    Goodbye,
    InternalView,
    Notice,
    PlanNotice,
    Rejected,
    ServiceView,
    SnapshotMessage,
    View,
    Waiting,
    Welcome,
)
from broadcaster.store.base import Outcome
from broadcaster.store.redis import RedisStore
from tests.support.clients import RecordingClient, connect, handshake
from tests.support.commands import finished
from tests.support.commits import Flipper
from tests.support.metrics import scrape
from tests.support.ports import LOOPBACK
from tests.support.raw import frames, upgrade
from tests.support.stack import DEADLINE, SOON, Stack, run_stack

TOKEN = "token-of-operators"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
ALL = ("auth", "backend", "analytics", "assistant")
CLOSE = 0x8


def settings(**node: object) -> dict[str, Any]:
    return {"node": {"operator_token": TOKEN, **node}}


def told(client: RecordingClient) -> Iterator[ServiceView]:
    """Every view of a service in whatever a client received."""
    for message in client.messages:
        match message:
            case View() | Rejected():
                yield from message.services
            case Notice() | PlanNotice():
                yield message.service


def internal(view: ServiceView) -> InternalView:
    assert view.internal is not UNSET, view
    return view.internal


def names(client: RecordingClient) -> tuple[list[str], list[str]]:
    """The services and features of a client's first message."""
    [first, *_] = client.messages
    assert isinstance(first, View), first
    return [each.name for each in first.services], [each.name for each in first.features]


async def audiences(stack: Stack) -> float:
    return (await scrape(stack.nodes[0]))[("broadcaster_audiences",)]


async def until_audiences(stack: Stack, number: int) -> None:
    async with asyncio.timeout(DEADLINE):
        while (found := await audiences(stack)) != number:
            assert found > number, f"{found} views are told, and not {number}"
            await asyncio.sleep(0.02)


@asynccontextmanager
async def raw_client(stack: Stack, target: str) -> AsyncIterator[socket.socket]:
    """A client that has sent its handshake, has little room, and does nothing by itself."""
    with socket.socket() as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(made, (LOOPBACK, stack.nodes[0].port))
        await loop.sock_sendall(made, upgrade(target))
        yield made


async def read_until(client: socket.socket, is_enough: Callable[[bytes], bool]) -> bytes:
    received = b""
    async with asyncio.timeout(DEADLINE):
        while not is_enough(received):
            chunk = await asyncio.get_running_loop().sock_recv(client, 1 << 20)
            assert chunk, received
            received += chunk
    return received


# Users and operators.


async def test_users_never_see_what_operators_see(tmp_path: Path) -> None:
    """Through failures, a rejection and a recovery: no byte to a user has a host, an error, a latency or an owner."""
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(run_stack(tmp_path, changes=settings()))
        node, services = stack.nodes[0], stack.services

        def describe(described: dict[str, Any]) -> None:
            for name, each in described["services"].items():
                each |= {"owner": f"team-{name}", "runbook": f"https://wiki.example/{name}"}

        await stack.edit(describe)
        operator = await exits.enter_async_context(
            connect(f"{node.ws_url}?audience=operators", additional_headers=AUTHORIZED)
        )
        users = [
            await exits.enter_async_context(connect(url, additional_headers=headers))
            for url in (
                node.ws_url,
                node.status_url,
                f"{node.ws_url}?audience=users",
                f"{node.ws_url}?services=auth,analytics",
            )
            for headers in ({}, AUTHORIZED)
        ]
        well = {each.name: internal(each) for each in operator.welcome.services}
        assert {name: (each.owner, each.runbook) for name, each in well.items()} == {
            name: (f"team-{name}", f"https://wiki.example/{name}") for name in services
        }
        for each in well.values():
            assert each.category is None
            assert each.latency_ms is not None
            assert each.latency_ms > 0
            assert each.observed_at is not None
        for name in ("analytics", "auth"):
            await services[name].kill()
            for client in (operator, *users):
                await client.until_notices(name, 1)
        users += [await handshake(node.ws_url), await handshake(node.status_url)]
        assert [type(each.messages[0]) for each in users[-2:]] == [Rejected, Welcome]
        for name in ("analytics", "auth"):
            await services[name].start()
            for client in (operator, *users[:-2]):
                await client.until_notices(name, 2)

        for name in services:
            why = internal(operator.notices(name)[0].service)
            assert why.category == "refused"
            assert "Errno" in why.detail
            assert (why.owner, why.runbook) == (f"team-{name}", f"https://wiki.example/{name}")
        assert all(internal(each) for each in told(operator))
        secrets = [
            "internal",
            "detail",
            "latency",
            "observed_at",
            "owner",
            "team-",
            "runbook",
            "wiki",
            "rror",
            "Errno",
            "plans",
        ]
        secrets += [LOOPBACK, "localhost", TOKEN, *(f":{each.port}" for each in services.values())]
        for client in users:
            everything = "".join(client.frames)
            assert [secret for secret in secrets if secret in everything] == []


async def test_what_a_probe_wrote_is_for_operators(tmp_path: Path) -> None:
    """A detail that names a host, and that credentials were refused: users learn of a problem on our side, no more."""
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(run_stack(tmp_path, worker=False, changes=settings()))
        store = await exits.enter_async_context(RedisStore.connect(stack.redis.url, timeout=DEADLINE))
        await stack.edit(lambda described: described["services"]["auth"].update(stale_after="1h"))
        url = stack.nodes[0].status_url
        flipper = Flipper(store, "analytics")
        await flipper.seed()
        await stack.until_feed("unwatched")
        operator = await exits.enter_async_context(connect(f"{url}?audience=operators", additional_headers=AUTHORIZED))
        users = [
            await exits.enter_async_context(connect(f"{url}{query}"))
            for query in ("", "?services=auth", "?features=chat,analytics")
        ]
        written = await store.commit(
            Decision(
                service="auth",
                kind=EventKind.DOWN,
                previous=Status.UNKNOWN,
                status=Status.DOWN,
                at=time.time(),
                category=Category.AUTH,
                detail="login as robot at db-7.lan:5432 was refused",
                latency=0.0625,
            ),
            commit="once",
            expected_revision=0,
            known=flipper.position,
        )
        assert written.outcome is Outcome.DONE
        for client in (operator, *users):
            await client.until_notices("auth", 1)
        users.append(await handshake(url))
        late = await _with(f"{url}?audience=operators&services=auth", AUTHORIZED)
        for client in (operator, late):
            why = internal(list(told(client))[-1])
            assert (why.category, why.detail, why.latency_ms) == (
                Category.AUTH,
                "login as robot at db-7.lan:5432 was refused",
                62.5,
            )
        for client in users:
            assert {each.category for each in told(client) if each.status is Status.DOWN} == {Category.INTERNAL}
            everything = "".join(client.frames)
            for secret in ("robot", "db-7", "5432", "62.5", "refused", "detail"):
                assert secret not in everything
            assert '"category":"auth"' not in everything


@pytest.mark.parametrize("path", ["/ws", "/ws/status"])
async def test_operators_without_the_token_are_refused_with_401(tmp_path: Path, path: str) -> None:
    """An HTTP answer in words in place of an upgrade; with the token the same request is welcome."""
    async with run_stack(tmp_path, services=("auth",), changes=settings()) as stack:
        url = f"ws://{LOOPBACK}:{stack.nodes[0].port}{path}?audience=operators"
        wrong: tuple[dict[str, str], ...] = (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": f"Basic {TOKEN}"},
            {"Authorization": TOKEN},
        )
        for headers in wrong:
            with pytest.raises(websockets.InvalidStatus) as refused:
                await handshake(url) if not headers else await _with(url, headers)
            response = refused.value.response
            assert response.status_code == 401
            assert response.headers["WWW-Authenticate"] == "Bearer"
            assert response.body
            assert "node.operator_token" in response.body.decode()
        assert all(internal(each) for each in (await _with(url, AUTHORIZED)).welcome.services)
        with pytest.raises(websockets.InvalidStatus) as refused:
            await _with(url.replace("operators", "everybody"), AUTHORIZED)
        assert refused.value.response.status_code == 400
        assert (await scrape(stack.nodes[0]))["broadcaster_refused_requests_total", "401"] == len(wrong)


async def _with(url: str, headers: dict[str, str]) -> RecordingClient:
    async with connect(url, additional_headers=headers) as client:
        return client


async def test_what_is_not_announced_is_told_to_operators_only(tmp_path: Path) -> None:
    """With degradation off operators hear of optional services; to users these are not there, also if they ask."""
    changes = {**settings(), "graceful_degradation": False}
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(run_stack(tmp_path, changes=changes))
        url = stack.nodes[0].ws_url
        user = await exits.enter_async_context(connect(url))
        operators = [
            await exits.enter_async_context(connect(f"{url}?audience=operators{part}", additional_headers=AUTHORIZED))
            for part in ("", "&services=analytics")
        ]
        assert names(user)[0] == ["auth"]
        assert [names(each)[0] for each in operators] == [["auth", "analytics"], ["analytics"]]
        refused = await handshake(f"{url}?services=auth,analytics")
        assert (await refused.closed())[0] == 3500
        [goodbye] = refused.messages
        assert isinstance(goodbye, Goodbye)
        assert "Services are auth;" in goodbye.text
        await stack.services["analytics"].kill()
        for operator in operators:
            await operator.until_notices("analytics", 1)
        await stack.services["auth"].kill()
        await user.until_notices("auth", 1)
        assert [type(each) for each in user.messages] == [Welcome, Notice]
        assert "Analytics" not in "".join(user.frames)


async def test_who_planned_what_is_for_operators(tmp_path: Path) -> None:
    """Users read when and why; who said so, and overrides, are told to operators only."""
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(run_stack(tmp_path, changes=settings()))
        url = stack.nodes[0].ws_url
        user = await exits.enter_async_context(connect(f"{url}?services=analytics"))
        other = await exits.enter_async_context(connect(f"{url}?services=auth"))
        operator = await exits.enter_async_context(connect(f"{url}?audience=operators", additional_headers=AUTHORIZED))
        said = ["--until", "2h", "--reason", "A bigger disk", "--by", "alex-from-storage"]
        done = await finished("maintenance", "start", "analytics", *said, *stack.flags)
        assert done.code == 0, done
        for client in (user, operator):
            await client.until(lambda client=client: client.planned("analytics"))  # type: ignore[misc]
        [plan] = internal(operator.planned("analytics")[0].service).plans
        assert (plan.by, plan.reason, plan.has_begun) == ("alex-from-storage", "A bigger disk", True)
        assert "A bigger disk" in user.planned("analytics")[0].text
        assert "alex" not in "".join(user.frames)
        await stack.services["auth"].kill()
        await other.until_notices("auth", 1)
        assert [type(each) for each in other.messages] == [Welcome, Notice]


# A part.


async def test_a_part_is_told_as_everybody_is_told_of_it(tmp_path: Path) -> None:
    """Its own changes only, in order and at everybody's positions, and all that everybody is told of them."""
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(run_stack(tmp_path, services=ALL))
        url = stack.nodes[0].ws_url

        async def client(query: str) -> RecordingClient:
            return await exits.enter_async_context(connect(f"{url}{query}"))

        everybody = await client("")
        auth = await client("?services=auth")
        chat = await client("?features=chat")
        both = await client("?features=assistant&services=analytics")
        assert names(everybody) == (list(ALL), ["chat", "analytics", "assistant"])
        assert names(auth) == (["auth"], [])
        assert names(chat) == (["auth", "backend"], ["chat"])
        assert names(both) == (["analytics", "assistant"], ["assistant"])

        for name in ("analytics", "assistant"):
            await stack.services[name].kill()
            await everybody.until_notices(name, 1)
        await stack.services["analytics"].start()
        await everybody.until_notices("analytics", 2)
        for number, name in enumerate(("backend", "auth", "assistant", "analytics"), 1):
            await (stack.services[name].start() if name == "assistant" else stack.services[name].kill())
            await everybody.until(lambda number=number: len(everybody.notices()) == 3 + number)  # type: ignore[misc]
        await both.until_notices("analytics", 3)
        await chat.until_notices("auth", 1)
        await auth.until_notices("auth", 1)

        order = [(each.position, each.service.name, each.kind) for each in everybody.notices()]
        assert [position.revision for position, *_ in order] == sorted(position.revision for position, *_ in order)
        for client_, part in ((auth, {"auth"}), (chat, {"auth", "backend"}), (both, {"analytics", "assistant"})):
            assert [type(each) for each in client_.messages[1:]] == [Notice] * (len(client_.messages) - 1)
            found = [(each.position, each.service.name, each.kind) for each in client_.notices()]
            assert found == [each for each in order if each[1] in part]
        assert chat.notices() == [each for each in everybody.notices() if each.service.name in ("auth", "backend")]
        assert both.notices("assistant") == everybody.notices("assistant")
        assert [each.features for each in auth.notices()] == [()]
        assert [each.service for each in both.notices("analytics")] == [
            each.service for each in everybody.notices("analytics")
        ]


async def test_a_cause_that_was_not_asked_for_stands_in_no_message(tmp_path: Path) -> None:
    """A service whose failure is explained by another's is told as if it had failed on its own, and not quietly."""
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(run_stack(tmp_path, services=("auth", "backend", "analytics")))
        await stack.edit(lambda described: described["services"]["backend"].update(depends_on=["auth"]))
        url = stack.nodes[0].ws_url
        everybody = await exits.enter_async_context(connect(url))
        part = await exits.enter_async_context(connect(f"{url}?services=backend"))
        chat = await exits.enter_async_context(connect(f"{url}?features=chat"))
        await stack.services["auth"].kill()
        await everybody.until_notices("auth", 1)
        await stack.services["backend"].kill()
        for client in (everybody, part, chat):
            await client.until_notices("backend", 1)
        [explained] = everybody.notices("backend")
        assert explained.service.caused_by == ("auth",)
        assert chat.notices("backend") == [explained]
        [alone] = part.notices("backend")
        assert alone.service.caused_by == ()
        assert (alone.position, alone.quiet) == (explained.position, False)
        assert alone.text == "Chat backend is unavailable. We will tell you as soon as it is back."
        newcomer = await handshake(f"{stack.nodes[0].status_url}?services=backend")
        assert newcomer.welcome.services[0].caused_by == ()
        for client in (part, newcomer):
            said = "".join(client.frames).replace(alone.incident, "")
            assert "auth" not in said
            assert "Sign-in" not in said


async def test_all_audiences_hear_what_the_feed_is_worth(tmp_path: Path) -> None:
    """That nobody watches is told to everybody; what is unknown by it only to whom it concerns."""
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(run_stack(tmp_path, changes=settings(), stale_after=SOON))
        url = stack.nodes[0].ws_url
        clients = [
            await exits.enter_async_context(connect(f"{url}?{query}", additional_headers=AUTHORIZED))
            for query in ("", "services=auth", "features=analytics", "audience=operators&services=auth")
        ]
        assert stack.worker is not None
        await stack.worker.kill()
        for client in clients:
            await client.until(lambda client=client: "unwatched" in client.feed_states)  # type: ignore[misc]
            await client.until(lambda client=client: set(client.truth().values()) == {"unknown"})  # type: ignore[misc]
        await stack.worker.start()
        for client in clients:
            await client.until(lambda client=client: client.feed_states == ["unwatched", "live"])  # type: ignore[misc]
            await client.until(lambda client=client: set(client.truth().values()) == {"up"})  # type: ignore[misc]
        assert [sorted({each.name for each in told(client)}) for client in clients] == [
            ["analytics", "auth"], ["auth"], ["analytics"], ["auth"],
        ]  # fmt: skip
        assert len({each.at for client in clients for each in client.messages if isinstance(each, FeedNotice)}) == 2


@pytest.mark.parametrize(
    ("query", "missing"),
    [
        ("services=nowhere", ["nowhere"]),
        ("services=auth,nowhere&features=nothing", ["nowhere", "nothing"]),
        ("features=auth", ["auth"]),
        ("services=chat", ["chat"]),
        ("services=%3Cb%3E%22%00", ["<b>"]),
        ("services=" + "x" * 5000, ["x" * 5000]),
    ],
)
async def test_a_name_that_is_not_there_is_said_to_be_not_there(tmp_path: Path, query: str, missing: list[str]) -> None:
    """A goodbye with the names, and with those that there are; then close 3500, after which nobody comes back."""
    async with run_stack(tmp_path) as stack:
        for url in (stack.nodes[0].ws_url, stack.nodes[0].status_url):
            client = await handshake(f"{url}?{query}")
            code, reason = await client.closed()
            assert code == 3500
            assert reason is not None
            assert missing[0][:50] in reason
            [goodbye] = client.messages
            assert isinstance(goodbye, Goodbye)
            for name in (*missing, "auth", "analytics", "chat"):
                assert name in goodbye.text
            assert "restart" not in goodbye.text
        samples = await scrape(stack.nodes[0])
        assert samples["broadcaster_closed_connections_total", "unknown_name"] == 2


# What it costs.


async def test_views_are_counted_and_not_clients(tmp_path: Path) -> None:
    """Whoever asks for the same in whatever words shares a view; with its last client a view is gone."""
    async with run_stack(tmp_path, services=("auth", "backend", "analytics"), changes=settings()) as stack:
        url = stack.nodes[0].ws_url
        assert await audiences(stack) == 1
        async with AsyncExitStack() as exits:

            async def client(query: str) -> RecordingClient:
                return await exits.enter_async_context(connect(f"{url}?{query}", additional_headers=AUTHORIZED))

            asked = ["services=auth"] * 4 + [
                "services=%61uth",
                "audience=users&services=auth,auth",
                "x=1&services=auth",
            ]
            asked += ["services=auth,analytics", "services=analytics,auth", "services=auth&services=analytics"] * 2
            asked += ["features=chat"] * 7
            clients = [await client(query) for query in asked]
            assert len(clients) == 20
            assert await audiences(stack) == 4
            for query in ("", "audience=users", "other=parameters"):
                await client(query)
            assert await audiences(stack) == 4
            for _ in range(3):
                await client("audience=operators")
                await client("audience=operators&services=auth")
            assert await audiences(stack) == 6
            for each in clients[:6]:
                await each.aclose()
            assert await audiences(stack) == 6, "one of seven is still there"
            await clients[6].aclose()
            await until_audiences(stack, 5)
        await until_audiences(stack, 1)


async def test_beyond_the_most_views_a_part_is_the_whole(tmp_path: Path) -> None:
    """Who asks for one more view is told everything that it may know; views that are told stay, and make room."""
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(
            run_stack(tmp_path, services=("auth", "backend", "analytics"), changes=settings(max_audiences=2))
        )
        url = stack.nodes[0].ws_url

        async def client(query: str) -> RecordingClient:
            return await exits.enter_async_context(connect(f"{url}?{query}", additional_headers=AUTHORIZED))

        first, second = await client("services=auth"), await client("services=backend")
        assert (names(first)[0], names(second)[0]) == (["auth"], ["backend"])
        third = await client("services=analytics")
        assert names(third) == (["auth", "backend", "analytics"], ["chat", "analytics"])
        operator = await client("audience=operators&services=analytics")
        assert names(operator)[0] == ["auth", "backend", "analytics"]
        assert all(internal(each) for each in told(operator))
        assert "internal" not in "".join(third.frames)
        assert names(await client("services=backend"))[0] == ["backend"]
        assert "audiences_full" in stack.nodes[0].log
        unknown = await handshake(f"{url}?services=nowhere")
        assert (await unknown.closed())[0] == 3500

        await stack.services["analytics"].kill()
        await third.until_notices("analytics", 1)
        await stack.services["auth"].kill()
        await first.until_notices("auth", 1)
        assert [type(each) for each in first.messages] == [Welcome, Notice]
        await stack.services["auth"].start()
        await first.until_notices("auth", 2)
        await operator.aclose()
        await first.aclose()
        await until_audiences(stack, 2)
        assert names(await client("services=analytics"))[0] == ["analytics"]


async def test_whoever_is_turned_away_takes_no_view_from_anybody(tmp_path: Path) -> None:
    """A client that asks for what is not there is told nothing, so it is no audience, however long it stays."""
    async with run_stack(tmp_path, changes=settings(max_audiences=1)) as stack:
        async with raw_client(stack, "/ws?services=nowhere") as lingering:
            received = await read_until(lingering, lambda got: any(kind == CLOSE for kind, _ in frames(got)))
            assert b'"type":"goodbye"' in received
            found = await audiences(stack)
            asked = await handshake(f"{stack.nodes[0].ws_url}?services=auth")
        assert names(asked)[0] == ["auth"]
        assert found == 1


# A part, and what else happens to a client.


async def test_a_service_that_is_taken_out_of_the_file_is_taken_out_of_every_part(tmp_path: Path) -> None:
    """A snapshot without it, on the open connection; who asks for it from then on is told that it is not there."""
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(run_stack(tmp_path, services=ALL, changes=settings()))
        url = stack.nodes[0].ws_url
        clients = [
            await exits.enter_async_context(connect(f"{url}?{query}", additional_headers=AUTHORIZED))
            for query in (
                "services=auth,analytics",
                "services=auth&features=analytics",
                "services=analytics",
                "audience=operators&services=analytics,auth",
            )
        ]

        def remove(described: dict[str, Any]) -> None:
            del described["services"]["analytics"], described["features"]["analytics"]

        await stack.edit(remove)
        for client, expected in zip(clients, ({"auth"}, {"auth"}, set(), {"auth"}), strict=True):
            await client.until(lambda client=client, expected=expected: set(client.truth()) == expected)  # type: ignore[misc]
            snapshot = client.messages[-1]
            assert isinstance(snapshot, SnapshotMessage)
            assert snapshot.features == ()
            assert not client.is_closed
        refused = await handshake(f"{url}?services=auth,analytics")
        assert (await refused.closed())[0] == 3500
        await stack.services["auth"].kill()
        for client in (clients[0], clients[1], clients[3]):
            await client.until_notices("auth", 1)
        assert not any(isinstance(each, Notice) for each in clients[2].messages)


async def test_a_service_that_comes_under_a_feature_comes_into_its_part(tmp_path: Path) -> None:
    """Who asked for a feature is told of all that it stands on, also of what it did not stand on when they came."""
    async with AsyncExitStack() as exits:
        stack = await exits.enter_async_context(run_stack(tmp_path, services=("auth", "analytics")))
        client = await exits.enter_async_context(connect(f"{stack.nodes[0].ws_url}?features=chat"))
        assert names(client) == (["auth"], ["chat"])
        await stack.edit(lambda described: described["services"]["auth"].update(depends_on=["analytics"]))
        await client.until(lambda: client.truth() == {"auth": "up", "analytics": "up"})
        await stack.services["analytics"].kill()
        await client.until_notices("analytics", 1)


async def test_whoever_waits_for_a_part_waits_and_is_welcomed_to_it(tmp_path: Path) -> None:
    """Held because of a service that it did not ask for: told what it waits for, then of its part only, then let in."""
    async with run_stack(tmp_path, changes=settings(admission="hold")) as stack:
        await stack.services["auth"].kill()
        await stack.until_status({"auth": "down"})
        async with connect(f"{stack.nodes[0].ws_url}?services=analytics") as client:
            [first] = client.messages
            assert isinstance(first, Waiting)
            assert names(client) == (["analytics"], [])
            assert first.text.startswith("Sign-in is unavailable")
            await stack.services["analytics"].kill()
            await client.until_notices("analytics", 1)
            await stack.services["auth"].start()
            await client.until(lambda: isinstance(client.messages[-1], Welcome))
            welcome = client.messages[-1]
            assert isinstance(welcome, Welcome)
            assert [(each.name, each.status.value) for each in welcome.services] == [("analytics", "down")]
            assert welcome.features == ()
            assert [type(each) for each in client.messages] == [Waiting, Notice, Welcome]
            await stack.services["analytics"].start()
            await client.until_notices("analytics", 2)
            assert client.truth() == {"analytics": "up"}


async def test_a_rejection_names_all_that_blocks_whatever_was_asked_for(tmp_path: Path) -> None:
    """The service that is down is named to those, too, who asked for another; the features that work are named."""
    async with run_stack(tmp_path) as stack:
        await stack.services["auth"].kill()
        await stack.until_status({"auth": "down"})
        for query in ("", "?services=analytics", "?features=analytics"):
            client = await handshake(stack.nodes[0].ws_url + query)
            assert (await client.closed())[0] == 1011
            assert [each.name for each in client.rejected.services] == ["auth"]
            assert "Still working: Usage reports." in client.rejected.text
        part = await handshake(f"{stack.nodes[0].status_url}?services=analytics")
        assert names(part) == (["analytics"], [])


async def test_a_slow_client_catches_up_with_a_snapshot_of_its_part(tmp_path: Path) -> None:
    """After it read too slowly it is told its part, as it is now; and whoever is not concerned is not slow at all."""
    async with (
        run_stack(tmp_path, worker=False, changes=settings()) as stack,
        RedisStore.connect(stack.redis.url, timeout=DEADLINE) as store,
        connect(f"{stack.nodes[0].ws_url}?services=analytics") as reader,
        raw_client(stack, "/ws?services=analytics") as lazy,
        raw_client(stack, "/ws?services=auth") as unconcerned,
    ):
        flipper = Flipper(store, "analytics")
        await flipper.seed()
        await reader.until(lambda: getattr(reader.messages[-1], "position", None) == flipper.position)

        async def paused() -> float:
            return (await scrape(stack.nodes[0]))["broadcaster_connections", "paused"]

        async def flip(times: int) -> None:
            """So many changes, told one by one: no more at once than the node may tell so."""
            for number in range(1, times + 1):
                await flipper.flip()
                if number % 50 == 0:
                    await reader.until(
                        lambda: reader.notices()[-1:] and reader.notices()[-1].position == flipper.position
                    )

        while not await paused():
            await flip(250)
            assert flipper.position.revision < 5000, "the lazy client was never paused"
        await flip(100)
        last = flipper.position.revision
        assert [each.position.revision for each in reader.notices()] == list(range(1, last + 1))
        assert await paused() == 1
        end = b'"type":"snapshot","v":1,"position":{"epoch":"e1","revision":%d}' % last
        received = await read_until(lazy, lambda got: end in got[-20_000:])
        assert received.count(b'"type":"notice"') < last
        await flipper.flip()
        received += await read_until(lazy, lambda got: b'"revision":%d}' % (last + 1) in got)
        assert b'"name":"auth"' not in received
        assert b'"features":[{' not in received
        assert await paused() == 0
        with contextlib.suppress(BlockingIOError):
            received = unconcerned.recv(1 << 20)
        assert b'"name":"auth"' in received
        assert b"analytics" not in received
