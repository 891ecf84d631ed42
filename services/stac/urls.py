"""Where a client sees this application: behind proxies, under a root path, mounted in another application."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection
    from starlette.types import ASGIApp, Receive, Scope, Send

_PORTS: Final = {"http": 80, "https": 443}

_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")

_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")

_PAIR: Final = re.compile(r'(proto|host)\s*=\s*(?:"([^"]*)"|([^\s;,"]+))', re.IGNORECASE)


def base_url(connection: HTTPConnection) -> str:
    """Return the URL of the application that answers, without a slash at its end.

    `starlette.requests.Request.base_url` is that of the outermost application, whatever is mounted in it.
    """
    scope = connection.scope
    host = connection.headers.get("host") or ":".join(map(str, scope.get("server") or ("localhost",)))
    return f"{scope.get('scheme', 'http')}://{host}{quote(scope.get('root_path', '').rstrip('/'))}"


def route_path(scope: Scope) -> str:
    """Return the path of a request below its application, decoded."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    return path.removeprefix(root) if not root or path.startswith(f"{root}/") else path


class ForwardedMiddleware:
    """Take scheme, host and prefix from ``Forwarded`` or ``X-Forwarded-*``, as the nearest proxy saw the client.

    stac-fastapi's own breaks on IPv6 hosts, on lists of proxies, and on bytes that are not UTF-8. What makes no host
    or scheme is ignored.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as the application does that knows where it is seen."""
        await self.app(_as_seen(scope) if scope["type"] == "http" else scope, receive, send)


def _as_seen(scope: Scope) -> Scope:
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    scheme, host = _forwarded(headers)
    changed = dict(scope)
    if scheme in _PORTS:
        changed["scheme"] = scheme
    if host and _HOST.fullmatch(host):
        changed["headers"] = [
            *((name, value) for name, value in scope["headers"] if name.lower() != b"host"),
            (b"host", _without_default_port(host, changed["scheme"]).encode()),
        ]
    prefix = _first(headers.get(b"x-forwarded-prefix", "")).rstrip("/")
    if _PREFIX.fullmatch(prefix):
        changed["root_path"] = prefix + scope.get("root_path", "")
        changed["path"] = prefix + scope["path"]
    return changed


def _forwarded(headers: dict[bytes, str]) -> tuple[str, str]:
    """Return scheme and host that the client used, empty where no proxy tells."""
    if forwarded := headers.get(b"forwarded"):
        found = {name.lower(): quoted or plain for name, quoted, plain in reversed(_PAIR.findall(forwarded))}
        return found.get("proto", "").lower(), found.get("host", "")
    scheme = _first(headers.get(b"x-forwarded-proto", "")).lower()
    host = _first(headers.get(b"x-forwarded-host", ""))
    port = _first(headers.get(b"x-forwarded-port", ""))
    if port.isdigit() and not re.search(r":[0-9]+$", host):
        base = host or _without_port(headers.get(b"host", ""))
        host = f"{base}:{port}" if base else ""
    return scheme, host


def _first(values: str) -> str:
    """Return the first of a list: what the proxy nearest to the client saw."""
    return values.split(",", maxsplit=1)[0].strip()


def _without_port(host: str) -> str:
    return re.sub(r":[0-9]+$", "", host)


def _without_default_port(host: str, scheme: str) -> str:
    return host.removesuffix(f":{_PORTS[scheme]}") if scheme in _PORTS else host
