"""Committed products that no ledger knows yet: a moment between two steps of ingest, or left there by a crash."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from abut import product as products
from abut.errors import InvalidArchiveError
from abut.holdings import in_threads, load_all
from abut.strips import start_told, tile_told

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from abut.archive import Archive
    from abut.finding import Query
    from abut.holdings import Holdings
    from abut.lattice import Zone
    from abut.period import Period
    from abut.store import Store

_MARGIN: Final = timedelta(days=1)
"""By how much names may be off the start of the datatake: a strip starts up to an orbit after it, or just before."""
_FRESH: Final = 10.0
"""Seconds for which a listing is kept; ledgers, which know nearly all products, are read each time."""
_TIMES: Final = 20
"""For how many times as long as it took a listing is kept: object stores give it in pages, one after another."""


@dataclass(slots=True)
class Listing:
    """Ids of an archive's items, listed at most once in some seconds: there may be hundreds of thousands."""

    _listed: dict[str, tuple[float, list[str]]] = field(default_factory=dict)
    """Until when ids are kept, and ids, by URL of the archive."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ids(self, archive: Archive) -> list[str]:
        """Return the ids, sorted; tombstones included. Of several threads that ask at once, one lists."""
        url = archive.store.url
        with self._lock:
            until, names = self._listed.get(url, (0.0, None))
            begun = time.monotonic()
            if names is None or begun > until:
                names = archive.item_ids()
                took = time.monotonic() - begun
                self._listed[url] = (begun + max(_FRESH, _TIMES * took), names)
            return names


def read_item(store: Store, product: str) -> dict[str, Any] | None:
    """Return the item of a committed product; None if there is none (any more).

    Raises
    ------
    InvalidArchiveError
        If what lies there is no item.
    """
    key = products.item_key(product)
    found = store.read(key)
    if found is None:
        return None
    try:
        item: dict[str, Any] = json.loads(found.data)
        if item["id"] != product or not isinstance(item["properties"], dict):
            raise ValueError(f"id {item['id']!r}")
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidArchiveError(f"{store.url}/{key}: not the item of a product ({error})") from error
    return None if products.is_tombstone(item) else item


def newcomers_of(
    store: Store, names: Iterable[str], known: Mapping[str, Holdings], others: Iterable[str], query: Query
) -> list[dict[str, Any]]:
    """Return items of committed products that no ledger knows, or knows only under an older attempt.

    Parameters
    ----------
    store : Store
        The archive's objects.
    names : iterable of str
        Ids of all items. Those whose id states another zone or time than the query's are not looked at.
    known : mapping of str to Holdings
        Ledgers of the layers that may be of the query's time, by layer.
    others : iterable of str
        The other layers of the zone, read only if there are ids that state no time.
    query : Query
        What is looked for.
    """
    zone = query.window.zone
    listed = _members(known.values())
    unknown = [name for name in names if not listed.get(name, _NONE)[1] and _may_be_of(name, zone, query.period)]
    if any(start_told(name) is None for name in unknown):
        listed |= _members(load_all(store, others).values())
        unknown = [name for name in unknown if not listed.get(name, _NONE)[1]]
    items = in_threads(store, lambda name: read_item(store, name), unknown)
    return [
        item
        for item in items
        if item is not None
        and item["properties"].get("abut:store") != listed.get(item["id"], _NONE)[0]
        and item["properties"].get("proj:code") == str(zone)
    ]


def near(moment: datetime | None, period: Period | None) -> bool:
    """Whether a time that a name states is in a period, or near; what states none may be."""
    if moment is None or period is None:
        return True
    return moment + _MARGIN >= period.start and moment - _MARGIN < period.end


_NONE: Final = ("", False)


def _members(known: Iterable[Holdings]) -> dict[str, tuple[str, bool]]:
    """Return the attempt of each member, and whether it is live."""
    return {one.product: (one.prefix, one.live) for holdings in known for one in holdings.members.values()}


def _may_be_of(product: str, zone: Zone, period: Period | None) -> bool:
    """Whether a product's id permits that it is of a zone and period."""
    where = tile_told(product)
    if where is not None and (where[:2] != f"{zone.number:02d}" or (where[2] >= "N") != (zone.epsg < 32_700)):
        return False
    return near(start_told(product), period)
