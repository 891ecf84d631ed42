"""Many items at once, each written or refused by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attr
from stac_fastapi.extensions.bulk_transactions import (
    AsyncBaseBulkTransactionsClient,
    BulkTransaction,
    BulkTransactionExtension,
    BulkTransactionMethod,
    Items,
)

from catalog.remote import BULK
from services.stac import guard
from services.stac.auth import REGISTER, require
from services.stac.bodies import MOST, checked_item

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

    from catalog.places import Places
    from services.stac.writer import Writer

_TRIES: Final = 5


@attr.s
class Bulk(BulkTransactionExtension):
    """The route for many items; ``upsert`` follows the rule of revisions, so that it can be sent again."""

    conformance_classes: list[str] = attr.ib(factory=lambda: [BULK])


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
