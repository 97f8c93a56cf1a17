"""The catalogue of close codes: number, reason and what a client should do stand together, once.

Ranges (source: RFC 6455, section 7.4, and centrifuge's convention for application codes): 1000-2999 belong to the
protocol; of ours, 3000-3499 mean reconnect, 3500-3999 mean do not.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

MAX_REASON_BYTES = 123


class Reconnect(StrEnum):
    """What a client should do after a close."""

    AFTER_RETRY = "after_retry"  # wait the announced retry_after_ms, or back off with jitter
    BACK_OFF = "back_off"  # back off with jitter
    NO = "no"  # reconnecting cannot help


class Closing(msgspec.Struct, frozen=True):
    """One way a connection ends."""

    code: int
    name: str
    reason: str
    reconnect: Reconnect

    def with_reason(self, reason: str) -> Closing:
        """The same closing with a more telling reason, cut to what a close frame can carry."""
        return msgspec.structs.replace(self, reason=fit_reason(reason))


NORMAL = Closing(1000, "normal", "goodbye", Reconnect.NO)
PROTOCOL_ERROR = Closing(1002, "protocol_error", "frames that are not valid WebSocket", Reconnect.NO)
INVALID_DATA = Closing(1007, "invalid_data", "text that is not UTF-8", Reconnect.NO)
TOO_BIG = Closing(1009, "too_big", "message too big; this endpoint needs none from you", Reconnect.NO)
UNAVAILABLE = Closing(1011, "unavailable", "a required service is down", Reconnect.AFTER_RETRY)
RESTART = Closing(1012, "restart", "this node restarts; please reconnect", Reconnect.AFTER_RETRY)
OVERLOADED = Closing(1013, "overloaded", "too many connections here; try again later", Reconnect.AFTER_RETRY)
SLOW = Closing(3000, "slow", "not reading fast enough; reconnect for a fresh snapshot", Reconnect.BACK_OFF)
SILENT = Closing(3001, "silent", "no answer to our pings", Reconnect.BACK_OFF)
UNKNOWN_NAME = Closing(3500, "unknown_name", "you asked for a name that is not here", Reconnect.NO)

CATALOGUE = (
    NORMAL, PROTOCOL_ERROR, INVALID_DATA, TOO_BIG, UNAVAILABLE, RESTART, OVERLOADED, SLOW, SILENT, UNKNOWN_NAME
)  # fmt: skip


def fit_reason(text: str) -> str:
    """``text`` cut to 123 bytes of UTF-8 (RFC 6455, section 5.5) at a character, with an ellipsis if cut."""
    encoded = text.encode()
    if len(encoded) <= MAX_REASON_BYTES:
        return text
    return encoded[: MAX_REASON_BYTES - 3].decode(errors="ignore").rstrip() + "…"
