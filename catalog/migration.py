"""From the tables of earlier versions of the embedded catalogue to the present ones, for those who ask for it."""

from __future__ import annotations

import json
import zlib
from contextlib import closing
from typing import TYPE_CHECKING, Final

from abut.errors import InvalidArchiveError
from catalog.schema import SCHEMA_VERSION, SETTINGS, connect_with, make_tables, transaction, version_of
from catalog.writing import write_many

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

_OLD: Final = ("documents", "items", "collections")

_STEPS: Final[dict[int, tuple[str, ...]]] = {2: (SETTINGS,)}
"""Statements that lead from a version to the next."""


def upgrade(path: Path) -> bool:
    """Bring a catalogue up to date, wholly or not at all; return whether it was of an older version.

    Raises
    ------
    InvalidArchiveError
        If there is none, it is of a newer version, or has items that can't be listed any more.
    """
    before = 0

    def migrated(connection: sqlite3.Connection, path: Path) -> None:
        nonlocal before
        with transaction(connection):
            before = version_of(connection, path)
            try:
                _migrate(connection, before)
            except ValueError as error:
                raise InvalidArchiveError(
                    f"{path}: {error}; without this file, `abut check --repair` lists the archive's items anew"
                ) from error

    with closing(connect_with(migrated, path, create=False)):
        return 0 < before < SCHEMA_VERSION


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    if version == 1:
        _rebuild(connection)
    elif version:
        for number in range(version, SCHEMA_VERSION):
            for statement in _STEPS[number]:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _rebuild(connection: sqlite3.Connection) -> None:
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
