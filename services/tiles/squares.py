"""Squares of the lattice on the globe: blocks and tiles as GeoJSON, tiles of a box in degrees.

The vertices of an edge lie at equal distances along it, so blocks that touch have the same vertices on their common
edge, to the last digit. `catalog.geometry` has the ground of many blocks as one geometry.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import shapely
from pyproj import Transformer

from abut.errors import TooLargeError
from abut.lattice import Zone
from abut.tiling import tiles_of
from catalog.ground import TURN, box_area

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from abut.lattice import Bounds
    from abut.tiling import Tile

BLOCK_PARTS: Final = 4
"""Parts of a block's edge: 2,400 m, whose chord is off by less than a metre."""
TILE_PARTS: Final = 24
"""Parts of a tile's edge: 4,575 m; the chord is off by less than 4 m."""
TILES_LIMIT: Final = 500
"""Tiles of one answer."""

_DIGITS: Final = 7
_EARTH: Final = 6_371.0
"""Radius of the Earth in kilometres."""
_SPACING: Final = 100.0
"""Kilometres between tiles, about."""
_STRAY: Final = 25.0
"""Degrees from a zone's central meridian that no tile of it reaches."""


def outlines(squares: Sequence[Bounds], parts: int) -> NDArray[np.float64]:
    """Return the outlines of squares of one zone.

    Parameters
    ----------
    squares : sequence of Bounds
        Ground of one zone; at least one.
    parts : int
        Number of parts of each edge.

    Returns
    -------
    array of float64 of shape (square, vertex, 2)
        Longitude and latitude in degrees, counter-clockwise from the lower left, the first not repeated; longitudes
        are continuous around the zone's central meridian, so some may pass 180.
    """
    zone = squares[0].zone
    step = np.arange(parts) / parts
    ends = np.zeros(parts), np.ones(parts)
    x = np.concatenate([step, ends[1], 1 - step, ends[0]])
    y = np.concatenate([ends[0], step, ends[1], 1 - step])
    corner = np.array([(one.left, one.bottom, one.width, one.height) for one in squares], np.float64)[:, :, None]
    lon, lat = _transformer(zone).transform(corner[:, 0] + corner[:, 2] * x, corner[:, 1] + corner[:, 3] * y)
    meridian = 6 * zone.number - 183
    around = (np.asarray(lon) - meridian + 180) % 360 - 180 + meridian
    return np.stack([around, lat], axis=-1)


def geometry_of(outline: NDArray[np.float64]) -> dict[str, Any]:
    """Return the GeoJSON geometry of an outline; one that crosses 180 degrees in two parts (RFC 7946, 3.1.9)."""
    ring = np.concatenate([outline, outline[:1]])
    west, east = ring[:, 0].min(), ring[:, 0].max()
    if west >= -180 and east <= 180:
        return {"type": "Polygon", "coordinates": [_ring(ring)]}
    whole = shapely.Polygon(ring)
    found = []
    for shift in (-TURN, 0.0, TURN):
        part = shapely.intersection(whole, shapely.box(-180 - shift, -90, 180 - shift, 90))
        if part.area > 0:
            moved = shapely.get_coordinates(shapely.orient_polygons(part).exterior) + np.array([shift, 0.0])
            found.append([_ring(moved)])
    if len(found) == 1:
        return {"type": "Polygon", "coordinates": found[0]}
    return {"type": "MultiPolygon", "coordinates": found}


def tiles_in(box: tuple[float, float, float, float]) -> list[Tile]:
    """Return the tiles whose footprint touches a box in degrees.

    Parameters
    ----------
    box : tuple of float
        West, south, east, north; west > east crosses 180 degrees.

    Returns
    -------
    list of Tile
        By id.

    Raises
    ------
    TooLargeError
        If they are more than `TILES_LIMIT`; the message says how many there are, about.
    """
    west, south, east, north = box
    width = (east - west) % TURN if east < west else east - west
    band = math.sin(math.radians(north)) - math.sin(math.radians(south))
    about = math.radians(width) * band * (_EARTH / _SPACING) ** 2
    if about > 2 * TILES_LIMIT:  # the count below would take seconds
        raise _too_many(box, f"about {about:.0f}")
    area = box_area(box).geometry
    found = [tile for zone in _zones_near(west, width) for tile in _touching(zone, area)]
    if len(found) > TILES_LIMIT:
        raise _too_many(box, str(len(found)))
    return sorted(found)


def _too_many(box: tuple[float, float, float, float], number: str) -> TooLargeError:
    return TooLargeError(f"bbox {','.join(f'{one:g}' for one in box)} touches {number} tiles, more than {TILES_LIMIT}")


def _zones_near(west: float, width: float) -> list[Zone]:
    """Return the zones, of both hemispheres, that may have tiles between two meridians."""
    middle, reach = west + width / 2, width / 2 + _STRAY
    near = [n for n in range(1, 61) if abs((6 * n - 183 - middle + TURN / 2) % TURN - TURN / 2) <= reach]
    return [Zone(base + number) for base in (32600, 32700) for number in near]


def _touching(zone: Zone, area: Any) -> list[Tile]:
    tiles, polygons, boxes = _footprints(zone)
    found: set[int] = set()
    for shift in (-TURN, 0.0, TURN):
        moved = shapely.transform(area, lambda points, by=shift: points + np.array([by, 0.0])) if shift else area
        west, south, east, north = moved.bounds
        near = np.flatnonzero(
            (boxes[:, 0] <= east) & (boxes[:, 2] >= west) & (boxes[:, 1] <= north) & (boxes[:, 3] >= south)
        )
        found |= {int(index) for index in near if polygons[index].intersects(moved)}
    return [tiles[index] for index in sorted(found)]


@lru_cache(maxsize=120)
def _footprints(zone: Zone) -> tuple[tuple[Tile, ...], Any, NDArray[np.float64]]:
    """Return the tiles of a zone, their footprints in continuous degrees, and the boxes of these."""
    tiles = tiles_of(zone)
    polygons = shapely.polygons(outlines([tile.footprint for tile in tiles], TILE_PARTS))
    return tiles, polygons, shapely.bounds(polygons)


@cache
def _transformer(zone: Zone) -> Transformer:
    return Transformer.from_crs(zone.epsg, 4326, always_xy=True)


def _ring(points: NDArray[np.float64]) -> list[list[float]]:
    rounded: list[list[float]] = np.round(points, _DIGITS).tolist()
    return rounded
