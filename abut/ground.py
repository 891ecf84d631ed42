"""Ground in several zones: which zone a place belongs to, and where the ground of a window lies in another zone.

Everything follows from the tiles that the Sentinel-2 grid has. It is not quite MGRS: its zone 31V reaches east of
3 degrees, 32V does not begin there, and on Svalbard 31X, 33X, 35X and 37X overlap.
Projection is exact (PROJ's transverse Mercator, Poder and Engsager); edges are densified, as straight lines of one
zone are curves in another.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import shapely
from pyproj import CRS, Transformer

from abut.errors import InvalidWindowError
from abut.lattice import GRID_STEP, Bounds, Zone
from abut.tiling import TILE_SIZE, tiles_touching

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from abut.tiling import Tile

    type Points = tuple[NDArray[np.float64], NDArray[np.float64]]
    type Ground = Bounds | Any

_STEP: Final = 1_000
"""Metres between points of a window's edges; curves then differ from chords by less than 0.3 m anywhere."""
_EDGE_POINTS: Final = 1_024
"""Points of a GeoBox's edge."""
_SLIVER: Final = 1.0
"""Square metres that are rounding, not ground."""
_REACH: Final = 75.0
"""Degrees from the central meridian beyond which a zone's projection is not used."""
_TILE_DEGREES: Final = 1.2
"""More than a tile's height in degrees of latitude, and than its width at the equator."""
_MERIDIANS: Final = np.arange(-177.0, 180.0, 6.0, dtype=np.float64)
_STRAY: Final = 6.0
"""Degrees from the central meridian to the farthest place of a zone, in 31X and 37X."""


def zone_of(lon: float, lat: float) -> Zone:
    """Return the zone that a place belongs to by default: one whose tiles hold it.

    The MGRS zone (Norway's and Svalbard's exceptions included) where the Sentinel-2 grid has tiles of it there, else
    the one with the nearest central meridian, the lower EPSG code of two.

    Parameters
    ----------
    lon, lat : float
        Degrees; WGS 84.

    Raises
    ------
    InvalidWindowError
        If no tile of the Sentinel-2 grid holds the place.
    """
    if not (math.isfinite(lon) and math.isfinite(lat) and abs(lat) <= 90):
        raise InvalidWindowError(f"{lon:g}, {lat:g} is not a longitude and a latitude in degrees")
    usual = _mgrs_zone((lon + 180) % 360 - 180, lat)
    if _holds(usual, lon, lat):
        return usual
    for zone in _zones_near(np.array([lon]), np.array([lat]), lon):
        if _holds(zone, lon, lat):
            return zone
    raise InvalidWindowError(f"no tile of the Sentinel-2 grid holds longitude {lon:g}, latitude {lat:g}")


def zones_on(ground: Ground) -> tuple[Zone, ...]:
    """Return the zones that have tiles on some ground.

    Parameters
    ----------
    ground : Bounds or odc.geo.geobox.GeoBox
        A window, or pixels in any coordinate system.

    Returns
    -------
    tuple of Zone
        The one whose central meridian is nearest to the centre first; of two as near, the lower EPSG code.

    Raises
    ------
    InvalidWindowError
        If the ground reaches farther than can be projected.
    """
    system, x, y = _outline(ground)
    lon, lat = project(system, _DEGREES, x, y)
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        raise InvalidWindowError(f"{_named(ground)} reaches beyond the ground of its coordinate system")
    near = _zones_near(lon, lat, _centre_longitude(ground, system))
    return tuple(zone for zone in near if tiles_on(zone, ground))


def neighbour_zones(bounds: Bounds) -> tuple[Zone, ...]:
    """Return the other zones that have tiles on the ground of a window, in the order of `zones_on`."""
    return tuple(zone for zone in zones_on(bounds) if zone != bounds.zone)


