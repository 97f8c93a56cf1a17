"""Many clients in one process, at as little cost as Python allows: non-blocking sockets on one epoll.

On the hot path a client costs one ``recv_into`` a shared buffer and one comparison: a frame that has the size of the
one before it in the same broadcast is counted and dropped. Everything else, answers to handshakes, pings, frames in
pieces, is parsed. That every connection got each frame, once, is checked afterwards by the kernel's count of the
bytes it received (``tcp_info``), which costs nothing meanwhile.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import resource
import select
import socket
import struct
import termios
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from scripts.benching.servers import KEY

BATCH = 250
"""Handshakes under way at once."""

STEP_SECONDS = 60.0
"""How long all clients may take for one step before the benchmark gives up."""

MOST_EVENTS = 4096
"""What is asked of epoll at once; its array stays below what malloc would map anew each time."""

PING_BYTES = 8
"""What may be miscounted: a ping that arrives between the kernel's two counts. No frame is that short."""

OTHER_DESCRIPTORS = 300

_END = b"\r\n\r\n"
_RESET = struct.pack("ii", 1, 0)
_TEXT, _BINARY, _CLOSE, _PING = 0x81, 0x82, 0x88, 0x89
_ORDERLY_CLOSE = b"\x88\x82\x00\x00\x00\x00" + (1000).to_bytes(2, "big")  # masked by zeros
_RECEIVED = 128
"""Where ``tcpi_bytes_received`` is in ``struct tcp_info``."""


def request(port: int) -> bytes:
    """An upgrade as a browser sends it from a page of the node's own."""
    return (
        f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\nOrigin: http://127.0.0.1:{port}\r\n\r\n"
    ).encode()


def reset(connection: socket.socket) -> None:
    """Closes at once, without a port that waits for stray segments: thousands would be short in the next round."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    connection.close()


def most_clients() -> int:
    """How many connections this process may have."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] - OTHER_DESCRIPTORS


