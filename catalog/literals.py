"""Values that clients write down: days, boxes and geometries, checked and in one form."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import shapely
from shapely.geometry import mapping, shape

from abut.messages import quoted

MAX_VERTICES: Final = 20_000
"""Vertices of a geometry that a client may search by."""

_TYPES: Final = {
    "Point": 1,
    "MultiPoint": 2,
    "LineString": 2,
    "MultiLineString": 3,
    "Polygon": 3,
    "MultiPolygon": 4,
}
"""Nesting of coordinates by type of geometry."""


def day(text: Any) -> tuple[datetime, datetime]:
    """Return the first and last microsecond of a day in UTC.

    Raises
    ------
    ValueError
        If it is not a date.
    """
    try:
        if isinstance(text, str) and len(text) == len("2025-08-01"):
            start = datetime.strptime(f"{text}+0000", "%Y-%m-%d%z")
            return start, start.replace(hour=23, minute=59, second=59, microsecond=999_999)
    except ValueError:
        pass
    raise ValueError(f"{quoted(text)} is not a date such as 2025-08-01")


def timestamp(moment: datetime) -> str:
    """Return an instant as RFC 3339 text in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Where times in the database are counted from."""

_MICROSECOND: Final = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """Return a time as microseconds since 1970."""
    return (moment - EPOCH) // _MICROSECOND


def box(bbox: Sequence[float]) -> tuple[float, float, float, float]:
    """Return west, south, east and north of a bounding box of four or six numbers; west > east crosses 180.

    Raises
    ------
    ValueError
        If it is not a box on the globe.
    """
    try:
        numbers = [float(value) for value in bbox]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) not in {4, 6} or not all(map(math.isfinite, numbers)):
        raise ValueError(f"bbox {quoted(bbox)} is not four or six numbers")
    west, south, east, north = numbers if len(numbers) == 4 else (*numbers[:2], *numbers[3:5])
    if not (-90 <= south <= north <= 90 and -180 <= west <= 180 and -180 <= east <= 180):
        raise ValueError(f"bbox {quoted(bbox)} is not west, south, east, north in degrees")
    return west, south, east, north


def box_geometry(area: tuple[float, float, float, float]) -> Any:
    """Return a box as a shapely geometry; one that crosses 180 degrees in two parts."""
    west, south, east, north = area
    if west <= east:
        return _part(west, south, east, north)
    parts = [_part(west, south, 180.0, north), _part(-180.0, south, east, north)]
    kinds = {part.geom_type for part in parts}
    return shapely.union_all(parts) if kinds != {"Polygon"} else shapely.MultiPolygon(parts)


def _part(west: float, south: float, east: float, north: float) -> Any:
    """Polygon, or the line or point that a box without width or height is: such polygons are invalid."""
    if west < east and south < north:
        return shapely.box(west, south, east, north)
    if (west, south) == (east, north):
        return shapely.Point(west, south)
    return shapely.LineString([(west, south), (east, north)])


def geometry(value: Any) -> dict[str, Any]:
    """Return a GeoJSON geometry that clients search by, checked: two dimensions, nothing but type and coordinates.

    Raises
    ------
    ValueError
        If it is no geometry in longitude and latitude, is empty or invalid (rings that are open or cross themselves),
        or has more than `MAX_VERTICES` vertices.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"{quoted(value)} is not a GeoJSON geometry")  # noqa: TRY004 - of the client's data
    kind = value.get("type")
    if kind == "GeometryCollection":
        parts = value.get("geometries")
        if not isinstance(parts, list) or not parts:
            raise ValueError(f"{quoted(value)} is an empty geometry")
        if any(isinstance(part, Mapping) and part.get("type") == kind for part in parts):
            raise ValueError(f"{quoted(value)}: a GeometryCollection within another")
        return {"type": kind, "geometries": [geometry(part) for part in parts]}
    if not isinstance(kind, str) or kind not in _TYPES:
        raise ValueError(f"{quoted(value)} is not a GeoJSON geometry")
    budget = [MAX_VERTICES]
    coordinates = _coordinates(value.get("coordinates"), _TYPES[kind], value, budget)
    _check_shape(kind, coordinates, value)
    return {"type": kind, "coordinates": coordinates}


def geometry_or_box(value: Any) -> dict[str, Any]:
    """Return a geometry, or a box written as ``{"bbox": [...]}``, as a checked GeoJSON geometry."""
    if isinstance(value, Mapping) and set(value) == {"bbox"}:
        return rounded(box_geometry(box(value["bbox"])))
    return geometry(value)


def rounded(made: Any) -> dict[str, Any]:
    """Return a shapely geometry as GeoJSON of plain lists."""
    plain: dict[str, Any] = json.loads(json.dumps(mapping(made)))
    return plain


def _coordinates(value: Any, levels: int, whole: Mapping[str, Any], budget: list[int]) -> list[Any]:
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"{quoted(whole)} has no coordinates of its type")
    if levels > 1:
        return [_coordinates(part, levels - 1, whole, budget) for part in value]
    budget[0] -= 1
    if budget[0] < 0:
        raise ValueError(f"geometry with more than {MAX_VERTICES} vertices")
    if not 2 <= len(value) <= 4 or not all(
        isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number) for number in value
    ):
        raise ValueError(f"{quoted(value)} is not a position of a geometry")
    longitude, latitude = value[0], value[1]
    if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):
        raise ValueError(f"position {quoted(value)} is not a longitude and a latitude in degrees")
    return [longitude, latitude]


def _check_shape(kind: str, coordinates: list[Any], value: Mapping[str, Any]) -> None:
    rings = {"Polygon": [coordinates], "MultiPolygon": coordinates}.get(kind, [])
    if any(ring[0] != ring[-1] or len(ring) < 4 for polygon in rings for ring in polygon):
        raise ValueError(f"{quoted(value)} has a ring that is not closed")
    try:
        made = shape({"type": kind, "coordinates": coordinates})
        reason = shapely.is_valid_reason(made)
    except (shapely.errors.ShapelyError, ValueError, TypeError) as error:
        raise ValueError(f"{quoted(value)} is not a geometry: {str(error).strip()}") from error
    if reason != "Valid Geometry":
        raise ValueError(f"{quoted(value)} is not a valid geometry: {reason}")
