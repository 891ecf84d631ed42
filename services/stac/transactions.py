"""Transactions: the routes that write, for those who have a token; an API without these extensions is read-only.

Give them to the application as `services.stac.options.Options.transactions`.
"""

# Without `from __future__ import annotations`: FastAPI reads the annotations when the program runs.

from collections.abc import Callable, Mapping
from typing import Any, Final

import anyio.to_thread
import attr
import orjson
from fastapi import FastAPI
from stac_fastapi.extensions.transaction import (
    AsyncBaseTransactionsClient,
    TransactionConformanceClasses,
    TransactionExtension,
)
from stac_fastapi.types.config import ApiSettings
from stac_fastapi.types.extension import ApiExtension
from starlette.requests import Request
from starlette.responses import Response

from catalog.places import GEOJSON, Places
from services.stac import guard
from services.stac.auth import REFUSALS, REGISTER, Access, requires
from services.stac.backend import Backend
from services.stac.bodies import checked_item, checked_items, read_json
from services.stac.bulk import Bulk, BulkClient
from services.stac.models import CollectionId, ItemId
from services.stac.patches import MERGE, OPERATIONS, read_patch
from services.stac.register import RegisterExtension
from services.stac.render import JSON, etag
from services.stac.shelving import Shelving, require_registrar
from services.stac.writer import Writer

type _Schemas = Mapping[str, dict[str, Any]]

_ITEM: Final = {"type": "object", "description": "An item, or a FeatureCollection of items, all or none."}
_ONE_ITEM: Final = {"type": "object", "description": "An item, whole."}
_COLLECTION: Final = {"type": "object", "description": "A collection, whole."}
_PATCH: Final = {"type": "object", "description": "Merge patch (RFC 7396)."}
_LIST: Final = {"type": "array", "items": {"type": "object"}, "description": "JSON Patch (RFC 6902)."}


def transaction_extensions(
    backend: Backend, access: Access, places: Callable[[Request], Places]
) -> tuple[ApiExtension, ...]:
    """Return the extensions that write.

    Parameters
    ----------
    backend : Backend
        The database.
    access : Access
        Who may write: `services.stac.auth.token_access`, `services.stac.oidc.OidcAccess`, or both.
    places : callable
        Where the client of a request finds things.
    """
    writer = Writer(backend, places)
    settings = ApiSettings.model_construct()  # its constructor reads the environment and a file of the working folder
    return (
        Transactions(
            client=TransactionsClient(writer=writer), settings=settings, route_dependencies=[requires(access)]
        ),
        Bulk(client=BulkClient(writer=writer), route_dependencies=[requires(access)]),
        RegisterExtension(backend=backend, route_dependencies=[requires(access, REGISTER)]),
    )


