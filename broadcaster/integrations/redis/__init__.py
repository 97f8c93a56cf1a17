"""For redis-py's asyncio client: a circuit breaker around every command."""

from broadcaster.integrations.redis.client import guard
from broadcaster.integrations.redis.errors import CommandNotPermitted

__all__ = ["CommandNotPermitted", "guard"]
