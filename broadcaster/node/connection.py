"""One accepted WebSocket: what it must do by itself, in as few bytes as possible. All else is the hub's."""

from __future__ import annotations

import asyncio
import codecs
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State
from websockets.server import ServerProtocol

from broadcaster.protocol import closing
from broadcaster.protocol.closing import Closing

if TYPE_CHECKING:
    from broadcaster.node.audience import Audience
    from broadcaster.node.crowd import Address
    from broadcaster.node.hub import Hub

MAX_MESSAGE_BYTES = 4096
"""What a client may say in one message. It has nothing to say that is longer."""

UNASKED = 0
"""Stands for a descriptor until the first news: asking for it is dear for a handshake. No client has this one."""

_EMPTY_PONG = b"\x8a\x80"
_CLOSE = 0x88


def write_all(connections: Sequence[Connection], frame: bytes) -> None:
    """Hands a frame to many: straight to the kernel where nothing is in the way, by its transport otherwise.

    The way through a transport costs a queue and a second pass over all of them, which is an eighth of a delivery. A
    transport with something to write keeps its order; what the kernel does not take, or refuses, is the transport's to
    go on with. A descriptor is a connection's own until after ``connection_lost``, which takes it off the fan-out
    (uvloop: ``UVBaseTransport._call_connection_lost``; asyncio: ``_SelectorTransport._call_connection_lost``). With TLS
    there is no such way.
    """
    size, write = len(frame), os.write
    for connection in connections:
        transport, descriptor = connection.transport, connection.descriptor
        if not descriptor or transport.get_write_buffer_size():
            if descriptor == UNASKED:
                connection.descriptor = transport.get_extra_info("socket").fileno()
            transport.write(frame)
            continue
        try:
            written = write(descriptor, frame)
        except OSError:
            transport.write(frame)
            continue
        if written != size:
            transport.write(frame[written:])


class Connection(asyncio.Protocol):
    """A client between its handshake and its end.

    Bytes from the client are rare: the answer to our empty ping is recognised as it stands, for anything else a
    ``ServerProtocol`` is made on the first need.
    """

    __slots__ = (
        "address", "answered", "audience", "bucket", "closing", "descriptor", "hub", "is_paused", "protocol", "text",
        "transport",
    )  # fmt: skip

    def __init__(
        self, hub: Hub, transport: asyncio.Transport, address: Address, audience: Audience, *, is_plain: bool
    ) -> None:
        self.hub = hub
        self.transport = transport
        self.address = address
        self.audience = audience
        self.descriptor = UNASKED if is_plain else None
        self.protocol: ServerProtocol | None = None
        self.answered = True  # anything was received since the last ping
        self.text: codecs.IncrementalDecoder | None = None  # of the text message that is being received
        self.is_paused = False
        self.closing: Closing | None = None
        self.bucket = 0

    def data_received(self, data: bytes) -> None:
        self.answered = True
        if self.protocol is None:
            if len(data) == 6 and data[:2] == _EMPTY_PONG:
                return
            if self.closing is not None and data[0] == _CLOSE:
                self.transport.close()  # the answer to our close frame: the handshake is complete
                return
            self.protocol = ServerProtocol(state=State.OPEN, max_size=MAX_MESSAGE_BYTES)
            if self.closing is not None:
                self.protocol.send_close(self.closing.code, self.closing.reason)
                self.protocol.data_to_send()  # on the wire already
        protocol = self.protocol
        protocol.receive_data(data)
        for event in protocol.events_received():
            self._check(event)
        for chunk in protocol.data_to_send():
            if chunk:
                self.transport.write(chunk)
        if protocol.close_expected():
            self.hub.leave(self)
            self.transport.close()

    def _check(self, event: Event) -> None:
        """Clients have nothing to say yet: what they say is checked and dropped.

        Text must be UTF-8 (RFC 6455, section 8.1), which ``ServerProtocol`` leaves to its user; a character may be cut
        by a fragment's end.
        """
        if not isinstance(event, Frame) or event.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return
        if event.opcode is not Opcode.CONT:
            self.text = codecs.getincrementaldecoder("utf-8")() if event.opcode is Opcode.TEXT else None
        if self.text is not None and self.protocol is not None:
            try:
                self.text.decode(bytes(event.data), final=event.fin)
            except UnicodeDecodeError:
                self.protocol.fail(closing.INVALID_DATA.code, closing.INVALID_DATA.reason)

    def eof_received(self) -> None:
        """The transport closes by itself."""

    def pause_writing(self) -> None:
        self.is_paused = True
        self.hub.pause(self)

    def resume_writing(self) -> None:
        self.is_paused = False
        self.hub.resume(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.hub.leave(self)
        self.hub.forget(self)
