"""An application's start waits for what it cannot do without, and says what is likely wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import pytest
import structlog

from broadcaster.config.settings import (
    Duration,
    HttpProbe,
    RedisProbe,
    ServiceSettings,
    Settings,
    StartupSettings,
    TcpProbe,
)
from broadcaster.domain.errors import DependenciesUnmet
from broadcaster.domain.model import Criticality
from broadcaster.manager.startup import LIKELY, NO_CONNECTOR, is_google_cloud, wait_for_dependencies
from tests.support.listeners import Listener
from tests.support.ports import LOOPBACK, free_port
from tests.support.stack import DEADLINE

SOON = StartupSettings(database_timeout=Duration(0.6), service_timeout=Duration(0.3), interval=Duration(0.05))


def tcp(port: int, criticality: Criticality = Criticality.CRITICAL) -> ServiceSettings:
    return ServiceSettings(probe=TcpProbe(host=LOOPBACK, port=port), criticality=criticality, timeout=Duration(1))


def made(startup: StartupSettings = SOON, **services: ServiceSettings) -> Settings:
    return Settings(services=services, startup=startup)


@asynccontextmanager
async def http_server(answer: Callable[[bytes], bytes | None]) -> AsyncIterator[int]:
    """The port of a server that answers each request as ``answer`` says, or hangs."""
    held: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.add(writer)
        said = answer(await reader.readuntil(b"\r\n\r\n"))
        if said is not None:
            writer.write(said)
            writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in held:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)


def metadata(request: bytes) -> bytes:
    """What Google's metadata server says, to whom asks as it wants to be asked."""
    assert b"metadata-flavor: google" in request.lower()
    return b"HTTP/1.1 200 OK\r\nMetadata-Flavor: Google\r\nContent-Length: 4\r\nConnection: close\r\n\r\ntest"


def something(request: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


def silence(request: bytes) -> None:
    return None


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    one = Listener()
    yield one
    one.close()


async def test_it_is_over_when_every_critical_service_has_served(listener: Listener) -> None:
    """One that comes late is waited for; an optional one that is down is not."""
    settings = made(
        StartupSettings(service_timeout=Duration(DEADLINE), interval=Duration(0.02)),
        backend=tcp(listener.port),
        reports=tcp(free_port(), Criticality.OPTIONAL),
    )
    waiting = asyncio.create_task(wait_for_dependencies(settings, env={}))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    listener.open()
    async with asyncio.timeout(DEADLINE):
        await waiting


async def test_everything_that_is_missing_is_told_in_one_message(listener: Listener) -> None:
    """Each with what was seen, how long it was waited for by its kind, and what is likely wrong."""
    listener.open()
    port = free_port()
    async with http_server(something) as answering:
        settings = made(
            well=tcp(listener.port),
            backend=tcp(port),
            cache=ServiceSettings(probe=RedisProbe(url=f"redis://{LOOPBACK}:{free_port()}/0"), timeout=Duration(1)),
            auth=ServiceSettings(
                probe=HttpProbe(url=f"http://{LOOPBACK}:{answering}/", expect_status=(204,)), timeout=Duration(1)
            ),
        )
        with structlog.testing.capture_logs() as logs, pytest.raises(DependenciesUnmet) as failed:
            await wait_for_dependencies(settings, env={})
    unmet = {each.service: each for each in failed.value.unmet}
    assert list(unmet) == ["backend", "cache", "auth"]
    assert {name: each.seconds for name, each in unmet.items()} == {"backend": 0.3, "cache": 0.6, "auth": 0.3}
    assert unmet["backend"].likely.startswith("Nobody listens there")
    assert unmet["auth"].likely.startswith("Something else answers there")
    lines = str(failed.value).splitlines()
    assert len(lines) == 4
    assert all(any(line.startswith(f"  {name}: ") for line in lines) for name in unmet)
    assert [each["service"] for each in logs if each["event"] == "dependency_unmet"] == list(unmet)


async def test_an_optional_service_is_waited_for_if_it_is_named(listener: Listener) -> None:
    listener.open()
    startup = StartupSettings(service_timeout=Duration(0.1), interval=Duration(0.05), also=("reports",))
    settings = made(startup, backend=tcp(listener.port), reports=tcp(free_port(), Criticality.OPTIONAL))
    with pytest.raises(DependenciesUnmet, match="reports"):
        await wait_for_dependencies(settings, env={})


@pytest.mark.parametrize(
    ("markers", "answer", "expected"),
    [
        ({"K_SERVICE": "chat"}, metadata, NO_CONNECTOR),
        ({"CLOUD_RUN_JOB": "nightly"}, metadata, NO_CONNECTOR),
        ({}, metadata, None),
        ({"K_SERVICE": "chat"}, something, None),
    ],
)
async def test_a_private_address_on_google_cloud_is_explained(
    markers: Mapping[str, str], answer: Callable[[bytes], bytes], expected: str | None
) -> None:
    """Where the environment says so and a metadata server answers as one; elsewhere a time-out is a time-out."""
    async with http_server(silence) as hanging, http_server(answer) as metadata_port:
        settings = made(
            backend=ServiceSettings(probe=HttpProbe(url=f"http://{LOOPBACK}:{hanging}/"), timeout=Duration(0.2))
        )
        env = {**markers, "GCE_METADATA_HOST": f"{LOOPBACK}:{metadata_port}"}
        with pytest.raises(DependenciesUnmet) as failed:
            await wait_for_dependencies(settings, env=env)
    [unmet] = failed.value.unmet
    assert unmet.likely == (expected or next(text for category, text in LIKELY.items() if category.value == "timeout"))


async def test_a_metadata_server_that_does_not_answer_is_none() -> None:
    """And is not waited for."""
    async with http_server(silence) as port, asyncio.timeout(DEADLINE):
        assert not await is_google_cloud({"K_SERVICE": "chat", "GCE_METADATA_HOST": f"{LOOPBACK}:{port}"})
    assert not await is_google_cloud({"K_SERVICE": "chat", "GCE_METADATA_HOST": f"{LOOPBACK}:{free_port()}"})


async def test_a_start_that_is_cancelled_leaves_nothing_behind() -> None:
    before = asyncio.all_tasks()
    waiting = asyncio.create_task(wait_for_dependencies(made(backend=tcp(free_port())), env={}))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert asyncio.all_tasks() <= before | {waiting}


async def test_without_critical_services_there_is_nothing_to_wait_for() -> None:
    async with asyncio.timeout(DEADLINE):
        await wait_for_dependencies(made(reports=tcp(free_port(), Criticality.OPTIONAL)), env={})
