"""Follows a status-broadcaster node: what services and features are, as it changes, over any number of connections."""

from broadcaster_client.errors import (
    ClientError,
    Closed,
    Ended,
    OutOfDate,
    ProtocolError,
    ProxyUnusable,
    Refused,
    UnknownName,
)
from broadcaster_client.feed import Feed, connect
from broadcaster_client.messages import (
    Criticality,
    Feature,
    FeatureStatus,
    FeedState,
    Internal,
    Kind,
    Plan,
    PlannedWork,
    Position,
    Service,
    Status,
)
from broadcaster_client.notices import (
    FeedChanged,
    FellBehind,
    Knowledge,
    Link,
    LinkChanged,
    Notice,
    ServiceChanged,
    Snapshot,
    WorkPlanned,
)

__version__ = "0.1.0"

__all__ = [
    "ClientError",
    "Closed",
    "Criticality",
    "Ended",
    "Feature",
    "FeatureStatus",
    "Feed",
    "FeedChanged",
    "FeedState",
    "FellBehind",
    "Internal",
    "Kind",
    "Knowledge",
    "Link",
    "LinkChanged",
    "Notice",
    "OutOfDate",
    "Plan",
    "PlannedWork",
    "Position",
    "ProtocolError",
    "ProxyUnusable",
    "Refused",
    "Service",
    "ServiceChanged",
    "Snapshot",
    "Status",
    "UnknownName",
    "WorkPlanned",
    "connect",
]
