"""A load balancer for a test: one address before several servers; the first that takes a connection gets it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tests.support.ports import LOOPBACK

CHUNK = 65_536


class Balancer:
    """``taken`` counts the connections that each server was given, by its port."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.taken = dict.fromkeys(ports, 0)
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client's connection, until either side ends it: then the other is cut off, too, as by a dead server."""
        try:
            for port in self.taken:
                with contextlib.suppress(OSError):
                    server_reader, server_writer = await asyncio.open_connection(LOOPBACK, port)
                    break
            else:
                return
            self.taken[port] += 1
            try:
                copies = (_copy(reader, server_writer), _copy(server_reader, writer))
                _, pending = await asyncio.wait(map(asyncio.ensure_future, copies), return_when="FIRST_COMPLETED")
                for each in pending:
                    each.cancel()
                await asyncio.wait(pending)
            finally:
                server_writer.transport.abort()
        finally:
            writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def balancing(ports: Sequence[int]) -> AsyncIterator[Balancer]:
    """Listens on a free port before the servers on ``ports``, in that order of preference."""
    balancer = Balancer(ports)
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.ensure_future(balancer.handle(reader, writer))
        connections.add(connection)
        connection.add_done_callback(connections.discard)

    server = await asyncio.start_server(accept, LOOPBACK, 0, backlog=1024)
    balancer.port = server.sockets[0].getsockname()[1]
    try:
        yield balancer
    finally:
        server.close()
        for each in list(connections):
            each.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
