"""Writing collections through the API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stac_fastapi.types.errors import ConflictError

from services.stac.auth import REGISTER, require
from services.stac.bodies import checked_collection
from services.stac.collections import served
from services.stac.guard import ARCHIVED
from services.stac.patches import PatchConflictError, merged, patched

if TYPE_CHECKING:
    from starlette.requests import Request

    from catalog.places import Places
    from services.stac.writer import Writer

_MADE = frozenset({"self", "root", "parent", "child", "item", "items", "collection"})


@dataclass(frozen=True, slots=True)
class Shelving:
    """Stores collections, taking turns with the writer of items."""

    writer: Writer
    """The writer of items."""

    async def create(self, request: Request, collection: dict[str, Any]) -> dict[str, Any]:
        """Add a collection; return it as clients get it."""
        places, backend = self.writer.places(request), self.writer.backend
        made = as_stored(checked_collection(collection), places)
        _require_registrar(request, made["id"])
        async with self.writer.turn:
            if any(one["id"] == made["id"] for one in await backend.collections()):
                raise ConflictError(f"collection {made['id']!r} is there already")
            await backend.put_collection(made)
        return served(made, None, places)

    async def replace(self, request: Request, name: str, collection: Any) -> dict[str, Any]:
        """Replace a collection; return it as clients get it."""
        places = self.writer.places(request)
        _require_registrar(request, name)
        async with self.writer.turn:
            await self.writer.require_collection(name)
            return await self._put(name, collection, places)

    async def patch(self, request: Request, name: str, patch: dict[str, Any] | list[Any]) -> dict[str, Any]:
        """Change a collection, as it is stored, by a merge patch or a list of operations of JSON Patch."""
        places = self.writer.places(request)
        _require_registrar(request, name)
        async with self.writer.turn:
            stored = await self.writer.require_collection(name)
            try:
                made = patched(stored, patch) if isinstance(patch, list) else merged(stored, patch)
            except PatchConflictError as error:
                raise ConflictError(str(error)) from error
            return await self._put(name, made, places)

    async def delete(self, request: Request, name: str) -> None:
        """Take a collection out, and its items; the archive's own only by a registrar, and if it is empty."""
        backend = self.writer.backend
        _require_registrar(request, name)
        async with self.writer.turn:
            await self.writer.require_collection(name)
            if name == ARCHIVED and await backend.listing(name, "", 1):
                raise ConflictError(f"collection {name!r} has items of the archive; it can't be deleted")
            await backend.remove_collection(name)

    async def _put(self, name: str, collection: Any, places: Places) -> dict[str, Any]:
        made = as_stored(checked_collection(collection), places)
        if made["id"] != name:
            raise ValueError(f"id: {made['id']!r}: the collection of this URL is {name!r}")
        await self.writer.backend.put_collection(made)
        return served(made, None, places)


def _require_registrar(request: Request, name: str) -> None:
    """Let nobody but a registrar change the collection that the archive's products are in."""
    if name == ARCHIVED:
        require(request, REGISTER, f"collection {name!r} is the archive's")


def as_stored(collection: dict[str, Any], places: Places) -> dict[str, Any]:
    """Return a collection without the links that this API makes for each answer."""
    here = f"{places.collection(collection['id'])}/"
    links = [
        link
        for link in collection.get("links", [])
        if link["rel"] not in _MADE and not str(link["href"]).startswith(here)
    ]
    return {**collection, "links": links}
