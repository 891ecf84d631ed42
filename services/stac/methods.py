"""HEAD and OPTIONS of every resource, and which methods it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi.routing import APIRoute, iter_route_contexts
from starlette.responses import Response
from starlette.routing import compile_path

from services.answers import problem
from services.stac.landing import DOCS_PATH, OPENAPI_PATH
from services.stac.urls import route_path

if TYPE_CHECKING:
    from re import Pattern

    from fastapi import FastAPI
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class MethodsMiddleware:
    """Answer HEAD as GET without its body, OPTIONS with the methods there are, and others with 405.

    Parameters
    ----------
    app : ASGIApp
        The application.
    api : FastAPI
        The application whose described routes say which resources and methods there are.
    """

    def __init__(self, app: ASGIApp, api: FastAPI) -> None:
        self.app = app
        self.api = api
        self._resources: list[tuple[Pattern[str], set[str]]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        method, methods = scope["method"], self._methods(route_path(scope))
        if methods is None or method in methods - {"HEAD", "OPTIONS"}:
            await self.app(scope, receive, send)
            return
        allow = {"Allow": ", ".join(sorted(methods))}
        if method == "HEAD" and "GET" in methods:
            await self.app({**scope, "method": "GET"}, receive, _without_body(send))
        elif method == "OPTIONS":
            await Response(status_code=204, headers=allow)(scope, receive, send)
        else:
            await problem(405, f"{method} is not among the methods {allow['Allow']}", allow)(scope, receive, send)

    def _methods(self, path: str) -> set[str] | None:
        """Return the methods of a resource, or None if there is none."""
        if not self._resources:
            # The document of OpenAPI says the same, but takes a second to be made: the first request would wait for it.
            routes = [one for one in iter_route_contexts(self.api.routes) if isinstance(one.original_route, APIRoute)]
            self._resources = [
                (compile_path(one.path_format)[0], _named(one.methods or set()))
                for one in routes
                if one.include_in_schema and one.path_format is not None
            ]
            self._resources += [(compile_path(page)[0], _named({"GET"})) for page in (OPENAPI_PATH, DOCS_PATH)]
        found = [methods for pattern, methods in self._resources if pattern.match(path)]
        return set.union(*found) if found else None


def _named(methods: set[str]) -> set[str]:
    return methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return send_head
