"""For any ASGI application (Starlette, FastAPI, Litestar, Django Channels): a gate before it, health routes in it."""

from broadcaster.integrations.asgi.gate import ServiceGate
from broadcaster.integrations.asgi.health import health_routes
from broadcaster.integrations.asgi.lifespan import lifespan

__all__ = ["ServiceGate", "health_routes", "lifespan"]