class Load:
    """Clients of one server. Each method returns when the last of them is so far."""

    def __init__(self, port: int) -> None:
        self._address = ("127.0.0.1", port)
        self._request = request(port)
        self._poller = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._readers: dict[int, Callable[[bytearray], int]] = {}
        self._buffer = bytearray(65536)
        self._in_handshake: set[int] = set()
        self._pieces: dict[int, bytes] = {}  # of what has yet to be complete
        self._ping_bytes: Counter[int] = Counter()
        self._frame_bytes = 0  # of what each was told since the last ``_mark``
        self.size = 0
        """Bytes of the last frame."""

    def __len__(self) -> int:
        return len(self._sockets)

    def connect(self, number: int) -> None:
        """Opens ``number`` connections more, a batch at a time, and reads every handshake to its welcome."""
        for start in range(0, number, BATCH):
            opened = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(min(BATCH, number - start))]
            for one in opened:
                one.setblocking(False)
                one.connect_ex(self._address)
                fd = one.fileno()
                self._sockets[fd], self._readers[fd] = one, one.recv_into
            for one in opened:
                self._ask(one)
            self._read(len(opened))

    def _ask(self, one: socket.socket) -> None:
        try:
            one.send(self._request)
        except BlockingIOError:  # the server's queue was full for a moment
            one.settimeout(STEP_SECONDS)
            one.sendall(self._request)
            one.setblocking(False)
        self._in_handshake.add(one.fileno())
        self._poller.register(one, select.EPOLLIN)

    def read_frame_each(self) -> None:
        """Reads the one frame that the server sends to everybody now."""
        self._read(len(self._sockets))
        self._frame_bytes += self.size

    @contextlib.contextmanager
    def verified(self) -> Iterator[None]:
        """Meanwhile only ``read_frame_each`` reads; after it, every client must have got each frame, and nothing else.

        The garbage collector does not run meanwhile, so that its pauses are not taken for the server's.
        """
        self._frame_bytes = 0
        self._ping_bytes.clear()
        before = {fd: _taken(each) for fd, each in self._sockets.items()}
        gc.collect()
        gc.disable()
        try:
            yield
        finally:
            gc.enable()
        self._take_pings(0.0)
        if self._pieces:
            raise SystemExit(f"{len(self._pieces)} clients have a frame only in part")
        for fd, each in self._sockets.items():
            got, due = _taken(each) - before[fd], self._frame_bytes + self._ping_bytes[fd]
            if abs(got - due) > PING_BYTES:
                raise SystemExit(f"a client got {got} bytes, not {due}")

    def answer_pings(self, seconds: float) -> None:
        """Does nothing else for so long."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            self._take_pings(left)

    def _take_pings(self, seconds: float) -> None:
        """Waits so long for the first."""
        for fd, _ in self._poller.poll(seconds, MOST_EVENTS):
            if self._parse(fd, self._readers[fd](self._buffer)):
                raise SystemExit("a client was told something that it was not to be told")

    def close(self) -> None:
        """Resets all connections; nothing can be done with this any more."""
        for each in self._sockets.values():
            reset(each)
        self._forget(list(self._sockets))
        self._poller.close()

    def close_in_order(self, number: int) -> None:
        """The first ``number`` say goodbye, and wait for the server to close."""
        leaving = list(self._sockets)[:number]
        for fd in leaving:
            self._sockets[fd].send(_ORDERLY_CLOSE)
        waiting = set(leaving)
        deadline = time.monotonic() + STEP_SECONDS
        while waiting:
            if time.monotonic() > deadline:
                raise SystemExit(f"{len(waiting)} clients still wait for their connection's end")
            for fd, _ in self._poller.poll(1.0, MOST_EVENTS):
                if fd not in waiting:
                    self._parse(fd, self._readers[fd](self._buffer))
                elif not self._readers[fd](self._buffer):
                    waiting.discard(fd)
                    self._poller.unregister(fd)
        for fd in leaving:
            reset(self._sockets[fd])
        self._forget(leaving)

    def _forget(self, gone: Sequence[int]) -> None:
        for fd in gone:
            del self._sockets[fd], self._readers[fd]
            self._pieces.pop(fd, None)
            self._in_handshake.discard(fd)

    def _read(self, missing: int) -> None:
        """Reads until so many frames have come."""
        poll, readers, buffer = self._poller.poll, self._readers, self._buffer
        size = -1
        deadline = time.monotonic() + STEP_SECONDS
        try:
            while missing > 0:
                if time.monotonic() > deadline:
                    raise SystemExit(f"{missing} clients still wait after {STEP_SECONDS:g} s")
                for fd, _ in poll(1.0, MOST_EVENTS):
                    got = readers[fd](buffer)
                    if got == size:
                        missing -= 1
                    elif frames := self._parse(fd, got):
                        missing -= frames
                        size = self.size
        except ConnectionError as error:
            raise SystemExit(f"a client's connection broke: {error}") from error

    def _parse(self, fd: int, got: int) -> int:
        """Takes what came for one client as it may come; returns how many whole messages there were."""
        if not got:
            raise SystemExit("the server closed a connection")
        data = self._pieces.pop(fd, b"") + self._buffer[:got]
        if fd in self._in_handshake:
            head, end, data = data.partition(_END)
            if not end:
                self._pieces[fd] = head
                return 0
            if not head.startswith(b"HTTP/1.1 101"):
                raise SystemExit(f"the server refused a handshake: {first_line(head)}")
            self._in_handshake.discard(fd)
        messages = 0
        while size := frame_size(data):
            if data[0] in (_TEXT, _BINARY):
                messages += 1
                self.size = size
            elif data[0] == _PING:
                self._sockets[fd].send(bytes([0x8A, 0x80 | size - 2, 0, 0, 0, 0]) + data[2:size])
                self._ping_bytes[fd] += size
            elif data[0] == _CLOSE:
                raise SystemExit(f"the server closed a connection: {data[4:size].decode()}")
            else:
                raise SystemExit(f"the server sent what is no frame: {bytes(data[:20])!r}")
            data = data[size:]
        if data:
            self._pieces[fd] = data
        return messages


def frame_size(data: bytes) -> int:
    """Bytes of the frame at the beginning, with its head; 0 if it is not complete. Server frames have no mask."""
    if len(data) < 2:
        return 0
    head, payload = 2, data[1]
    if payload == 126:
        head, payload = 4, int.from_bytes(data[2:4], "big")
    elif payload == 127:
        head, payload = 10, int.from_bytes(data[2:10], "big")
    return head + payload if len(data) >= head + payload else 0


def first_line(head: bytes) -> str:
    """Of an HTTP answer: its status."""
    return head.partition(b"\r\n")[0].decode(errors="replace")


def _taken(connection: socket.socket) -> int:
    """Bytes that came over a connection so far, without those that are still unread."""
    received: int = struct.unpack_from("Q", connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256), _RECEIVED)[
        0
    ]
    unread: int = struct.unpack("i", fcntl.ioctl(connection, termios.FIONREAD, bytes(4)))[0]
    return received - unread
