"""From the tables of earlier versions of the embedded catalogue to the present ones."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING

from catalog.schema import make_tables
from catalog.writing import write_many

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

_OLD = ("documents", "items", "collections")


def migrate(connection: sqlite3.Connection) -> None:
    """Build the tables anew from the items of version 1, within the transaction that is open.

    Collections and items stay as they are; items learn of their versions.
    """
    for table in _OLD:
        connection.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    for name in ("items_by_time", "items_by_tile", "items_by_layer", "items_by_datastrip"):
        connection.execute(f"DROP INDEX {name}")
    connection.execute("DROP TABLE extents")
    make_tables(connection)
    connection.execute("INSERT INTO collections SELECT id, document FROM old_collections")
    write_many(connection, _items(connection))
    for table in _OLD:
        connection.execute(f"DROP TABLE old_{table}")


def _items(connection: sqlite3.Connection) -> Iterator[dict[str, object]]:
    for (data,) in connection.execute("SELECT document FROM old_documents ORDER BY rid"):
        yield json.loads(zlib.decompress(data))
