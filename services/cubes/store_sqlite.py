"""The store of jobs in a SQLite file: for one machine."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from catalog.schema import transaction
from services.cubes.jobs import JobStoreError, utc_now
from services.cubes.store_sql import TABLES, VERSION, SqlJobStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime, timedelta
    from pathlib import Path

    from services.cubes.jobs import Clock
    from services.cubes.store_sql import Run

APPLICATION_ID: Final = 0x4142544A
"""``application_id`` of the file: the letters ABTJ."""

_BUSY_TIMEOUT: Final = 30.0


def open_sqlite(path: Path, keep: timedelta, clock: Clock | None = None) -> SqlJobStore:
    """Open the jobs in a file, which is made if it is missing.

    Parameters
    ----------
    path : Path
        The file.
    keep : timedelta
        How long a job that is over is kept.
    clock : callable, optional
        Tells the time. Default: this machine's.

    Raises
    ------
    JobStoreError
        If it can't be made, is something else, or of another version.
    """
    return SqlJobStore(SqliteDatabase(path, _opened(path)), keep, clock)


@dataclass(frozen=True, slots=True)
class SqliteDatabase:
    """One connection, which threads use one after another."""

    path: Path
    """The file."""
    connection: sqlite3.Connection
    """The connection."""
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    """Who has it uses the connection."""

    def read(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a statement that changes nothing."""
        with self.lock, _explained(self.path):
            return self.connection.execute(statement, parameters).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[Run]:
        """Take the write lock; commit at the end, or undo everything if the body raises."""
        with self.lock, _explained(self.path), transaction(self.connection):
            yield lambda statement, *parameters: self.connection.execute(statement, parameters).fetchall()

    def now(self) -> datetime:
        """Return the time on this machine's clock."""
        return utc_now()

    def close(self) -> None:
        """Close the connection."""
        with self.lock:
            self.connection.close()


def _opened(path: Path) -> sqlite3.Connection:
    with _explained(path):
        connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA foreign_keys = 1")
    connection.execute("PRAGMA synchronous = FULL")  # a job that was accepted is not forgotten
    if _version(connection, path) == 0:
        connection.execute("PRAGMA journal_mode = WAL")
        with transaction(connection):
            if _version(connection, path) == 0:  # else another process was faster
                for statement in TABLES:
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {VERSION}")
    if (version := _version(connection, path)) != VERSION:
        raise JobStoreError(f"{path}: jobs of version {version}, this version of Abut needs {VERSION}")


def _version(connection: sqlite3.Connection, path: Path) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if application != APPLICATION_ID and (version or connection.execute("SELECT 1 FROM sqlite_schema").fetchone()):
        raise JobStoreError(f"{path}: a database, but not one of jobs")
    return version


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise JobStoreError(f"{path}: {error}") from error
