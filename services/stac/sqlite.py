"""The STAC API on the embedded catalogue: threads that read, each with a connection of its own, and one that writes."""

from __future__ import annotations

import os
import time
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread

from catalog import pages, totals, writing
from catalog.functions import Reader, reader
from catalog.listing import collections, listing, stored_item
from catalog.schema import connect, connect_reader, snapshot, transaction
from services.stac.backend import Listed
from services.traces import span

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from catalog.interface import Outcome
    from catalog.places import Places
    from catalog.search import Page, Search

READERS: Final = min(8, 2 + (os.cpu_count() or 2))
"""Requests that read at a time; further ones wait."""

LONGEST: Final = 30.0
"""Seconds after which a request that reads is given up."""

PATIENCE: Final = 20.0
"""Seconds that a request that reads waits for its turn."""

_STEPS: Final = 20_000
"""Steps of SQLite's machine between two looks at the clock: some milliseconds."""


@dataclass(slots=True)
class SqliteBackend:
    """The database behind the API: a SQLite file on a local disk."""

    path: Path
    """The file; made if there is none."""
    readers: int = READERS
    """Requests that read at a time."""
    longest: float = LONGEST
    """Seconds after which a request that reads is given up."""
    patience: float = PATIENCE
    """Seconds that a request that reads waits for its turn."""
    _idle: deque[Reader] = field(default_factory=deque)
    _writer: list[sqlite3.Connection] = field(default_factory=list)
    _reading: anyio.CapacityLimiter = field(init=False)
    _writing: anyio.CapacityLimiter = field(init=False)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Be connected while the application runs.

        Raises
        ------
        InvalidArchiveError
            If the file is no catalogue, or one of a newer version.
        """
        self._reading, self._writing = anyio.CapacityLimiter(self.readers), anyio.CapacityLimiter(1)
        self._writer.append(await anyio.to_thread.run_sync(lambda: connect(self.path, create=True, any_thread=True)))
        try:
            for _ in range(self.readers):
                self._idle.append(reader(connect_reader(self.path, any_thread=True)))
            yield
        finally:
            # What still runs ends first: a connection is not closed under a thread that uses it.
            with anyio.CancelScope(shield=True):
                for _ in range(self.readers):
                    await self._reading.acquire_on_behalf_of(object())
                await self._writing.acquire_on_behalf_of(object())
            while self._idle:
                self._idle.pop().connection.close()
            self._writer.pop().close()

    async def ready(self) -> None:
        """Raise if the database can't answer now."""
        await self._read(lambda opened: opened.connection.execute("SELECT 1 FROM collections LIMIT 1").fetchone())

    async def search(self, search: Search, places: Places) -> Page:
        """Return one page of a search.

        Raises
        ------
        ValueError
            If the token is none of its own, or a property can't be sorted by.
        """
        return await self._read(lambda opened: pages.page(opened, search, places))

    async def item(self, collection: str, item: str, places: Places) -> bytes | None:
        """Return an item as clients get it, withdrawn or not, or None if it is not listed."""
        return await self._read(lambda opened: pages.item(opened, collection, item, places))

    async def stored(self, collection: str, item: str) -> dict[str, Any] | None:
        """Return an item as it is stored, withdrawn or not."""
        return await self._read(lambda opened: stored_item(opened, collection, item))

    async def listed(self, collection: str, item: str, places: Places) -> Listed | None:
        """Return an item as it is stored and as clients get it, both of the same moment; None if there is none."""

        def work(opened: Reader) -> Listed | None:
            found, shown = stored_item(opened, collection, item), pages.item(opened, collection, item, places)
            return None if found is None or shown is None else Listed(found, shown)

        return await self._read(work)

    async def listing(self, collection: str, after: str, limit: int) -> list[dict[str, Any]]:
        """Return items of a collection as they are stored, withdrawn or not: the first whose ids come after `after`."""
        return await self._read(lambda opened: listing(opened, collection, after, limit))

    async def collections(self) -> list[dict[str, Any]]:
        """Return all collections as they are stored, by id."""
        return await self._read(collections)

    async def extent(self, collection: str) -> tuple[list[float], list[str]] | None:
        """Return bounding box and first and last datetime of the items that can be found, or None without any."""
        return await self._read(lambda opened: totals.extent(opened, collection))

    async def aggregate(self, search: Search, names: Sequence[str]) -> list[dict[str, Any]]:
        """Return aggregations of all that a search finds."""
        return await self._read(lambda opened: totals.aggregate(opened, search, names))

    async def upsert(self, items: Sequence[Mapping[str, Any]]) -> int:
        """Add or replace items, all or none; return how many were written."""
        return await self._write(_in_transaction(lambda connection: writing.write_many(connection, items)))

    async def insert(self, items: Sequence[Mapping[str, Any]]) -> list[str]:
        """Add items, all or none; return the ids that are listed already (then nothing was written)."""

        def write(connection: sqlite3.Connection) -> list[str]:
            with transaction(connection):
                taken = writing.taken(connection, items)
                if not taken:
                    writing.write_many(connection, items)
                return taken

        return await self._write(write)

    async def replace_if(self, item: Mapping[str, Any], expected: Mapping[str, Any]) -> Outcome:
        """Replace an item if it is still stored as expected."""
        return await self._write(_in_transaction(lambda connection: writing.replace_if(connection, item, expected)))

    async def remove_if(self, expected: Mapping[str, Any]) -> bool:
        """Take an item out if it is still stored as expected; return whether it was."""
        return await self._write(_in_transaction(lambda connection: writing.remove_if(connection, expected)))

    async def put_collection_if(self, collection: Mapping[str, Any], expected: Mapping[str, Any] | None) -> bool:
        """Put a collection if the one of its id is still as expected (None: there is none); return whether it was."""
        return await self._write(
            _in_transaction(lambda connection: writing.put_collection_if(connection, collection, expected))
        )

    async def remove_collection(self, collection: str, *, empty: bool = False) -> bool:
        """Take a collection and its items out, or only if it has none; return whether that was done."""

        def work(connection: sqlite3.Connection) -> bool:
            if empty and writing.has_items(connection, collection):
                return False
            return writing.remove_collection(connection, collection)

        return await self._write(_in_transaction(work))

    async def _read[Result](self, work: Callable[[Reader], Result]) -> Result:
        """Read one state of the catalogue in a thread, with a connection that no other uses meanwhile."""

        def run() -> Result:
            opened = self._idle.pop()
            deadline = time.monotonic() + self.longest
            opened.connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
            try:
                with snapshot(opened.connection):
                    return work(opened)
            finally:
                self._idle.append(opened)

        turn = object()
        with anyio.fail_after(self.patience):
            await self._reading.acquire_on_behalf_of(turn)
        try:
            with span("database read", kind="client", db_system_name="sqlite"):
                return await anyio.to_thread.run_sync(run)
        finally:
            self._reading.release_on_behalf_of(turn)

    async def _write[Result](self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Write in a thread, one at a time; what has begun is finished, even if the client has gone."""
        with span("database write", kind="client", db_system_name="sqlite"):
            return await anyio.to_thread.run_sync(lambda: work(self._writer[0]), limiter=self._writing)


def _in_transaction[Result](work: Callable[[sqlite3.Connection], Result]) -> Callable[[sqlite3.Connection], Result]:
    def run(connection: sqlite3.Connection) -> Result:
        with transaction(connection):
            return work(connection)

    return run
