"""What a node counts: plain integers on the hot paths."""

from __future__ import annotations

from collections import Counter


class NodeCounts:
    """Counts since the start. Single-threaded: only the event loop changes them."""

    __slots__ = ("closed", "handshakes", "messages", "refused", "resumed")

    def __init__(self) -> None:
        self.handshakes: Counter[str] = Counter()  # by verdict
        self.refused: Counter[int] = Counter()  # by HTTP status
        self.closed: Counter[str] = Counter()  # by the closing's name
        self.messages: Counter[str] = Counter()  # frames handed to transports, by message type
        self.resumed = 0  # slow clients put back on the fan-out
