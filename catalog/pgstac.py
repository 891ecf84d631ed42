"""The catalogue in PostgreSQL, for archives of hundreds of thousands of items and several machines: pgstac.

`catalog.interface` says what it can do; `catalog.pgstac_schema` what is where. What other programs write into pgstac
is not listed here; what is written here is found by all programs that read pgstac.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import batched
from typing import TYPE_CHECKING, Any, Final, Self

import psycopg

from abut.catalogue import without_secrets
from abut.errors import CatalogueError
from catalog import pgstac_write as write
from catalog.documents import stored
from catalog.item import COLLECTION_ID
from catalog.pgstac_schema import Connection, connect, prepare, writing
from catalog.text import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

BATCH: Final = 500
"""Items that are written in one transaction, and read at once."""

_TRIES: Final = 4

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
        Whether to install pgstac and the tables beside it where they are missing, and to migrate older ones. The
        user must be allowed to.

    Raises
    ------
    InvalidArchiveError
        If it is no URL of a database, one without a catalogue that is not to be made, or of a newer version.
    CatalogueError
        If the database can't be reached, or refuses.
    """
    connection = connect(url)
    try:
        prepare(connection, url, create=create)
    except psycopg.Error as error:
        connection.close()
        raise CatalogueError(f"catalogue {without_secrets(url)}: {_line(error)}") from error
    except BaseException:
        connection.close()
        raise
    return PgstacCatalogue(url, connection)


@dataclass(slots=True)
class PgstacCatalogue:
    """An open catalogue; a context manager that closes it. Open one with `open_pgstac`.

    When the server ends a connection or takes a transaction back, what was asked for is tried again.
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

    def upsert_many(self, items: Iterable[Mapping[str, Any]]) -> int:
        """Add or replace items, in transactions of `BATCH`; return how many were written.

        Raises
        ------
        ValueError
            If one is no item that can be listed, or its collection is unknown.
        CatalogueError
            If the database can't be reached, or refuses.
        """
        return sum(self._upserted(batch) for batch in batched(items, BATCH))

    def insert(self, items: Sequence[Mapping[str, Any]]) -> list[str]:
        """Add items, all or none; return the ids that are listed already (then nothing was written)."""
        return self._written(lambda connection: write.insert(connection, items))

    def remove(self, item_id: str, collection: str = COLLECTION_ID) -> bool:
        """Take an item out, withdrawn or not; return whether it was listed."""
        return self._written(lambda connection: write.remove(connection, collection, item_id))

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

    def remove_collection(self, collection: str) -> bool:
        """Take a collection and its items out; return whether it was listed."""
        return self._written(lambda connection: write.remove_collection(connection, collection))

    def _upserted(self, batch: Sequence[Mapping[str, Any]]) -> int:
        return self._written(lambda connection: write.upsert(connection, batch))

    def _read(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self._trying(lambda connection: connection.execute(statement.encode(), parameters).fetchall())

    def _written[Result](self, change: Callable[[Connection], Result]) -> Result:
        def changed(connection: Connection) -> Result:
            with writing(connection):
                return change(connection)

        return self._trying(changed)

    def _trying[Result](self, work: Callable[[Connection], Result]) -> Result:
        """Do what may be done twice; where the server took it back or went away, on a new connection if need be."""
        for tries_left in reversed(range(_TRIES)):
            try:
                if self.connection.closed:
                    self.connection = connect(self.address)
                return work(self.connection)
            except psycopg.DataError as error:
                raise ValueError(f"PostgreSQL can't store this: {_line(error)}") from error
            except _GONE as error:
                if tries_left == 0 or isinstance(error, psycopg.errors.LockNotAvailable):
                    raise CatalogueError(f"catalogue {self.url}: {_line(error)}") from error
                time.sleep(0.05 * 4 ** (_TRIES - tries_left - 1))
            except psycopg.Error as error:
                raise CatalogueError(f"catalogue {self.url}: {_line(error)}") from error
        raise AssertionError


def _line(error: psycopg.Error) -> str:
    """First line of what the server says: the rest is where in its own code."""
    return str(error).strip().partition("\n")[0]
