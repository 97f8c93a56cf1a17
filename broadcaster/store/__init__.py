"""The carrier: how state and events are kept in Redis and read from it."""
