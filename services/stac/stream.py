"""All matches of a search, one after another: page by page from the database, in bounded memory.

With ``complete=true`` the holders of their blocks come last, those that are not among the matches, by collection and
id: nothing comes twice. For that the ids of all that was sent are remembered.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from itertools import batched
from typing import TYPE_CHECKING, Final

import orjson
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse

from catalog.search import Fields
from services.stac.holders import Key, holders_of, key_of, named, picked
from services.stac.render import HEADERS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from starlette.types import Receive, Scope, Send

    from catalog.places import Places
    from catalog.search import Page
    from services.stac.backend import Backend
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
    plain = replace(wanted.search, fields=Fields()) if wanted.complete else wanted.search
    first = await backend.search(replace(plain, limit=_limit(wanted.total)), places)
    chunks = _chunks(_Source(backend, replace(wanted, search=plain), places, wanted.search.fields), form, first)
    return _Stream(chunks, media_type=MEDIA_TYPES[form], headers={**HEADERS, "Cache-Control": "no-store"})


class _Stream(StreamingResponse):
    """A stream that nobody reads any more has not failed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        with contextlib.suppress(ClientDisconnect):
            await super().__call__(scope, receive, send)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the items of a stream come from."""

    backend: Backend
    """The database."""
    wanted: Wanted
    """What is looked for: all fields, if holders are to be found by the links."""
    places: Places
    """Where the client finds things."""
    fields: Fields
    """The fields that the client gets."""


async def _chunks(source: _Source, form: Stream, page: Page) -> AsyncIterator[bytes]:
    wanted, fields = source.wanted, source.fields
    left, sent, holders = wanted.total, set[Key](), set[Key]()
    while True:
        features = page.features
        if wanted.complete:
            items = [orjson.loads(feature) for feature in features]
            sent |= {key_of(item) for item in items}
            holders |= named(items)
            features = [picked(feature, fields) for feature in features]
        if features:
            yield _lines(features, form)
        if left is not None:
            left -= len(features)
        if page.next is None or left == 0:
            break
        page = await source.backend.search(replace(wanted.search, token=page.next, limit=_limit(left)), source.places)
    for keys in batched(sorted(holders - sent), PAGE):
        found = await holders_of(source.backend, keys, source.places)
        yield _lines([picked(feature, fields) for feature in found.values() if feature], form)


def _limit(left: int | None) -> int:
    return PAGE if left is None else min(PAGE, left)


def _lines(features: Iterable[bytes], form: Stream) -> bytes:
    separator = _SEPARATOR[form]
    return b"".join(part for feature in features for part in (separator, feature, b"\n"))
