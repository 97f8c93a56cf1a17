"""What a backend embeds: the replica, admission and features, always at hand."""

from broadcaster.domain.admission import Admission, Verdict
from broadcaster.domain.breaker import BreakerPolicy, BreakerState
from broadcaster.domain.errors import CallNotPermitted, DependenciesUnmet, QueueFull
from broadcaster.domain.freshness import Freshness
from broadcaster.domain.model import EventKind, FeedState, Status
from broadcaster.manager.attachments import asked_locale, asks_for_notices
from broadcaster.manager.changes import (
    Change,
    ChangeStream,
    FeedChanged,
    PlanChanged,
    ServiceChanged,
    SnapshotReplaced,
)
from broadcaster.manager.degradation import Outcome
from broadcaster.manager.manager import Mode, ServiceAvailabilityManager

__all__ = [
    "Admission",
    "BreakerPolicy",
    "BreakerState",
    "CallNotPermitted",
    "Change",
    "ChangeStream",
    "DependenciesUnmet",
    "EventKind",
    "FeedChanged",
    "FeedState",
    "Freshness",
    "Mode",
    "Outcome",
    "PlanChanged",
    "QueueFull",
    "ServiceAvailabilityManager",
    "ServiceChanged",
    "SnapshotReplaced",
    "Status",
    "Verdict",
    "asked_locale",
    "asks_for_notices",
]
