"""Writing collections through the API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import orjson
from stac_fastapi.types.errors import ConflictError

from abut.errors import BadRequestError
from catalog.places import collection_links, undeclare
from services.stac import guard
from services.stac.bodies import checked_collection
from services.stac.collections import served
from services.stac.guard import ARCHIVED
from services.stac.render import etag
from services.stac.writer import TRIES, busy, changed, pause, require_match

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from catalog.places import Places
    from services.stac.writer import Writer

_MADE = frozenset({"self", "root", "parent", "child", "item", "items", "collection"})


@dataclass(frozen=True, slots=True)
class Shelving:
    """Stores collections, taking turns with the writer of items."""

    writer: Writer
    """The writer of items."""

    async def create(self, request: Request, collection: Any) -> dict[str, Any]:
        """Add a collection; return it as clients get it."""
        places = self.writer.places(request)
        made = as_stored(checked_collection(collection), places)
        require_registrar(request, made["id"])
        if not await self.writer.backend.put_collection_if(made, None):
            raise ConflictError(f"collection {made['id']!r} is there already")
        return served(made, None, places)

    async def replace(self, request: Request, name: str, collection: Any) -> dict[str, Any]:
        """Replace a collection; return it as clients get it."""
        return await self._change(request, name, lambda _: collection)

    async def patch(self, request: Request, name: str, patch: dict[str, Any] | list[Any]) -> dict[str, Any]:
        """Change a collection, as it is stored, by a merge patch or a list of operations of JSON Patch."""
        return await self._change(request, name, lambda stored: changed(stored, patch))

    async def delete(self, request: Request, name: str) -> None:
        """Take a collection out, and its items; the archive's own only by a registrar, and if it is empty."""
        async with self.writer.turn:
            await self._stored(request, name)
            if not await self.writer.backend.remove_collection(name, empty=name == ARCHIVED) and name == ARCHIVED:
                raise ConflictError(f"collection {name!r} has items of the archive; it can't be deleted")

    async def _change(self, request: Request, name: str, change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        places = self.writer.places(request)

        def make(stored: dict[str, Any]) -> dict[str, Any]:
            made = as_stored(checked_collection(change(stored)), places)
            if made["id"] != name:
                raise BadRequestError(f"id: {made['id']!r}: the collection of this URL is {name!r}")
            return made

        async with self.writer.turn:
            for number in range(TRIES):
                await pause(number)
                stored = await self._stored(request, name)
                made = await anyio.to_thread.run_sync(make, stored)
                if await self.writer.backend.put_collection_if(made, stored):
                    return served(made, None, places)
        raise busy(name)

    async def _stored(self, request: Request, name: str) -> dict[str, Any]:
        """Return a collection as it is stored, if what clients get is what If-Match says."""
        stored = await self.writer.require_collection(name)
        if "if-match" in request.headers:
            extent = await self.writer.backend.extent(name)
            require_match(request, [etag(orjson.dumps(served(stored, extent, self.writer.places(request))))])
        return stored


def require_registrar(request: Request, name: str) -> None:
    """Let nobody but a registrar change the collection that the archive's products are in."""
    guard.require_registrar(request, name, f"collection {name!r} is the archive's")


def as_stored(collection: dict[str, Any], places: Places) -> dict[str, Any]:
    """Return a collection without the links that this API makes for each answer."""
    here = f"{places.collection(collection['id'])}/"
    made = collection_links(collection["id"], places)
    further = {(link["rel"], link["href"]) for link in made}
    links = [
        link
        for link in collection.get("links", [])
        if link["rel"] not in _MADE
        and not str(link["href"]).startswith(here)
        and (link["rel"], link["href"]) not in further
    ]
    stored = {**collection, "links": links}
    undeclare(stored, made)
    return stored
