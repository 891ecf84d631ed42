"""The store of jobs in PostgreSQL, for several replicas; needs the extra ``pgstac``."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.rows import TupleRow

from abut.catalogue import without_secrets
from services.cubes.jobs import JobStoreError
from services.cubes.store_sql import TABLES, VERSION, SqlJobStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime, timedelta

    from services.cubes.jobs import Clock
    from services.cubes.store_sql import Run

type Connection = psycopg.Connection[TupleRow]

SCHEMA: Final = "abut_jobs"
"""Schema of the tables."""

_LOCK: Final = 0x4142544A
"""Key of the advisory lock of whoever changes something: the letters ABTJ."""
_ENCODING: Final = "UTF8"
_CONNECT_TIMEOUT: Final = 10
_SILENT_MILLISECONDS: Final = 60_000
"""After which a host that acknowledges nothing counts as gone."""
_SETTINGS: Final = {
    "search_path": SCHEMA,
    "timezone": "UTC",
    "client_min_messages": "warning",
    "lock_timeout": "30s",
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
}


def open_postgres(url: str, keep: timedelta, clock: Clock | None = None) -> SqlJobStore:
    """Open the jobs in a database; their tables are made in the schema `SCHEMA` if they are missing.

    Parameters
    ----------
    url : str
        ``postgresql://[user[:password]@]host[:port]/database``; what it leaves out comes from PGUSER, PGPASSWORD ...
    keep : timedelta
        How long a job that is over is kept.
    clock : callable, optional
        Tells the time. Default: the server's.

    Raises
    ------
    JobStoreError
        If the database can't be reached or refuses, its encoding is not UTF8, or its tables are of another version.
    """
    with _explained(url):
        database = PostgresDatabase(url, [_connected(url)])
        try:
            _prepare(database)
        except BaseException:
            database.close()
            raise
    return SqlJobStore(database, keep, clock)


@dataclass(frozen=True, slots=True)
class PostgresDatabase:
    """One connection, which threads use one after another; a lost one is replaced by the next who needs it."""

    url: str
    """URL, perhaps with a password."""
    connections: list[Connection] = field(repr=False)
    """The connection."""
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    """Who has it uses the connection."""

    def read(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a statement that changes nothing."""
        with self.lock, _explained(self.url):
            return _run(self._ready(), statement, parameters)

    @contextmanager
    def transaction(self) -> Iterator[Run]:
        """Wait until nobody else changes anything; commit at the end, or undo everything if the body raises."""
        with self.lock, _explained(self.url):
            connection = self._ready()
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                yield lambda statement, *parameters: _run(connection, statement, parameters)

    def now(self) -> datetime:
        """Return the time on the server's clock."""
        found: datetime = self.read("SELECT clock_timestamp()")[0][0]
        return found

    def close(self) -> None:
        """Close the connection."""
        with self.lock:
            self.connections[0].close()

    def _ready(self) -> Connection:
        """Return a connection that works: the server may have ended it since."""
        current = self.connections[0]
        if current.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS:
            return current
        try:
            current.execute("SELECT 1")
        except (psycopg.OperationalError, psycopg.InterfaceError):
            current.close()
            self.connections[0] = current = _connected(self.url)
            _prepare(self)  # a database that was lost may have been made anew
        return current


def _connected(url: str) -> Connection:
    connection = psycopg.connect(
        url,
        autocommit=True,
        connect_timeout=_CONNECT_TIMEOUT,
        keepalives_idle=30,
        tcp_user_timeout=_SILENT_MILLISECONDS,
        application_name="abut-jobs",
        client_encoding=_ENCODING,
    )
    (encoding,) = connection.execute("SHOW server_encoding").fetchone() or (None,)
    if encoding != _ENCODING:
        connection.close()
        raise JobStoreError(
            f"jobs in {without_secrets(url)}: the database's encoding is {encoding}, jobs need {_ENCODING}"
        )
    for name, value in _SETTINGS.items():
        connection.execute("SELECT set_config(%s, %s, false)", (name, value))
    return connection


def _prepare(database: PostgresDatabase) -> None:
    with database.transaction() as run:
        if not _has_schema(run):
            run(f"CREATE SCHEMA {SCHEMA}")
        if not run("SELECT 1 FROM pg_tables WHERE schemaname = ? AND tablename = 'version'", SCHEMA):
            for statement in (*TABLES, "CREATE TABLE version (number INTEGER NOT NULL)"):
                run(statement)
            run("INSERT INTO version VALUES (?)", VERSION)
        ((version,),) = run("SELECT number FROM version")
    if version != VERSION:
        raise JobStoreError(
            f"{without_secrets(database.url)}: jobs of version {version}, this version of Abut needs {VERSION}"
        )


def _has_schema(run: Run) -> bool:
    """Return whether it is there; who only uses it may not be allowed to make one."""
    return bool(run("SELECT 1 FROM pg_namespace WHERE nspname = ?", SCHEMA))


def _run(connection: Connection, statement: str, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    cursor = connection.execute(statement.replace("?", "%s").encode(), parameters)
    return cursor.fetchall() if cursor.description else []


@contextmanager
def _explained(url: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        reason = str(error).strip().partition("\n")[0]
        raise JobStoreError(f"jobs in {without_secrets(url)}: {reason}") from error
