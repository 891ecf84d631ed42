"""Tables of the embedded catalogue, and connections to it.

``items`` has what is searched and sorted by, in slim rows; ``documents`` has the items themselves (zlib-compressed
JSON) and their geometries (WKB) for the exact spatial test; ``extents`` is an R*Tree on bounding box and time. Rows
of the three share their ``rid``.

Longitudes in ``extents`` start in -180 ... 180 and go on past 180 for what crosses that meridian; time is in days
since 1970. ``items.datetime`` is in microseconds since 1970.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from abut.errors import InvalidArchiveError
from catalog.collection import make_collection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA_VERSION: Final = 1
"""Version of the tables, in ``user_version`` of the file."""

APPLICATION_ID: Final = 0x41425554
"""``application_id`` of the file: the letters ABUT."""

BUSY_TIMEOUT: Final = 60.0
"""Seconds to wait for another process that writes."""

_TABLES: Final = (
    """CREATE TABLE collections (
        id TEXT PRIMARY KEY,
        document TEXT NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE items (
        rid INTEGER PRIMARY KEY,
        collection TEXT NOT NULL REFERENCES collections (id),
        id TEXT NOT NULL UNIQUE,
        datetime INTEGER NOT NULL,
        grid_code TEXT,
        cloud_cover REAL,
        platform TEXT,
        relative_orbit INTEGER,
        orbit_state TEXT,
        baseline TEXT,
        datatake TEXT,
        datastrip TEXT,
        layer TEXT,
        store TEXT,
        revision INTEGER NOT NULL,
        withdrawn INTEGER NOT NULL CHECK (withdrawn IN (0, 1)),
        updated INTEGER
    )""",
    "CREATE INDEX items_by_time ON items (datetime, id)",
    "CREATE INDEX items_by_tile ON items (grid_code, datetime)",
    "CREATE INDEX items_by_layer ON items (layer)",
    "CREATE INDEX items_by_datastrip ON items (datastrip)",
    """CREATE TABLE documents (
        rid INTEGER PRIMARY KEY REFERENCES items (rid) ON DELETE CASCADE,
        geometry BLOB,
        document BLOB NOT NULL
    )""",
    "CREATE VIRTUAL TABLE extents USING rtree (rid, west, east, south, north, first_day, last_day)",
)


def connect(path: Path, *, create: bool) -> sqlite3.Connection:
    """Open a catalogue for reading and writing; make its tables if it is new.

    Raises
    ------
    InvalidArchiveError
        If there is no file and `create` is false, it is no catalogue, or one of a newer version.
    """
    if not create and not path.is_file():
        raise InvalidArchiveError(f"{path}: no catalogue")
    if not path.parent.is_dir():
        raise InvalidArchiveError(f"{path}: no folder for the catalogue")
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)
    try:
        _prepare(connection, path)
    except sqlite3.DatabaseError as error:
        connection.close()
        if isinstance(error, sqlite3.OperationalError):
            raise
        raise InvalidArchiveError(f"{path}: not a catalogue ({error})") from error
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open a second connection that only reads, for one search."""
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)
    connection.execute("PRAGMA query_only = 1")
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Take the write lock; commit at the end, or undo everything if the body raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA foreign_keys = 1")
    connection.execute("PRAGMA synchronous = FULL")
    if _version(connection, path) == 0:
        connection.execute("PRAGMA journal_mode = WAL")
        with transaction(connection):
            if _version(connection, path) == 0:  # else another process was faster
                _create(connection)


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """Version of the tables; 0 of an empty file."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application != APPLICATION_ID and (tables or version):
        raise InvalidArchiveError(f"{path}: a database, but not a catalogue")
    if version > SCHEMA_VERSION:
        raise InvalidArchiveError(
            f"{path}: catalogue of version {version}; this version of Abut reads up to {SCHEMA_VERSION}"
        )
    return version


def _create(connection: sqlite3.Connection) -> None:
    for statement in _TABLES:
        connection.execute(statement)
    collection = make_collection().to_dict(include_self_link=False)
    connection.execute("INSERT INTO collections VALUES (?, ?)", (collection["id"], json.dumps(collection)))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
