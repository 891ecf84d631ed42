"""What the STAC API asks of a database; `services.stac.sqlite` and `services.stac.pgstac` answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from catalog.interface import Outcome
    from catalog.places import Places
    from catalog.search import Page, Search


@dataclass(frozen=True, slots=True)
class Listed:
    """An item at one moment."""

    item: dict[str, Any]
    """As it is stored."""
    shown: bytes
    """As clients get it."""


class Backend(Protocol):
    """A database behind the API. Everything it is handed was checked; `BadRequestError` is the client's fault."""

    def running(self) -> AbstractAsyncContextManager[None]:
        """Be connected while the application runs."""

    async def ready(self) -> None:
        """Raise if the database can't answer now."""

    async def search(self, search: Search, places: Places) -> Page:
        """Return one page of a search, items as `catalog.places.served` makes them, fields chosen.

        It ends at the number of items that is asked for, or before they are larger than asked for.

        Raises
        ------
        BadRequestError
            If the token is none of its own, or a filter has no meaning (the message quotes the value).
        """

    async def item(self, collection: str, item: str, places: Places) -> bytes | None:
        """Return an item as clients get it, withdrawn or not, or None if it is not listed."""

    async def stored(self, collection: str, item: str) -> dict[str, Any] | None:
        """Return an item as it is stored, withdrawn or not."""

    async def listed(self, collection: str, item: str, places: Places) -> Listed | None:
        """Return an item as it is stored and as clients get it, both of the same moment; None if there is none."""

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
        """Add or replace items, all or none, by `catalog.interface.Catalogue`'s rule; return how many were written."""

    async def insert(self, items: Sequence[Mapping[str, Any]]) -> list[str]:
        """Add items, all or none; return the ids that are listed already (then nothing was written)."""

    async def replace_if(self, item: Mapping[str, Any], expected: Mapping[str, Any]) -> Outcome:
        """Replace an item if it is still stored as expected, whichever process writes beside this one."""

    async def remove_if(self, expected: Mapping[str, Any]) -> bool:
        """Take an item out if it is still stored as expected; return whether it was."""

    async def put_collection_if(self, collection: Mapping[str, Any], expected: Mapping[str, Any] | None) -> bool:
        """Put a collection if the one of its id is still as expected (None: there is none); return whether it was."""

    async def remove_collection(self, collection: str, *, empty: bool = False) -> bool:
        """Take a collection and its items out, or only if it has none; return whether that was done."""
