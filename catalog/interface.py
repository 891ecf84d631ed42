"""What every catalogue can do, whatever keeps it: SQLite, PostgreSQL with pgstac, or a remote STAC API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import TracebackType

    from catalog.owner import Owner


type Outcome = Literal["written", "changed", "outdated"]
"""What became of a conditional replacement: it was written; the item is another by now, or gone; the catalogue has a
newer revision."""


class Catalogue(Protocol):
    """An index of the items of one archive; a context manager that closes it. `catalog.opening` opens them.

    Items are those of the archive, relative hrefs included. An item of the same store (``abut:store``) is replaced
    only by one of the same or a newer ledger revision; one of another store always; items without a store always.
    Withdrawn items are kept (so that an older copy can't bring them back) but no search finds them.
    In the same transaction, versions of a product (`catalog.versions`) are told of each other.
    """

    @property
    def url(self) -> str:
        """Where it is, without secrets: for messages and for the archive's settings."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...

    def close(self) -> None:
        """Close it; what was committed stays."""

    def owner(self) -> Owner | None:
        """Return the archive whose it is, or None if it is nobody's yet, or does not say."""

    def claim(self, owner: Owner) -> Owner:
        """Make it an archive's, if it is nobody's yet; return whose it is then. Of several at once, one succeeds."""

    def upsert_many(self, items: Iterable[Mapping[str, Any]]) -> int:
        """Add or replace items, in transactions of some hundreds; return how many were written.

        Raises
        ------
        ValueError
            If one is no item that can be listed, or its collection is unknown.
        """

    def remove(self, item_id: str, collection: str = ...) -> bool:
        """Take an item out, withdrawn or not; return whether it was listed."""

    def remove_if(self, expected: Mapping[str, Any]) -> bool:
        """Take an item out if it is listed and still what `get` returned; return whether it was taken out.

        Comparing and removing is one step, but behind a STAC API that is not Abut's.
        """

    def get(self, item_id: str, collection: str = ...) -> dict[str, Any] | None:
        """Return an item, withdrawn or not, or None if it is not listed."""

    def revision(self, item_id: str, collection: str = ...) -> int | None:
        """Return the ledger revision of an item, withdrawn or not, or None if it is not listed."""

    def ids(self, collection: str = ...) -> set[str]:
        """Return the ids of all items of a collection, withdrawn ones included."""

    def items(self, collection: str | None = None, *, withdrawn: bool = False) -> Iterator[dict[str, Any]]:
        """Return all items, one after another, by collection and id; withdrawn ones too if asked for."""

    def collections(self) -> list[dict[str, Any]]:
        """Return the collections, by id."""

    def put_collection(self, collection: Mapping[str, Any]) -> None:
        """Add a collection, or replace the one of its id."""

    def remove_collection(self, collection: str) -> bool:
        """Take a collection and its items out; return whether it was listed."""
