"""Which web sites' pages may read answers (CORS)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.middleware.cors import CORSMiddleware

from services.logs import HEADER

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

EXPOSED: Final = ("Accept-Ranges", "Content-Length", "Content-Range", "ETag", "Last-Modified", HEADER)
"""Headers of answers that pages may read."""

_CONDITIONS: Final = ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range")
_ASKED: Final = ("Authorization", "Range", *_CONDITIONS, HEADER)


def readable_from(app: ASGIApp, origins: Collection[str]) -> ASGIApp:
    """Return a read-only application whose answers pages of some web sites may read; ``*``: all."""
    selective = CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET", "HEAD"],
        allow_headers=_ASKED,
        expose_headers=EXPOSED,
        max_age=86_400,
    )
    if "*" not in origins:
        return selective
    headers = [
        (b"access-control-allow-origin", b"*"),
        (b"access-control-expose-headers", ", ".join(EXPOSED).encode()),
    ]

    async def for_all(scope: Scope, receive: Receive, send: Send) -> None:
        """Say the same to all: Starlette's answers would vary by origin, and a CDN would keep each of them."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *headers]
            await send(message)

        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            await selective(scope, receive, send)
        else:
            await app(scope, receive, with_headers)

    return for_all
