"""A TCP connection to a host by name: its addresses are tried beside each other, so that a dead one costs little.

This is here because uvloop's ``create_connection`` tries them one after the other only, and because a socket handed to
a client library can be dropped without asking the library.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Iterable
from itertools import chain, zip_longest

STAGGER = 0.25
"""Seconds an address gets before the next is tried beside it (RFC 8305, section 5)."""

Address = tuple[int, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]
"""An address family and what a socket of it connects to."""


async def open_socket(host: str, port: int) -> socket.socket:
    """A connected, non-blocking socket. Raises OSError; cancelled, it leaves no socket behind."""
    return await connect_first(await _resolve(host, port))


async def connect_first(addresses: Iterable[Address]) -> socket.socket:
    """The first connection that comes about. If none does, raises the error that says most about the service."""
    waiting = deque(addresses)
    attempts: set[asyncio.Task[socket.socket]] = set()
    errors: list[OSError] = []
    winner: asyncio.Task[socket.socket] | None = None
    try:
        while winner is None and (waiting or not all(each.done() for each in attempts)):
            if waiting:
                attempts.add(asyncio.create_task(_connect(*waiting.popleft())))
            undecided = {each for each in attempts if not each.done()}
            done, _ = await asyncio.wait(
                undecided, timeout=STAGGER if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            errors += [error for each in done if isinstance(error := each.exception(), OSError)]
            winner = next((each for each in done if each.exception() is None), None)
    except BaseException:
        winner = None
        raise
    finally:
        for each in attempts:
            each.cancel()
            each.add_done_callback(lambda ended: None if ended is winner else _close(ended))
    if winner is not None:
        return winner.result()
    # A refusal comes from the host itself; that an address cannot be reached says more about our own network.
    errors.sort(key=lambda error: not isinstance(error, ConnectionRefusedError))
    raise next(iter(errors), OSError("the name has no address"))


def _close(ended: asyncio.Task[socket.socket]) -> None:
    if not ended.cancelled() and ended.exception() is None:
        ended.result().close()


async def _connect(family: int, address: tuple[str | int | bytes, ...]) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(connection, address)
    except BaseException:
        connection.close()
        raise
    return connection


async def _resolve(host: str, port: int) -> list[Address]:
    """The host's addresses, families taking turns (RFC 8305, section 4)."""
    found = None
    with contextlib.suppress(socket.gaierror):
        # An address needs no resolver, and so no thread that could hang in one.
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    if found is None:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses: list[Address] = [(family, address) for family, _, _, _, address in found]
    first = [each for each in addresses if each[0] == addresses[0][0]]
    others = [each for each in addresses if each[0] != addresses[0][0]]
    return [each for each in chain.from_iterable(zip_longest(first, others)) if each is not None]
