"""Pieces of a target: what is warped as a whole, always from the same ground, however a request is cut.

A target is divided into squares of pixels that are counted from the origin of its coordinate system (or from its
corner, where that is no whole number of pixels). A request, or a chunk of one, is put together from pieces; so every
chunk gets the bytes that the whole request gets, whatever the rounding of coordinates does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from pyproj import CRS

from abut.ground import project
from abut.lattice import GRID_STEP, Bounds, Zone
from abut.tiling import tiles_touching
from abut.warp import system_of, target_places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

    from abut.warp import Warp

_EDGE_POINTS: Final = 33


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a target that is warped as a whole."""

    rows: slice
    """Its rows in the target."""
    columns: slice
    """Its columns in the target."""
    ground: Bounds
    """What it needs of the source zone, on the 60 m grid."""


def pieces(warp: Warp, rows: slice, columns: slice, window: Bounds, wanted: NDArray[np.bool_]) -> list[Piece]:
    """Return the pieces that a part of the target touches and on whose ground the source zone has tiles.

    Parameters
    ----------
    warp : Warp
        What is warped.
    rows, columns : slice
        The part, in pixels of the whole target.
    window : Bounds
        Ground of the source zone outside of which nothing is needed, the same for all parts of the target.
    wanted : ndarray of bool, shape (y, x)
        Pixels of the part that are wanted; pieces without any are left out.

    Returns
    -------
    list of Piece
        Row by row. They may reach beyond the part, never beyond the target.
    """
    height, width = warp.target.shape.yx
    first_row, first_column = _phase(warp.target, warp.side)
    cuts = [
        (part_rows, part_columns)
        for part_rows in _cuts(rows, first_row, warp.side, height)
        for part_columns in _cuts(columns, first_column, warp.side, width)
        if wanted[common(part_rows, rows, rows.start), common(part_columns, columns, columns.start)].any()
    ]
    found = []
    for (part_rows, part_columns), whole in zip(cuts, _grounds(warp, cuts), strict=True):
        ground = whole and whole.intersection(window)
        if ground is not None and tiles_touching(ground):
            found.append(Piece(part_rows, part_columns, ground))
    return found


def common(one: slice, other: slice, start: int) -> slice:
    """Return what two slices have in common, counted from `start`."""
    return slice(max(one.start, other.start) - start, min(one.stop, other.stop) - start)


def _cuts(part: slice, first: int, side: int, size: int) -> list[slice]:
    """Cut 0 ... size at first, first + side, ...; return what `part` touches."""
    start = first + (part.start - first) // side * side
    return [slice(max(at, 0), min(at + side, size)) for at in range(start, part.stop, side)]


def _phase(target: GeoBox, side: int) -> tuple[int, int]:
    """Row and column of the target where a piece begins: pieces are counted from the CRS's origin if that is whole."""
    transform = target.transform
    counted = []
    for offset, size, skew in ((transform.f, transform.e, transform.d), (transform.c, transform.a, transform.b)):
        whole = skew == 0 and float(size).is_integer() and (offset / size).is_integer()
        counted.append(-int(offset / size) % side if whole else 0)
    return counted[0], counted[1]


def _grounds(warp: Warp, cuts: Sequence[tuple[slice, slice]]) -> list[Bounds | None]:
    """Ground of the source zone that parts of the target need, or None where its projection doesn't reach."""
    if not cuts:
        return []
    outlines = np.stack([_outline(rows, columns, _EDGE_POINTS) for rows, columns in cuts])
    x, y = _source_places(warp, outlines.reshape(-1, 2))
    shape = outlines.shape[:2]
    grounds = []
    for (rows, columns), east, north in zip(cuts, x.reshape(shape), y.reshape(shape), strict=True):
        places = east, north
        if not (np.isfinite(east).all() and np.isfinite(north).all()):  # the edge of a projection: every pixel counts
            places = _source_places(warp, _corners(rows, columns))
        grounds.append(_snapped(warp.zone, *places, warp.margin))
    return grounds


def _snapped(zone: Zone, x: NDArray[np.float64], y: NDArray[np.float64], margin: int) -> Bounds | None:
    finite = np.isfinite(x) & np.isfinite(y)
    if not finite.any():
        return None
    x, y, step = x[finite], y[finite], GRID_STEP
    equator = zone.equator
    return Bounds(
        zone,
        step * math.floor((x.min() - margin) / step),
        equator + step * math.floor((y.min() - margin - equator) / step),
        step * math.ceil((x.max() + margin) / step),
        equator + step * math.ceil((y.max() + margin - equator) / step),
    )


def _outline(rows: slice, columns: slice, count: int) -> NDArray[np.float64]:
    """Points along the four edges of a part of a target, as columns and rows."""
    down = np.linspace(rows.start, rows.stop, count)
    across = np.linspace(columns.start, columns.stop, count)
    edges = [(across, rows.start), (across, rows.stop), (columns.start, down), (columns.stop, down)]
    return np.concatenate([np.stack(np.broadcast_arrays(*edge), axis=-1) for edge in edges]).astype(np.float64)


def _corners(rows: slice, columns: slice) -> NDArray[np.float64]:
    grid = np.meshgrid(np.arange(columns.start, columns.stop + 1), np.arange(rows.start, rows.stop + 1))
    return np.stack(grid, axis=-1).reshape(-1, 2).astype(np.float64)


def _source_places(warp: Warp, places: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Easting and northing in the source zone of columns and rows of the target; infinite where there are none."""
    x, y = target_places(warp.target, places)
    return project(system_of(warp.target), CRS.from_epsg(warp.zone.epsg), x, y)
