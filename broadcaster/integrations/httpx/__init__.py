"""For httpx, and SDKs that take an httpx client: a circuit breaker around every request."""

from broadcaster.integrations.httpx.transport import FAILED, BreakerTransport, RequestNotPermitted, is_failed

__all__ = ["FAILED", "BreakerTransport", "RequestNotPermitted", "is_failed"]