def ground_in(zone: Zone, ground: Ground, margin: int = 0) -> Bounds | None:
    """Return the window of a zone that covers some ground, as far as the zone has tiles there.

    Parameters
    ----------
    zone : Zone
        The zone.
    ground : Bounds or odc.geo.geobox.GeoBox
        A window of another zone (or of this one), or pixels in any coordinate system.
    margin : int
        Metres to add on all sides, for resampling that looks at neighbouring pixels.

    Returns
    -------
    Bounds or None
        On the 60 m grid, inside the rectangle around the tiles that touch the ground and its margin; None if there
        is no such tile.

    Raises
    ------
    InvalidWindowError
        If the ground reaches farther than can be projected.
    """
    if not tiles_on(zone, ground):
        return None
    x, y = outline_in(zone, ground)
    equator = zone.equator
    if not (isinstance(ground, Bounds) and ground.zone.number == zone.number):
        margin += 1  # more than curves differ from chords
    around = Bounds(
        zone,
        _floor(x.min() - margin),
        equator + _floor(y.min() - equator - margin),
        -_floor(-x.max() - margin),
        equator - _floor(equator - y.max() - margin),
    )
    return around.intersection(Bounds.around(tile.footprint for tile in tiles_touching(around)))


def tiles_on(zone: Zone, ground: Ground) -> tuple[Tile, ...]:
    """Return the tiles of a zone whose legacy footprints share area with some ground, sorted by id.

    Raises
    ------
    InvalidWindowError
        If the ground reaches farther than can be projected.
    """
    if isinstance(ground, Bounds) and ground.zone == zone:
        return tiles_touching(ground)
    x, y = outline_in(zone, ground)
    around = Bounds(zone, math.floor(x.min()), math.floor(y.min()), math.ceil(x.max()), math.ceil(y.max()))
    candidates = tiles_touching(around)
    if not candidates:
        return ()
    corners = np.array([(tile.ulx, tile.uly - TILE_SIZE) for tile in candidates], float)
    squares = shapely.box(corners[:, 0], corners[:, 1], corners[:, 0] + TILE_SIZE, corners[:, 1] + TILE_SIZE)
    shared = shapely.area(shapely.intersection(shapely.Polygon(np.column_stack([x, y])), squares))
    return tuple(candidates[i] for i in np.flatnonzero(shared > _SLIVER))


def project(source: CRS, target: CRS, x: NDArray[np.float64], y: NDArray[np.float64]) -> Points:
    """Return points in another coordinate system, x before y in both; infinite where there is no such place."""
    if source.srs == target.srs:
        return x, y
    across, up = _transformer(source.srs, target.srs).transform(x, y)
    return np.asarray(across, float), np.asarray(up, float)


@lru_cache(maxsize=1024)
def _transformer(source: str, target: str) -> Transformer:
    """By texts: comparing or hashing coordinate systems takes longer than projecting an outline."""
    return Transformer.from_crs(source, target, always_xy=True)


@lru_cache(maxsize=256)
def _crs(epsg: int) -> CRS:
    return CRS.from_epsg(epsg)


_DEGREES: Final = CRS.from_epsg(4326)


