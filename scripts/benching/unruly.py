"""Clients that do not behave: that read nothing or hardly anything, come all at once, or leave in the middle."""

from __future__ import annotations

import select
import socket
import time
import urllib.request
from dataclasses import dataclass

from scripts.benching.load import MOST_EVENTS, STEP_SECONDS, first_line, frame_size, request, reset

SMALL_WINDOW = 4096
"""Bytes of a receive buffer, so that what a client leaves unread soon is the server's to hold."""

ETHERNET_SEGMENT = 1460
"""Bytes of a segment over Ethernet. A kernel buffers in segments, and those of the loopback have 64 KiB: megabytes for
each client, before its server notices that it does not read."""

SIP_SECONDS = 1.0

_END = b"\r\n\r\n"
_CLOSE = b"\x88"
_PAUSED = 'broadcaster_connections{state="paused"} '


class Stuck:
    """Clients of a node of which ``never`` read nothing after their welcome, and ``slow`` a byte a second."""

    def __init__(self, port: int, *, never: int, slow: int) -> None:
        self._port = port
        self._never = [_with_small_window(port) for _ in range(never)]
        self._slow = [_with_small_window(port) for _ in range(slow)]
        self._next_sip = 0.0

    def sip(self) -> None:
        """Has the slow ones read their byte, if it is time."""
        if time.monotonic() < self._next_sip:
            return
        self._next_sip = time.monotonic() + SIP_SECONDS
        for each in self._slow:
            each.recv(1)

    def paused(self) -> int:
        """How many the node says that it does not write to at present."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=STEP_SECONDS) as answer:
            lines = answer.read().decode().splitlines()
        return round(float(next(line for line in lines if line.startswith(_PAUSED)).removeprefix(_PAUSED)))

    def close(self) -> None:
        for each in (*self._never, *self._slow):
            reset(each)


def _with_small_window(port: int) -> socket.socket:
    """One that has read its welcome."""
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_WINDOW)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, ETHERNET_SEGMENT)
    one.settimeout(STEP_SECONDS)
    one.connect(("127.0.0.1", port))
    one.sendall(request(port))
    got = b""
    while not _is_welcomed(got):
        more = one.recv(4096)
        if not more:
            raise SystemExit("the server closed a connection")
        got += more
    return one


def _is_welcomed(got: bytes) -> bool:
    """Whether a handshake's answer and a welcome are complete. Raises ConnectionError where this is no welcome."""
    head, end, rest = got.partition(_END)
    if end and not head.startswith(b"HTTP/1.1 101"):
        raise ConnectionError(f"refused: {first_line(head)}")
    size = frame_size(rest)
    if rest[size : size + 1] == _CLOSE:
        raise ConnectionError("sent away after the handshake")
    return size > 0


@dataclass(frozen=True)
class Storm:
    """What became of clients that came all at once."""

    seconds: float
    """Until the last that succeeded had its welcome."""

    failed: int
    reasons: tuple[str, ...]


def storm(port: int, number: int) -> Storm:
    """Begins all connections without waiting for any, sends each request as soon as it can, and reads the welcomes."""
    asked = request(port)
    poller = select.epoll()
    waiting: dict[int, socket.socket] = {}
    done: list[socket.socket] = []
    pieces: dict[int, bytes] = {}
    failures: list[str] = []
    began = last = time.monotonic()
    for _ in range(number):
        one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", port))
        poller.register(one, select.EPOLLOUT)
        waiting[one.fileno()] = one
    while waiting and time.monotonic() - began < STEP_SECONDS:
        for fd, event in poller.poll(1.0, MOST_EVENTS):
            one = waiting[fd]
            try:
                if event & select.EPOLLOUT:
                    one.send(asked)
                    poller.modify(fd, select.EPOLLIN)
                    continue
                came = one.recv(65536)
                if not came:
                    raise ConnectionError("closed without a welcome")
                pieces[fd] = pieces.get(fd, b"") + came
                if not _is_welcomed(pieces[fd]):
                    continue
                last = time.monotonic()
            except ConnectionError as error:
                failures.append(str(error))
            poller.unregister(fd)
            done.append(waiting.pop(fd))
    failures += [f"no welcome within {STEP_SECONDS:g} s"] * len(waiting)
    for one in (*done, *waiting.values()):
        reset(one)
    poller.close()
    return Storm(last - began, len(failures), tuple(dict.fromkeys(failures)))


class Halves:
    """Clients that send half a request and go."""

    def __init__(self, port: int, number: int) -> None:
        asked = request(port)
        self._sockets = []
        for _ in range(number):
            one = socket.create_connection(("127.0.0.1", port), STEP_SECONDS)
            one.sendall(asked[: len(asked) // 2])
            self._sockets.append(one)

    def close(self) -> None:
        for each in self._sockets:
            reset(each)
