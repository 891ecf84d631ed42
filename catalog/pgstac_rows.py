"""An item as the rows of the catalogue in PostgreSQL."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pypgstac.hydration import dehydrate

from abut.period import instant
from catalog.aggregation import AGGREGATIONS
from catalog.rows import COLUMNS, row
from catalog.text import encode
from catalog.versions import family

if TYPE_CHECKING:
    from collections.abc import Mapping

type Key = tuple[str, str]
"""Collection and id."""

NOWHERE: Final = '{"type":"GeometryCollection","geometries":[]}'
"""What stands for no geometry, which pgstac does not know: it touches nothing."""

FACTS: Final = tuple({one.property: None for one in AGGREGATIONS if one.property not in {"", "datetime"}})
"""Properties that items are counted by."""

_NOT_IN_CONTENT: Final = frozenset({"id", "collection", "geometry"})


@dataclass(frozen=True, slots=True)
class Collection:
    """What pgstac knows of a collection that its items are written by."""

    base: Mapping[str, Any]
    """What items have in common, which pgstac leaves out of them."""
    base_id: int | None
    """Number of that base; None for the first."""
    parts: str | None
    """``month`` or ``year``: what the partitions of its items span; None for one partition."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is listed of an item, beside the item."""

    store: str | None
    """Folder of the product's store."""
    revision: int
    """Revision of the ledger that the item is a copy of."""
    created: int | None
    """When the store was written, in microseconds since 1970."""
    family: str | None
    """What its versions have in common."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An item that can be listed."""

    item: Mapping[str, Any]
    """The item."""
    document: bytes
    """The item as `catalog.documents.template` makes it."""
    known: Known
    """What is listed beside it."""
    columns: tuple[Any, ...]
    """First and last microsecond since 1970, and west, east, south and north, None without a place."""

    @property
    def key(self) -> Key:
        """Collection and id."""
        return key(self.item)

    @property
    def withdrawn(self) -> bool:
        """Whether searches must not find it."""
        return bool(self.item["properties"].get("abut:withdrawn", False))

    def outdated_by(self, listed: Known) -> bool:
        """Return whether what is listed is newer: a later revision of the same store, or a store written later."""
        new = self.known
        if new.store is None or listed.store is None:
            return False
        if new.store == listed.store:
            return new.revision < listed.revision
        return new.created is not None and listed.created is not None and new.created < listed.created


def key(item: Mapping[str, Any]) -> Key:
    """Return collection and id of an item."""
    return item["collection"], item["id"]


def entry(item: Mapping[str, Any]) -> Entry:
    """Return an item that was checked.

    Raises
    ------
    ValueError
        If it can't be listed: no collection, an id that is no name, no time, values that JSON has not, or a property
        that is searched by of another type.
    """
    made = row(item)
    values = dict(zip(COLUMNS, made.values, strict=True))
    columns = tuple(values[name] for name in ("datetime", "until", "west", "east", "south", "north"))
    return Entry(item, made.template, Known(made.store, made.revision, made.created, family(item)), columns)


def facts(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties that items are counted by."""
    properties = item["properties"]
    return {name: properties[name] for name in FACTS if properties.get(name) is not None}


def content(item: Mapping[str, Any], collection: Collection) -> str:
    """Return what pgstac keeps of an item beside its columns."""
    made = dehydrate(dict(collection.base), dict(item))
    kept = {name: value for name, value in made.items() if name not in _NOT_IN_CONTENT}
    if collection.base_id is not None:
        kept["pgstac:base_item"] = collection.base_id
    return encode(kept).decode()


def geometry(item: Mapping[str, Any]) -> str:
    """Return the geometry of an item as GeoJSON that PostGIS reads."""
    return NOWHERE if item.get("geometry") is None else encode(item["geometry"]).decode()


def times(item: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """Return the first and last instant of an item, as pgstac understands them."""
    properties = item["properties"]
    first, last = properties.get("start_datetime"), properties.get("end_datetime")
    if first is None or last is None:
        first = last = properties["datetime"]
    return instant(first), instant(last)


def span(first: datetime, parts: str | None) -> tuple[datetime, datetime]:
    """Return the first and last instant that the partition of an item may hold, so that it need not grow later.

    A partition that grows is locked and checked anew.
    """
    if parts is None:
        return first, first
    begin = first.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    begin, last = (begin, begin.month) if parts == "month" else (begin.replace(month=1), 12)
    end = begin.replace(month=last, day=monthrange(begin.year, last)[1])
    return begin, end.replace(hour=23, minute=59, second=59, microsecond=999_999)
