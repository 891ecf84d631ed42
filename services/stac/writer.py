"""Writing through the API: what is sent is checked, compared with what is there, and stored by the archive's rules."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson
from stac_fastapi.types.errors import ConflictError, NotFoundError
from starlette.exceptions import HTTPException

from catalog.places import served
from services.stac import guard
from services.stac.auth import REGISTER, require
from services.stac.bodies import checked_item
from services.stac.guard import ARCHIVED, RefusedError
from services.stac.patches import PatchConflictError, merged, patched

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request

    from catalog.places import Places
    from services.stac.backend import Backend

_TRIES: Final = 5
"""How often a change is made anew because the item was registered again meanwhile."""

_DELETE: Final = "items of the archive are withdrawn (`abut withdraw`), not deleted"


@dataclass(frozen=True, slots=True)
class Writer:
    """Stores items; one request after another, so that what one has looked at is still so when it writes."""

    backend: Backend
    """The database."""
    places: Callable[[Request], Places]
    """Where the client of a request finds things."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a request compares and writes."""

    async def create(self, request: Request, collection: str, items: Sequence[dict[str, Any]]) -> list[bytes]:
        """Add items, all or none; return them as clients get them."""
        self._require_registrar(request, collection, f"items of {collection!r} come from the archive")
        places = self.places(request)
        async with self.turn:
            await self.require_collection(collection)
            listed = await self.backend.insert([guard.as_stored(item, places) for item in items])
        if listed:
            raise ConflictError(f"listed already: {', '.join(listed[:10])}")
        return [await self._shown(collection, item["id"], places) for item in items]

    async def replace(self, request: Request, collection: str, name: str, item: dict[str, Any]) -> bytes:
        """Replace an item; return it as clients get it."""
        return await self._change(request, collection, name, lambda _: item)

    async def patch(self, request: Request, collection: str, name: str, patch: dict[str, Any] | list[Any]) -> bytes:
        """Change an item by a merge patch, or a list of operations of JSON Patch; return it as clients get it."""

        def change(shown: dict[str, Any]) -> dict[str, Any]:
            try:
                made = patched(shown, patch) if isinstance(patch, list) else merged(shown, patch)
            except PatchConflictError as error:
                raise ConflictError(str(error)) from error
            if not isinstance(made, dict):
                raise ValueError("patch: what it makes is no item")  # noqa: TRY004 - of the request
            checked_item(made, collection)
            return made

        return await self._change(request, collection, name, change)

    async def delete(self, request: Request, collection: str, name: str) -> None:
        """Take an item out; one of the archive only after it was withdrawn."""
        self._require_registrar(request, collection, _DELETE)
        places = self.places(request)
        async with self.turn:
            stored = await self._stored(request, collection, name)
            await self._require_match(request, collection, name, places)
            if collection == ARCHIVED and not stored["properties"].get("abut:withdrawn"):
                raise ConflictError(f"{name}: {_DELETE}; only withdrawn ones can be removed")
            await self.backend.remove(collection, name)

    async def require_collection(self, collection: str) -> dict[str, Any]:
        """Return a collection as it is stored, or fail."""
        for one in await self.backend.collections():
            if one["id"] == collection:
                return one
        raise NotFoundError(f"no collection {collection!r}")

    async def _change(
        self, request: Request, collection: str, name: str, change: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> bytes:
        places = self.places(request)
        async with self.turn:
            for _ in range(_TRIES):
                stored = await self._stored(request, collection, name)
                await self._require_match(request, collection, name, places)
                wanted = change(served(stored, places))
                _require_same(wanted, collection, name)
                made = guard.as_stored(wanted, places)
                registrar = collection != ARCHIVED or REGISTER in request.state.scopes
                if not registrar:
                    made = _described(request, stored, made)
                if await self.backend.upsert([made]):
                    return await self._shown(collection, name, places)
                if registrar:
                    raise ConflictError(_stale(made, await self.backend.stored(collection, name)))
        raise ConflictError(f"{name}: is being registered again and again; try later")

    async def _stored(self, request: Request, collection: str, name: str) -> dict[str, Any]:
        """Return an item that this client may know of."""
        stored = await self.backend.stored(collection, name)
        hidden = stored is not None and stored["properties"].get("abut:withdrawn")
        if stored is None or (hidden and REGISTER not in request.state.scopes):
            raise NotFoundError(f"no item {name!r} in collection {collection!r}")
        return stored

    async def _shown(self, collection: str, name: str, places: Places) -> bytes:
        found = await self.backend.item(collection, name, places)
        if found is None:  # withdrawn
            stored = await self.backend.stored(collection, name)
            return served_bytes(stored, places) if stored else b"{}"
        return found

    async def _require_match(self, request: Request, collection: str, name: str, places: Places) -> None:
        """Answer 412 if a request is meant for another state of the item (If-Match) than the one there is."""
        wanted = request.headers.get("if-match", "*").strip()
        if wanted == "*":
            return
        shown = await self.backend.item(collection, name, places)
        if shown is None or not _matches(wanted, etag(shown)):
            raise HTTPException(412, "the item is no longer what If-Match says; get it again")

    @staticmethod
    def _require_registrar(request: Request, collection: str, why: str) -> None:
        if collection == ARCHIVED:
            require(request, REGISTER, why)


def served_bytes(stored: dict[str, Any], places: Places) -> bytes:
    """Return a stored item as clients get it."""
    return orjson.dumps(served(stored, places))


def etag(shown: bytes) -> str:
    """Return the ETag that `services.stac.render.answer` gives to these bytes."""
    return f'W/"{hashlib.blake2b(shown, digest_size=12).hexdigest()}"'


def _matches(wanted: str, tag: str) -> bool:
    """Whether If-Match names a tag; weak ones count, as they change with every byte."""
    return tag.removeprefix("W/") in {one.strip().removeprefix("W/") for one in wanted.split(",")}


def _described(request: Request, stored: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    try:
        return guard.described(stored, wanted)
    except RefusedError as error:
        require(request, REGISTER, str(error))
        raise


def _require_same(item: dict[str, Any], collection: str, name: str) -> None:
    if item["id"] != name:
        raise ValueError(f"id: {item['id']!r}: the item of this URL is {name!r}")
    if item["collection"] != collection:
        raise ValueError(f"collection: {item['collection']!r}: the item of this URL is in {collection!r}")


def _stale(item: dict[str, Any], listed: dict[str, Any] | None) -> str:
    sent = item["properties"].get("abut:revision", 0)
    has = listed["properties"].get("abut:revision", 0) if listed else "a newer one"
    return f"{item['id']}: revision {sent} is stale, the catalogue has {has}"
