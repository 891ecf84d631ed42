"""What the STAC API asks of a database; `services.stac.sqlite` and `services.stac.pgstac` answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from catalog.places import Places
    from catalog.search import Page, Search


class Backend(Protocol):
    """A database behind the API. Everything it is handed was checked; ValueErrors it raises are the client's fault."""

    def running(self) -> AbstractAsyncContextManager[None]:
        """Be connected while the application runs."""

    async def ready(self) -> None:
        """Raise if the database can't answer now."""

    async def search(self, search: Search, places: Places) -> Page:
        """Return one page of a search, items as `catalog.places.served` makes them, fields chosen.

        Raises
        ------
        ValueError
            If the token is none of its own, or a filter has no meaning (the message quotes the value).
        """

    async def item(self, collection: str, item: str, places: Places) -> bytes | None:
        """Return an item as clients get it, or None if there is none or it was withdrawn."""

    async def stored(self, collection: str, item: str) -> dict[str, Any] | None:
        """Return an item as it is stored, withdrawn or not."""

    async def listing(self, collection: str, after: str, limit: int) -> list[dict[str, Any]]:
        """Return items of a collection as they are stored, withdrawn or not: the first whose ids come after `after`.

        Ids are ordered by code point, whatever the database's own order is; an empty `after` is the start.
        """

    async def collections(self) -> list[dict[str, Any]]:
        """Return all collections as they are stored, by id."""

    async def extent(self, collection: str) -> tuple[list[float], list[str]] | None:
        """Return bounding box and first and last datetime of the items that can be found, or None without any."""

    async def aggregate(self, search: Search, names: Sequence[str]) -> list[dict[str, Any]]:
        """Return aggregations (`catalog.aggregation`) of all that a search finds; its limit and token do not matter."""

    async def upsert(self, items: Sequence[Mapping[str, Any]]) -> int:
        """Add or replace items by the rule of `catalog.interface.Catalogue`; return how many were written."""

    async def insert(self, items: Sequence[Mapping[str, Any]]) -> list[str]:
        """Add items, all or none; return the ids that are listed already (then nothing was written)."""

    async def remove(self, collection: str, item: str) -> bool:
        """Take an item out; return whether it was listed."""

    async def put_collection(self, collection: Mapping[str, Any]) -> None:
        """Add a collection, or replace the one of its id."""

    async def remove_collection(self, collection: str) -> bool:
        """Take a collection and its items out; return whether it was listed."""
