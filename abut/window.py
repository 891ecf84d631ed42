"""Windows: rectangles of a zone on the 60 m grid, from a tile, a box, a geometry or a GeoBox.

A window is a `Bounds`. Its edges are multiples of 60 m, counted from easting 0 and from the equator, so it has a
whole number of pixels at 10, 20 and 60 m, and every pixel of every band lies wholly inside or wholly outside. What
is asked for is snapped outward. Which zone a request means: the tile's own, that of a box given in a zone's own
coordinates, else that of the centre (`abut.ground.zone_of`), unless one is named.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import shapely
from pyproj import CRS
from pyproj.exceptions import CRSError
from shapely.geometry import shape

from abut.errors import InvalidTileError, InvalidWindowError
from abut.ground import ground_in, neighbour_zones, project, zone_of, zones_on
from abut.lattice import GRID_STEP, RESOLUTIONS, Bounds, Zone
from abut.messages import quoted
from abut.tiling import Tile, tile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = [
    "MAX_BUFFER",
    "MAX_PIXELS",
    "MAX_SIDE",
    "bbox_geobox",
    "bbox_window",
    "geobox_of",
    "geobox_window",
    "geometry_window",
    "ground_in",
    "neighbour_zones",
    "snapped",
    "tile_window",
    "zone_of",
    "zones_on",
]

MAX_BUFFER: Final = 100_000
"""Largest buffer around a tile in metres."""
MAX_SIDE: Final = 2_000_000
"""Largest side of a window in metres: beyond, the projection of one zone is no map of the ground any more."""

MAX_PIXELS: Final = 10_000_000
"""Most pixels that a side of a GeoBox has."""

_EDGE_POINTS: Final = 1024
_GLOBE: Final = 360.0
_EXACT: Final = 2.0**53
"""Whole numbers up to here are floats."""


def tile_window(tile_id: Tile | str, buffer: float = 0, *, limit: float = MAX_BUFFER) -> Bounds:
    """Return the legacy footprint of a tile, grown on all sides.

    Parameters
    ----------
    tile_id : Tile or str
        The tile, such as ``32TNM``.
    buffer : float
        Metres, rounded up to a multiple of 60: 10,000 becomes 10,020.
    limit : float
        Largest buffer that is allowed, in metres.

    Raises
    ------
    InvalidTileError
        If the Sentinel-2 grid has no such tile.
    InvalidWindowError
        If the buffer is negative, no number, or above the limit.
    """
    if not (_is_number(buffer) and 0 <= buffer <= limit):
        shown = f"{buffer:g}" if isinstance(buffer, float) or _is_number(buffer) else quoted(buffer)
        raise InvalidWindowError(f"buffer {shown} m is not between 0 and {limit:,.0f} m")
    if not isinstance(tile_id, str | Tile):
        raise InvalidTileError(f"{quoted(tile_id)} is not the id of a tile, such as 32TNM")
    found = tile(tile_id) if isinstance(tile_id, str) else tile_id
    return found.footprint.buffered(math.ceil(buffer / GRID_STEP) * GRID_STEP)


def bbox_window(bbox: Sequence[float], crs: Any = "EPSG:4326", zone: Zone | None = None) -> Bounds:
    """Return the smallest window of a zone around a box.

    Parameters
    ----------
    bbox : sequence of four floats
        Smallest x, smallest y, largest x, largest y: west, south, east, north in degrees. In degrees west > east
        crosses the antimeridian.
    crs : str, int or pyproj.CRS
        Coordinate system of the box, axes in the order x (longitude), y (latitude) whatever the authority says.
    zone : Zone, optional
        The zone. Default: that of the coordinates if they are those of a zone, else that of the box's centre.

    Raises
    ------
    InvalidWindowError
        If the box is none, empty or reversed, the coordinate system unknown, the box too large for one zone, or
        its centre where the Sentinel-2 grid has no tile.
    """
    system = _system(crs)
    left, bottom, right, top = _box(bbox, system)
    x, y = _edges(left, bottom, right, top)
    centre = (left + right) / 2, (bottom + top) / 2
    return _around(x, y, system, zone or _zone(system, centre), f"bbox {quoted(list(bbox))}")


def geometry_window(geometry: Mapping[str, Any], crs: Any = "EPSG:4326", zone: Zone | None = None) -> Bounds:
    """Return the smallest window of a zone around a GeoJSON geometry; a point has 60 m.

    Parameters
    ----------
    geometry : mapping
        GeoJSON geometry, or a feature that has one. Degrees on both sides of the antimeridian (parts that are more
        than 180 degrees apart) mean the ground between them across it.
    crs : str, int or pyproj.CRS
        Its coordinate system, axes as of `bbox_window`.
    zone : Zone, optional
        The zone. Default: as `bbox_window`, by the centre of the geometry's box.

    Raises
    ------
    InvalidWindowError
        As `bbox_window`, or if it is no geometry.
    """
    system = _system(crs)
    what = f"geometry {quoted(geometry)}"
    try:
        made = shape(geometry.get("geometry", geometry))
        points = shapely.get_coordinates(made)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError, shapely.errors.ShapelyError) as error:
        raise InvalidWindowError(f"{what} is not GeoJSON: {error}") from error
    if not len(points) or not np.isfinite(points).all():
        raise InvalidWindowError(f"{what} is empty")
    if system.is_geographic:
        _check_degrees(points[:, 0], points[:, 1], what)
        if np.ptp(points[:, 0]) > _GLOBE / 2:
            made = shapely.transform(made, lambda xy: np.column_stack([xy[:, 0] % _GLOBE, xy[:, 1]]))
    left, bottom, right, top = made.bounds
    step = max(right - left, top - bottom) / _EDGE_POINTS
    dense = shapely.get_coordinates(shapely.segmentize(made, step)) if step else shapely.get_coordinates(made)
    centre = (left + right) / 2, (bottom + top) / 2
    return _around(dense[:, 0], dense[:, 1], system, zone or _zone(system, centre), what)


def geobox_window(geobox: Any) -> Bounds | None:
    """Return the window that an odc-geo GeoBox is, or None if its pixels are not those of a zone.

    Parameters
    ----------
    geobox : odc.geo.geobox.GeoBox
        Pixels that are those of a zone: its coordinate system, north up, 10, 20 or 60 m, edges on that grid counted
        from easting 0 and from the equator.

    Returns
    -------
    Bounds or None
        The ground. Edges are multiples of the pixel size, of 60 m only if the GeoBox's are.
    """
    affine, (rows, columns) = geobox.affine, geobox.shape
    epsg = geobox.crs.to_epsg() if geobox.crs is not None else None
    if epsg is None or affine.a not in RESOLUTIONS or affine.e != -affine.a or affine.b or affine.d:
        return None
    try:
        zone = Zone(epsg)
    except ValueError:
        return None
    if affine.c % affine.a or (affine.f - zone.equator) % affine.a or not rows or not columns:
        return None
    left, top, side = int(affine.c), int(affine.f), int(affine.a)
    return Bounds(zone, left, top - rows * side, left + columns * side, top)


def geobox_of(bounds: Bounds, resolution: int) -> Any:
    """Return a window's pixels as an odc-geo GeoBox.

    Raises
    ------
    ValueError
        If its sides are no multiples of the pixel size.
    """
    from affine import Affine  # noqa: PLC0415 - comes with odc-geo, an extra
    from odc.geo.geobox import GeoBox  # noqa: PLC0415 - an extra

    transform = Affine(resolution, 0, bounds.left, 0, -resolution, bounds.top)
    return GeoBox(bounds.shape(resolution), transform, f"EPSG:{bounds.zone.epsg}")


def bbox_geobox(bbox: Sequence[float], crs: Any, target: Any, resolution: float) -> Any:
    """Return the pixels of any coordinate system that cover a box, as an odc-geo GeoBox.

    Parameters
    ----------
    bbox : sequence of four floats
        As of `bbox_window`.
    crs : str, int or pyproj.CRS
        Coordinate system of the box.
    target : str, int or pyproj.CRS
        Coordinate system of the pixels.
    resolution : float
        Side of a pixel in its units; edges are whole multiples of it.

    Raises
    ------
    InvalidWindowError
        As `bbox_window`, or if the pixel size is not positive, or so small that there were too many pixels.
    """
    from affine import Affine  # noqa: PLC0415 - comes with odc-geo, an extra
    from odc.geo.geobox import GeoBox  # noqa: PLC0415 - an extra

    if not (_is_number(resolution) and resolution > 0):
        raise InvalidWindowError(f"resolution {quoted(resolution)} is not a positive number")
    source, system = _system(crs), _system(target)
    x, y = _edges(*_box(bbox, source))
    if source != system:
        x, y = project(source, system, x, y)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InvalidWindowError(f"bbox {quoted(list(bbox))} reaches beyond what {quoted(str(target))} shows")
    west, south, east, north = (float(edge) / resolution for edge in (x.min(), y.min(), x.max(), y.max()))
    if max(east - west, north - south) > MAX_PIXELS or max(map(abs, (west, south, east, north))) > _EXACT:
        raise InvalidWindowError(
            f"resolution {quoted(resolution)} makes {east - west:.3g} x {north - south:.3g} pixels; a side has at most "
            f"{MAX_PIXELS:,}"
        )
    left, top = math.floor(west), math.ceil(north)
    columns, rows = math.ceil(east) - left, top - math.floor(south)
    transform = Affine(resolution, 0, left * resolution, 0, -resolution, top * resolution)
    return GeoBox((max(rows, 1), max(columns, 1)), transform, system)


def snapped(zone: Zone, left: float, bottom: float, right: float, top: float) -> Bounds:
    """Return the smallest window around some ground of a zone, at least 60 m a side."""
    equator = zone.equator
    x0, x1 = math.floor(left / GRID_STEP), math.ceil(right / GRID_STEP)
    y0, y1 = math.floor((bottom - equator) / GRID_STEP), math.ceil((top - equator) / GRID_STEP)
    x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
    return Bounds(zone, x0 * GRID_STEP, equator + y0 * GRID_STEP, x1 * GRID_STEP, equator + y1 * GRID_STEP)


def _is_number(value: Any) -> bool:
    """Whether a value is a number that a float can be."""
    try:
        return isinstance(value, int | float | np.number) and math.isfinite(value)
    except OverflowError:
        return False


def _edges(left: float, bottom: float, right: float, top: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points along the edges of a box."""
    across, up = np.linspace(left, right, _EDGE_POINTS), np.linspace(bottom, top, _EDGE_POINTS)
    low, high = np.full(_EDGE_POINTS, bottom), np.full(_EDGE_POINTS, top)
    west, east = np.full(_EDGE_POINTS, left), np.full(_EDGE_POINTS, right)
    return np.concatenate([across, across, west, east]), np.concatenate([low, high, up, up])


