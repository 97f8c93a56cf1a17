"""One HTTP exchange of a probe: a fresh connection, bounded answers, no proxies from the environment, no logging.

It goes to httpx's transport directly, past its client: that one logs every URL, follows redirects with all headers
and unpacks bodies of any size.
"""

from __future__ import annotations

import base64
import ssl
import zlib
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import unquote

import httpx
import msgspec

from broadcaster.domain.model import Category
from broadcaster.probes.classify import Finding, classify, failed
from broadcaster.probes.tls import ClientTls

MAX_BODY = 64 * 1024
"""Bytes read of an answer's body, packed or unpacked."""

MAX_REDIRECTS = 5

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Never used, as nothing is encrypted; but httpx makes one for each transport that is given none, for 0.2 ms."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back. ``is_cut`` says that the body was longer than what is kept of it."""

    status: int
    headers: httpx.Headers
    body: bytes
    is_cut: bool = False

    @property
    def media_type(self) -> str:
        return str(self.headers.get("content-type", "")).partition(";")[0].strip().lower()


async def fetch(
    url: str,
    *,
    tls: ClientTls,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    follow_redirects: bool = False,
) -> Answer:
    """Sends one request, and what it is redirected to if asked. Credentials in the URL go as basic authentication.

    Raises what httpx raises. Cancelled, it drops the connection at once.
    """
    request = _request(method, url, headers or {}, body)
    for _ in range(MAX_REDIRECTS):
        answer = await _exchange(request, tls)
        target = answer.headers.get("location", "")
        if not (follow_redirects and answer.status in _REDIRECTS and target):
            return answer
        request = _redirected(request, answer.status, target, body)
    raise httpx.TooManyRedirects(f"more than {MAX_REDIRECTS - 1} redirects")


def http_meaning(error: Exception) -> Finding | None:
    """What httpx's own errors say of a service; None for those that are told by their causes."""
    match error:
        case httpx.RemoteProtocolError():
            # "Server disconnected without sending a response." and "peer closed connection without sending …".
            cut_off = "disconnected" in str(error) or "closed connection" in str(error)
            return failed(Category.RESET if cut_off else Category.BAD_RESPONSE, str(error))
        case httpx.TooManyRedirects() | httpx.DecodingError():
            return failed(Category.BAD_RESPONSE, str(error))
        case httpx.ReadError() | httpx.WriteError() if classify(error) is Category.INTERNAL:
            return failed(Category.RESET, str(error) or "the connection was lost")
        case httpx.InvalidURL() | httpx.UnsupportedProtocol():
            return failed(Category.INTERNAL, f"the URL cannot be used: {error}")
    return None


def _request(method: str, url: str | httpx.URL, headers: Mapping[str, str], body: bytes) -> httpx.Request:
    target = httpx.URL(url)
    if target.scheme not in {"http", "https"} or not target.host:
        raise httpx.UnsupportedProtocol("not an http:// or https:// URL with a host")
    sent = httpx.Headers({"accept": "*/*", "accept-encoding": "identity", "user-agent": "status-broadcaster"})
    if target.userinfo and "authorization" not in httpx.Headers(headers):
        sent["authorization"] = "Basic " + base64.b64encode(unquote(target.userinfo.decode()).encode()).decode()
    sent.update(headers)
    sent["connection"] = "close"
    return httpx.Request(method, target.copy_with(username=None, password=None), headers=sent, content=body or None)


def _redirected(request: httpx.Request, status: int, location: str, body: bytes) -> httpx.Request:
    target = request.url.join(location)
    becomes_get = status == 303 or (status in {301, 302} and request.method == "POST")
    kept = request.headers.copy()
    for name in ("host", "content-length", "transfer-encoding"):
        kept.pop(name, None)
    origin = (request.url.scheme, request.url.host, request.url.port)
    if (target.scheme, target.host, target.port) != origin:
        # Whatever the settings send is meant for the host they name: it may well be a key.
        kept = httpx.Headers({"accept": "*/*", "accept-encoding": "identity"})
    return _request("GET" if becomes_get else request.method, target, kept, b"" if becomes_get else body)


async def _exchange(request: httpx.Request, tls: ClientTls) -> Answer:
    if request.url.scheme == "https":
        request.extensions["sni_hostname"] = tls.server_name(request.url.host)
        transport = httpx.AsyncHTTPTransport(verify=tls.context(), trust_env=False)
    else:
        transport = httpx.AsyncHTTPTransport(verify=_NO_TLS, trust_env=False)
    async with AsyncExitStack() as opened, transport:

        async def note(event: str, info: Mapping[str, Any]) -> None:
            # httpcore forgets a connection that is cancelled while TLS is agreed on. Closing one twice does no harm.
            if event == "connection.connect_tcp.complete":
                opened.push_async_callback(info["return_value"].aclose)

        request.extensions["trace"] = note
        response = await transport.handle_async_request(request)
        try:
            packed, is_cut = await _read(response)
        finally:
            await response.aclose()
    unpacked, overflows = _unpack(packed, response.headers.get("content-encoding", "identity").strip().lower())
    return Answer(status=response.status_code, headers=response.headers, body=unpacked, is_cut=is_cut or overflows)


async def _read(response: httpx.Response) -> tuple[bytes, bool]:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_BODY:
            return bytes(body[:MAX_BODY]), True
    return bytes(body), False


def _unpack(body: bytes, encoding: str) -> tuple[bytes, bool]:
    """The body as it was before it was packed, as far as MAX_BODY: a few bytes can unpack to gigabytes."""
    if encoding not in {"gzip", "x-gzip", "deflate"} or not body:
        return body, False
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        unpacked = unpacker.decompress(body, MAX_BODY)
    except zlib.error as error:
        raise httpx.DecodingError(f"the body is not {encoding}: {error}") from error
    return unpacked, bool(unpacker.unconsumed_tail)
