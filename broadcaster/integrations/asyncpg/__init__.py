"""For asyncpg: a circuit breaker around all that is done with a pool."""

from broadcaster.integrations.asyncpg.errors import ConnectionNotPermitted
from broadcaster.integrations.asyncpg.pool import BreakerPool

__all__ = ["BreakerPool", "ConnectionNotPermitted"]
