"""Writing through the API: what is sent is checked, compared with what is there, and stored by the archive's rules.

Comparing and storing is one step of the database, so that several processes may write beside each other: what was
changed since a request looked at it is looked at again.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import anyio.to_thread
import orjson
from stac_fastapi.types.errors import ConflictError, NotFoundError
from starlette.exceptions import HTTPException

from abut.errors import BadRequestError
from catalog.places import served
from services.stac import guard
from services.stac.bodies import checked_item
from services.stac.guard import ARCHIVED
from services.stac.patches import PatchConflictError, merged, patched
from services.stac.render import etag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from starlette.requests import Request

    from catalog.places import Places
    from services.stac.backend import Backend, Listed

TRIES: Final = 30
"""How often a change is made anew because another process has changed the same meanwhile."""

_PAUSE: Final = 0.02
"""Seconds to wait at most before the second try; as much longer before each further one."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Stores items of those who may; those that come to this process one after another."""

    backend: Backend
    """The database."""
    places: Callable[[Request], Places]
    """Where the client of a request finds things."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a request compares and writes: it saves tries, nothing relies on it."""

    async def create(self, request: Request, collection: str, items: Sequence[dict[str, Any]]) -> list[bytes]:
        """Add items, all or none; return them as clients get them."""
        places = self.places(request)
        await self.require_collection(collection)
        made = await anyio.to_thread.run_sync(lambda: [guard.storable(item, places) for item in items])
        listed = await self.backend.insert(made)
        if listed:
            raise ConflictError(f"listed already: {', '.join(listed[:10])}")
        return [await self._shown(item, places) for item in made]

    async def replace(self, request: Request, collection: str, name: str, item: dict[str, Any]) -> bytes:
        """Replace an item; return it as clients get it."""
        return await self._change(request, collection, name, lambda _: item)

    async def patch(self, request: Request, collection: str, name: str, patch: dict[str, Any] | list[Any]) -> bytes:
        """Change an item by a merge patch, or a list of operations of JSON Patch; return it as clients get it."""

        def change(shown: dict[str, Any]) -> dict[str, Any]:
            made = changed(shown, patch)
            if not isinstance(made, dict):
                raise BadRequestError("patch: what it makes is no item")
            checked_item(made, collection)
            return made

        return await self._change(request, collection, name, change)

    async def delete(self, request: Request, collection: str, name: str) -> None:
        """Take an item out; one of the archive only after it was withdrawn."""
        async with self.turn:
            for number in range(TRIES):
                listed = await self._listed(request, collection, name, number)
                if collection == ARCHIVED and not listed.item["properties"].get("abut:withdrawn"):
                    raise ConflictError(f"{name}: {guard.WITHDRAWN_ONLY}; only withdrawn ones can be removed")
                if await self.backend.remove_if(listed.item):
                    return
        raise busy(name)

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

        def make(stored: dict[str, Any]) -> dict[str, Any]:
            wanted = change(served(stored, places))
            _require_same(wanted, collection, name)
            return guard.storable(wanted, places)

        async with self.turn:
            for number in range(TRIES):
                listed = await self._listed(request, collection, name, number)
                made = await anyio.to_thread.run_sync(make, listed.item)
                outcome = await self.backend.replace_if(made, listed.item)
                if outcome == "written":
                    return await self._shown(made, places)
                if outcome == "outdated":
                    raise ConflictError(_stale(made, listed.item))
        raise busy(name)

    async def _listed(self, request: Request, collection: str, name: str, number: int) -> Listed:
        """Return an item as it is, if that is what If-Match says; before a further try, after a pause."""
        await pause(number)
        listed = await self.backend.listed(collection, name, self.places(request))
        if listed is None:
            raise NotFoundError(f"no item {name!r} in collection {collection!r}")
        require_match(request, [etag(listed.shown), etag(orjson.dumps(listed.item))])  # the second is the register's
        return listed

    async def _shown(self, made: dict[str, Any], places: Places) -> bytes:
        """Return an item that was written as clients get it: as it is by now, or as it was written if it has gone."""
        return await self.backend.item(made["collection"], made["id"], places) or orjson.dumps(served(made, places))


def changed(document: dict[str, Any], patch: dict[str, Any] | list[Any]) -> Any:
    """Return a document with a merge patch, or the operations of a JSON Patch; 409 if these do not fit it."""
    try:
        return patched(document, patch) if isinstance(patch, list) else merged(document, patch)
    except PatchConflictError as error:
        raise ConflictError(str(error)) from error


def require_match(request: Request, tags: Iterable[str]) -> None:
    """Answer 412 if a request is meant for another state (If-Match) than that of these ETags.

    Weak ones count, as they change with every byte.
    """
    wanted = request.headers.get("if-match", "*").strip()
    if wanted == "*":
        return
    named = {one.strip().removeprefix("W/") for one in wanted.split(",")}
    if named.isdisjoint(tag.removeprefix("W/") for tag in tags):
        raise HTTPException(412, "it is no longer what If-Match says; get it again")


async def pause(number: int) -> None:
    """Wait before a further try, so that processes that change the same spread."""
    if number:
        await asyncio.sleep(random.uniform(0, _PAUSE * number))  # noqa: S311 - no secret


def busy(name: str) -> HTTPException:
    """Return the answer to a change of what others keep changing."""
    return HTTPException(503, f"{name}: others keep changing it; try again", {"Retry-After": "1"})


def _require_same(item: dict[str, Any], collection: str, name: str) -> None:
    if item["id"] != name:
        raise BadRequestError(f"id: {item['id']!r}: the item of this URL is {name!r}")
    if item["collection"] != collection:
        raise BadRequestError(f"collection: {item['collection']!r}: the item of this URL is in {collection!r}")


def _stale(item: dict[str, Any], listed: dict[str, Any]) -> str:
    sent, has = (one["properties"].get("abut:revision", 0) for one in (item, listed))
    return f"{item['id']}: revision {sent} is stale, the catalogue has {has}"
