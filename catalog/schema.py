"""Tables of the embedded catalogue, and connections to it.

``items`` has what is searched and sorted by, in slim rows; ``details`` has the geometries (WKB) for the exact spatial
test and the other properties; ``documents`` has the items themselves; ``extents`` is an R*Tree on bounding box and
time of what searches find by place. Rows of the four share their ``rid``. Properties and items are compressed with
``dictionaries`` (see `catalog.packing`). ``settings`` says whose catalogue it is (`catalog.owner`).

Longitudes start in -180 ... 180 and go on past 180 for what crosses that meridian; ``extents`` has time in days since
1970, all other times are in microseconds since 1970. An item's time is ``datetime`` ... ``until``.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from abut.errors import InvalidArchiveError, NewerCatalogueError
from catalog.collection import make_collection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SCHEMA_VERSION: Final = 3
"""Version of the tables, in ``user_version`` of the file."""

UPGRADE: Final = "`abut catalog upgrade` brings it up to date"
"""What messages about older versions say."""

APPLICATION_ID: Final = 0x41425554
"""``application_id`` of the file: the letters ABUT."""

BUSY_TIMEOUT: Final = 60.0
"""Seconds to wait for another process that writes."""

PAGE_SIZE: Final = 8_192
"""Bytes of a page: several documents fit, of which there would be one on a page of the usual size."""

MAX_LOG: Final = 64 * 2**20
"""Bytes that the write-ahead log keeps when it starts anew."""

CACHE: Final = 8_000
"""KiB of pages that a connection keeps."""

ROOM: Final = 64_000
"""KiB of pages that it keeps while many items are written: changed pages that don't fit are written too early."""

CHECKPOINTS: Final = (1_000, 6_000)
"""Pages in the log that make SQLite write them back; and while many items are written, which change them again."""

SETTINGS: Final = "CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
"""Statement that makes the table of what the catalogue knows of itself; new in version 3."""

TABLES: Final = (
    SETTINGS,
    """CREATE TABLE collections (
        id TEXT PRIMARY KEY,
        document TEXT NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE dictionaries (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        collection TEXT NOT NULL UNIQUE,
        document BLOB NOT NULL,
        properties BLOB NOT NULL
    )""",
    """CREATE TABLE items (
        rid INTEGER PRIMARY KEY,
        collection TEXT NOT NULL REFERENCES collections (id),
        id TEXT NOT NULL,
        datetime INTEGER NOT NULL,
        until INTEGER NOT NULL,
        west REAL,
        east REAL,
        south REAL,
        north REAL,
        revision INTEGER NOT NULL,
        withdrawn INTEGER NOT NULL CHECK (withdrawn IN (0, 1)),
        family INTEGER,
        created INTEGER,
        updated INTEGER,
        grid_code TEXT,
        cloud_cover REAL,
        platform TEXT,
        relative_orbit INTEGER,
        orbit_state TEXT,
        baseline TEXT,
        projection TEXT,
        sun_elevation REAL,
        nodata REAL,
        deprecated INTEGER CHECK (deprecated IN (0, 1)),
        datatake TEXT,
        datastrip TEXT,
        layer TEXT,
        store TEXT,
        UNIQUE (id, collection)
    )""",
    # With all that the usual searches need, so that these walk through time without a look at the rows.
    """CREATE INDEX items_by_time ON items (
        datetime, id, collection, withdrawn, until, west, east, south, north,
        cloud_cover, grid_code, deprecated, platform, relative_orbit, orbit_state, baseline, datatake
    )""",
    "CREATE INDEX items_by_duration ON items (until - datetime) WHERE until > datetime",
    "CREATE INDEX items_by_tile ON items (grid_code, datetime, id)",
    "CREATE INDEX items_by_datatake ON items (datatake)",
    "CREATE INDEX items_by_datastrip ON items (datastrip)",
    "CREATE INDEX items_by_layer ON items (layer)",
    "CREATE INDEX items_by_family ON items (family)",
    """CREATE TABLE details (
        rid INTEGER PRIMARY KEY REFERENCES items (rid) ON DELETE CASCADE,
        geometry BLOB,
        properties BLOB NOT NULL
    )""",
    """CREATE TABLE documents (
        rid INTEGER PRIMARY KEY REFERENCES items (rid) ON DELETE CASCADE,
        document BLOB NOT NULL
    )""",
    "CREATE VIRTUAL TABLE extents USING rtree (rid, west, east, south, north, first_day, last_day)",
)
"""Statements that make the tables of `SCHEMA_VERSION`."""


