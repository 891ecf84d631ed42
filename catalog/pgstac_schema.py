"""PostgreSQL with pgstac: connections, and bringing a database to the version of this program."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg import conninfo
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool
from pypgstac.db import PgstacDB
from pypgstac.migrate import Migrate
from pypgstac.version import __version__ as PGSTAC_VERSION  # noqa: N812 - it is a constant

from abut.catalogue import POSTGRES, scheme_of, without_secrets
from abut.errors import CatalogueError, InvalidArchiveError, NewerCatalogueError
from catalog.collection import make_collection
from catalog.pgstac_tables import MIGRATIONS, QUERYABLES, SCHEMA_VERSION
from catalog.pgstac_write import put_collection
from catalog.schema import UPGRADE

if TYPE_CHECKING:
    from collections.abc import Iterator

type Connection = psycopg.Connection[TupleRow]

WRITERS: Final = 0x41425554
"""Key of the advisory lock that one writer holds at a time: the letters ABUT."""

BUSY_TIMEOUT: Final = 60
"""Seconds to wait for another writer, and for a writer that has fallen silent in a transaction."""

ENCODING: Final = "UTF8"
"""Encoding of databases, whatever that of the environment: items have letters of all languages, pgstac's SQL too."""

_CONNECT_TIMEOUT: Final = 10


def connect(url: str) -> Connection:
    """Connect to a database, each statement a transaction of its own.

    Raises
    ------
    InvalidArchiveError
        If the URL is none of a PostgreSQL database, or that has another encoding than `ENCODING`.
    CatalogueError
        If the database can't be reached, or refuses.
    """
    require_url(url)
    try:
        connection = psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=_CONNECT_TIMEOUT,
            keepalives_idle=30,
            application_name="abut",
            client_encoding=ENCODING,
        )
    except psycopg.OperationalError as error:
        raise CatalogueError(f"{without_secrets(url)}: {' '.join(str(error).split())}") from error
    (encoding,) = connection.execute("SHOW server_encoding").fetchone() or (None,)
    if encoding != ENCODING:
        connection.close()
        raise InvalidArchiveError(
            f"{without_secrets(url)}: the database's encoding is {encoding}, a catalogue needs {ENCODING}: "
            f"CREATE DATABASE ... ENCODING '{ENCODING}' TEMPLATE template0"
        )
    _configure(connection)
    return connection


def _configure(connection: Connection) -> None:
    settings = {
        "search_path": "pgstac, public",
        "timezone": "UTC",
        "client_min_messages": "warning",
        "lock_timeout": f"{BUSY_TIMEOUT}s",
        "idle_in_transaction_session_timeout": f"{BUSY_TIMEOUT}s",
    }
    for name, value in settings.items():
        connection.execute("SELECT set_config(%s, %s, false)", (name, value))
    # Where the server knows it: items are read five times as fast.
    connection.execute(
        "SELECT set_config(name, 'lz4', false) FROM pg_settings "
        "WHERE name = 'default_toast_compression' AND 'lz4' = ANY(enumvals)"
    )


def require_url(url: str) -> None:
    """Check that a URL is ``postgresql://[user[:password]@]host[:port]/database``.

    Raises
    ------
    InvalidArchiveError
        If it is none, or names no database.
    """
    try:
        parts = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        parts = {}  # its message may quote the password
    if scheme_of(url) not in POSTGRES or not parts.get("dbname"):
        raise InvalidArchiveError(f"{without_secrets(url)!r} is not postgresql://[user@]host[:port]/database")


def prepare(connection: Connection, url: str, *, create: bool) -> None:
    """See that a database has a catalogue of this version.

    Parameters
    ----------
    connection : psycopg.Connection
        Of `connect`.
    url : str
        URL of the same database, for messages.
    create : bool
        Whether to make it if there is none.

    Raises
    ------
    InvalidArchiveError
        If there is none and `create` is false, it is of another version, or the database has items of another program.
    """
    before = _versions(connection, url)
    if before.current:
        return
    if before.own == 0 and not create:
        raise InvalidArchiveError(f"{without_secrets(url)}: no catalogue")
    if before.own or before.pgstac not in (None, PGSTAC_VERSION):
        needed = _Versions(PGSTAC_VERSION, SCHEMA_VERSION)
        raise InvalidArchiveError(f"{without_secrets(url)}: {before}; this version of Abut needs {needed}: {UPGRADE}")
    with _migrating(connection):
        if _versions(connection, url).own == 0:  # still
            _migrate(connection, url)


def migrate(connection: Connection, url: str) -> bool:
    """Bring a catalogue up to date; return whether it was of an older version. Arguments and errors as `prepare`."""
    with _migrating(connection):
        before = _versions(connection, url)
        if before == _Versions(None, 0):
            raise InvalidArchiveError(f"{without_secrets(url)}: no catalogue")
        if not before.current:
            _migrate(connection, url)
        return not before.current