@attr.s
class TransactionsClient(AsyncBaseTransactionsClient):
    """Answers the requests that write; what is sent is read from the body itself, so that nothing is converted."""

    writer: Writer = attr.ib(kw_only=True)

    @property
    def _shelving(self) -> Shelving:
        return Shelving(self.writer)

    async def create_item(  # type: ignore[override]  # the body is in the request
        self, request: Request, collection_id: CollectionId
    ) -> Response:
        """Answer ``POST /collections/{collection_id}/items``."""
        guard.require_registrar(request, collection_id, guard.COMING)
        body = await read_json(request)
        if isinstance(body, dict) and body.get("type") == "FeatureCollection":
            items = await anyio.to_thread.run_sync(checked_items, body, collection_id)
            shown = await self.writer.create(request, collection_id, items)
            whole = b'{"type":"FeatureCollection","features":[' + b",".join(shown) + b"]}"
            return Response(whole, 201, media_type=GEOJSON)
        item = checked_item(body, collection_id)
        shown = await self.writer.create(request, collection_id, [item])
        headers = {"Location": self.writer.places(request).item(collection_id, item["id"]), "ETag": etag(shown[0])}
        return Response(shown[0], 201, headers, GEOJSON)

    async def update_item(  # type: ignore[override]  # the body is in the request
        self, request: Request, collection_id: CollectionId, item_id: ItemId
    ) -> Response:
        """Answer ``PUT /collections/{collection_id}/items/{item_id}``."""
        guard.require_registrar(request, collection_id, guard.STAYING)
        item = checked_item(await read_json(request), collection_id)
        return _item(await self.writer.replace(request, collection_id, item_id, item))

    async def patch_item(  # type: ignore[override]  # the body is in the request
        self, request: Request, collection_id: CollectionId, item_id: ItemId
    ) -> Response:
        """Answer ``PATCH /collections/{collection_id}/items/{item_id}``."""
        guard.require_registrar(request, collection_id, guard.STAYING)
        return _item(await self.writer.patch(request, collection_id, item_id, await read_patch(request)))

    async def delete_item(  # type: ignore[override]  # no need of more
        self, request: Request, collection_id: CollectionId, item_id: ItemId
    ) -> Response:
        """Answer ``DELETE /collections/{collection_id}/items/{item_id}``."""
        guard.require_registrar(request, collection_id, guard.WITHDRAWN_ONLY)
        await self.writer.delete(request, collection_id, item_id)
        return Response(status_code=204)

    async def create_collection(self, request: Request) -> Response:  # type: ignore[override]  # as above
        """Answer ``POST /collections``."""
        made = await self._shelving.create(request, await read_json(request))
        location = self.writer.places(request).collection(made["id"])
        return Response(orjson.dumps(made), 201, {"Location": location}, JSON)

    async def update_collection(  # type: ignore[override]  # the body is in the request
        self, request: Request, collection_id: CollectionId
    ) -> Response:
        """Answer ``PUT /collections/{collection_id}``."""
        require_registrar(request, collection_id)
        return _collection(await self._shelving.replace(request, collection_id, await read_json(request)))

    async def patch_collection(  # type: ignore[override]  # the body is in the request
        self, request: Request, collection_id: CollectionId
    ) -> Response:
        """Answer ``PATCH /collections/{collection_id}``."""
        require_registrar(request, collection_id)
        return _collection(await self._shelving.patch(request, collection_id, await read_patch(request)))

    async def delete_collection(  # type: ignore[override]  # no need of more
        self, request: Request, collection_id: CollectionId
    ) -> Response:
        """Answer ``DELETE /collections/{collection_id}``."""
        require_registrar(request, collection_id)
        await self._shelving.delete(request, collection_id)
        return Response(status_code=204)


@attr.s
class Transactions(TransactionExtension):
    """STAC transactions, whose routes hand over bodies as they are."""

    conformance_classes: list[str] = attr.ib(factory=lambda: [*map(str, TransactionConformanceClasses)])

    def register(self, app: FastAPI) -> None:
        """Add the routes to an application."""
        self.router.prefix = app.state.router_prefix
        items, collections = "/collections/{collection_id}/items", "/collections"
        item, collection = f"{items}/{{item_id}}", f"{collections}/{{collection_id}}"
        patches: _Schemas = {MERGE: _PATCH, JSON: {"anyOf": [_PATCH, _LIST]}, OPERATIONS: _LIST}
        self._add("POST Create Item", items, self.client.create_item, 201, {JSON: _ITEM, GEOJSON: _ITEM})
        self._add("PUT Update Item", item, self.client.update_item, 200, {JSON: _ONE_ITEM, GEOJSON: _ONE_ITEM})
        self._add("PATCH Patch Item", item, self.client.patch_item, 200, patches)
        self._add("DELETE Delete Item", item, self.client.delete_item, 204)
        self._add("POST Create Collection", collections, self.client.create_collection, 201, {JSON: _COLLECTION})
        self._add("PUT Update Collection", collection, self.client.update_collection, 200, {JSON: _COLLECTION})
        self._add("PATCH Patch Collection", collection, self.client.patch_collection, 200, patches)
        self._add("DELETE Delete Collection", collection, self.client.delete_collection, 204)
        app.include_router(self.router, tags=["Transaction Extension"])

    def _add(
        self, title: str, path: str, endpoint: Callable[..., Any], status: int, bodies: _Schemas | None = None
    ) -> None:
        method, _, name = title.partition(" ")
        taken = {kind: {"schema": schema} for kind, schema in (bodies or {}).items()}
        self.router.add_api_route(
            path,
            endpoint,
            name=name,
            methods=[method],
            status_code=status,
            response_model=None,
            response_class=Response,
            responses=REFUSALS,
            openapi_extra={"requestBody": {"required": True, "content": taken}} if taken else None,
            dependencies=list(self.route_dependencies or []),
        )


def _item(shown: bytes) -> Response:
    return Response(shown, headers={"ETag": etag(shown)}, media_type=GEOJSON)


def _collection(shown: dict[str, Any]) -> Response:
    return Response(orjson.dumps(shown), media_type=JSON)
