"""The embedded catalogue: an index, in one SQLite file, of the items of an archive.

It can be rebuilt from the items at any time; nothing that must be right reads it. Several processes may have it open
on one machine: one writes at a time, readers see the last commit.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import shapely

from catalog.query import Query, Times, query
from catalog.rows import COLUMNS, Row, document, row
from catalog.schema import connect, connect_reader, transaction

if TYPE_CHECKING:
    import os
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

BATCH: Final = 500
"""Items that are written in one transaction."""

# S608: what is put into these statements are names of columns; values are parameters.
_INSERT: Final = f"INSERT INTO items ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608
_UPDATE: Final = f"UPDATE items SET {', '.join(f'{column} = ?' for column in COLUMNS)} WHERE rid = ?"  # noqa: S608


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
        If there is none and it is not to be made, or it is no catalogue, or one of a newer version.
    """
    location = Path(path)
    return Catalogue(location, connect(location, create=create))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """An open catalogue; a context manager that closes it. Open one with `open_catalogue`."""

    path: Path
    """The SQLite file."""
    connection: sqlite3.Connection
    """Connection of the thread that opened it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close it; what was committed stays."""
        self.connection.close()

    def upsert(self, item: Mapping[str, Any]) -> bool:
        """Add an item, or replace the one of its id.

        An item of the same store is replaced only by one of the same or a newer ledger revision; one of another
        store (a later attempt) always.

        Returns
        -------
        bool
            Whether it was written; False if the catalogue has a newer revision.

        Raises
        ------
        ValueError
            If it is not an item that can be listed, or its collection is unknown.
        """
        return self.upsert_many([item]) == 1

    def upsert_many(self, items: Iterable[Mapping[str, Any]]) -> int:
        """Add or replace items as `upsert` does, in transactions of `BATCH` items.

        An item is listed wholly or not at all; after an error or a crash the finished batches are listed.

        Returns
        -------
        int
            How many were written: those that the catalogue has no newer revision of.
        """
        written = 0
        known = {collection["id"] for collection in self.collections()}
        for batch in batched(items, BATCH):
            rows = [row(item) for item in batch]
            for item in batch:
                if item["collection"] not in known:
                    raise ValueError(f"item {item['id']}: unknown collection {item['collection']!r}")
            with transaction(self.connection):
                written += sum(self._write(new) for new in rows)
        return written

    def remove(self, product_id: str) -> bool:
        """Take an item out; return whether it was listed."""
        with transaction(self.connection):
            found = self._find(product_id)
            if found is None:
                return False
            self.connection.execute("DELETE FROM extents WHERE rid = ?", (found[0],))
            self.connection.execute("DELETE FROM items WHERE rid = ?", (found[0],))
            return True

    def get(self, product_id: str) -> dict[str, Any] | None:
        """Return an item, withdrawn or not, or None if it is not listed."""
        statement = "SELECT d.document FROM items i JOIN documents d ON d.rid = i.rid WHERE i.id = ?"
        found = self.connection.execute(statement, (product_id,)).fetchone()
        return None if found is None else document(found[0])

    def ids(self) -> set[str]:
        """Return the ids of all items, withdrawn ones included."""
        return {found[0] for found in self.connection.execute("SELECT id FROM items")}

    def count(self) -> int:
        """Return the number of items, withdrawn ones included."""
        return int(self.connection.execute("SELECT count(*) FROM items").fetchone()[0])

    def revision(self, product_id: str) -> int | None:
        """Return the ledger revision of an item, or None if it is not listed."""
        found = self._find(product_id)
        return None if found is None else found[1]

    def collections(self) -> list[dict[str, Any]]:
        """Return the collections, by id."""
        found = self.connection.execute("SELECT document FROM collections ORDER BY id")
        return [json.loads(text) for (text,) in found]

    def put_collection(self, collection: Mapping[str, Any]) -> None:
        """Add a collection, or replace the one of its id."""
        statement = "INSERT INTO collections VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET document = excluded.document"
        with transaction(self.connection):
            self.connection.execute(statement, (collection["id"], json.dumps(collection, allow_nan=False)))

    def search(
        self,
        *,
        ids: Iterable[str] | None = None,
        bbox: Sequence[float] | None = None,
        datetime: Times | None = None,
        tile: str | None = None,
        layer: str | None = None,
        datastrip: str | None = None,
        cloud_cover_max: float | None = None,
        withdrawn: bool | None = False,
        limit: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Find items; those that match all that is given, by time and id.

        The results are those of one moment, when the first is asked for: what is written while they are read does
        not change them.

        Parameters
        ----------
        ids : iterable of str, optional
            Ids of items.
        bbox : sequence of float, optional
            West, south, east, north in degrees, which the geometry must touch; west > east crosses 180 degrees.
        datetime : str, datetime or tuple, optional
            Instant, or interval with both ends included (``2023-08-01T00:00:00Z/..``, or a tuple with None for an
            open end), of the start of the datatake.
        tile : str, optional
            Tile, such as ``32TNM``.
        layer, datastrip : str, optional
            Name of the layer; full id of the datastrip.
        cloud_cover_max : float, optional
            Largest cloud cover in percent; products that don't know theirs are left out.
        withdrawn : bool or None
            Whether to find withdrawn products (None: either kind). Default: only those that were not withdrawn.
        limit : int, optional
            Largest number of results.

        Raises
        ------
        ValueError
            If an argument has no meaning: a box that is none, a time without zone, a limit below 1.
        InvalidTileError
            If the grid has no such tile.
        """
        wanted = query(
            ids=ids,
            bbox=bbox,
            times=datetime,
            tile=tile,
            layer=layer,
            datastrip=datastrip,
            cloud_cover_max=cloud_cover_max,
            withdrawn=withdrawn,
            limit=limit,
        )
        return _results(self.path, wanted)

    def _find(self, product_id: str) -> tuple[int, int, str | None] | None:
        statement = "SELECT rid, revision, store FROM items WHERE id = ?"
        found: tuple[int, int, str | None] | None = self.connection.execute(statement, (product_id,)).fetchone()
        return found

    def _write(self, new: Row) -> bool:
        found = self._find(new.id)
        if found is None:
            rid = self.connection.execute(_INSERT, new.values).lastrowid
        else:
            rid, revision, store = found
            if store == new.store and new.revision < revision:
                return False
            self.connection.execute(_UPDATE, (*new.values, rid))
        self.connection.execute("REPLACE INTO documents VALUES (?, ?, ?)", (rid, new.geometry, new.document))
        self.connection.execute("DELETE FROM extents WHERE rid = ?", (rid,))
        if new.extent is not None:
            self.connection.execute("INSERT INTO extents VALUES (?, ?, ?, ?, ?, ?, ?)", (rid, *new.extent))
        return True


def _results(path: Path, wanted: Query) -> Iterator[dict[str, Any]]:
    """Documents of a search, read by a connection of its own that holds on to one state of the catalogue."""

    def in_area(geometry: bytes | None) -> bool:
        return geometry is not None and bool(shapely.intersects(wanted.area, shapely.from_wkb(geometry)))

    with contextlib.closing(connect_reader(path)) as connection:
        if wanted.area is not None:
            shapely.prepare(wanted.area)
            connection.create_function("in_area", 1, in_area, deterministic=True)
        connection.execute("BEGIN")  # one state for all statements
        for (rid,) in connection.execute(wanted.statement, wanted.parameters):
            (data,) = connection.execute("SELECT document FROM documents WHERE rid = ?", (rid,)).fetchone()
            yield document(data)