@dataclass(frozen=True, slots=True)
class _Versions:
    """What a database has."""

    pgstac: str | None
    """Version of pgstac; None: it has none."""
    own: int
    """Version of the schema ``abut``; 0: it has none."""

    @property
    def current(self) -> bool:
        """Whether it is what this program needs."""
        return self.pgstac == PGSTAC_VERSION and self.own == SCHEMA_VERSION

    def __str__(self) -> str:
        pgstac = f"pgstac {self.pgstac}" if self.pgstac else "no pgstac"
        return f"{pgstac}, schema abut of version {self.own}" if self.own else f"{pgstac}, no schema abut"


def _versions(connection: Connection, url: str) -> _Versions:
    """Return what a database has; raises if something is newer than what this program knows."""
    found = _Versions(_pgstac_version(connection), _own_version(connection))
    if found.own > SCHEMA_VERSION or _numbers(found.pgstac) > _numbers(PGSTAC_VERSION):
        known = _Versions(PGSTAC_VERSION, SCHEMA_VERSION)
        raise NewerCatalogueError(f"{without_secrets(url)}: {found}, too new: this version of Abut knows up to {known}")
    return found


def _numbers(version: str | None) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in (version or "0").split("."))


def _pgstac_version(connection: Connection) -> str | None:
    if not _has(connection, "pgstac.migrations"):
        return None
    (version,) = connection.execute("SELECT pgstac.get_version()").fetchone() or (None,)
    return None if version is None else str(version)


def _own_version(connection: Connection) -> int:
    if not _has(connection, "abut.version"):
        return 0
    (version,) = connection.execute("SELECT max(number) FROM abut.version").fetchone() or (0,)
    return int(version or 0)


def _has(connection: Connection, table: str) -> bool:
    (found,) = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (table,)).fetchone() or (False,)
    return bool(found)


@contextlib.contextmanager
def _migrating(connection: Connection) -> Iterator[None]:
    """Be the only one who migrates or writes, for as long as it takes.

    The lock is the session's, not a transaction's: no transaction waits meanwhile that the server would end, and none
    that holds what the migration needs. Who comes second waits for as long as the first one takes.
    """
    for name in ("lock_timeout", "statement_timeout"):
        connection.execute("SELECT set_config(%s, '0', false)", (name,))
    connection.execute("SELECT pg_advisory_lock(%s)", (WRITERS,))
    _configure(connection)
    try:
        yield
    finally:
        if not connection.closed:  # else the server has let it go
            connection.rollback()
            connection.autocommit = True
            connection.execute("RESET statement_timeout")
            connection.execute("SELECT pg_advisory_unlock(%s)", (WRITERS,))


def _migrate(connection: Connection, url: str) -> None:
    """Migrate pgstac, then the schema beside it, each wholly or not at all."""
    new = _own_version(connection) == 0
    if new and _has(connection, "pgstac.items"):
        (taken,) = connection.execute("SELECT EXISTS (SELECT FROM pgstac.items)").fetchone() or (False,)
        if taken:
            raise InvalidArchiveError(
                f"{without_secrets(url)} has items of another program; give Abut its own database"
            )
    if _pgstac_version(connection) != PGSTAC_VERSION:
        _migrate_pgstac(connection)
    with connection.transaction():
        connection.execute("CREATE SCHEMA IF NOT EXISTS abut")
        connection.execute("CREATE TABLE IF NOT EXISTS abut.version (number integer PRIMARY KEY)")
        for number, statements in enumerate(MIGRATIONS[_own_version(connection) :], _own_version(connection) + 1):
            connection.execute(statements.encode())
            connection.execute("INSERT INTO abut.version VALUES (%s)", (number,))
        _register_queryables(connection)
        if new:
            put_collection(connection, make_collection().to_dict(include_self_link=False))


def _migrate_pgstac(connection: Connection) -> None:
    """Migrate pgstac on the connection that has the lock."""
    with ConnectionPool(min_size=0, max_size=1, open=False) as unused:  # or it would make one of its own
        Migrate(PgstacDB(pool=unused, connection=connection)).run_migration()
    connection.execute("RESET ROLE")
    _configure(connection)


def _register_queryables(connection: Connection) -> None:
    """Tell pgstac which properties have which type and index; what an operator registered before stays."""
    for name, (kind, wrapper, index) in QUERYABLES.items():
        connection.execute(
            """
            INSERT INTO pgstac.queryables (name, definition, property_wrapper, property_index_type)
            SELECT %(name)s, jsonb_build_object('type', %(kind)s::text), %(wrapper)s, %(index)s
            WHERE NOT EXISTS (SELECT FROM pgstac.queryables WHERE name = %(name)s AND collection_ids IS NULL)
            """,
            {"name": name, "kind": kind, "wrapper": wrapper, "index": index},
        )


@contextlib.contextmanager
def writing(connection: Connection) -> Iterator[None]:
    """Be the only writer, in one transaction.

    pgstac makes and locks tables as items arrive, so writers that ran side by side would wait for each other in
    circles. One after another they don't; what a writer does takes milliseconds.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (WRITERS,))
        yield
