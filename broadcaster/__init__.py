"""status-broadcaster: service state changes, from a probe to every WebSocket user, as events."""
