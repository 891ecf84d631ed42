"""Items as they are stored, withdrawn ones too, for those who keep an archive's catalogue in step from elsewhere."""

# Without `from __future__ import annotations`: FastAPI reads the annotations when the program runs.

from collections.abc import Sequence
from typing import Annotated, Any

import attr
import orjson
from fastapi import APIRouter, FastAPI, Query
from fastapi.params import Depends
from stac_fastapi.types.errors import NotFoundError
from stac_fastapi.types.extension import ApiExtension
from starlette.responses import Response

from catalog.announced import REGISTER
from services.stac.auth import REFUSALS
from services.stac.backend import Backend
from services.stac.models import CollectionId, ItemId
from services.stac.render import JSON, etag

LONGEST: int = 10_000
"""Items of a page at most."""

_After = Annotated[str, Query(description="Id after which the page begins.", max_length=255)]
_Limit = Annotated[int, Query(ge=1, le=LONGEST, description="Items of the page.")]
_Names = Annotated[bool, Query(description="Whether ids are enough.")]


@attr.s
class RegisterExtension(ApiExtension):
    """Routes below ``/register``; `catalog.remote` reads them."""

    backend: Backend = attr.ib(kw_only=True)
    route_dependencies: Sequence[Depends] = attr.ib(kw_only=True)
    conformance_classes: list[str] = attr.ib(factory=lambda: [REGISTER])

    async def all_collections(self) -> Response:
        """Return collections as they are stored."""
        return _answer({"collections": await self.backend.collections()})

    async def all_items(
        self, collection_id: CollectionId, after: _After = "", limit: _Limit = 500, names: _Names = False
    ) -> Response:
        """Return items of a collection as they are stored, withdrawn ones too, by id."""
        found = await self.backend.listing(collection_id, after, limit)
        if not found and not any(one["id"] == collection_id for one in await self.backend.collections()):
            raise NotFoundError(f"no collection {collection_id!r}")
        page = {"ids": [item["id"] for item in found]} if names else {"items": found}
        return _answer({**page, "next": found[-1]["id"] if len(found) == limit else None})

    async def one_item(self, collection_id: CollectionId, item_id: ItemId) -> Response:
        """Return an item as it is stored, withdrawn or not."""
        found = await self.backend.stored(collection_id, item_id)
        if found is None:
            raise NotFoundError(f"no item {item_id!r} in collection {collection_id!r}")
        return _answer(found)

    def register(self, app: FastAPI) -> None:
        """Add the routes to an application."""
        router = APIRouter(prefix=app.state.router_prefix, dependencies=list(self.route_dependencies))
        for path, endpoint in (
            ("/register", self.all_collections),
            ("/register/{collection_id}", self.all_items),
            ("/register/{collection_id}/{item_id}", self.one_item),
        ):
            router.add_api_route(
                path, endpoint, response_class=Response, response_model=None, responses=REFUSALS, methods=["GET"]
            )
        app.include_router(router, tags=["Register"])


def _answer(value: Any) -> Response:
    body = orjson.dumps(value)
    return Response(body, media_type=JSON, headers={"Cache-Control": "no-store", "ETag": etag(body)})
