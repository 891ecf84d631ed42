"""Limits of what a request may bring: length of its URL, size of its body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from services.answers import problem
from services.stac.urls import route_path

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SEARCHES: Final = ("/search", "/aggregate", "/aggregations")


class LimitsMiddleware:
    """Refuse requests that are too large, by their announced size or while they arrive.

    Parameters
    ----------
    app : ASGIApp
        The application.
    url : int
        Bytes of path and query.
    body : int
        Bytes of the body of a search.
    written : int
        Bytes of other bodies.
    """

    def __init__(self, app: ASGIApp, *, url: int, body: int, written: int) -> None:
        self.app = app
        self.url = url
        self.body = body
        self.written = written

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        length = len(scope.get("raw_path") or scope["path"].encode()) + len(scope["query_string"])
        if length > self.url:
            answer = problem(414, f"path and query of {length} bytes, more than {self.url}; POST takes more")
            await answer(scope, receive, send)
            return
        reads = scope["method"] in {"GET", "HEAD"} or route_path(scope).endswith(_SEARCHES)
        limit = self.body if reads else self.written
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced) > limit:
            # The rest of the body is not read: the connection can't be used again.
            answer = problem(413, f"body of {announced} bytes, more than {limit}", {"Connection": "close"})
            await answer(scope, receive, send)
            return
        await self.app(scope, _limited(receive, limit), send)


def _limited(receive: Receive, limit: int) -> Receive:
    received = 0

    async def receive_some() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise HTTPException(413, f"body of more than {limit} bytes", {"Connection": "close"})
        return message

    return receive_some
