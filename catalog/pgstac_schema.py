"""PostgreSQL with pgstac: connections, migrations, and the tables beside pgstac's.

pgstac keeps what can be found, in its own form: without nulls, thinned out by the collection's ``item_assets``, and
nothing that has no place on the ground. The schema ``abut`` has what pgstac has no place for: each item as it was
handed in (``abut.items.document``, as `catalog.documents` keeps it), the revision rule, families of versions, and
withdrawn items, which are not in ``pgstac.items`` so that no search finds them.
"""

from __future__ import annotations

import contextlib
import unicodedata
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg import conninfo
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool
from pypgstac.db import PgstacDB
from pypgstac.migrate import Migrate
from pypgstac.version import __version__ as PGSTAC_VERSION  # noqa: N812 - it is a constant

from abut.catalogue import POSTGRES, scheme_of, without_secrets
from abut.errors import CatalogueError, InvalidArchiveError
from catalog.collection import make_collection
from catalog.pgstac_write import put_collection

if TYPE_CHECKING:
    from collections.abc import Iterator

type Connection = psycopg.Connection[TupleRow]

SCHEMA_VERSION: Final = 1
"""Version of the tables of the schema ``abut``, in ``abut.version``."""

WRITERS: Final = 0x41425554
"""Key of the advisory lock that one writer holds at a time: the letters ABUT."""

BUSY_TIMEOUT: Final = 60
"""Seconds to wait for another writer, and for a writer that has fallen silent in a transaction."""

_CONNECT_TIMEOUT: Final = 10

_MIGRATIONS: Final = (
    r"""
    CREATE TABLE abut.items (
        collection text COLLATE "C" NOT NULL,
        id text COLLATE "C" NOT NULL,
        store text,
        revision bigint NOT NULL,
        created bigint,
        withdrawn boolean NOT NULL,
        family text COLLATE "C",
        first_moment bigint NOT NULL,
        last_moment bigint NOT NULL,
        west float8,
        east float8,
        south float8,
        north float8,
        facts jsonb NOT NULL,
        document bytea NOT NULL,
        PRIMARY KEY (collection, id)
    );
    CREATE INDEX items_family ON abut.items (family) WHERE family IS NOT NULL;
    -- What handles an exception can't run in parallel.
    CREATE FUNCTION abut.instant(value jsonb) RETURNS timestamptz LANGUAGE plpgsql IMMUTABLE STRICT AS $$
    BEGIN
        RETURN CASE
            WHEN jsonb_typeof(value) = 'string'
                AND value #>> '{}' ~* '^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)$'
            THEN (value #>> '{}')::timestamptz
        END;
    EXCEPTION WHEN data_exception THEN RETURN NULL;
    END $$;
    CREATE FUNCTION abut.calculated(operator text, a float8, b float8) RETURNS float8
    LANGUAGE plpgsql IMMUTABLE STRICT AS $$
    BEGIN
        RETURN CASE operator
            WHEN '+' THEN a + b WHEN '-' THEN a - b WHEN '*' THEN a * b WHEN '/' THEN a / b
            WHEN 'div' THEN trunc(a / b) WHEN '%' THEN a - b * trunc(a / b) WHEN '^' THEN power(a, b)
        END;
    EXCEPTION WHEN data_exception THEN RETURN NULL;
    END $$;
    -- As Unicode folds case: by way of upper case, where one letter may become two. What that tells apart or merges
    -- wrongly is exchanged before and after: a capital sharp s, a dotless i, a sigma at the end of a word.
    DO $do$ BEGIN
        EXECUTE format(
            'CREATE FUNCTION abut.folded(value text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ '
            'SELECT translate(lower(upper(translate(value, U&''\1E9E\0131'', U&''\00DF\E000'') COLLATE %1$s) '
            'COLLATE %1$s), U&''\03C2\E000'', U&''\03C3\0131'') $$',
            coalesce((SELECT '"und-x-icu"' FROM pg_collation WHERE collname = 'und-x-icu' LIMIT 1), '"default"')
        );
    END $do$;
    CREATE FUNCTION abut.unaccented(value text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
        SELECT regexp_replace(normalize(value, NFKD), '[<combining>]', '', 'g')
    $$;
    -- Relations that fail on invalid geometries are unknown.
    CREATE FUNCTION abut.related(relation text, a geometry, b geometry) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE STRICT AS $$
    BEGIN
        RETURN CASE relation
            WHEN 's_disjoint' THEN ST_Disjoint(a, b) WHEN 's_touches' THEN ST_Touches(a, b)
            WHEN 's_crosses' THEN ST_Crosses(a, b) WHEN 's_overlaps' THEN ST_Overlaps(a, b)
            WHEN 's_within' THEN ST_Within(a, b) WHEN 's_contains' THEN ST_Contains(a, b)
            WHEN 's_equals' THEN ST_Equals(a, b)
        END;
    EXCEPTION WHEN internal_error THEN RETURN NULL;
    END $$;
    CREATE FUNCTION abut.overlapping(a jsonb, b jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
        SELECT EXISTS (
            SELECT FROM jsonb_array_elements(a) AS x (value) JOIN jsonb_array_elements(b) AS y (value) USING (value)
        )
    $$;
    GRANT USAGE ON SCHEMA abut TO pgstac_read, pgstac_ingest;
    GRANT SELECT ON abut.version, abut.items TO pgstac_read, pgstac_ingest;
    GRANT INSERT, UPDATE, DELETE ON abut.items TO pgstac_ingest;
    COMMENT ON SCHEMA abut IS 'Items of an archive, beside pgstac';
    COMMENT ON COLUMN abut.items.document IS 'The item, in pieces that become answers; pgstac.items has it to look at';
    COMMENT ON COLUMN abut.items.first_moment IS 'Microseconds since 1970';
    COMMENT ON COLUMN abut.items.west IS '-180 to 180; east goes on where the item crosses 180 degrees';
    COMMENT ON COLUMN abut.items.facts IS 'What items are counted by: few properties, which are quick to read';
    COMMENT ON COLUMN abut.items.withdrawn IS 'Withdrawn items are not in pgstac.items';
    """,
)
"""Statements that lead from each version to the next. Documents are what `catalog.documents.template` makes."""

