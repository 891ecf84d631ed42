"""Collections as clients get them: absolute links, and the extent of the items that are there now."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stac_fastapi.types.errors import NotFoundError

from catalog.places import GEOJSON, collection_links, declare
from services.stac import links
from services.stac.render import JSON

if TYPE_CHECKING:
    from collections.abc import Mapping

    from catalog.places import Places
    from services.stac.backend import Backend

type Extent = tuple[list[float], list[str]]
"""Bounding box, and first and last datetime."""

_GENERATED = frozenset({"self", "root", "parent", "child", "item", "items", "collection"})


@dataclass(frozen=True, slots=True)
class Shelf:
    """The collections of a database."""

    backend: Backend
    """The database."""
    seconds: float
    """For how long an extent is not asked again."""
    extents: dict[str, tuple[float, Extent | None]] = field(default_factory=dict)
    """When and what the database said last."""

    async def all(self, places: Places) -> list[dict[str, Any]]:
        """Return all collections, by id."""
        return [await self._served(stored, places) for stored in await self.backend.collections()]

    async def one(self, collection: str, places: Places) -> dict[str, Any]:
        """Return a collection.

        Raises
        ------
        NotFoundError
            If there is none of this id.
        """
        return await self._served(await self.stored(collection), places)

    async def stored(self, collection: str) -> dict[str, Any]:
        """Return a collection as it is stored.

        Raises
        ------
        NotFoundError
            If there is none of this id.
        """
        for stored in await self.backend.collections():
            if stored["id"] == collection:
                return stored
        raise NotFoundError(f"no collection {collection!r}")

    async def _served(self, stored: Mapping[str, Any], places: Places) -> dict[str, Any]:
        return served(stored, await self._extent(stored["id"]), places)

    async def _extent(self, collection: str) -> Extent | None:
        now = time.monotonic()
        when, extent = self.extents.get(collection, (-float("inf"), None))
        if now - when >= self.seconds:
            extent = await self.backend.extent(collection)
            self.extents[collection] = (now, extent)
        return extent


def served(stored: Mapping[str, Any], extent: Extent | None, places: Places) -> dict[str, Any]:
    """Return a collection as clients get it.

    Parameters
    ----------
    stored : mapping
        The collection as it is stored; it is not changed.
    extent : tuple or None
        Where and when its items are; None (there are none): what is stored stays.
    places : Places
        Where the client finds things.
    """
    made = copy.deepcopy(dict(stored))
    here = places.collection(made["id"])
    if extent is not None:
        box, times = extent
        kept = made.get("extent", {})
        made["extent"] = {
            **kept,
            "spatial": {**kept.get("spatial", {}), "bbox": [box]},
            "temporal": {**kept.get("temporal", {}), "interval": [times]},
        }
    further = collection_links(made["id"], places)
    made["links"] = [
        {"rel": "self", "type": JSON, "href": here},
        {"rel": "parent", "type": JSON, "href": f"{places.api}/"},
        links.root(places),
        {"rel": "items", "type": GEOJSON, "href": f"{here}/items"},
        *links.searching(here),
        *(link for link in made.get("links", []) if link["rel"] not in _GENERATED),
        *further,
    ]
    declare(made, further)
    return made
