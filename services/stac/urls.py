"""Where a client sees this application: under a root path, mounted in another application."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection
    from starlette.types import Scope


def base_url(connection: HTTPConnection) -> str:
    """Return the URL of the application that answers, without a slash at its end.

    `starlette.requests.Request.base_url` is that of the outermost application, whatever is mounted in it. Headers of
    proxies are not looked at here: `services.proxy` knows whose are believed.
    """
    scope = connection.scope
    host = connection.headers.get("host") or ":".join(map(str, scope.get("server") or ("localhost",)))
    return f"{scope.get('scheme', 'http')}://{host}{quote(scope.get('root_path', '').rstrip('/'))}"


def route_path(scope: Scope) -> str:
    """Return the path of a request below its application, decoded."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    return path.removeprefix(root) if not root or path.startswith(f"{root}/") else path
