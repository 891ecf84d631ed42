"""Many items at once, each written or refused by itself."""

# Without `from __future__ import annotations`: FastAPI reads the annotations when the program runs.

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attr
import orjson
from fastapi import APIRouter, FastAPI
from stac_fastapi.extensions.bulk_transactions import (
    AsyncBaseBulkTransactionsClient,
    BulkTransaction,
    BulkTransactionExtension,
    BulkTransactionMethod,
    Items,
)
from starlette.requests import Request
from starlette.responses import Response

from abut.messages import quoted
from catalog.places import Places
from catalog.remote import BULK
from services.stac import guard
from services.stac.auth import REFUSALS, REGISTER, require
from services.stac.bodies import MOST, checked_item, read_json
from services.stac.models import CollectionId
from services.stac.render import JSON
from services.stac.writer import Writer

_METHODS: Final = [method.value for method in BulkTransactionMethod]

_BODY: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["items"],
    "additionalProperties": False,
    "properties": {
        "items": {"type": "object", "additionalProperties": {}, "description": "Items by their ids."},
        "method": {"enum": _METHODS, "default": "insert", "description": "`upsert` replaces what is listed."},
    },
}

_TRIES: Final = 5


@attr.s
class Bulk(BulkTransactionExtension):
    """The route for many items; ``upsert`` follows the rule of revisions, so that it can be sent again."""

    client: "BulkClient" = attr.ib(kw_only=True)
    conformance_classes: list[str] = attr.ib(factory=lambda: [BULK])

    def register(self, app: FastAPI) -> None:
        """Add the route to an application."""

        async def bulk_items(request: Request, collection_id: CollectionId) -> Response:  # noqa: ARG001 - documented
            """Write many items, each by itself."""
            items = checked_bulk(await read_json(request))
            done = await self.client.bulk_item_insert(items, request=request)
            return Response(orjson.dumps(done), media_type=JSON)

        router = APIRouter(prefix=app.state.router_prefix, dependencies=list(self.route_dependencies or []))
        router.add_api_route(
            "/collections/{collection_id}/bulk_items",
            bulk_items,
            name="Bulk Create Item",
            methods=["POST"],
            response_model=None,
            response_class=Response,
            responses=REFUSALS,
            openapi_extra={"requestBody": {"required": True, "content": {JSON: {"schema": _BODY}}}},
        )
        app.include_router(router, tags=["Bulk Transaction Extension"])


def checked_bulk(body: Any) -> Items:
    """Return what was sent to be written.

    Raises
    ------
    ValueError
        If it is none; the message names the member and the value.
    """
    if not isinstance(body, dict):
        raise ValueError(f"body: {quoted(body)}: not an object with items")  # noqa: TRY004 - of the request
    if unknown := sorted(body.keys() - _BODY["properties"].keys()):
        raise ValueError(f"{quoted(unknown[0])}: unknown; there are items and method")
    items, method = body.get("items"), body.get("method", BulkTransactionMethod.INSERT)
    if not isinstance(items, dict):
        raise ValueError(f"items: {quoted(items)}: not items by their ids")  # noqa: TRY004 - of the request
    if method not in _METHODS:
        raise ValueError(f"method: {quoted(method)}: not one of {', '.join(_METHODS)}")
    return Items(items=items, method=method)


@attr.s
class BulkClient(AsyncBaseBulkTransactionsClient):
    """Answers requests with many items."""

    writer: Writer = attr.ib(kw_only=True)

    async def bulk_item_insert(self, items: Items, **given: Any) -> BulkTransaction:
        """Answer ``POST /collections/{collection_id}/bulk_items``.

        ``skipped`` counts the items that the catalogue has a newer revision of.
        """
        request: Request = given["request"]
        collection = request.path_params["collection_id"]
        if collection == guard.ARCHIVED:
            require(request, REGISTER, f"items of {collection!r} come from the archive")
        if len(items.items) > MOST:
            raise ValueError(f"items: {len(items.items)}, {MOST} can be sent at once")
        good, errors = _checked(items.items, collection, self.writer.places(request))
        done = BulkTransaction(received=len(items.items), success=0, skipped=0, errors=errors)
        async with self.writer.turn:
            await self.writer.require_collection(collection)
            if items.method == BulkTransactionMethod.UPSERT:
                await self._upsert(good, done)
            else:
                await self._insert(good, done)
        return done

    async def _insert(self, items: Sequence[Mapping[str, Any]], done: BulkTransaction) -> None:
        left = list(items)
        for _ in range(_TRIES):
            listed = set(await self.writer.backend.insert(left)) if left else set()
            if not listed:
                done["success"] = len(left)
                return
            done["errors"] += [{"id": item["id"], "msg": "is listed already"} for item in left if item["id"] in listed]
            left = [item for item in left if item["id"] not in listed]
        done["errors"] += [{"id": item["id"], "msg": "others keep adding items; try again"} for item in left]

    async def _upsert(self, items: Sequence[Mapping[str, Any]], done: BulkTransaction) -> None:
        try:
            done["success"] = await self.writer.backend.upsert(items) if items else 0
            done["skipped"] = len(items) - done["success"]
        except ValueError:  # one of them can't be stored: find out which
            for item in items:
                try:
                    written = await self.writer.backend.upsert([item])
                except ValueError as error:
                    done["errors"].append({"id": item["id"], "msg": str(error)})
                else:
                    done["success"] += written
                    done["skipped"] += 1 - written


def _checked(items: Mapping[str, Any], collection: str, places: Places) -> tuple[list[dict[str, Any]], list[Any]]:
    """Return the items that can be stored, and what is wrong with the others."""
    good, errors = [], []
    for name, item in items.items():
        try:
            checked = checked_item(item, collection)
            if checked["id"] != name:
                raise ValueError(f"id: {checked['id']!r}: was sent as {name!r}")
        except ValueError as error:
            errors.append({"id": name, "msg": str(error)})
        else:
            good.append(guard.as_stored(checked, places))
    return good, errors
