"""A circuit breaker as a transport of httpx: whatever the client is asked to do, each request of it is one call."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

import httpx

from broadcaster.domain.errors import CallNotPermitted
from broadcaster.manager.breaker import Call, ServiceBreaker

FAILED = frozenset({500, 502, 503, 504, *range(520, 525), 529})
"""Statuses of a service that does not serve. 520 to 524 are what Cloudflare answers for an origin that it does not
reach, 529 is an overloaded LLM API. 429 is none of them: others are served, and the quota is ours."""

_OURS = (CallNotPermitted, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.LocalProtocolError)
"""Errors of requests that were never made: refused by another breaker, without a free connection, or malformed."""


class RequestNotPermitted(CallNotPermitted, httpx.TransportError):
    """A request that the circuit breaker did not let through. Whoever catches errors of httpx catches it."""


def is_failed(response: httpx.Response) -> bool:
    """Whether the status is one of ``FAILED``."""
    return response.status_code in FAILED


class BreakerTransport(httpx.AsyncBaseTransport):
    """Makes each request through ``transport`` (None: a plain ``httpx.AsyncHTTPTransport``) a call of ``breaker``.

    A failure is an ``httpx.TransportError``, also while the body is read, and a response for which ``is_failure`` is
    true: it sees status and headers, and must not read the body. All other answers are successes. Says nothing: a
    request that was cancelled, or never made (``PoolTimeout``, malformed), or broken off by an error of the caller's
    own, as by what it uploads. A response that is closed early is what its headers were.

    A call takes as long as its first bytes are waited for: until the headers, and then for the first of the body,
    without the time between. What comes after is as long as what was asked for, and as its reader is slow, so a stream
    that flows is never slow; one that falls silent ends by httpx's read timeout, which is a failure.

    The permit is held until the body is read or the response is closed; that of one which is forgotten, until it is
    collected. Raises RequestNotPermitted at once, without I/O, for a request that has no permit.
    """

    def __init__(
        self,
        breaker: ServiceBreaker,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        is_failure: Callable[[httpx.Response], bool] = is_failed,
    ) -> None:
        self._breaker = breaker
        self._transport = httpx.AsyncHTTPTransport() if transport is None else transport
        self._is_failure = is_failure

    def __repr__(self) -> str:
        return f"BreakerTransport({self._breaker!r}, {self._transport!r})"

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        loop = asyncio.get_running_loop()
        try:
            call = self._breaker.permit()
        except CallNotPermitted as refused:
            raise RequestNotPermitted(refused.service, refused.retry_after) from None
        try:
            response = await self._transport.handle_async_request(request)
        except BaseException as error:
            call.settle(_verdict(self._breaker, error))
            raise
        try:
            is_failure = self._is_failure(response)
        except BaseException:
            call.settle(None)
            await response.aclose()
            raise
        # A transport that had it all at hand, as a mock does, gives a response whose stream nobody will read.
        if is_failure or response.is_closed or not isinstance(response.stream, httpx.AsyncByteStream):
            call.settle(is_failure)
        else:
            response.stream = _Body(response.stream, self._breaker, call, loop)
        return response

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._transport.__aexit__(exc_type, exc_value, traceback)


class _Body(httpx.AsyncByteStream):
    """The body of a response that is well so far; its end is the call's."""

    def __init__(
        self, stream: httpx.AsyncByteStream, breaker: ServiceBreaker, call: Call, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._stream = stream
        self._breaker = breaker
        self._call: Call | None = call
        self._loop = loop
        self._waited = call.elapsed()
        self._asked: float | None = None  # while the first bytes are waited for

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._asked = self._elapsed()
        try:
            async for part in self._stream:
                self._came()
                yield part
        except GeneratorExit:
            raise  # the reader left, and closes the response now or later, as httpx does at the end of a body
        except BaseException as error:
            self._settle(_verdict(self._breaker, error))
            raise

    async def aclose(self) -> None:
        self._settle(False)
        await self._stream.aclose()

    def __del__(self) -> None:
        # A collector may run on any thread, and in the midst of the breaker's own work.
        if self._call is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to ask
                self._loop.call_soon_threadsafe(_settle_forgotten, self._call, self._waited)

    def _elapsed(self) -> float:
        return 0.0 if self._call is None else self._call.elapsed()

    def _came(self) -> None:
        if self._asked is not None:
            self._waited += self._elapsed() - self._asked
            self._asked = None

    def _settle(self, failed: bool | None) -> None:
        if self._call is not None:
            self._came()
            self._call.settle(failed, duration=self._waited)
            self._call = None


def _settle_forgotten(call: Call, waited: float) -> None:
    call.settle(False, duration=waited)


def _verdict(breaker: ServiceBreaker, error: BaseException) -> bool | None:
    """Whether the error is the service's failure; None where it says nothing of the service."""
    if isinstance(error, _OURS) or breaker.ignores(error) or not isinstance(error, httpx.TransportError):
        return None
    return True
