"""Pages of a search, with the products that hold blocks of the page's products if that is wanted.

A product may have released blocks to neighbours (links ``abut:neighbour``). A filter by tile or by cloud cover finds
the one without the others; ``complete=true`` adds them, so that what a client loads has no holes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import batched
from typing import TYPE_CHECKING, Any, Final

import orjson

from catalog.fields import chosen
from catalog.search import MAX_LIMIT, Fields, Search

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from catalog.places import Places
    from catalog.search import Page
    from services.stac.backend import Backend

NEIGHBOUR: Final = "abut:neighbour"
"""Relation of links to holders, whose ids are in ``abut:product``."""


@dataclass(frozen=True, slots=True)
class Found:
    """One page, as it is returned."""

    features: list[bytes]
    """Items as JSON: those that match, then the holders."""
    page: Page
    """What the database found."""
    completed: list[str] | None = None
    """Ids of the holders that were added, or None if they were not asked for."""
    missing: tuple[str, ...] = ()
    """Ids of holders that no search finds, as they were withdrawn."""


async def find(backend: Backend, search: Search, places: Places, *, complete: bool) -> Found:
    """Return one page of a search.

    Parameters
    ----------
    backend : Backend
        The database.
    search : Search
        What is looked for.
    places : Places
        Where the client finds things.
    complete : bool
        Whether holders of blocks of the page's products are added: those that are not on the page and were not
        withdrawn, by id.
    """
    if not complete:
        page = await backend.search(search, places)
        return Found(page.features, page)
    page = await backend.search(replace(search, fields=Fields()), places)
    items = [orjson.loads(feature) for feature in page.features]
    named = _named(items)
    holders = await _holders(backend, named, places)
    added = [str(orjson.loads(holder)["id"]) for holder in holders]
    missing = sorted(set().union(*named.values()).difference(added))
    features = page.features + holders
    if search.fields:
        features = [orjson.dumps(chosen(orjson.loads(feature), search.fields)) for feature in features]
    return Found(features, page, added, tuple(missing))


def _named(items: Iterable[dict[str, Any]]) -> dict[str, set[str]]:
    """Return the ids of holders that are not among the items, by collection."""
    listed: dict[str, set[str]] = {}
    named: dict[str, set[str]] = {}
    for item in items:
        listed.setdefault(item["collection"], set()).add(item["id"])
        links = item.get("links", [])
        named.setdefault(item["collection"], set()).update(
            link["abut:product"] for link in links if link.get("rel") == NEIGHBOUR and link.get("abut:product")
        )
    return {collection: ids - listed[collection] for collection, ids in named.items()}


async def _holders(backend: Backend, named: Mapping[str, set[str]], places: Places) -> list[bytes]:
    found: list[bytes] = []
    for collection, ids in named.items():
        for some in batched(sorted(ids), MAX_LIMIT):
            wanted = Search(collections=(collection,), ids=some, limit=len(some))
            found += (await backend.search(wanted, places)).features
    return found
