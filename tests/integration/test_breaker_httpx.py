"""A breaker around an httpx client, before a server that fails, hangs and breaks off as it is told."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from broadcaster.domain.breaker import BreakerPolicy, BreakerState
from broadcaster.domain.errors import CallNotPermitted
from broadcaster.integrations.httpx import FAILED, BreakerTransport, RequestNotPermitted, is_failed
from broadcaster.manager.breaker import ServiceBreaker
from tests.support.peers import peer
from tests.support.ports import LOOPBACK, free_port

POLICY = BreakerPolicy(
    minimum_number_of_calls=2, permitted_number_of_calls_in_half_open_state=1, randomized_wait_factor=0
)
SLOW = POLICY.slow_call_duration_threshold + 1


class Service:
    """An HTTP service, a client of it, and the breaker between them on a clock of the test's own.

    Paths: ``/status/NNN``; ``/hang`` never answers; ``/slow`` takes ``SLOW`` by the test's clock; ``/stream`` sends
    chunks, and waits for ``proceed`` between them, ``/late`` before them; ``/broken`` breaks off in the middle of its
    body, ``/silent`` falls silent there, ``/reset`` breaks off before any answer.
    """

    def __init__(self) -> None:
        self.now = 100.0
        self.reported = 0
        self.requests = 0
        self.proceed = asyncio.Event()
        self.proceed.set()
        self.breaker = self._new()

    def _new(self) -> ServiceBreaker:
        return ServiceBreaker("llm", POLICY, clock=lambda: self.now, chance=lambda: 0.5, report=self._report)

    def _report(self, failed: bool) -> None:
        self.reported += 1

    def test(self) -> ServiceBreaker:
        """A new breaker that is half-open, and permits one call."""
        breaker = self.breaker = self._new()
        breaker.transition_to(BreakerState.FORCED_OPEN)
        breaker.transition_to(BreakerState.HALF_OPEN)
        return breaker

    @property
    def seen(self) -> tuple[int, int, int]:
        """Calls, failures and slow calls of the window."""
        metrics = self.breaker.metrics()
        return metrics.calls, metrics.failures, metrics.slow

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                return
            self.requests += 1
            kind, _, argument = head.split()[1].decode().strip("/").partition("/")
            match kind:
                case "status":
                    writer.write(f"HTTP/1.1 {argument} Said\r\nContent-Length: 4\r\n\r\nsaid".encode())
                case "slow":
                    self.now += SLOW
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsaid")
                case "hang":
                    await asyncio.Event().wait()
                case "reset":
                    return
                case _:
                    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                    if kind == "late":  # the headers at once, and then nothing for long
                        await writer.drain()
                        await self.proceed.wait()
                    writer.write(b"3\r\none\r\n")
                    await writer.drain()
                    if kind == "broken":
                        return
                    if kind == "silent":
                        await asyncio.Event().wait()
                    await self.proceed.wait()
                    writer.write(b"3\r\ntwo\r\n0\r\n\r\n")


@asynccontextmanager
async def serving(
    is_failure: Callable[[httpx.Response], bool] = is_failed,
) -> AsyncIterator[tuple[Service, httpx.AsyncClient]]:
    service = Service()
    async with peer(service.handle) as at:
        transport = BreakerTransport(service.breaker, is_failure=is_failure)
        async with httpx.AsyncClient(transport=transport, base_url=at.url(), timeout=5) as client:
            yield service, client


@asynccontextmanager
async def guarded(url: str, breaker: ServiceBreaker) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=BreakerTransport(breaker), base_url=url, timeout=5) as client:
        yield client


@pytest.mark.parametrize("status", [200, 204, 400, 401, 404, 408, 429, 501])
async def test_answers_are_successes(status: int) -> None:
    async with serving() as (service, client):
        await client.get(f"/status/{status}")
        assert (service.seen, service.reported) == ((1, 0, 0), 0)


@pytest.mark.parametrize("status", sorted(FAILED))
async def test_statuses_of_a_service_that_does_not_serve_are_failures(status: int) -> None:
    """The caller gets the answer as it is."""
    async with serving() as (service, client):
        response = await client.get(f"/status/{status}")
        assert (response.status_code, response.text) == (status, "said")
        assert (service.seen, service.reported) == ((1, 1, 0), 1)


def test_the_statuses_that_fail() -> None:
    assert set(FAILED) == {500, 502, 503, 504, 520, 521, 522, 523, 524, 529}


async def test_what_fails_may_be_said_otherwise() -> None:
    async with serving(is_failure=lambda response: is_failed(response) or response.status_code == 429) as made:
        service, client = made
        for path in ("/status/429", "/status/503"):
            await client.get(path)
        assert service.seen == (2, 2, 0)


async def test_a_judge_that_raises_leaks_nothing() -> None:
    """Neither the permit nor the only connection."""

    def judge(response: httpx.Response) -> bool:
        raise LookupError

    service = Service()
    async with peer(service.handle) as at:
        inner = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=1))
        transport = BreakerTransport(service.breaker, inner, is_failure=judge)
        async with httpx.AsyncClient(transport=transport, base_url=at.url()) as client:
            for _ in range(2):
                with pytest.raises(LookupError):
                    await client.get("/stream")
    assert (service.seen, service.breaker.counts.ignored) == ((0, 0, 0), 2)


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/reset", httpx.RemoteProtocolError),
        ("/hang", httpx.ReadTimeout),
        ("/broken", httpx.RemoteProtocolError),
        ("/silent", httpx.ReadTimeout),
    ],
)
async def test_errors_of_the_way_are_failures(path: str, error: type[httpx.TransportError]) -> None:
    """Also in the middle of the body."""
    async with serving() as (service, client):
        with pytest.raises(error):
            await client.get(path, timeout=httpx.Timeout(5, read=0.05))
        assert (service.seen, service.reported) == ((1, 1, 0), 1)


async def test_nobody_listening_is_a_failure() -> None:
    service = Service()
    async with guarded(f"http://{LOOPBACK}:{free_port()}", service.breaker) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("/")
        assert service.seen == (1, 1, 0)


async def test_what_was_never_asked_says_nothing() -> None:
    """A scheme that nobody speaks, a pool without a free connection, and an upload that fails by itself."""

    async def upload() -> AsyncIterator[bytes]:
        yield b"half"
        raise LookupError

    service = Service()
    async with peer(service.handle) as at:
        inner = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=1))
        transport = BreakerTransport(service.breaker, inner)
        async with httpx.AsyncClient(transport=transport, timeout=httpx.Timeout(5, pool=0.01)) as client:
            with pytest.raises(httpx.UnsupportedProtocol):
                await client.get("gopher://example")
            with pytest.raises(LookupError):
                await client.post(at.url(), content=upload())
            async with client.stream("GET", at.url("/status/200")):
                with pytest.raises(httpx.PoolTimeout):
                    await client.get(at.url("/status/200"))
        assert service.seen == (1, 0, 0)
        assert service.breaker.counts.ignored == 3


async def test_an_open_breaker_refuses_as_httpx_would() -> None:
    """Nothing is sent, and the error says which service, when to come again, and which request."""
    async with serving() as (service, client):
        for _ in range(2):
            await client.get("/status/500")
        with pytest.raises(httpx.TransportError) as refused:
            await client.get("/status/200")
        assert isinstance(refused.value, CallNotPermitted)
        assert isinstance(refused.value, RequestNotPermitted)
        assert (refused.value.service, refused.value.retry_after) == ("llm", 5.0)
        assert refused.value.request.url.path == "/status/200"
        assert service.requests == 2
        service.now += 5
        await client.get("/status/200")
        assert service.breaker.state is BreakerState.CLOSED


async def test_a_refusal_by_another_breaker_is_no_failure() -> None:
    outer, inner = Service(), Service()
    inner.breaker.transition_to(BreakerState.FORCED_OPEN)
    transport = BreakerTransport(outer.breaker, BreakerTransport(inner.breaker))
    async with httpx.AsyncClient(transport=transport) as client:
        with pytest.raises(RequestNotPermitted):
            await client.get("http://example/")
    assert (outer.seen, outer.breaker.counts.ignored) == ((0, 0, 0), 1)


async def test_slow_is_what_answers_late() -> None:
    async with serving() as (service, client):
        await client.get("/slow")
        assert (service.seen, service.reported) == ((1, 0, 1), 1)


async def test_a_first_byte_that_comes_late_is_slow() -> None:
    """Headers that came at once do not hide it."""
    async with serving() as (service, client):
        service.proceed.clear()
        async with client.stream("GET", "/late") as response:
            reading = asyncio.create_task(response.aread())
            while not reading.done() and not response.is_stream_consumed:
                await asyncio.sleep(0)
            service.now += SLOW
            service.proceed.set()
            assert await reading == b"onetwo"
        assert service.seen == (1, 0, 1)


async def test_a_stream_that_flows_is_not_slow() -> None:
    """Neither what it takes, nor what its reader does before it reads, and meanwhile."""
    async with serving() as (service, client):
        service.proceed.clear()
        async with client.stream("GET", "/stream") as response:
            service.now += SLOW
            async for part in response.aiter_raw():
                assert part in (b"one", b"two")
                assert service.seen == (0, 0, 0)
                service.now += SLOW
                service.proceed.set()
        assert service.seen == (1, 0, 0)


async def test_a_stream_that_breaks_off_late_has_failed_and_was_not_slow() -> None:
    async with serving() as (service, client):
        async with client.stream("GET", "/broken") as response:
            parts = aiter(response.aiter_raw())
            assert await anext(parts) == b"one"
            service.now += SLOW
            with pytest.raises(httpx.RemoteProtocolError):
                await anext(parts)
        assert service.seen == (1, 1, 0)


@pytest.mark.parametrize("reads", [False, True])
async def test_a_response_that_is_closed_early_is_what_its_headers_were(reads: bool) -> None:
    service = Service()
    async with peer(service.handle) as at, guarded(at.url(), service.test()) as client:
        async with client.stream("GET", "/silent") as response:
            if reads:
                async for _ in response.aiter_raw():
                    break
        assert service.breaker.state is BreakerState.CLOSED


async def test_a_reader_that_leaves_does_not_close_the_response() -> None:
    """Closing it does, and frees the connection."""
    service = Service()
    async with peer(service.handle) as at:
        inner = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=1))
        transport = BreakerTransport(service.test(), inner)
        async with httpx.AsyncClient(transport=transport, base_url=at.url(), timeout=5) as client:
            async with client.stream("GET", "/silent") as response:
                assert isinstance(response.stream, httpx.AsyncByteStream)
                reading = aiter(response.stream)
                assert await anext(reading) == b"one"
                del reading
                gc.collect()
                for _ in range(5):  # the loop ends what was left
                    await asyncio.sleep(0)
                assert service.breaker.state is BreakerState.HALF_OPEN
            assert service.breaker.metrics().state is BreakerState.CLOSED
            async with client.stream("GET", "/silent"):
                pass
            assert (await client.get("/status/200")).text == "said"


async def test_a_response_that_is_forgotten_gives_its_permit_back() -> None:
    """When it is collected; a half-open breaker goes on then."""
    service = Service()
    async with peer(service.handle) as at, guarded(at.url(), service.test()) as client:
        response = await client.send(client.build_request("GET", "/silent"), stream=True)
        with pytest.raises(RequestNotPermitted):
            await client.get("/status/200")
        del response
        gc.collect()
        assert service.breaker.state is BreakerState.HALF_OPEN  # not from within the collector
        await asyncio.sleep(0)
        assert service.breaker.state.value == "closed"


async def test_a_request_that_is_cancelled_says_nothing_wherever_it_was() -> None:
    """Cancelled one turn of the loop later each time, until it is through: no permit is lost on the way."""
    service = Service()
    async with peer(service.handle) as at:
        said_nothing, is_through = 0, False
        for turns in itertools.count():
            breaker = service.test()
            async with guarded(at.url(), breaker) as client:
                asking = asyncio.create_task(client.get("/stream"))
                for _ in range(turns):
                    await asyncio.sleep(0)
                asking.cancel()
                (result,) = await asyncio.gather(asking, return_exceptions=True)
            is_through = isinstance(result, httpx.Response)
            assert is_through or isinstance(result, asyncio.CancelledError)
            if breaker.state is BreakerState.HALF_OPEN:  # else it had come already, and was being put away
                said_nothing += 1
                breaker.permit().settle(None)
            else:
                assert breaker.state is BreakerState.CLOSED
            if is_through:
                break
        assert said_nothing > 5
        assert breaker.state is BreakerState.CLOSED


async def test_a_response_that_was_at_hand_ends_its_call() -> None:
    """A mock gives one that is read already: nobody will read, or close, its stream."""
    service = Service()
    mock = httpx.MockTransport(lambda request: httpx.Response(200, json={"said": "yes"}))
    async with httpx.AsyncClient(transport=BreakerTransport(service.breaker, mock)) as client:
        assert (await client.get("http://example/")).json() == {"said": "yes"}
    assert service.seen == (1, 0, 0)


async def test_each_redirect_is_a_call() -> None:
    service = Service()
    mock = httpx.MockTransport(
        lambda request: (
            httpx.Response(307, headers={"Location": "/there"}) if request.url.path == "/" else httpx.Response(502)
        )
    )
    transport = BreakerTransport(service.breaker, mock)
    async with httpx.AsyncClient(transport=transport, follow_redirects=True) as client:
        await client.get("http://example/")
    assert service.seen == (2, 1, 0)


async def test_it_closes_what_it_wraps() -> None:
    closed: list[str] = []

    class Inner(httpx.MockTransport):
        async def aclose(self) -> None:
            closed.append("inner")

    transport = BreakerTransport(Service().breaker, Inner(lambda request: httpx.Response(200)))
    async with httpx.AsyncClient(transport=transport):
        pass
    await transport.aclose()
    assert closed == ["inner", "inner"]
