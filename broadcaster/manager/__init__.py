"""What a backend embeds: the replica, admission and features, always at hand."""

from broadcaster.manager.attachments import asks_for_notices
from broadcaster.manager.changes import (
    Change,
    ChangeStream,
    FeedChanged,
    PlanChanged,
    ServiceChanged,
    SnapshotReplaced,
)
from broadcaster.manager.manager import ServiceAvailabilityManager

__all__ = [
    "Change",
    "ChangeStream",
    "FeedChanged",
    "PlanChanged",
    "ServiceAvailabilityManager",
    "ServiceChanged",
    "SnapshotReplaced",
    "asks_for_notices",
]
