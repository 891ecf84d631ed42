"""Pages of a search, with the products that hold blocks of the page's products if that is wanted.

A product may have released blocks to neighbours (links ``abut:neighbour``). A filter by tile or by cloud cover finds
the one without the others; ``complete=true`` adds them, so that what a client loads has no holes: to each page the
holders of its own items, those that are not on it. So every page can be loaded by itself, and a holder may be on
several; a stream (`services.stac.stream`) has nothing twice. Products that were withdrawn are holders too, as long as
others need their blocks, though no search finds them; they say so (``abut:withdrawn``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import batched
from typing import TYPE_CHECKING, Any, Final

import orjson

from abut.product import NEIGHBOUR
from catalog.fields import chosen
from catalog.search import Fields, Page, Search
from catalog.tokens import leads_back

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from catalog.places import Places
    from services.stac.backend import Backend

type Key = tuple[str, str]
"""Collection and id of an item."""

TOGETHER: Final = 100
"""Items whose holders are looked for at once."""


@dataclass(frozen=True, slots=True)
class Found:
    """One page, as it is returned."""

    features: list[bytes]
    """Items as JSON: those that match, then the holders by id."""
    page: Page
    """What the database found."""
    completed: list[str] | None = None
    """Ids of the holders that were added, or None if they were not asked for."""
    missing: tuple[str, ...] = ()
    """Ids of holders that the catalogue does not list."""


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
        Whether the holders of blocks of the page's products are added; the page ends early if they are large.
    """
    if not complete:
        page = await backend.search(search, places)
        return Found(page.features, page)
    back = leads_back(search.token)
    plain = replace(search, fields=Fields())
    parts: list[Page] = []
    matches: set[Key] = set()
    holders: dict[Key, bytes | None] = {}
    size, left, token = 0, search.limit, search.token
    while True:
        part = await backend.search(replace(plain, limit=min(left, TOGETHER), token=token), places)
        items = [orjson.loads(feature) for feature in part.features]
        matches |= {key_of(item) for item in items}
        added = await holders_of(backend, named(items) - matches - holders.keys(), places)
        part, holders = _presented(part, search.fields), holders | _presented_all(added, search.fields)
        parts.append(part)
        size += sum(map(len, part.features)) + sum(len(holders[key] or b"") for key in added)
        left, token = left - len(items), part.prev if back else part.next
        if token is None or left <= 0 or size >= search.most_bytes:
            break
    return _together(parts[::-1] if back else parts, {key: holders[key] for key in sorted(holders.keys() - matches)})


def _together(parts: list[Page], holders: Mapping[Key, bytes | None]) -> Found:
    """Return parts of a page, in order, as one, with the holders."""
    features = [feature for part in parts for feature in part.features]
    page = Page(features=features, next=parts[-1].next, prev=parts[0].prev, matched=parts[0].matched)
    there = {name: holder for (_, name), holder in holders.items() if holder is not None}
    missing = tuple(name for (_, name), holder in holders.items() if holder is None)
    return Found([*features, *there.values()], page, list(there), missing)


def key_of(item: Mapping[str, Any]) -> Key:
    """Return collection and id of an item."""
    return item["collection"], item["id"]


def named(items: Iterable[Mapping[str, Any]]) -> set[Key]:
    """Return the products that hold blocks of items."""
    return {
        (item["collection"], link["abut:product"])
        for item in items
        for link in item.get("links", [])
        if link.get("rel") == NEIGHBOUR and link.get("abut:product")
    }


async def holders_of(backend: Backend, keys: Iterable[Key], places: Places) -> dict[Key, bytes | None]:
    """Return items in the order of collection and id, withdrawn or not, as clients get them; None of unknown ones."""
    found: dict[Key, bytes | None] = {}
    for some in batched(sorted(keys), TOGETHER):
        collections, ids = (tuple(dict.fromkeys(part)) for part in zip(*some, strict=True))
        search, token = Search(collections=collections, ids=ids, limit=TOGETHER), None
        while True:
            page = await backend.search(replace(search, token=token), places)
            of_page = {key_of(orjson.loads(feature)): feature for feature in page.features}
            found |= {key: of_page[key] for key in some if key in of_page}
            if (token := page.next) is None:
                break
        for key in some:
            if key not in found:  # withdrawn, or not there at all
                found[key] = await backend.item(*key, places)
    return dict(sorted(found.items()))


def picked(feature: bytes, fields: Fields) -> bytes:
    """Return an item with the fields that are wanted."""
    return orjson.dumps(chosen(orjson.loads(feature), fields)) if fields else feature


def _presented(page: Page, fields: Fields) -> Page:
    return replace(page, features=[picked(feature, fields) for feature in page.features]) if fields else page


def _presented_all(items: Mapping[Key, bytes | None], fields: Fields) -> dict[Key, bytes | None]:
    return {key: item and picked(item, fields) for key, item in items.items()}
