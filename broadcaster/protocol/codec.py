"""Messages and records to bytes and back. The only place that knows they are JSON."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from broadcaster.domain.errors import ProtocolError
from broadcaster.protocol.messages import AnyMessage, Message
from broadcaster.protocol.records import AnyRecord, Record, StateRecord

T = TypeVar("T")

_encoder = msgspec.json.Encoder()
_message: msgspec.json.Decoder[AnyMessage] = msgspec.json.Decoder(AnyMessage)
_record: msgspec.json.Decoder[AnyRecord] = msgspec.json.Decoder(AnyRecord)
_state = msgspec.json.Decoder(StateRecord)


def encode(value: Message | Record | StateRecord) -> bytes:
    """The value as compact JSON in UTF-8."""
    return _encoder.encode(value)


def decode_message(data: bytes | str) -> AnyMessage:
    """A node's message. Raises ProtocolError with the path of what does not fit."""
    return _decode(_message, data, "message")


def decode_record(data: bytes | str) -> AnyRecord:
    """A record of the channel or the stream. Raises ProtocolError with the path of what does not fit."""
    return _decode(_record, data, "record")


def decode_state(data: bytes | str) -> StateRecord:
    """A state of the snapshot hash. Raises ProtocolError with the path of what does not fit."""
    return _decode(_state, data, "state")


def _decode(decoder: msgspec.json.Decoder[T], data: bytes | str, what: str) -> T:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolError(f"not a {what} of this protocol: {error}") from error
