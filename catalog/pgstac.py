"""The catalogue in PostgreSQL, for archives of hundreds of thousands of items and several machines: pgstac.

`catalog.interface` says what it can do; `catalog.pgstac_schema` what is where. What other programs write into pgstac
is not listed here; what is written here is found by all programs that read pgstac.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from itertools import batched
from typing import TYPE_CHECKING, Any, Final, Self

import psycopg

from abut.catalogue import without_secrets
from abut.errors import BadRequestError, CatalogueError
from catalog import pgstac_write as write
from catalog.documents import stored
from catalog.item import COLLECTION_ID
from catalog.owner import Owner, decoded, encoded
from catalog.pgstac_schema import BUSY_TIMEOUT, Connection, connect, migrate, prepare, writing
from catalog.text import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

    from catalog.interface import Outcome

BATCH: Final = 500
"""Items that are written in one transaction, and read at once."""

_TRIES: Final = 4

_GRACE: Final = 5.0
"""Seconds more than the server needs, by its own clock, to end a transaction whose connection is lost."""

_GONE: Final = (psycopg.OperationalError, psycopg.InterfaceError)
"""What psycopg raises when the server or the way to it is gone, or took the transaction back."""


def open_pgstac(url: str, *, create: bool = False) -> PgstacCatalogue:
    """Open the catalogue in a database, for one thread.

    Parameters
    ----------
    url : str
        ``postgresql://[user[:password]@]host[:port]/database``; what it leaves out comes from PGUSER, PGPASSWORD and
        the other variables of PostgreSQL.
    create : bool
        Whether to install pgstac and the tables beside it where there are none. The user must be allowed to.

    Raises
    ------
    InvalidArchiveError
        If it is no URL of a database, one without a catalogue that is not to be made, or of another version.
    CatalogueError
        If the database can't be reached, or refuses.
    """
    connection = connect(url)
    try:
        _explained(url, lambda: prepare(connection, url, create=create))
    except BaseException:
        connection.close()
        raise
    return PgstacCatalogue(url, connection)


def upgrade(url: str) -> bool:
    """Bring the catalogue in a database up to date; return whether it was of an older version.

    Raises
    ------
    InvalidArchiveError
        If it is no URL of a database, one without a catalogue, or of a newer version.
    CatalogueError
        If the database can't be reached, or refuses.
    """
    with contextlib.closing(connect(url)) as connection:
        return _explained(url, lambda: migrate(connection, url))


def _explained[Result](url: str, work: Callable[[], Result]) -> Result:
    try:
        return work()
    except psycopg.Error as error:
        raise CatalogueError(f"catalogue {without_secrets(url)}: {_line(error)}") from error


@dataclass(slots=True)
class PgstacCatalogue:
    """An open catalogue; a context manager that closes it. Open one with `open_pgstac`.

    When the server ends a connection or takes a transaction back, what was asked for is tried again, but not if it was
    committed and only the answer got lost.
    """

    address: str
    """URL of the database, with its password if that is not in the environment."""
    connection: Connection
    """Connection of the thread that opened it."""

    @property
    def url(self) -> str:
        """Where it is, without secrets."""
        return without_secrets(self.address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close it; what was committed stays."""
        self.connection.close()

    def owner(self) -> Owner | None:
        """Return the archive whose it is, or None if it is nobody's yet."""
        found = self._read("SELECT value FROM abut.settings WHERE name = 'archive'")
        return decoded(found[0][0]) if found else None

    def claim(self, owner: Owner) -> Owner:
        """Make it an archive's, if it is nobody's yet; return whose it is then."""
        statement = b"INSERT INTO abut.settings VALUES ('archive', %s) ON CONFLICT DO NOTHING"
        self._trying(lambda connection: connection.execute(statement, (encoded(owner),)))
        return self.owner() or owner

    def upsert_many(self, items: Iterable[Mapping[str, Any]]) -> int:
        """Add or replace items, in transactions of `BATCH`; return how many were written.

        Raises
        ------
        ValueError
            If one is no item that can be listed, or its collection is unknown.
        CatalogueError
            If the database can't be reached, or refuses.
        """
        return sum(self.upsert(batch) for batch in batched(items, BATCH))

    def upsert(self, items: Sequence[Mapping[str, Any]]) -> int:
        """Add or replace items, all or none; return how many were written."""
        return self._written(lambda connection: write.upsert(connection, items))

    def insert(self, items: Sequence[Mapping[str, Any]]) -> list[str]:
        """Add items, all or none; return the ids that are listed already (then nothing was written)."""
        return self._written(lambda connection: write.insert(connection, items))

    def remove(self, item_id: str, collection: str = COLLECTION_ID) -> bool:
        """Take an item out, withdrawn or not; return whether it was listed."""
        return self._written(lambda connection: write.remove(connection, collection, item_id))

    def replace_if(self, item: Mapping[str, Any], expected: Mapping[str, Any]) -> Outcome:
        """Replace an item, by the rule of revisions, if it is still what `get` returned."""
        return self._written(lambda connection: write.replace_if(connection, item, expected))

    def remove_if(self, expected: Mapping[str, Any]) -> bool:
        """Take an item out if it is listed and still what `get` returned; return whether it was taken out."""
        return self._written(lambda connection: write.remove_if(connection, expected))

    def get(self, item_id: str, collection: str = COLLECTION_ID) -> dict[str, Any] | None:
        """Return an item, withdrawn or not, or None if it is not listed."""
        found = self._read("SELECT document FROM abut.items WHERE collection = %s AND id = %s", collection, item_id)
        return decode(stored(found[0][0])) if found else None

    def revision(self, item_id: str, collection: str = COLLECTION_ID) -> int | None:
        """Return the ledger revision of an item, withdrawn or not, or None if it is not listed."""
        found = self._read("SELECT revision FROM abut.items WHERE collection = %s AND id = %s", collection, item_id)
        return found[0][0] if found else None

    def ids(self, collection: str = COLLECTION_ID) -> set[str]:
        """Return the ids of all items of a collection, withdrawn ones included."""
        return {name for (name,) in self._read("SELECT id FROM abut.items WHERE collection = %s", collection)}

    def items(self, collection: str | None = None, *, withdrawn: bool = False) -> Iterator[dict[str, Any]]:
        """Return all items, one after another, by collection and id; withdrawn ones too if asked for.

        They are read some hundreds at a time, each time as they are then.
        """
        statement = """
            SELECT document, collection, id FROM abut.items
            WHERE (collection, id) > (%s, %s) AND (%s::text IS NULL OR collection = %s) AND (%s OR NOT withdrawn)
            ORDER BY collection, id LIMIT %s
        """
        last: tuple[Any, ...] = ("", "")
        while found := self._read(statement, *last, collection, collection, withdrawn, BATCH):
            for document, *_ in found:
                yield decode(stored(document))
            last = found[-1][1:]

    def collections(self) -> list[dict[str, Any]]:
        """Return the collections, by id."""
        return [made for (made,) in self._read('SELECT content FROM pgstac.collections ORDER BY id COLLATE "C"')]

    def put_collection(self, collection: Mapping[str, Any]) -> None:
        """Add a collection, or replace the one of its id."""
        self._written(lambda connection: write.put_collection(connection, collection))

    def put_collection_if(self, collection: Mapping[str, Any], expected: Mapping[str, Any] | None) -> bool:
        """Put a collection if the one of its id is what is expected (None: there is none); return whether it was."""
        return self._written(lambda connection: write.put_collection_if(connection, collection, expected))

    def remove_collection(self, collection: str, *, empty: bool = False) -> bool:
        """Take a collection and its items out, or only if it has none; return whether that was done."""

        def change(connection: Connection) -> bool:
            return not (empty and write.has_items(connection, collection)) and write.remove_collection(
                connection, collection
            )

        return self._written(change)

    def _read(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self._trying(lambda connection: connection.execute(statement.encode(), parameters).fetchall())

    def _written[Result](self, change: Callable[[Connection], Result]) -> Result:
        done: list[tuple[str, Result]] = []

        def changed(connection: Connection) -> Result:
            if done and self._committed(connection, done[0][0]):
                return done[0][1]
            done.clear()
            with writing(connection):
                number = _transaction(connection)
                result = change(connection)
                done.append((number, result))  # from here on, whether it is committed may be known to the server alone
            return result

        return self._trying(changed)

    def _committed(self, connection: Connection, number: str) -> bool:
        """Return whether a transaction was committed whose connection got lost, once the server has noticed that.

        Raises
        ------
        CatalogueError
            If it is still under way when the server should have ended it.
        """
        until = time.monotonic() + BUSY_TIMEOUT + _GRACE
        while time.monotonic() < until:
            (status,) = connection.execute("SELECT pg_xact_status(%s::xid8)", (number,)).fetchone() or (None,)
            if status != "in progress":
                return bool(status == "committed")
            time.sleep(0.05)
        raise CatalogueError(f"catalogue {self.url}: transaction {number} is neither committed nor taken back")

    def _trying[Result](self, work: Callable[[Connection], Result]) -> Result:
        """Do what may be done twice; where the server took it back or went away, on a new connection if need be."""
        for tries_left in reversed(range(_TRIES)):
            try:
                if self.connection.closed:
                    self.connection = connect(self.address)
                return work(self.connection)
            except psycopg.DataError as error:
                raise BadRequestError(f"PostgreSQL can't store this: {_line(error)}") from error
            except _GONE as error:
                if tries_left == 0 or isinstance(error, psycopg.errors.LockNotAvailable):
                    raise CatalogueError(f"catalogue {self.url}: {_line(error)}") from error
                time.sleep(0.05 * 4 ** (_TRIES - tries_left - 1))
            except psycopg.Error as error:
                raise CatalogueError(f"catalogue {self.url}: {_line(error)}") from error
        raise AssertionError


def _transaction(connection: Connection) -> str:
    """Return the number of the transaction that is open."""
    (number,) = connection.execute("SELECT pg_current_xact_id()::text").fetchone() or ("",)
    return str(number)


def _line(error: psycopg.Error) -> str:
    """First line of what the server says: the rest is where in its own code."""
    return str(error).strip().partition("\n")[0]