def connect(path: Path, *, create: bool, any_thread: bool = False) -> sqlite3.Connection:
    """Open a catalogue for reading and writing; make its tables if it is new.

    Raises
    ------
    InvalidArchiveError
        If there is no file and `create` is false, it is no catalogue, or one of another version.
    """
    return connect_with(_require_present, path, create=create, any_thread=any_thread)


def connect_with(
    prepare: Callable[[sqlite3.Connection, Path], object], path: Path, *, create: bool, any_thread: bool = False
) -> sqlite3.Connection:
    """Open a catalogue whatever its version, and prepare it; the connection is closed if that raises.

    Raises
    ------
    InvalidArchiveError
        If there is no file and `create` is false, or it is no catalogue.
    """
    if not create and not path.is_file():
        raise InvalidArchiveError(f"{path}: no catalogue")
    if not path.parent.is_dir():
        raise InvalidArchiveError(f"{path}: no folder for the catalogue")
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=not any_thread)
    try:
        _configure(connection)
        prepare(connection, path)
    except sqlite3.DatabaseError as error:
        connection.close()
        if isinstance(error, sqlite3.OperationalError):
            raise
        raise InvalidArchiveError(f"{path}: not a catalogue ({error})") from error
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path, *, any_thread: bool = False) -> sqlite3.Connection:
    """Open a connection that only reads a catalogue, which must be there and of `SCHEMA_VERSION`."""
    url = f"{path.absolute().as_uri()}?mode=rw"  # a file that has gone is not made anew
    connection = sqlite3.connect(
        url, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=not any_thread
    )
    connection.execute("PRAGMA query_only = 1")
    connection.execute(f"PRAGMA cache_size = -{CACHE}")
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Take the write lock; commit at the end, or undo everything if the body raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def room(connection: sqlite3.Connection) -> Iterator[None]:
    """Keep more pages, and write them back less often, while many items are written in several transactions."""
    usual, seldom = CHECKPOINTS
    connection.execute(f"PRAGMA cache_size = -{ROOM}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {seldom}")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA wal_autocheckpoint = {usual}")
        connection.execute(f"PRAGMA cache_size = -{CACHE}")


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Read one state of the catalogue in all statements of the body."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version of the tables; 0 of an empty file.

    Raises
    ------
    InvalidArchiveError
        If it is no catalogue, or one of a newer version than `SCHEMA_VERSION`.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application != APPLICATION_ID and (tables or version):
        raise InvalidArchiveError(f"{path}: a database, but not a catalogue")
    if version > SCHEMA_VERSION:
        raise NewerCatalogueError(
            f"{path}: catalogue of version {version}, too new: this version of Abut knows up to {SCHEMA_VERSION}"
        )
    return version


def _configure(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA foreign_keys = 1")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA journal_size_limit = {MAX_LOG}")
    connection.execute(f"PRAGMA cache_size = -{CACHE}")


def _require_present(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables in an empty file; refuse those of an older version, which others may be using."""
    if version_of(connection, path) == 0:
        connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")  # of a new file
        connection.execute("PRAGMA journal_mode = WAL")
        with transaction(connection):
            if version_of(connection, path) == 0:  # else another process was faster
                _create(connection)
    if (version := version_of(connection, path)) != SCHEMA_VERSION:
        raise InvalidArchiveError(
            f"{path}: catalogue of version {version}, this version of Abut needs {SCHEMA_VERSION}: {UPGRADE}"
        )


def _create(connection: sqlite3.Connection) -> None:
    make_tables(connection)
    collection = make_collection().to_dict(include_self_link=False)
    connection.execute("INSERT INTO collections VALUES (?, ?)", (collection["id"], json.dumps(collection)))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def make_tables(connection: sqlite3.Connection) -> None:
    """Make the tables, and name their version in the file."""
    for statement in TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
