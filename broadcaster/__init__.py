"""status-broadcaster: service state changes, from a probe to every WebSocket user, as events."""

__version__ = "0.1.0"