QUERYABLES: Final = {
    "grid:code": ("string", "to_text", "BTREE"),
    "eo:cloud_cover": ("number", "to_float", "BTREE"),
    "s2:datatake_id": ("string", "to_text", "BTREE"),
    "sat:relative_orbit": ("number", "to_float", "BTREE"),
    "platform": ("string", "to_text", None),
    "processing:version": ("string", "to_text", None),
    "s2:datastrip_id": ("string", "to_text", None),
    "deprecated": ("boolean", "to_text", None),
}
"""Properties that pgstac is told of: type, how it reads them, and kind of index; none where many items share values."""


def connect(url: str) -> Connection:
    """Connect to a database, each statement a transaction of its own.

    Raises
    ------
    InvalidArchiveError
        If the URL is none of a PostgreSQL database.
    CatalogueError
        If the database can't be reached, or refuses.
    """
    require_url(url)
    try:
        connection = psycopg.connect(
            url, autocommit=True, connect_timeout=_CONNECT_TIMEOUT, keepalives_idle=30, application_name="abut"
        )
    except psycopg.OperationalError as error:
        raise CatalogueError(f"{without_secrets(url)}: {' '.join(str(error).split())}") from error
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
    return connection


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
    """Bring the schemas of a database to this version, or see that they are of this version.

    Parameters
    ----------
    connection : psycopg.Connection
        Of `connect`.
    url : str
        URL of the same database.
    create : bool
        Whether to install what is missing and to migrate what is older.

    Raises
    ------
    InvalidArchiveError
        If a schema is missing or older and `create` is false, or newer than this program, or the database has items
        of another program.
    """
    if not _outdated(connection, url):
        return
    if not create:
        raise InvalidArchiveError(f"{without_secrets(url)} is no catalogue, or one of an older version")
    with writing(connection):
        if _outdated(connection, url):  # still
            _migrate(connection, url)


def _outdated(connection: Connection, url: str) -> bool:
    """Whether a schema is missing or older; raises if one is newer."""
    pgstac, own = _pgstac_version(connection), _own_version(connection)
    if own > SCHEMA_VERSION:
        raise InvalidArchiveError(f"{without_secrets(url)}: schema abut has version {own}, newer than {SCHEMA_VERSION}")
    if _numbers(pgstac) > _numbers(PGSTAC_VERSION):
        raise InvalidArchiveError(f"{without_secrets(url)}: pgstac is {pgstac}, newer than {PGSTAC_VERSION}")
    return pgstac != PGSTAC_VERSION or own != SCHEMA_VERSION


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


def _migrate(connection: Connection, url: str) -> None:
    """Migrate pgstac, on a connection of its own, then the schema beside it."""
    new = _own_version(connection) == 0
    if new and _has(connection, "pgstac.items"):
        (taken,) = connection.execute("SELECT EXISTS (SELECT FROM pgstac.items)").fetchone() or (False,)
        if taken:
            raise InvalidArchiveError(
                f"{without_secrets(url)} has items of another program; give Abut its own database"
            )
    if _pgstac_version(connection) != PGSTAC_VERSION:
        with ConnectionPool(url, min_size=1, max_size=1, open=True) as pool:
            database = PgstacDB(pool=pool)
            try:
                Migrate(database).run_migration()
            finally:
                database.disconnect()
    connection.execute("CREATE SCHEMA IF NOT EXISTS abut")
    connection.execute("CREATE TABLE IF NOT EXISTS abut.version (number integer PRIMARY KEY)")
    for number, statements in enumerate(_MIGRATIONS[_own_version(connection) :], _own_version(connection) + 1):
        connection.execute(statements.replace("<combining>", _combining()).encode())
        connection.execute("INSERT INTO abut.version VALUES (%s)", (number,))
    _register_queryables(connection)
    if new:
        put_collection(connection, make_collection().to_dict(include_self_link=False))


def _combining() -> str:
    """Return the accents of Unicode's first plane, as ranges of a regular expression."""
    letters = [number for number in range(0x300, 0x10000) if unicodedata.combining(chr(number))]
    starts = [number for number in letters if number - 1 not in letters]
    ends = [number for number in letters if number + 1 not in letters]
    return "".join(rf"\u{start:04x}-\u{end:04x}" for start, end in zip(starts, ends, strict=True))


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
