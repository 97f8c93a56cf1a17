"""A change as a message to somebody who is told a catalogue, or a part of one."""

from __future__ import annotations

from typing import assert_never

from broadcaster.domain.model import Catalogue, FeedState
from broadcaster.manager.changes import Change, FeedChanged, PlanChanged, ServiceChanged, SnapshotReplaced
from broadcaster.protocol import notices
from broadcaster.protocol.messages import Message


def message(
    catalogue: Catalogue, change: Change, feed: FeedState, now: float, *, internal: bool = False
) -> Message | None:
    """What is told of a change; None where the catalogue does not announce what changed."""
    match change:
        case ServiceChanged(service=service):
            if not catalogue.is_announced(service):
                return None
            return notices.notice(
                catalogue,
                change.before,
                change.after,
                change.kind,
                service,
                change.at,
                local=change.local,
                incident=change.incident,
                internal=internal,
            )
        case PlanChanged(change=planned):
            if not catalogue.is_announced(planned.service):
                return None
            return notices.plan_notice(catalogue, change.before, change.after, planned, internal=internal)
        case SnapshotReplaced(after=after):
            return notices.snapshot_message(catalogue, after, feed, now, internal=internal)
        case FeedChanged(state=state):
            return notices.feed_notice(state, now)
        case _ as unknown:
            assert_never(unknown)