def _mgrs_zone(lon: float, lat: float) -> Zone:
    number = min(int((lon + 180) // 6) + 1, 60)
    if 56 <= lat < 64 and 3 <= lon < 12:
        number = 32
    elif lat >= 72 and 0 <= lon < 42:
        number = 31 + 2 * int(sum(lon >= edge for edge in (9, 21, 33)))
    return Zone((32600 if lat >= 0 else 32700) + number)


def _meridian(zone: Zone) -> float:
    return float(_MERIDIANS[zone.number - 1])


def _degrees_apart(lon: NDArray[np.float64], meridian: float | NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.abs((lon - meridian + 180) % 360 - 180))


def _zones_near(lon: NDArray[np.float64], lat: NDArray[np.float64], centre: float) -> list[Zone]:
    """Zones that may have tiles on ground with this outline, nearest to a longitude first."""
    some = lon[:: max(1, len(lon) // 64)]  # tiles are larger than the steps between these
    shrink = math.cos(math.radians(min(float(np.abs(lat).max()) + _TILE_DEGREES, 85.0)))
    reach = _STRAY + 2 * _TILE_DEGREES / shrink
    near = np.flatnonzero(_degrees_apart(some[:, None], _MERIDIANS).min(axis=0) <= reach) + 1
    north = [Zone(32600 + int(number)) for number in near if lat.max() > -_TILE_DEGREES]
    south = [Zone(32700 + int(number)) for number in near if lat.min() < _TILE_DEGREES]
    apart = dict(zip(range(1, 61), _degrees_apart(np.array(centre), _MERIDIANS).round(9).tolist(), strict=True))
    return sorted(north + south, key=lambda zone: (apart[zone.number], zone.epsg))


def _holds(zone: Zone, lon: float, lat: float) -> bool:
    if _degrees_apart(np.array([lon]), _meridian(zone))[0] > _REACH:
        return False
    x, y = project(_DEGREES, _crs(zone.epsg), np.array([lon]), np.array([lat]))
    column, row = math.floor(x[0]), math.floor(y[0])
    return bool(tiles_touching(Bounds(zone, column, row, column + 1, row + 1)))


def outline_in(zone: Zone, ground: Ground) -> Points:
    """Return points along the edges of some ground, a closed ring, in a zone's coordinates.

    Raises
    ------
    InvalidWindowError
        If the ground reaches farther than can be projected.
    """
    system, x, y = _outline(ground)
    if isinstance(ground, Bounds) and ground.zone.number == zone.number:
        return x, y + (zone.equator - ground.zone.equator)  # the same projection, but for its false northing
    lon, _ = project(system, _DEGREES, x, y)
    x, y = project(system, _crs(zone.epsg), x, y)
    finite = np.isfinite(x) & np.isfinite(y) & np.isfinite(lon)
    if not finite.all() or _degrees_apart(lon, _meridian(zone)).max() > _REACH:
        raise InvalidWindowError(f"{_named(ground)} reaches too far to be projected to {zone}; ask for parts of it")
    return x, y


def _outline(ground: Ground) -> tuple[CRS, NDArray[np.float64], NDArray[np.float64]]:
    """Coordinate system of some ground and points along its edges, a ring that starts and ends at one corner."""
    if isinstance(ground, Bounds):
        across = np.linspace(ground.left, ground.right, ground.width // _STEP + 2)
        up = np.linspace(ground.bottom, ground.top, ground.height // _STEP + 2)
        x, y = _ring(across, up)
        return _crs(ground.zone.epsg), x, y
    rows, columns = ground.shape
    column, row = _ring(np.linspace(0, columns, _EDGE_POINTS), np.linspace(0, rows, _EDGE_POINTS))
    return ground.crs.proj, *_places(ground, column, row)


def _places(geobox: Any, column: NDArray[np.float64], row: NDArray[np.float64]) -> Points:
    affine = geobox.affine
    return affine.a * column + affine.b * row + affine.c, affine.d * column + affine.e * row + affine.f


def _ring(across: NDArray[np.float64], up: NDArray[np.float64]) -> Points:
    x = np.concatenate([across, np.full(len(up), across[-1]), across[::-1], np.full(len(up), across[0])])
    y = np.concatenate([np.full(len(across), up[0]), up, np.full(len(across), up[-1]), up[::-1]])
    return x, y


def _centre_longitude(ground: Ground, system: CRS) -> float:
    if isinstance(ground, Bounds):
        x, y = np.array([(ground.left + ground.right) / 2]), np.array([(ground.bottom + ground.top) / 2])
    else:
        rows, columns = ground.shape
        x, y = _places(ground, np.array([columns / 2]), np.array([rows / 2]))
    lon, _ = project(system, _DEGREES, x, y)
    return float(lon[0])


def _floor(value: float) -> int:
    return math.floor(value / GRID_STEP) * GRID_STEP


def _named(ground: Ground) -> str:
    if isinstance(ground, Bounds):
        return f"window {ground.left} {ground.bottom} {ground.right} {ground.top} of {ground.zone}"
    return f"GeoBox of {ground.shape[0]} x {ground.shape[1]} px in {ground.crs}"
