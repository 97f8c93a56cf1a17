"""For servers made with the ``websockets`` library: a gate around a handler, or before the upgrade."""

from broadcaster.integrations.websockets.gate import WebSocketGate, select_subprotocol

__all__ = ["WebSocketGate", "select_subprotocol"]
