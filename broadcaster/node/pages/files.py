"""Files that are there for everybody, read once: scripts, styles, pictures."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broadcaster.node.pages.templating import Rendered, answer, rendered


def file_route(prefix: str, directory: Path, headers: Mapping[str, str], *, index: str = "") -> Route:
    """All files of a directory and the folders in it under a prefix, as they are now; 404 for what is not there. With
    ``index`` that file is what is at the prefix itself."""
    found = {
        path.relative_to(directory).as_posix(): _read(path) for path in sorted(directory.rglob("*")) if path.is_file()
    }

    async def file(request: Request) -> Response:
        wanted = found.get(request.path_params["path"] or index)
        if wanted is None:
            raise HTTPException(404)
        return answer(request, wanted, headers)

    return Route(f"{prefix}/{{path:path}}", file)


def sdk_directory() -> Path:
    """Where the browser client's modules are, which pages of the same host import from ``/sdk``."""
    return web_directory("broadcaster.node", "sdk", checkout="src")


def web_directory(package: str, name: str, *, checkout: str) -> Path:
    """Where files for browsers are: inside the installed ``package`` as ``name``, or in a checkout beside it."""
    packaged = Path(str(files(package).joinpath(name)))
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "clients" / "web" / checkout


def _read(path: Path) -> Rendered:
    kind = "text/javascript" if path.suffix == ".js" else mimetypes.guess_type(path.name)[0]
    return rendered(path.read_bytes(), kind or "application/octet-stream")
