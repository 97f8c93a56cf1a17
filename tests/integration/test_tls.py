"""The node behind a certificate of its own: the same pages, the same sockets, over TLS."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from tests.support.certificates import Certificates, make_certificates
from tests.support.clients import connect
from tests.support.commands import finished
from tests.support.ports import LOOPBACK, free_port
from tests.support.stack import DEADLINE, Program, Stack, run_stack


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    folder = tmp_path / "certificates"
    folder.mkdir()
    return make_certificates(folder)


@asynccontextmanager
async def secure_node(folder: Path, certificates: Certificates) -> AsyncIterator[tuple[Stack, Program]]:
    """A stack with one node, which speaks TLS."""
    tls = {"tls_certificate": str(certificates.certificate), "tls_key": str(certificates.key)}
    async with run_stack(folder, nodes=0, changes={"node": tls}) as stack:
        port = free_port()
        node = stack.program("secure", "serve", "--host", LOOPBACK, "--port", str(port), port=port, env={})
        await node.start()
        try:
            yield stack, node
        finally:
            await node.kill()


async def until_seen(get: Callable[[], Any], expected: object) -> None:
    async with asyncio.timeout(DEADLINE):
        while await get() != expected:
            await asyncio.sleep(0.05)


async def test_pages_and_notices_go_over_tls(tmp_path: Path, certificates: Certificates) -> None:
    """A client that trusts the authority connects, is told of an outage, and is sent away in order."""
    trust = ssl.create_default_context(cafile=str(certificates.authority))
    async with (
        secure_node(tmp_path, certificates) as (stack, node),
        httpx.AsyncClient(verify=trust, trust_env=False, timeout=DEADLINE) as http,
    ):
        base = f"https://{LOOPBACK}:{node.port}"

        async def seen() -> dict[str, str]:
            checks = (await http.get(f"{base}/health/dependencies")).json()["checks"]
            return {check["componentId"]: check["observedValue"] for [check] in checks.values()}

        await until_seen(seen, {"auth": "up", "analytics": "up"})
        assert (await http.get(f"{base}/")).status_code == 200
        url = f"wss://{LOOPBACK}:{node.port}/ws"
        async with connect(url, ssl=trust, origin=websockets.Origin(base)) as client:
            assert set(client.truth()) == {"auth", "analytics"}
            await stack.services["analytics"].kill()
            await client.until_notices("analytics", 1)
            await node.stop()
            assert (await client.closed())[0] == 1012


async def test_whoever_does_not_speak_tls_harms_nobody(tmp_path: Path, certificates: Certificates) -> None:
    """Plain HTTP, garbage, and a client that does not trust us: each is cut off, and the log has no trace."""
    async with secure_node(tmp_path, certificates) as (_, node):
        for said in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\x00" * 100, b""):
            reader, writer = await asyncio.open_connection(LOOPBACK, node.port)
            writer.write(said)
            if not said:
                writer.write_eof()
            async with asyncio.timeout(DEADLINE):
                try:
                    answer = await reader.read()
                except ConnectionError:
                    answer = b""
            assert b"HTTP/" not in answer
            writer.close()
        with pytest.raises(ssl.SSLError):
            await websockets.connect(f"wss://{LOOPBACK}:{node.port}/ws", ssl=ssl.create_default_context(), proxy=None)
        trust = ssl.create_default_context(cafile=str(certificates.authority))
        async with websockets.connect(f"wss://{LOOPBACK}:{node.port}/ws/status", ssl=trust, proxy=None) as socket:
            assert await socket.recv()
        assert "Traceback" not in node.log


@pytest.mark.parametrize("broken", ["no certificate", "no key", "another's key", "an encrypted key"])
async def test_files_that_cannot_be_used_are_told(tmp_path: Path, certificates: Certificates, broken: str) -> None:
    """At the start, with their names, and without a question on the terminal."""
    certificate, key = certificates.certificate, certificates.key
    match broken:
        case "no certificate":
            certificate.unlink()
        case "no key":
            key.unlink()
        case "another's key":
            key = certificates.folder / "authority.key"
        case "an encrypted key":
            key = certificates.folder / "encrypted.key"
            command = [
                "openssl",
                "ec",
                "-in",
                str(certificates.key),
                "-out",
                str(key),
                "-aes256",
                "-passout",
                "pass:secret",
            ]
            subprocess.run(command, check=True, capture_output=True)
    config = tmp_path / "services.yaml"
    config.write_text(
        "services: {a: {probe: {kind: tcp, host: 127.0.0.1, port: 1}}}\n"
        f"node: {{tls_certificate: {certificate}, tls_key: {key}}}\n"
    )
    done = await finished("serve", "--config", str(config), "--port", "0", "--redis-url", "redis://127.0.0.1:1")
    assert done.code == 1, done
    assert "cannot use the TLS files" in done.err
    assert str(key) in done.err
    assert "Traceback" not in done.err
