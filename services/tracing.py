"""Requests as spans: continued from who asks, named by their routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from starlette.datastructures import Headers
from starlette.routing import Mount

from services import traces
from services.metrics import METHODS, part_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

UNTRACED: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that probes ask for all the time."""
_ROUTED: Final = "abut.routed"
_GONE: Final = 499
"""Status of what a client gave up, as web servers log it; HTTP has none."""
_PASSED: Final = ("traceparent", "tracestate")


def traced(app: ASGIApp, parts: Sequence[str]) -> ASGIApp:
    """Return an application whose requests are spans; the same application where nobody wants spans.

    Parameters
    ----------
    app : ASGI application
        The whole service; what routes within it is to be `noted`.
    parts : sequence of str
        Paths below which its parts answer.
    """
    if not traces.is_on():
        return app
    names = sorted(parts, key=len, reverse=True)

    async def tracing(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in UNTRACED:
            await app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = {name: headers[name] for name in _PASSED if name in headers}
        method = scope["method"] if scope["method"] in METHODS else "_OTHER"
        routed: dict[str, Any] = {}
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        with traces.span(method, kind="server", headers=given, http_request_method=method) as made:
            try:
                with traces.tallied(made):
                    await app({**scope, _ROUTED: routed}, receive, sending)
            finally:
                route = routed.get("route", "")
                made.update_name(f"{method} {route}" if route else method)
                path = scope["path"]
                told = {"url.path": traces.shown_path(path), "abut.part": part_of(path, names), "http.route": route}
                made.set_attributes({**told, "http.response.status_code": status or _GONE})
                if status >= 500:
                    traces.mark_failed(made)

    return tracing


def noted(app: ASGIApp) -> ASGIApp:
    """Return the application that has the routes, which tells the span around which of them was taken."""
    if not traces.is_on():
        return app

    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        root = scope.get("root_path", "")
        try:
            await app(scope, receive, send)
        finally:
            if _ROUTED in scope:
                scope[_ROUTED]["route"] = _template(scope, root)

    return noting


def _template(scope: Scope, root: str) -> str:
    """Return the template of the route that a request took: those of all applications on its way, in a row."""
    route = scope.get("route")
    if route is None:
        return ""
    mounted = scope.get("root_path", "").removeprefix(root)
    if isinstance(route, Mount):
        return f"{mounted}/{{path}}"  # an application without routes
    return f"{mounted}{_own(scope.get('app'), route)}"


def _own(app: Any, route: Any) -> str:
    """Return the template of a route within its application: with the prefixes that it was included under."""
    if not hasattr(app, "openapi"):  # not one of FastAPI, which only parts that have it import
        return str(getattr(route, "path_format", ""))
    if app not in _templates:
        from fastapi.routing import iter_route_contexts  # noqa: PLC0415 - as above

        _templates[app] = {id(one.original_route): one.path_format or "" for one in iter_route_contexts(app.routes)}
    return _templates[app].get(id(route)) or str(getattr(route, "path_format", ""))


_templates: WeakKeyDictionary[Any, dict[int, str]] = WeakKeyDictionary()
