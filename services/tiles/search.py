"""Which products a CQL2 filter means, as the STAC API finds them: asked of the catalogue from any thread."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final

from abut.errors import CatalogueError
from catalog.item import COLLECTION_ID
from catalog.places import Places
from catalog.search import MAX_LIMIT, Fields, Search

if TYPE_CHECKING:
    from services.stac.backend import Backend

PATIENCE: Final = 30.0
"""Seconds after which a catalogue that has not answered counts as down."""


class CatalogueSearch:
    """Asks a database that is connected while the application runs, in the loop of the application.

    Parameters
    ----------
    backend : Backend
        The database.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self) -> None:
        """Remember the loop that runs; the database is connected."""
        self._loop = asyncio.get_running_loop()

    def end(self) -> None:
        """Ask no more."""
        self._loop = None

    def ids(self, text: str) -> frozenset[str]:
        """Return the ids of all products that a filter means; from a thread, never from the loop itself.

        Parameters
        ----------
        text : str
            CQL2 in JSON, checked.

        Raises
        ------
        BadRequestError
            If the filter has no meaning for the database.
        CatalogueError
            If it does not answer.
        """
        loop = self._loop
        if loop is None:
            raise CatalogueError("the catalogue is not connected")
        asked = asyncio.run_coroutine_threadsafe(self._ids(text), loop)
        try:
            return asked.result(PATIENCE)
        except TimeoutError as error:
            asked.cancel()
            raise CatalogueError(f"the catalogue has not answered within {PATIENCE:g} seconds") from error

    async def _ids(self, text: str) -> frozenset[str]:
        found: set[str] = set()
        token = None
        while True:
            search = Search(
                collections=(COLLECTION_ID,),
                filter=json.loads(text),
                limit=MAX_LIMIT,
                token=token,
                fields=Fields(include=frozenset({"id"})),
            )
            page = await self._backend.search(search, Places("", ""))
            found.update(json.loads(item)["id"] for item in page.features)
            token = page.next
            if token is None:
                return frozenset(found)
