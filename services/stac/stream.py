"""All matches of a search, one after another: page by page from the database, in bounded memory."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse

from services.stac.holders import find
from services.stac.render import HEADERS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from starlette.types import Receive, Scope, Send

    from catalog.places import Places
    from services.stac.backend import Backend
    from services.stac.holders import Found
    from services.stac.requests import Stream, Wanted

PAGE: Final = 250
"""Items that are held in memory at once."""

MEDIA_TYPES: Final[Mapping[Stream, str]] = {
    "ndjson": "application/x-ndjson",
    "geojson-seq": "application/geo+json-seq",
}
"""Media types of the formats."""

_SEPARATOR: Final[Mapping[Stream, bytes]] = {"ndjson": b"", "geojson-seq": b"\x1e"}


async def stream(backend: Backend, wanted: Wanted, form: Stream, places: Places) -> StreamingResponse:
    """Return an answer that sends all items as they are found.

    The first page is awaited, so that what is wrong with the search becomes an error and not a broken answer. If the
    database fails later the connection is broken off: a stream that ends well is whole. When the client leaves,
    nothing more is asked of the database.
    """
    first = await _find(backend, wanted, places, wanted.search.token, wanted.total)
    chunks = _chunks(backend, wanted, form, places, first)
    return _Stream(chunks, media_type=MEDIA_TYPES[form], headers={**HEADERS, "Cache-Control": "no-store"})


class _Stream(StreamingResponse):
    """A stream that nobody reads any more has not failed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        with contextlib.suppress(ClientDisconnect):
            await super().__call__(scope, receive, send)


async def _chunks(backend: Backend, wanted: Wanted, form: Stream, places: Places, found: Found) -> AsyncIterator[bytes]:
    left = wanted.total
    while True:
        if found.features:
            yield _lines(found.features, form)
        if left is not None:
            left -= len(found.page.features)
        if found.page.next is None or left == 0:
            return
        found = await _find(backend, wanted, places, found.page.next, left)


async def _find(backend: Backend, wanted: Wanted, places: Places, token: str | None, left: int | None) -> Found:
    search = replace(wanted.search, token=token, limit=PAGE if left is None else min(PAGE, left))
    return await find(backend, search, places, complete=wanted.complete)


def _lines(features: Iterable[bytes], form: Stream) -> bytes:
    separator = _SEPARATOR[form]
    return b"".join(part for feature in features for part in (separator, feature, b"\n"))
