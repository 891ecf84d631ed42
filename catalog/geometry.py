"""Ground of blocks as GeoJSON: from rectangles of a zone to polygons in longitude and latitude.

A straight line of a zone is a curve in longitude and latitude, so edges get as many extra vertices as keep the
chords near it. Rings are right-handed and what crosses the meridian of 180 degrees is split there (RFC 7946,
sections 3.1.6 and 3.1.9).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import shapely
from pyproj import Transformer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from abut.lattice import Bounds, Zone
    from abut.tiling import Tile
    from catalog.bitmap import Position

TOLERANCE: Final = 2.0
"""Largest distance in metres between the edge of a polygon and the straight line of the zone that it stands for."""

PRECISION: Final = 1e-7
"""Grid of the coordinates in degrees: about a centimetre."""

_DIGITS: Final = 7
_LONGEST_CHORD: Final = 109_800.0
_FAR: Final = 90.0
"""A product with longitudes beyond both -90 and 90 degrees lies at 180 degrees: no tile is that wide."""


def ground_of(rectangles: Iterable[Bounds], zone: Zone) -> dict[str, Any] | None:
    """Return the union of rectangles of one zone as a GeoJSON geometry in WGS 84.

    Parameters
    ----------
    rectangles : iterable of Bounds
        Ground in `zone`, in metres; may touch or overlap.
    zone : Zone
        Zone of all of them.

    Returns
    -------
    dict or None
        ``Polygon`` or ``MultiPolygon``, longitudes and latitudes in degrees on a grid of 1e-7; None of nothing.
    """
    boxes = [shapely.box(part.left, part.bottom, part.right, part.top) for part in rectangles]
    if not boxes:
        return None
    union = shapely.simplify(shapely.union_all(boxes), 0)
    return _geojson(_split(_projected(union, zone)))


def footprint_of(tile: Tile) -> dict[str, Any]:
    """Return the legacy footprint of a tile as a GeoJSON geometry in WGS 84."""
    geometry = ground_of([tile.footprint], tile.zone)
    assert geometry is not None  # noqa: S101 - one rectangle is never nothing; for the type checker
    return geometry


def ground_of_blocks(tile: Tile, positions: Iterable[Position]) -> dict[str, Any] | None:
    """Return the ground of blocks of a tile's hull, cut to the legacy footprint, as GeoJSON in WGS 84.

    Raises
    ------
    IndexError
        If a block is outside of the hull.
    """
    blocks = (tile.hull.block(*position).bounds.intersection(tile.footprint) for position in positions)
    return ground_of([part for part in blocks if part is not None], tile.zone)


def bbox_of(geometry: Mapping[str, Any]) -> list[float]:
    """Return west, south, east and north of a GeoJSON geometry in degrees; west > east where it crosses 180."""
    points = shapely.get_coordinates(shapely.geometry.shape(geometry))
    longitudes, latitudes = points.T
    west, east = longitudes.min(), longitudes.max()
    if west < -_FAR and east > _FAR:
        west, east = longitudes[longitudes > 0].min(), longitudes[longitudes < 0].max()
    return [float(west), float(latitudes.min()), float(east), float(latitudes.max())]


@cache
def _transformer(zone: Zone) -> Transformer:
    return Transformer.from_crs(zone.epsg, 4326, always_xy=True)


def _degrees(metres: NDArray[np.float64], zone: Zone) -> NDArray[np.float64]:
    """Longitude and latitude of points (n, 2); longitudes continuous around the zone, so some may pass 180."""
    longitude, latitude = _transformer(zone).transform(*metres.T)
    meridian = 6 * zone.number - 183
    around = (np.asarray(longitude) - meridian + 180) % 360 - 180 + meridian
    return np.column_stack([around, latitude])


def _metres(degrees: NDArray[np.float64], zone: Zone) -> NDArray[np.float64]:
    return np.column_stack(_transformer(zone).transform(degrees[:, 0], degrees[:, 1], direction="INVERSE"))


def _projected(ground: Any, zone: Zone) -> Any:
    """Polygons in degrees whose edges stay within `TOLERANCE` of the straight lines of the zone."""
    chord = _LONGEST_CHORD
    while True:
        dense = shapely.segmentize(ground, chord)
        if _deviation(dense, zone) <= TOLERANCE:
            return shapely.transform(dense, lambda points: _degrees(points, zone))
        chord /= 2


def _deviation(ground: Any, zone: Zone) -> float:
    """Largest distance in metres, at the middle of an edge, between its chord in degrees and itself."""
    worst = 0.0
    for ring in shapely.get_rings(ground):
        points = shapely.get_coordinates(ring)
        corners = _degrees(points, zone)
        middles = _metres((corners[1:] + corners[:-1]) / 2, zone)
        worst = max(worst, float(np.hypot(*(middles - (points[1:] + points[:-1]) / 2).T).max()))
    return worst


def _split(ground: Any) -> list[Any]:
    """Polygons between -180 and 180 degrees, with rounded coordinates, exterior rings counter-clockwise."""
    parts = []
    for shift in (-360.0, 0.0, 360.0):
        inside = shapely.intersection(ground, shapely.box(-180 - shift, -90, 180 - shift, 90))
        moved = shapely.transform(inside, lambda points, by=shift: points + np.array([by, 0.0]))
        rounded = shapely.set_precision(moved, PRECISION)
        parts += [part for part in shapely.get_parts(rounded) if isinstance(part, shapely.Polygon) and part.area > 0]
    return list(shapely.orient_polygons(parts))


def _geojson(polygons: list[Any]) -> dict[str, Any]:
    coordinates = [[_ring(ring) for ring in (part.exterior, *part.interiors)] for part in polygons]
    if len(coordinates) == 1:
        return {"type": "Polygon", "coordinates": coordinates[0]}
    return {"type": "MultiPolygon", "coordinates": coordinates}


def _ring(ring: Any) -> list[list[float]]:
    return [[round(float(x), _DIGITS), round(float(y), _DIGITS)] for x, y in shapely.get_coordinates(ring)]
