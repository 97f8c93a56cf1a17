"""WebSocket frames, encoded once for all. Server frames are not masked, so the bytes are the same for everybody."""

from __future__ import annotations

from websockets.frames import Close, Frame, Opcode

from broadcaster.protocol import codec
from broadcaster.protocol.closing import Closing
from broadcaster.protocol.messages import Message

PING = Frame(Opcode.PING, b"").serialize(mask=False)
"""A ping without payload: every pong it draws is the same six bytes but for the mask."""


def text_frame(message: Message) -> bytes:
    return Frame(Opcode.TEXT, codec.encode(message)).serialize(mask=False)


def close_frame(closing: Closing) -> bytes:
    return Frame(Opcode.CLOSE, Close(closing.code, closing.reason).serialize()).serialize(mask=False)
