"""The embedded catalogue: an index, in one SQLite file, of the items of an archive.

It can be rebuilt from the items at any time; nothing that must be right reads it. Several processes may have it open
on one machine: one writes at a time, readers see the last commit.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from catalog import writing
from catalog.functions import reader
from catalog.item import COLLECTION_ID
from catalog.listing import collections, listing, row_item, stored_item
from catalog.owner import Owner, decoded, encoded
from catalog.plan import conditions, plan
from catalog.schema import connect, connect_reader, room, snapshot, transaction
from catalog.search import Search

if TYPE_CHECKING:
    import os
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping
    from types import TracebackType

    from catalog.functions import Reader
    from catalog.plan import Conditions

_ALL: Final = Search()

BATCH: Final = 2_500
"""Items that are written in one transaction: a disk takes its time to confirm one."""

_READ: Final = 500
"""Items that are read at once."""


def open_catalogue(path: str | os.PathLike[str], create: bool = True) -> Catalogue:
    """Open a catalogue, for one thread.

    Parameters
    ----------
    path : path
        The SQLite file, on a local disk.
    create : bool
        Whether to make it if there is none.

    Raises
    ------
    InvalidArchiveError
        If there is none and it is not to be made, or it is no catalogue, or one of another version.
    """
    location = Path(path)
    return Catalogue(location, reader(connect(location, create=create)))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """An open catalogue; a context manager that closes it. Open one with `open_catalogue`."""

    path: Path
    """The SQLite file."""
    reader: Reader
    """Connection of the thread that opened it, for reading and writing."""

    @property
    def connection(self) -> sqlite3.Connection:
        """Connection of the thread that opened it."""
        return self.reader.connection

    @property
    def url(self) -> str:
        """The file, for messages."""
        return str(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close it; what was committed stays."""
        self.connection.close()

    def owner(self) -> Owner | None:
        """Return the archive whose it is, or None if it is nobody's yet."""
        found = self.connection.execute("SELECT value FROM settings WHERE name = 'archive'").fetchone()
        return decoded(found[0]) if found else None

    def claim(self, owner: Owner) -> Owner:
        """Make it an archive's, if it is nobody's yet; return whose it is then."""
        with transaction(self.connection):
            self.connection.execute("INSERT OR IGNORE INTO settings VALUES ('archive', ?)", (encoded(owner),))
        return self.owner() or owner

    def upsert(self, item: Mapping[str, Any]) -> bool:
        """Add an item, or replace the one of its id, as `upsert_many` does; return whether it was written."""
        return self.upsert_many([item]) == 1

    def upsert_many(self, items: Iterable[Mapping[str, Any]]) -> int:
        """Add or replace items, in transactions of `BATCH` items.

        An item of the same store is replaced only by one of the same or a newer ledger revision; one of another store
        only by one of a store that was not written earlier; items without a store always. Versions of a product are
        told of each other. An item is listed wholly or not at all; after an error or a crash the finished batches are
        listed.

        Returns
        -------
        int
            How many were written: those that the catalogue has no newer revision of.

        Raises
        ------
        ValueError
            If one is not an item that can be listed, or its collection is unknown.
        """
        written = 0
        with room(self.connection):
            for rows in batched(map(writing.prepared, items), BATCH):  # prepared before others have to wait
                with transaction(self.connection):
                    written += writing.write_rows(self.connection, rows)
        return written

    def remove(self, item_id: str, collection: str = COLLECTION_ID) -> bool:
        """Take an item out, withdrawn or not; return whether it was listed."""
        with transaction(self.connection):
            return writing.remove(self.connection, collection, item_id)

    def remove_if(self, expected: Mapping[str, Any]) -> bool:
        """Take an item out if it is listed and still what `get` returned; return whether it was taken out."""
        with transaction(self.connection):
            return writing.remove_if(self.connection, expected)

    def get(self, item_id: str, collection: str = COLLECTION_ID) -> dict[str, Any] | None:
        """Return an item, withdrawn or not, or None if it is not listed."""
        return stored_item(self.reader, collection, item_id)

    def ids(self, collection: str = COLLECTION_ID) -> set[str]:
        """Return the ids of all items of a collection, withdrawn ones included."""
        return {
            found[0] for found in self.connection.execute("SELECT id FROM items WHERE collection = ?", (collection,))
        }

    def items(self, collection: str | None = None, *, withdrawn: bool = False) -> Iterator[dict[str, Any]]:
        """Return all items, one after another, by collection and id; withdrawn ones too if asked for.

        They are read some hundreds at a time, each time as they are then.
        """
        names = [one["id"] for one in self.collections()] if collection is None else [collection]
        for name in names:
            last = ""
            while found := listing(self.reader, name, last, _READ, withdrawn=withdrawn):
                yield from found
                last = found[-1]["id"]

    def count(self) -> int:
        """Return the number of items, withdrawn ones included."""
        return int(self.connection.execute("SELECT count(*) FROM items").fetchone()[0])

    def revision(self, item_id: str, collection: str = COLLECTION_ID) -> int | None:
        """Return the ledger revision of an item, or None if it is not listed."""
        statement = "SELECT revision FROM items WHERE id = ? AND collection = ?"
        found = self.connection.execute(statement, (item_id, collection)).fetchone()
        return None if found is None else int(found[0])

    def collections(self) -> list[dict[str, Any]]:
        """Return the collections, by id."""
        return collections(self.reader)

    def put_collection(self, collection: Mapping[str, Any]) -> None:
        """Add a collection, or replace the one of its id.

        Raises
        ------
        ValueError
            If it has no id, or values that JSON has not.
        """
        with transaction(self.connection):
            writing.put_collection(self.connection, collection)

    def remove_collection(self, collection: str) -> bool:
        """Take a collection and its items out; return whether it was listed."""
        with transaction(self.connection):
            return writing.remove_collection(self.connection, collection)

    def search(self, search: Search = _ALL, *, withdrawn: bool | None = False) -> Iterator[dict[str, Any]]:
        """Find items as they are stored; by time and id, all that match.

        The results are those of one moment, when the first is asked for: what is written while they are read does
        not change them.

        Parameters
        ----------
        search : Search
            What is looked for; what it says of pages, order and fields does not count.
        withdrawn : bool or None
            Whether to find withdrawn products (None: either kind). Default: only those that were not withdrawn.
        """
        return _results(self.path, conditions(search, withdrawn=withdrawn))


def _results(path: Path, wanted: Conditions) -> Iterator[dict[str, Any]]:
    """Items of a search, read by a connection of its own that holds on to one state of the catalogue."""
    with contextlib.closing(connect_reader(path)) as connection, snapshot(connection):
        opened = reader(connection)
        planned = plan(wanted, opened)
        # S608: what is put into it are names; values are parameters. Without the documents, so that these need not
        # go through the sorter.
        order = "i.datetime, i.id, i.collection"
        statement = f"SELECT i.rid FROM {planned.source} WHERE {planned.where} ORDER BY {order}"  # noqa: S608
        for (rid,) in connection.execute(statement, planned.parameters):
            yield row_item(opened, rid)