def _system(crs: Any) -> CRS:
    try:
        system = CRS.from_user_input(crs)
    except CRSError as error:
        raise InvalidWindowError(f"{quoted(str(crs))} is not a coordinate system that is known") from error
    if not (system.is_projected or system.is_geographic):
        raise InvalidWindowError(f"{quoted(str(crs))} is not a coordinate system of the ground")
    return system


def _box(bbox: Sequence[float], system: CRS) -> tuple[float, float, float, float]:
    """Return the box checked; one across the antimeridian with east beyond 180."""
    what = f"bbox {quoted(bbox)}"
    try:
        left, bottom, right, top = map(float, bbox)
    except (OverflowError, TypeError, ValueError):
        raise InvalidWindowError(f"{what} is not four numbers: west, south, east, north") from None
    if not all(map(math.isfinite, (left, bottom, right, top))):
        raise InvalidWindowError(f"{what} is not four finite numbers")
    if system.is_geographic:
        _check_degrees(np.array([left, right]), np.array([bottom, top]), what)
        right += _GLOBE if left > right else 0
        if right - left > _GLOBE / 2:
            raise InvalidWindowError(f"{what} spans {right - left:g} degrees of longitude; are west and east swapped?")
    if left >= right or bottom >= top:
        raise InvalidWindowError(f"{what} is empty or reversed: it has to be west, south, east, north")
    return left, bottom, right, top


