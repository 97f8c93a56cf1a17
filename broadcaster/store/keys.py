"""Every key and channel name, in one place and under one hash tag (so that a cluster keeps them together)."""

from __future__ import annotations


class Keys:
    """The names of one namespace. An ACL for them is ``~broadcaster:* resetchannels &broadcaster:*``."""

    __slots__ = (
        "channel",
        "detection",
        "evidence",
        "leases",
        "meta",
        "namespace",
        "observed",
        "readers",
        "states",
        "stream",
        "votes",
        "workers",
    )

    def __init__(self, namespace: str) -> None:
        prefix = f"broadcaster:{{{namespace}}}"
        self.namespace = namespace
        self.meta = f"{prefix}:meta"  # hash: epoch, revision, heartbeat
        self.states = f"{prefix}:states"  # hash: service -> StateRecord
        self.observed = f"{prefix}:observed"  # hash: service -> Unix seconds of the last observation
        self.stream = f"{prefix}:stream"  # stream: id <revision>-0, field "r" -> TransitionRecord or PlanRecord
        self.workers = f"{prefix}:workers"  # hash: worker -> Unix seconds of its last sign of life, presence
        self.readers = f"{prefix}:readers"  # hash: reader -> Unix seconds of its last sign of life, presence
        self.leases = f"{prefix}:leases"  # hash: service -> token, worker; ":token" -> the last token given out
        self.detection = f"{prefix}:detection"  # hash: service -> DetectorState, for whoever takes over
        self.votes = f"{prefix}:votes"  # hash for each service (<key>:<service>): worker -> Vote
        self.evidence = f"{prefix}:evidence"  # stream: fields service, failures, slow, reporter
        self.channel = f"{prefix}:feed"  # pub/sub channel: every record

    def __repr__(self) -> str:
        return f"Keys({self.namespace!r})"
