"""What items can be searched and sorted by, told to clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attr
from stac_fastapi.extensions.filter.client import AsyncBaseFiltersClient
from stac_fastapi.extensions.sort.client import AsyncBaseSortablesClient

from catalog.queryables import QUERYABLES, queryables
from services.stac.render import JSON_SCHEMA, json_answer
from services.stac.urls import route_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from catalog.places import Places
    from services.stac.collections import Shelf

_NO_ORDER = frozenset({"geometry", "array"})


@attr.s(kw_only=True)
class QueryablesClient(AsyncBaseFiltersClient, AsyncBaseSortablesClient):
    """Answers requests for queryables and sortables."""

    shelf: Shelf = attr.ib()
    places: Callable[[Request], Places] = attr.ib()

    async def get_queryables(  # type: ignore[override]  # answers are bytes
        self, collection_id: str | None = None, *, request: Request, **_: Any
    ) -> Response:
        """Return what filters may name."""
        return await self._answer(request, collection_id, {})

    async def get_sortables(  # type: ignore[override]  # answers are bytes
        self, *, request: Request, **_: Any
    ) -> Response:
        """Return what searches may be sorted by."""
        return await self._sortables(request, None)

    async def get_collection_sortables(  # type: ignore[override]  # answers are bytes
        self, collection_id: str, *, request: Request, **_: Any
    ) -> Response:
        """Return what the items of a collection may be sorted by."""
        return await self._sortables(request, collection_id)

    async def _sortables(self, request: Request, collection: str | None) -> Response:
        sortable = {one.name: one.described() for one in QUERYABLES if one.kind not in _NO_ORDER}
        title = f"Sortables of {collection}" if collection else "Sortables"
        changed = {"title": title, "description": "Properties to sort by; others may be named too."}
        return await self._answer(request, collection, {**changed, "properties": sortable})

    async def _answer(self, request: Request, collection: str | None, changed: dict[str, Any]) -> Response:
        if collection is not None:
            await self.shelf.stored(collection)
        url = f"{self.places(request).api}{route_path(request.scope)}"
        return json_answer(request, {**queryables(url, collection), **changed}, JSON_SCHEMA)
