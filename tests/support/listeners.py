"""A TCP port that can be opened and closed: it takes connections, and ends them at once."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from tests.support.ports import LOOPBACK, free_port

BACKLOG = 1024


class Listener:
    """A TCP service that opens and closes, always on one port.

    It has no transports: an asyncio server that is closed in the very turn in which it accepts leaves, on Python 3.11,
    sockets behind that nobody closes.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self._socket: socket.socket | None = None

    def open(self) -> None:
        self._socket = socket.create_server((LOOPBACK, self.port), backlog=BACKLOG)
        self._socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self._socket, self._accept, self._socket)

    def close(self) -> None:
        """Refuses connections from now on; does nothing when it is closed."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    @staticmethod
    def _accept(listening: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while True:
                listening.accept()[0].close()
