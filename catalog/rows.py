"""An item as the rows of the embedded catalogue."""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import shapely
from shapely.geometry import shape

from catalog.geometry import bbox_of
from catalog.query import DAY, instant, microseconds

if TYPE_CHECKING:
    from collections.abc import Mapping

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

_PROMOTED: Final = {
    "grid_code": "grid:code",
    "cloud_cover": "eo:cloud_cover",
    "platform": "platform",
    "relative_orbit": "sat:relative_orbit",
    "orbit_state": "sat:orbit_state",
    "baseline": "processing:version",
    "datatake": "s2:datatake_id",
    "datastrip": "s2:datastrip_id",
    "layer": "abut:layer",
    "store": "abut:store",
}
"""Columns that repeat a property, null where an item lacks it."""

COLUMNS: Final = ("collection", "id", "datetime", *_PROMOTED, "revision", "withdrawn", "updated")
"""Columns of ``items`` but for ``rid``, in the order of `Row.values`."""


@dataclass(frozen=True, slots=True)
class Row:
    """What the catalogue stores of one item."""

    id: str
    """Id of the item."""
    store: str | None
    """Folder of the product's store."""
    revision: int
    """Revision of the ledger that the item is a copy of."""
    values: tuple[Any, ...]
    """Values of `COLUMNS`."""
    extent: tuple[float, ...] | None
    """West, east, south, north, first and last day; None without a geometry."""
    geometry: bytes | None
    """WKB of the geometry; None without one."""
    document: bytes
    """The item, as `document` returns it."""


def row(item: Mapping[str, Any]) -> Row:
    """Return the rows of an item.

    Raises
    ------
    ValueError
        If it has no collection, an id that is no name, no datetime, or values that JSON has not.
    """
    name = item.get("id")
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise ValueError(f"item id {name!r} is not a name of letters, digits, '.', '_' and '-'")
    properties = item.get("properties", {})
    if not properties.get("datetime") or not item.get("collection"):
        raise ValueError(f"item {name} has no datetime or no collection")
    moment = microseconds(instant(properties["datetime"]))
    updated = properties.get("updated")
    revision = int(properties.get("abut:revision", 0))
    promoted = {key: properties.get(key) for key in _PROMOTED.values()}
    for key, value in promoted.items():
        if not isinstance(value, str | int | float | None):
            raise ValueError(f"item {name}: {key} {value!r} is neither text nor number")  # noqa: TRY004 - of the data
    values = (
        item["collection"],
        name,
        moment,
        *promoted.values(),
        revision,
        int(bool(properties.get("abut:withdrawn", False))),
        microseconds(instant(updated)) if updated else None,
    )
    geometry = item.get("geometry")
    return Row(
        id=name,
        store=properties.get("abut:store"),
        revision=revision,
        values=values,
        extent=None if geometry is None else _extent(geometry, moment),
        geometry=None if geometry is None else shapely.to_wkb(shape(geometry)),
        document=zlib.compress(_json(item).encode()),
    )


def document(data: bytes) -> dict[str, Any]:
    """Return the item in a row's document."""
    item: dict[str, Any] = json.loads(zlib.decompress(data))
    return item


def _json(item: Mapping[str, Any]) -> str:
    try:
        return json.dumps(item, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise ValueError(f"item {item['id']} is not JSON: {error}") from error


def _extent(geometry: Mapping[str, Any], moment: int) -> tuple[float, ...]:
    west, south, east, north = bbox_of(geometry)
    return west, east + 360 if east < west else east, south, north, moment / DAY, moment / DAY
