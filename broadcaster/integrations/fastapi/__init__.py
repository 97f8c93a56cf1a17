"""For FastAPI: routes that name what they require, what they answer without it, and health pages."""

from broadcaster.domain.admission import Admission
from broadcaster.integrations.asgi.lifespan import lifespan
from broadcaster.integrations.fastapi.dependency import RESPONSES, ServiceUnavailable, available
from broadcaster.integrations.fastapi.install import install

__all__ = ["RESPONSES", "Admission", "ServiceUnavailable", "available", "install", "lifespan"]
