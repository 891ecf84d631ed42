"""Ground in longitude and latitude as boxes that may cross 180 degrees, and conditions on those of items."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import shapely

from catalog.literals import box_geometry

if TYPE_CHECKING:
    from collections.abc import Mapping

TURN: Final = 360.0
"""Degrees of a circle."""


def geometry_of(value: Mapping[str, Any]) -> Any:
    """Return a GeoJSON geometry as a shapely geometry, as `shape` does, but quicker where there are no holes.

    Raises
    ------
    ValueError, TypeError, KeyError, AttributeError, shapely.errors.ShapelyError
        If it is none.
    """
    if value["type"] == "Polygon" and len(value["coordinates"]) == 1:
        return shapely.polygons(np.asarray(value["coordinates"][0], dtype=np.float64))
    return shapely.geometry.shape(value)


def extent_of(geometry: Any) -> tuple[float, float, float, float] | None:
    """Return west, east, south and north of a shapely geometry; None if it is empty.

    West is in -180 ... 180. Where the parts of a geometry are nearest to each other across 180 degrees, east is
    greater than 180: the box is the narrowest around the circle that has all parts.
    """
    if geometry.is_empty:
        return None
    west, south, east, north = map(float, geometry.bounds)
    if east - west > TURN / 2 and geometry.geom_type.startswith(("Multi", "GeometryCollection")):
        west, east = _narrowest(shapely.bounds(shapely.get_parts(geometry))[:, [0, 2]].tolist())
    return west, east, south, north


def _narrowest(parts: list[list[float]]) -> tuple[float, float]:
    """Narrowest arc that has all parts: what the widest gap between them leaves."""
    parts = sorted(part for part in parts if not math.isnan(part[0]))  # empty parts have no bounds
    reach, gaps = parts[0][1], []
    for west, east in parts[1:]:
        if west > reach:
            gaps.append((west - reach, reach, west))
        reach = max(reach, east)
    across = parts[0][0] + TURN - reach
    width, end, start = max(gaps, default=(0.0, 0.0, 0.0))
    return (parts[0][0], reach) if across >= width else (start, end + TURN)


@dataclass(frozen=True)
class Area:
    """An area that geometries must touch."""

    geometry: Any
    """Shapely geometry, between -180 and 180 degrees."""
    rectangle: bool
    """Whether it is the whole of its box: what lies within the box touches it."""

    @cached_property
    def extent(self) -> tuple[float, float, float, float]:
        """West, east (beyond 180 where it crosses that), south, north."""
        found = extent_of(self.geometry)
        assert found is not None  # noqa: S101 - areas were checked; for the type checker
        return found

    @cached_property
    def turns(self) -> tuple[float, ...]:
        """What to add to its longitudes to find all boxes: those of items start in -180 ... 180."""
        east = self.extent[1]
        return (0.0, *((TURN,) if east <= 180 else ()), *((-TURN,) if east >= 180 else ()))

    @property
    def size(self) -> float:
        """Square degrees of its box."""
        west, east, south, north = self.extent
        return (east - west) * (north - south)

    def touched(self, alias: str) -> tuple[str, list[float]]:
        """Return the condition that an item's box touches its box, and its parameters."""
        west, east, south, north = self.extent
        sides = " OR ".join(f"({alias}.west <= ? AND {alias}.east >= ?)" for _ in self.turns)
        longitudes = [end + turn for turn in self.turns for end in (east, west)]
        return f"({alias}.south <= ? AND {alias}.north >= ? AND ({sides}))", [north, south, *longitudes]

    def inside(self, alias: str) -> tuple[str, list[float]]:
        """Return the condition that an item's box lies within its box, and its parameters; false if no rectangle."""
        if not self.rectangle:
            return "0", []
        west, east, south, north = self.extent
        turns = self.turns if east > 180 else self.turns[:1]
        sides = " OR ".join(f"({alias}.west >= ? AND {alias}.east <= ?)" for _ in turns)
        longitudes = [end + turn for turn in turns for end in (west, east)]
        return f"({alias}.south >= ? AND {alias}.north <= ? AND ({sides}))", [south, north, *longitudes]


def box_area(bbox: tuple[float, float, float, float]) -> Area:
    """Return the area of a checked box; west > east crosses 180 degrees."""
    return Area(box_geometry(bbox), rectangle=True)


def geometry_area(geometry: Mapping[str, Any]) -> Area:
    """Return the area of a checked GeoJSON geometry."""
    made = shapely.geometry.shape(geometry)
    rectangle = made.geom_type == "Polygon" and made.equals(made.envelope)
    return Area(made, rectangle=bool(rectangle))
