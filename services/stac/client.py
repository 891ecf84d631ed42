"""The one client class: what each request of core, collections, features and item search is answered with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attr
from stac_fastapi.types.conformance import BASE_CONFORMANCE_CLASSES, OAFConformanceClasses
from stac_fastapi.types.core import AsyncBaseCoreClient
from stac_fastapi.types.errors import NotFoundError

from abut.errors import BadRequestError
from catalog.places import GEOJSON
from services.stac import collection_search, landing, links, requests
from services.stac.holders import find
from services.stac.render import JSON, answer, features_answer, json_answer
from services.stac.stream import stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from catalog.places import Places
    from services.stac.backend import Backend
    from services.stac.collections import Shelf
    from services.stac.options import Options


_CLASSES: Final = [str(one) for one in BASE_CONFORMANCE_CLASSES if one != OAFConformanceClasses.OPEN_API]
"""Those of stac-fastapi, but for OpenAPI 3.0: the document follows 3.1, which OGC API - Features has no class for."""


@attr.s(kw_only=True)
class Client(AsyncBaseCoreClient):
    """Answers requests: parses them once, asks the database, and returns bytes."""

    backend: Backend = attr.ib()
    shelf: Shelf = attr.ib()
    places: Callable[[Request], Places] = attr.ib()
    options: Options = attr.ib()
    base_conformance_classes: list[str] = attr.ib(factory=lambda: [*_CLASSES])

    async def landing_page(self, **given: Any) -> Response:  # type: ignore[override]  # answers are bytes
        """Answer ``GET /``."""
        request: Request = given["request"]
        stored = await self.backend.collections()
        page = landing.landing_page(self.options, self.places(request), self.conformance_classes(), stored)
        return json_answer(request, page)

    async def conformance(self, **given: Any) -> Response:  # type: ignore[override]  # answers are bytes
        """Answer ``GET /conformance``."""
        return json_answer(given["request"], {"conformsTo": self.conformance_classes()})

    async def all_collections(self, **given: Any) -> Response:  # type: ignore[override]  # answers are bytes
        """Answer ``GET /collections``."""
        request: Request = given.pop("request")
        values, places = requests.of_url(given), self.places(request)
        found = collection_search.searched(await self.shelf.all(places), values)
        offset, limit = values["offset"], values["limit"]
        page = collection_search.presented(found[offset : offset + limit], values)
        around = [links.itself(request, places), links.root(places)]
        made = {
            "collections": page,
            "links": around + links.offsets(request, places, offset, limit, len(found)),
            "numberMatched": len(found),
            "numberReturned": len(page),
        }
        return json_answer(request, made)

    async def get_collection(  # type: ignore[override]  # answers are bytes
        self, collection_id: str, **given: Any
    ) -> Response:
        """Answer ``GET /collections/{collection_id}``."""
        request: Request = given["request"]
        return json_answer(request, await self.shelf.one(collection_id, self.places(request)))

    async def item_collection(  # type: ignore[override]  # answers are bytes
        self, collection_id: str, **given: Any
    ) -> Response:
        """Answer ``GET /collections/{collection_id}/items``."""
        request: Request = given.pop("request")
        again = given.pop("collections", None)
        if again not in (None, collection_id):
            raise BadRequestError(f"collections: {again!r} is not {collection_id!r}, whose items are asked for")
        return await self._found(request, requests.of_url(given), collection=collection_id)

    async def get_item(  # type: ignore[override]  # answers are bytes
        self, item_id: str, collection_id: str, **given: Any
    ) -> Response:
        """Answer ``GET /collections/{collection_id}/items/{item_id}``.

        An item that was withdrawn says so: no search finds it, but others that need its blocks link to it.
        """
        request: Request = given["request"]
        item = await self.backend.item(collection_id, item_id, self.places(request))
        if item is not None:
            return answer(request, item, GEOJSON)
        await self.shelf.stored(collection_id)
        raise NotFoundError(f"no item {item_id!r} in collection {collection_id!r}")

    async def get_search(self, **given: Any) -> Response:  # type: ignore[override]  # answers are bytes
        """Answer ``GET /search``."""
        request: Request = given.pop("request")
        return await self._found(request, requests.of_url(given))

    async def post_search(  # type: ignore[override]  # answers are bytes
        self, _search_request: Any, **given: Any
    ) -> Response:
        """Answer ``POST /search``."""
        request: Request = given["request"]
        body = await requests.of_body(request)
        return await self._found(request, body, body=body)

    async def _found(
        self,
        request: Request,
        values: Mapping[str, Any],
        *,
        collection: str | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Response:
        """Return items: a page of them, or a stream."""
        places = self.places(request)
        wanted = requests.wanted(values, request.headers.get("accept", ""), collection)
        if wanted.stream is not None:
            if collection is not None:
                await self.shelf.stored(collection)
            return await stream(self.backend, wanted, wanted.stream, places)
        found = await find(self.backend, wanted.search, places, complete=wanted.complete)
        if collection is not None and not found.features:
            await self.shelf.stored(collection)
        around: list[dict[str, Any]] = [links.itself(request, places, GEOJSON), links.root(places)]
        if collection is not None:
            around.append({"rel": "collection", "type": JSON, "href": places.collection(collection)})
        return features_answer(request, around + links.pages(request, places, found.page, body), found)
