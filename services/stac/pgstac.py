"""The STAC API on PostgreSQL with pgstac, through the connection pools of stac-fastapi-pgstac.

What is searched by is in pgstac's tables, what is answered in ``abut.items``: the item as it was handed in, without
what pgstac's form of it loses. Writes go through `catalog.pgstac`, in threads of their own.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import batched
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast

import anyio.to_thread
import asyncpg
from stac_fastapi.pgstac.config import ServerSettings
from stac_fastapi.pgstac.db import close_db_connection, connect_to_db

from abut.errors import BadRequestError, CatalogueError
from catalog import pgstac_query as sql
from catalog import pgstac_totals as totals
from catalog.aggregation import wanted
from catalog.documents import answer, stored
from catalog.fields import chosen
from catalog.pgstac import PgstacCatalogue, open_pgstac
from catalog.search import MATCHED_CAP, Page
from catalog.text import decode, encode
from catalog.totals import extent_of_all
from services.stac.backend import Listed
from services.traces import span

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from fastapi import FastAPI

    from catalog.interface import Outcome
    from catalog.places import Places
    from catalog.search import Search

READERS: Final = 8
"""Connections that read at a time; further requests wait."""

WRITERS: Final = 2
"""Connections that write; one writes at a time, the other is ready to."""

PATIENCE: Final = 20.0
"""Seconds that a request waits for a connection."""

LONGEST: Final = 30.0
"""Seconds after which the database gives up a statement that reads."""

_GRACE: Final = 5.0
"""Seconds more, after which a database that does not even say that it gave up counts as gone."""

TOGETHER: Final = 250
"""Items whose documents are read at once."""

_TRIES: Final = 3

_TAKEN_BACK: Final = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.UndefinedTableError,  # the partition of a collection that is being removed
)
_GONE: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # of a connection that ends while it is taken into use
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    OSError,
)


@dataclass(frozen=True, slots=True)
class _Settings:
    """Settings of stac-fastapi-pgstac whose connection string is a given URL, options and all."""

    connection_string: str
    """The URL."""
    db_max_conn_size: int
    """Connections at most."""
    server_settings: Any
    """Settings of each connection."""
    db_min_conn_size: int = 1
    """Connections at least."""
    db_max_queries: int = 50_000
    """Statements after which a connection is replaced."""
    db_max_inactive_conn_lifetime: float = 300.0
    """Seconds after which a connection that is not used is closed."""


@dataclass(slots=True)
class PgstacBackend:
    """The database behind the API: PostgreSQL."""

    url: str
    """``postgresql://[user[:password]@]host[:port]/database``; the rest comes from PGUSER and PGPASSWORD."""
    readers: int = READERS
    """Connections that read at a time."""
    patience: float = PATIENCE
    """Seconds that a request waits for a connection."""
    longest: float = LONGEST
    """Seconds after which the database gives up a statement that reads."""
    _app: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(state=SimpleNamespace()))
    _writers: list[PgstacCatalogue] = field(default_factory=list)
    _limit: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(WRITERS))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Be connected while the application runs.

        Raises
        ------
        InvalidArchiveError
            If the database is no catalogue of this version.
        CatalogueError
            If it can't be reached.
        """
        self._writers.append(await anyio.to_thread.run_sync(open_pgstac, self.url))
        app = cast("FastAPI", self._app)  # of which only its state is used
        await connect_to_db(app, postgres_settings=self._settings())
        try:
            yield
        finally:
            await close_db_connection(app)
            while self._writers:
                self._writers.pop().close()

    def _settings(self) -> _Settings:
        given = ServerSettings.model_validate(
            {
                "application_name": "abut",
                "timezone": "UTC",
                "statement_timeout": f"{self.longest * 1000:.0f}ms",
                # Values decide which partitions and indexes are used; compiling, and starting more processes, takes
                # longer than it saves.
                "plan_cache_mode": "force_custom_plan",
                "jit": "off",
                "max_parallel_workers_per_gather": "0",
            }
        )
        return _Settings(self.url, self.readers, given)

    async def ready(self) -> None:
        """Raise if the database can't answer now."""
        await self._fetch("SELECT FROM abut.items LIMIT 1", [])

    async def search(self, search: Search, places: Places) -> Page:
        """Return one page of a search."""
        place = sql.place_of(search)
        found = await self._fetch(*sql.page(search, place, documents=search.limit <= TOGETHER))
        features = await self._features(found[: search.limit], search, places)
        more = len(found) > len(features)
        rows = found[: len(features)]
        backward = place is not None and place.backward
        if backward:
            rows.reverse()
            features.reverse()
        # An empty page leads back to where it was reached from.
        first, last = (rows[0][:-4], rows[-1][:-4]) if rows else (place.values, place.values) if place else (None, None)
        following = last if backward or more else None
        before = first if (more if backward else place is not None) else None
        return Page(
            features=[feature for feature in features if feature],
            next=None if following is None else sql.token(following, search, backward=False),
            prev=None if before is None else sql.token(before, search, backward=True),
            matched=await self._matched(search, len(rows), more=more) if place is None else None,
        )

    async def _features(self, rows: Sequence[Any], search: Search, places: Places) -> list[bytes]:
        """Return the items of rows in their order, until they are as large as a page may be.

        One that has gone since its row was read is nothing.
        """
        made: list[bytes] = []
        size = 0
        for some in batched(rows, TOGETHER):
            documents = await self._documents(some)
            for row in some:
                feature = _feature(documents.get(row[-4:-2]), row[-4:-2], search, places)
                size += len(feature)
                if made and size > search.most_bytes:
                    return made
                made.append(feature)
        return made

    async def _documents(self, rows: Sequence[Any]) -> dict[Any, Any]:
        """Return store and document of the items of rows, by collection and id; those that rows have are not asked."""
        if rows[0][-1] is None:
            keys = [[row[-4] for row in rows], [row[-3] for row in rows]]
            rows = await self._fetch(sql.DOCUMENTS, keys)
        return {row[-4:-2]: row[-2:] for row in rows}

    async def _matched(self, search: Search, shown: int, *, more: bool) -> int | None:
        if not more:
            return shown
        (row,) = await self._fetch(*sql.count(search, MATCHED_CAP))
        return row[0] if row[0] <= MATCHED_CAP else None

    async def item(self, collection: str, item: str, places: Places) -> bytes | None:
        """Return an item as clients get it, withdrawn or not, or None if it is not listed."""
        statement = "SELECT document, store FROM abut.items WHERE collection = $1 AND id = $2"
        found = await self._fetch(statement, [collection, item])
        return answer(found[0][0], collection, item, found[0][1], places) if found else None

    async def stored(self, collection: str, item: str) -> dict[str, Any] | None:
        """Return an item as it is stored, withdrawn or not."""
        statement = "SELECT document FROM abut.items WHERE collection = $1 AND id = $2"
        found = await self._fetch(statement, [collection, item])
        return decode(stored(found[0][0])) if found else None

    async def listed(self, collection: str, item: str, places: Places) -> Listed | None:
        """Return an item as it is stored and as clients get it, both of the same moment; None if there is none."""
        statement = "SELECT document, store FROM abut.items WHERE collection = $1 AND id = $2"
        found = await self._fetch(statement, [collection, item])
        if not found:
            return None
        document, store = found[0]
        return Listed(decode(stored(document)), answer(document, collection, item, store, places))

    async def listing(self, collection: str, after: str, limit: int) -> list[dict[str, Any]]:
        """Return items of a collection as they are stored, withdrawn or not: the first whose ids come after `after`."""
        statement = "SELECT document FROM abut.items WHERE collection = $1 AND id > $2 ORDER BY id LIMIT $3"
        return [decode(stored(row[0])) for row in await self._fetch(statement, [collection, after, limit])]

    async def collections(self) -> list[dict[str, Any]]:
        """Return all collections as they are stored, by id."""
        found = await self._fetch('SELECT content FROM pgstac.collections ORDER BY id COLLATE "C"', [])
        return [row[0] for row in found]

    async def extent(self, collection: str) -> tuple[list[float], list[str]] | None:
        """Return bounding box and first and last datetime of the items that can be found, or None without any."""
        (found,) = await self._fetch(totals.EXTENT, [collection])
        return extent_of_all(found[:2], found[2:6], found[6:])

    async def aggregate(self, search: Search, names: Sequence[str]) -> list[dict[str, Any]]:
        """Return aggregations of all that a search finds."""
        aggregations = wanted(names)
        rows = await self._fetch(*totals.counts(search, aggregations)) if aggregations else []
        return totals.answers(aggregations, rows)

    async def upsert(self, items: Sequence[Mapping[str, Any]]) -> int:
        """Add or replace items, all or none; return how many were written."""
        return await self._write(lambda catalogue: catalogue.upsert(items))

    async def insert(self, items: Sequence[Mapping[str, Any]]) -> list[str]:
        """Add items, all or none; return the ids that are listed already."""
        return await self._write(lambda catalogue: catalogue.insert(items))

    async def replace_if(self, item: Mapping[str, Any], expected: Mapping[str, Any]) -> Outcome:
        """Replace an item if it is still stored as expected."""
        return await self._write(lambda catalogue: catalogue.replace_if(item, expected))

    async def remove_if(self, expected: Mapping[str, Any]) -> bool:
        """Take an item out if it is still stored as expected; return whether it was."""
        return await self._write(lambda catalogue: catalogue.remove_if(expected))

    async def put_collection_if(self, collection: Mapping[str, Any], expected: Mapping[str, Any] | None) -> bool:
        """Put a collection if the one of its id is still as expected (None: there is none); return whether it was."""
        return await self._write(lambda catalogue: catalogue.put_collection_if(collection, expected))

    async def remove_collection(self, collection: str, *, empty: bool = False) -> bool:
        """Take a collection and its items out, or only if it has none; return whether that was done."""
        return await self._write(lambda catalogue: catalogue.remove_collection(collection, empty=empty))

    async def _fetch(self, statement: str, values: Sequence[Any]) -> list[Any]:
        """Return the rows of a statement that reads; tried again where the database took it back or went away."""
        with span("database read", kind="client", db_system_name="postgresql"):
            return await self._fetched(statement, values)

    async def _fetched(self, statement: str, values: Sequence[Any]) -> list[Any]:
        for tries_left in reversed(range(_TRIES)):
            try:
                async with self._app.state.readpool.acquire(timeout=self.patience) as connection:
                    try:
                        found = await connection.fetch(statement, *values, timeout=self.longest + _GRACE)
                    except TimeoutError:
                        connection.terminate()  # or the pool would wait for its last words
                        raise
                    return cast("list[Any]", found)
            except TimeoutError as error:
                raise ConnectionError("the database did not answer in time, or had no connection free") from error
            except asyncpg.QueryCanceledError as error:
                raise ConnectionError(f"the database did not answer in {self.longest} s") from error
            except asyncpg.DataError as error:
                raise BadRequestError(f"the database can't compare with this: {_line(error)}") from error
            except (*_TAKEN_BACK, *_GONE) as error:
                if tries_left == 0:
                    raise ConnectionError(f"the database can't be reached: {_line(error)}") from error
                await asyncio.sleep(0.05)
        raise AssertionError

    async def _write[Result](self, change: Callable[[PgstacCatalogue], Result]) -> Result:
        """Change the catalogue in a thread, by a connection that no other thread uses meanwhile."""

        def work() -> Result:
            catalogue = self._writers.pop() if self._writers else open_pgstac(self.url)
            try:
                return change(catalogue)
            finally:
                self._writers.append(catalogue)

        try:
            with span("database write", kind="client", db_system_name="postgresql"):
                return await anyio.to_thread.run_sync(work, limiter=self._limit)
        except CatalogueError as error:
            raise ConnectionError(str(error)) from error


def _feature(found: Any, key: Any, search: Search, places: Places) -> bytes:
    if found is None:
        return b""
    store, document = found
    collection, name = key
    made = answer(document, collection, name, store, places)
    return encode(chosen(decode(made), search.fields)) if search.fields else made


def _line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