def _check_degrees(x: NDArray[np.float64], y: NDArray[np.float64], what: str) -> None:
    if (np.abs(x) > _GLOBE / 2).any() or (np.abs(y) > _GLOBE / 4).any():
        raise InvalidWindowError(f"{what} is not in degrees: longitude within 180, latitude within 90")


def _zone(system: CRS, centre: tuple[float, float]) -> Zone:
    epsg = system.to_epsg()
    if epsg is not None and epsg // 100 in (326, 327):
        try:
            return Zone(epsg)
        except ValueError:
            pass
    lon, lat = project(system, CRS.from_epsg(4326), np.array([centre[0]]), np.array([centre[1]]))
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        raise InvalidWindowError(f"{centre[0]:g}, {centre[1]:g} is no place in {system.to_string()}")
    return zone_of(float(lon[0]), float(lat[0]))


def _around(x: NDArray[np.float64], y: NDArray[np.float64], system: CRS, zone: Zone, what: str) -> Bounds:
    if system.to_epsg() != zone.epsg:
        x, y = project(system, CRS.from_epsg(zone.epsg), x, y)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InvalidWindowError(f"{what} reaches beyond what can be projected to {zone}")
    if max(np.ptp(x), np.ptp(y)) > MAX_SIDE:
        raise InvalidWindowError(
            f"{what} is {np.ptp(x) / 1000:,.0f} x {np.ptp(y) / 1000:,.0f} km, too large for one zone"
        )
    return snapped(zone, float(x.min()), float(y.min()), float(x.max()), float(y.max()))
