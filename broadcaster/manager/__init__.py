"""What a backend embeds: the replica, admission and features, always at hand."""

from broadcaster.manager.manager import (
    Change,
    FeedChanged,
    ServiceAvailabilityManager,
    ServiceChanged,
    SnapshotReplaced,
)

__all__ = ["Change", "FeedChanged", "ServiceAvailabilityManager", "ServiceChanged", "SnapshotReplaced"]
