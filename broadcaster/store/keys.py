"""Every key and channel name, in one place and under one hash tag (so that a cluster keeps them together)."""

from __future__ import annotations


class Keys:
    """The names of one namespace. An ACL for them is ``~broadcaster:* resetchannels &broadcaster:*``."""

    __slots__ = ("channel", "meta", "namespace", "observed", "states", "stream")

    def __init__(self, namespace: str) -> None:
        prefix = f"broadcaster:{{{namespace}}}"
        self.namespace = namespace
        self.meta = f"{prefix}:meta"  # hash: epoch, revision, heartbeat
        self.states = f"{prefix}:states"  # hash: service -> StateRecord
        self.observed = f"{prefix}:observed"  # hash: service -> Unix seconds of the last observation
        self.stream = f"{prefix}:stream"  # stream: id <revision>-0, field "r" -> TransitionRecord
        self.channel = f"{prefix}:feed"  # pub/sub channel: every record

    def __repr__(self) -> str:
        return f"Keys({self.namespace!r})"
