"""The WebSocket node: gate, hub, heartbeat and HTTP on one port."""
