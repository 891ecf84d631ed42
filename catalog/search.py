"""A search, parsed and checked: what the faces of a catalogue hand to its databases."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

DEFAULT_LIMIT: Final = 10
"""Items of a page where none is asked for."""

MAX_LIMIT: Final = 10_000
"""Largest page; larger limits are lowered to it, as STAC API allows."""

MAX_BYTES: Final = 16_000_000
"""Bytes of items at which a page ends, however many were asked for; one item is returned in any case."""

MATCHED_CAP: Final = 10_000
"""Matches that are counted at most; beyond, a page has no `Page.matched`."""


@dataclass(frozen=True, slots=True)
class SortKey:
    """One key to sort by."""

    property: str
    """``id``, ``collection``, ``datetime`` or the name of a property (``eo:cloud_cover``), without ``properties.``."""
    descending: bool = False
    """Largest first. Items that lack the property come last either way."""


@dataclass(frozen=True, slots=True)
class Fields:
    """Which fields of an item are wanted; both empty: all."""

    include: frozenset[str] = frozenset()
    """Dotted paths to return (``properties.eo:cloud_cover``, ``assets.B02``)."""
    exclude: frozenset[str] = frozenset()
    """Dotted paths to leave out; what `include` names more exactly stays."""

    def __bool__(self) -> bool:
        return bool(self.include or self.exclude)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is looked for: items that match all that is given. Withdrawn ones are never found.

    Without `sortby`, latest first; ties are by id, last first, as pgstac does it.
    """

    collections: tuple[str, ...] | None = None
    """Ids of collections, or None for all."""
    ids: tuple[str, ...] | None = None
    """Ids of items."""
    bbox: tuple[float, float, float, float] | None = None
    """West, south, east, north in degrees, which the geometry must touch; west > east crosses 180 degrees."""
    intersects: Mapping[str, Any] | None = None
    """GeoJSON geometry in longitude and latitude that the item's must touch."""
    start: datetime | None = None
    """First instant, with time zone, included; None: open."""
    stop: datetime | None = None
    """Last instant, included; None: open."""
    filter: Mapping[str, Any] | None = None
    """CQL2 in JSON, checked; properties without ``properties.``."""
    sortby: tuple[SortKey, ...] = ()
    """Keys in order of weight."""
    limit: int = DEFAULT_LIMIT
    """Largest number of items of the page, 1 to `MAX_LIMIT`."""
    most_bytes: int = MAX_BYTES
    """Largest size of all items of the page, as they are returned; a page of one item may be larger."""
    token: str | None = None
    """``next:...`` or ``prev:...`` of a page before, opaque; None: the first page."""
    fields: Fields = field(default_factory=Fields)
    """Which fields of the items to return."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of a search."""

    features: list[bytes]
    """Items as JSON, as clients get them, in order."""
    next: str | None = None
    """Token of the following page; None on the last."""
    prev: str | None = None
    """Token of the page before; None on the first."""
    matched: int | None = None
    """Number of all matches; given on the first page, unless there are more than `MATCHED_CAP`."""
