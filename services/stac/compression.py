"""Compression of answers, as the client accepts it: Brotli before gzip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from brotli_asgi import BrotliResponder, Mode
from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipResponder

from services.stac.requests import quality

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

SMALLEST: Final = 500
"""Bytes from which an answer is compressed."""

_BROTLI: Final = 1
_GZIP: Final = 4
"""Levels that cost a fraction of the best ones on JSON that repeats itself, and win nearly as much."""


class CompressionMiddleware:
    """Compress answers; brotli-asgi's own middleware also compresses for clients that refuse it (``br;q=0``)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        accepted = _accepted(Headers(scope=scope).get("accept-encoding", "")) if scope["type"] == "http" else {}
        if accepted.get("br", 0) > 0 and accepted["br"] >= accepted.get("gzip", 0):
            app: ASGIApp = BrotliResponder(self.app, _BROTLI, Mode.text, 22, 0, SMALLEST)
        elif accepted.get("gzip", 0) > 0:
            app = GZipResponder(self.app, SMALLEST, compresslevel=_GZIP)
        else:
            app = self.app
        await app(scope, receive, send)


def _accepted(header: str) -> dict[str, float]:
    coded = (one.partition(";") for one in header.lower().split(","))
    return {name.strip(): quality(options) for name, _, options in coded}
