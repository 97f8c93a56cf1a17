"""What somebody is told who cannot be served: the message, the close, and when to come back."""

from __future__ import annotations

from typing import Any

import msgspec

from broadcaster.domain.admission import Admission
from broadcaster.domain.languages import ENGLISH
from broadcaster.domain.model import Catalogue, Snapshot
from broadcaster.domain.reconnects import after_rejection
from broadcaster.protocol import codec, notices
from broadcaster.protocol.closing import UNAVAILABLE, Closing
from broadcaster.protocol.messages import Rejected


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """One answer to one who is refused. ``closing`` is how a WebSocket ends after ``message``."""

    message: Rejected
    closing: Closing

    @property
    def text(self) -> str:
        """The message as a WebSocket's text."""
        return codec.encode(self.message).decode()

    @property
    def retry_after(self) -> int:
        """Whole seconds, for the header ``Retry-After``; at least 1."""
        return max(1, round(self.message.retry_after_ms / 1000))

    def problem(self) -> dict[str, Any]:
        """The same as ``application/problem+json`` (RFC 9457), for an HTTP answer with status 503."""
        message = self.message
        return {
            "type": "about:blank",
            "title": "Service Unavailable",
            "status": 503,
            "detail": message.text,
            "lang": message.lang or ENGLISH,
            "services": msgspec.to_builtins(message.services),
            "features": msgspec.to_builtins(message.features),
            "retry_after_ms": message.retry_after_ms,
        }


def refusal(
    catalogue: Catalogue,
    admission: Admission,
    snapshot: Snapshot,
    now: float,
    *,
    chance: float,
    least: float,
    most: float,
) -> Refusal:
    """For one who asks now, or for all who do in this moment and get this ``chance`` (0 to 1) of a time to come back;
    see ``after_rejection``."""
    outage = max(0.0, now - min(snapshot.state(name).since or now for name in admission.blocking))
    wait = after_rejection(chance, outage=outage, least=least, most=most)
    return Refusal(
        message=notices.rejected(catalogue, admission, snapshot, now, round(wait * 1000)),
        closing=UNAVAILABLE.with_reason(notices.closing_reason(catalogue, admission, snapshot, now)),
    )
