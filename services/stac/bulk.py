"""Many items at once, all or none."""

# Without `from __future__ import annotations`: FastAPI reads the annotations when the program runs.

from collections.abc import Mapping, Sequence
from typing import Any, Final

import anyio.to_thread
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

from abut.errors import BadRequestError
from abut.messages import quoted
from catalog.announced import BULK
from catalog.places import Places
from services.answers import problem
from services.stac import guard
from services.stac.auth import REFUSALS
from services.stac.bodies import MOST, checked_item, read_json
from services.stac.models import CollectionId
from services.stac.render import JSON
from services.stac.writer import Writer

NAMED: Final = 100
"""Bad items that an answer names at most."""

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


class BadItemsError(Exception):
    """Some of many items can't be written, and so none is."""

    def __init__(self, status: int, errors: Sequence[tuple[str, str]]) -> None:
        super().__init__(f"{len(errors)} bad items")
        self.status = status
        self.errors = errors

    def answer(self) -> Response:
        """Return the answer: the STAC error body, and each bad item with what is wrong with it."""
        name, reason = self.errors[0]
        more = "" if len(self.errors) == 1 else f" ({len(self.errors)} items are refused)"
        said = " ".join(f"item {quoted(name)}: {reason}".split())
        named = [{"id": name, "msg": msg} for name, msg in self.errors[:NAMED]]
        return problem(self.status, f"{said[:900]}{more}; nothing was written", errors=named)


@attr.s
class Bulk(BulkTransactionExtension):
    """The route for many items; ``upsert`` follows the rule of revisions, so that it can be sent again."""

    client: "BulkClient" = attr.ib(kw_only=True)
    conformance_classes: list[str] = attr.ib(factory=lambda: [BULK])

    def register(self, app: FastAPI) -> None:
        """Add the route to an application."""

        async def bulk_items(request: Request, collection_id: CollectionId) -> Response:
            """Write many items, all or none."""
            guard.require_registrar(request, collection_id, guard.COMING)
            items = checked_bulk(await read_json(request))
            try:
                done = await self.client.bulk_item_insert(items, request=request)
            except BadItemsError as error:
                return error.answer()
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
    BadRequestError
        If it is none; the message names the member and the value.
    """
    if not isinstance(body, dict):
        raise BadRequestError(f"body: {quoted(body)}: not an object with items")
    if unknown := sorted(body.keys() - _BODY["properties"].keys()):
        raise BadRequestError(f"{quoted(unknown[0])}: unknown; there are items and method")
    items, method = body.get("items"), body.get("method", BulkTransactionMethod.INSERT)
    if not isinstance(items, dict):
        raise BadRequestError(f"items: {quoted(items)}: not items by their ids")
    if method not in _METHODS:
        raise BadRequestError(f"method: {quoted(method)}: not one of {', '.join(_METHODS)}")
    if len(items) > MOST:
        raise BadRequestError(f"items: {len(items)}, {MOST} can be sent at once")
    return Items(items=items, method=method)


@attr.s
class BulkClient(AsyncBaseBulkTransactionsClient):
    """Answers requests with many items."""

    writer: Writer = attr.ib(kw_only=True)

    async def bulk_item_insert(self, items: Items, **given: Any) -> BulkTransaction:
        """Answer ``POST /collections/{collection_id}/bulk_items``.

        ``skipped`` counts the items that the catalogue has a newer revision of.

        Raises
        ------
        BadItemsError
            If an item can't be stored, or is to be added and listed already; nothing was written.
        """
        request: Request = given["request"]
        collection, backend = request.path_params["collection_id"], self.writer.backend
        places = self.writer.places(request)
        await self.writer.require_collection(collection)
        made = await anyio.to_thread.run_sync(_storable, items.items, collection, places)
        success = len(made)
        if made and items.method == BulkTransactionMethod.UPSERT:
            success = await backend.upsert(made)
        elif made and (listed := await backend.insert(made)):
            raise BadItemsError(409, [(name, "is listed already") for name in listed])
        return BulkTransaction(received=len(made), success=success, skipped=len(made) - success, errors=[])


def _storable(items: Mapping[str, Any], collection: str, places: Places) -> list[dict[str, Any]]:
    """Return items as they are stored, or raise what is wrong with each of those that can't be."""
    made: list[dict[str, Any]] = []
    errors: list[tuple[str, str]] = []
    for name, item in items.items():
        try:
            checked = checked_item(item, collection)
            if checked["id"] != name:
                raise BadRequestError(f"id: {checked['id']!r}: was sent as {name!r}")
            made.append(guard.storable(checked, places))
        except BadRequestError as error:
            errors.append((name, str(error)))
    if errors:
        raise BadItemsError(400, errors)
    return made
