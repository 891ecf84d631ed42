"""An item as the rows of the embedded catalogue."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import shapely

from abut.messages import quoted
from abut.period import instant
from catalog.documents import template
from catalog.ground import extent_of, geometry_of
from catalog.literals import microseconds
from catalog.queryables import UNSEARCHABLE, Kind
from catalog.text import encode
from catalog.versions import family

if TYPE_CHECKING:
    from collections.abc import Mapping

DAY: Final = 86_400_000_000
"""Microseconds in a day."""

PROMOTED: Final[dict[str, tuple[str, Kind]]] = {
    "created": ("created", "instant"),
    "updated": ("updated", "instant"),
    "grid:code": ("grid_code", "text"),
    "eo:cloud_cover": ("cloud_cover", "number"),
    "platform": ("platform", "text"),
    "sat:relative_orbit": ("relative_orbit", "number"),
    "sat:orbit_state": ("orbit_state", "text"),
    "processing:version": ("baseline", "text"),
    "proj:code": ("projection", "text"),
    "view:sun_elevation": ("sun_elevation", "number"),
    "s2:nodata_pixel_percentage": ("nodata", "number"),
    "deprecated": ("deprecated", "boolean"),
    "s2:datatake_id": ("datatake", "text"),
    "s2:datastrip_id": ("datastrip", "text"),
    "abut:layer": ("layer", "text"),
    "abut:store": ("store", "text"),
}
"""Columns that repeat a property, null where an item lacks it."""

COLUMNS: Final = (
    *("collection", "id", "datetime", "until", "west", "east", "south", "north", "revision", "withdrawn", "family"),
    *(column for column, _ in PROMOTED.values()),
)
"""Columns of ``items`` but for ``rid``, in the order of `Row.values`."""

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_TYPES: Final[dict[Kind, tuple[tuple[type, ...], str]]] = {
    "text": ((str,), "text"),
    "number": ((int, float), "a number"),
    "boolean": ((bool,), "true or false"),
}
_BEYOND: Final = 2**63


@dataclass(frozen=True, slots=True)
class Row:
    """What the catalogue stores of one item."""

    collection: str
    """Id of its collection."""
    id: str
    """Id of the item."""
    store: str | None
    """Folder of the product's store."""
    revision: int
    """Revision of the ledger that the item is a copy of."""
    created: int | None
    """When its store was written, in microseconds since 1970."""
    family: int | None
    """Number of the family of versions that it belongs to."""
    values: tuple[Any, ...]
    """Values of `COLUMNS`."""
    extent: tuple[float, ...] | None
    """West, east, south, north, first and last day, if searches are to find it there."""
    geometry: bytes | None
    """WKB of the geometry; None without one."""
    properties: bytes
    """JSON of the properties that have no column of their own."""
    template: bytes
    """The item, as `catalog.documents.template` returns it."""


def row(item: Mapping[str, Any]) -> Row:
    """Return the rows of an item.

    Raises
    ------
    ValueError
        If it has no collection, an id that is no name, no time, values that JSON has not or of wrong types.
    """
    name = item.get("id")
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise ValueError(f"item id {name!r} is not a name of letters, digits, '.', '_' and '-'")
    try:
        return _row(name, item)
    except (TypeError, AttributeError, KeyError, IndexError, RecursionError) as error:
        raise ValueError(f"item {name} is not a STAC item: {error}") from error


def family_number(item: Mapping[str, Any]) -> int | None:
    """Return the number of the family of versions of an item: a digest of `catalog.versions.family`."""
    text = family(item)
    if text is None:
        return None
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), signed=True)


def _row(name: str, item: Mapping[str, Any]) -> Row:
    properties, collection = item["properties"], item.get("collection")
    if not isinstance(collection, str) or not collection:
        raise ValueError(f"item {name} has no datetime or no collection")
    start, stop = _times(name, properties)
    _check_links(name, item)
    promoted = {column: _value(name, properties, key, kind) for key, (column, kind) in PROMOTED.items()}
    geometry, extent = _ground(name, item.get("geometry"))
    withdrawn = bool(properties.get("abut:withdrawn", False))
    revision = _integer(name, properties.get("abut:revision", 0))
    number = family_number(item)
    try:
        text = template(item)
        rest = {key: value for key, value in properties.items() if key not in PROMOTED and key not in UNSEARCHABLE}
        other = encode(rest)
    except ValueError as error:
        raise ValueError(f"item {name} is not JSON: {error}") from error
    return Row(
        collection=collection,
        id=name,
        store=promoted["store"],
        revision=revision,
        created=promoted["created"],
        family=number,
        values=(
            *(collection, name, start, stop),
            *(extent or (None,) * 4),
            *(revision, int(withdrawn), number),
            *promoted.values(),
        ),
        extent=None if extent is None or withdrawn else (*extent, start / DAY, stop / DAY),
        geometry=None if geometry is None else shapely.to_wkb(geometry, output_dimension=2),
        properties=other,
        template=text,
    )


def _times(name: str, properties: Mapping[str, Any]) -> tuple[int, int]:
    """First and last instant; the same for most, as for pgstac."""
    ends = [properties.get(key) for key in ("start_datetime", "end_datetime")]
    if None in ends:
        moment = properties.get("datetime")
        if not moment:
            raise ValueError(f"item {name} has no datetime or no collection")
        ends = [moment, moment]
    start, stop = (microseconds(_instant(name, "datetime", end)) for end in ends)
    if start > stop:
        raise ValueError(f"item {name} ends before it starts: {quoted(ends)}")
    return start, stop


def _ground(name: str, value: Any) -> tuple[Any, tuple[float, float, float, float] | None]:
    """Geometry and its extent; None of both without one."""
    if value is None:
        return None, None
    try:
        geometry = geometry_of(value)
        extent = extent_of(geometry)
    except (ValueError, TypeError, KeyError, AttributeError, shapely.errors.ShapelyError) as error:
        reason = str(error).strip() or type(error).__name__
        raise ValueError(f"item {name}: geometry {quoted(value)} is none: {reason}") from error
    if extent is not None and not all(map(math.isfinite, extent)):
        raise ValueError(f"item {name}: geometry {quoted(value)} is not finite")
    return (None, None) if extent is None else (geometry, extent)


def _check_links(name: str, item: Mapping[str, Any]) -> None:
    for asset in item.get("assets", {}).values():
        if not isinstance(asset["href"], str):
            raise ValueError(f"item {name}: href {quoted(asset['href'])} is not text")  # noqa: TRY004 - of the data
    for link in item.get("links", []):
        if not isinstance(link["href"], str) or not isinstance(link["rel"], str):
            raise ValueError(f"item {name}: link {quoted(link)} has no rel and href")  # noqa: TRY004 - of the data


def _instant(name: str, key: str, text: Any) -> Any:
    try:
        return instant(text)
    except ValueError as error:
        raise ValueError(f"item {name}: {key}: {error}") from error


def _integer(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _BEYOND:
        raise ValueError(f"item {name}: abut:revision {quoted(value)} is not a revision")
    return value


def _value(name: str, properties: Mapping[str, Any], key: str, kind: Kind) -> Any:
    value = properties.get(key)
    if value is None:
        return None
    if kind == "instant":
        return microseconds(_instant(name, key, value))
    types, meaning = _TYPES[kind]
    if not isinstance(value, types) or (kind == "number" and isinstance(value, bool)):
        raise ValueError(f"item {name}: {key} {quoted(value)} is not {meaning}")
    if isinstance(value, int) and abs(value) >= _BEYOND:
        raise ValueError(f"item {name}: {key} {value} is too large")
    return value
