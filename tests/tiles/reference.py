"""Pictures done slowly and obviously: exact coordinates of each pixel, legacy arrays of products one over the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from pyproj import Transformer

from abut.lattice import BlockRange
from abut.tiling import rank_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from abut.lattice import Block
    from services.tiles.frame import Frame
    from tests.toy import ToySource

    type Groups = Sequence[Sequence[ToySource]]

STORED = (4, 16)
"""Reductions of the overviews at 60 m."""


@dataclass(frozen=True)
class Picture:
    """What is to be seen on a frame."""

    dn: NDArray[np.float64]
    """DN plus offset, shape (y, x); NaN where nothing is."""
    certain: NDArray[np.bool_]
    """Where a place is farther from the edge of its pixel than coordinates may be off."""
    zone: NDArray[np.intp]
    """EPSG code of the zone that each pixel is of; 0 where nothing is."""


def picture(groups: Groups, frame: Frame, band: str, reduction: int = 1, *, slack: float = 0.01) -> Picture:
    """Return what is to be seen: nearest pixels.

    Parameters
    ----------
    groups : sequence of sequence of ToySource
        Steps, the one that is shown first, first; within a step strip by strip, tiles by their rank.
    frame : Frame
        Where.
    band : str
        Which band; of 60 m.
    reduction : int
        Pixels along a side of those that are shown.
    slack : float
        How far coordinates may be off, in these pixels.
    """
    left, _, _, top = frame.bounds
    width, height = frame.pixel
    x, y = np.meshgrid(left + (np.arange(frame.width) + 0.5) * width, top - (np.arange(frame.height) + 0.5) * height)
    lon, lat = Transformer.from_crs(frame.crs, "EPSG:4326", always_xy=True).transform(x, y)
    values = np.full(x.shape, np.nan)
    certain, shown = np.ones(x.shape, bool), np.zeros(x.shape, np.intp)
    best = np.full(x.shape, np.inf)
    for zone in sorted({one.tile.zone for group in groups for one in group}):
        mine = tuple(tuple(one for one in group if one.tile.zone == zone) for group in groups)
        mosaic, corner = level(mine, band, reduction)
        east, north = Transformer.from_crs(frame.crs, str(zone), always_xy=True).transform(x, y)
        column, row = (east - corner[0]) / (60 * reduction), (corner[1] - north) / (60 * reduction)
        inside = (column >= 0) & (row >= 0) & (column < mosaic.shape[1]) & (row < mosaic.shape[0])
        at = np.where(inside, row, 0).astype(int), np.where(inside, column, 0).astype(int)
        found = np.where(inside, mosaic[at], np.nan)
        away = np.abs((lon - (zone.number * 6 - 183) + 180) % 360 - 180)
        away = away + 0.001 * ((lat < 0) != (zone.epsg > 32_700))
        if frame.zone == zone:
            away = np.full(x.shape, -1.0)
        nearer = ~np.isnan(found) & (away < best)
        values[nearer], best[nearer], shown[nearer] = found[nearer], away[nearer], zone.epsg
        for place in (column, row):
            certain &= np.abs(place - np.round(place)) > slack
    return Picture(values, certain, shown)


@cache
def level(
    groups: tuple[tuple[ToySource, ...], ...], band: str, reduction: int
) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """Return the mosaic of a zone, NaN where nothing is, and easting and northing of its corner."""
    everyone = [one for group in groups for one in group]
    hulls = [one.tile.hull for one in everyone]
    hull = BlockRange(
        hulls[0].zone,
        min(one.p0 for one in hulls),
        min(one.q0 for one in hulls),
        max(one.p1 for one in hulls),
        max(one.q1 for one in hulls),
    )
    side = 160 // reduction
    mosaic = np.full([size * side for size in hull.shape], np.nan)
    own = {one: reduced(one, band, reduction) for one in everyone}
    blocks = list(hull) if reduction < min(STORED) else [None]
    for block in blocks:
        for group in groups:
            for one in _ordered(group, block):
                _paste(mosaic, hull, one, own[one], block, side)
    return mosaic, (hull.bounds.left, hull.bounds.top)


def _ordered(group: Sequence[ToySource], block: Block | None) -> list[ToySource]:
    if block is None:
        return sorted(group, key=lambda one: (one.datastrip_start, one.id))
    touching = [one for one in group if one.tile.footprint.intersection(block.bounds)]
    return sorted(touching, key=lambda one: (one.datastrip_start, rank_key(block, one.tile), one.id))


def _paste(  # noqa: PLR0917 - of one use
    mosaic: NDArray[np.float64],
    hull: BlockRange,
    one: ToySource,
    pixels: NDArray[np.float64],
    block: Block | None,
    side: int,
) -> None:
    mine = one.tile.hull
    if block is None:
        row, column = hull.q1 - mine.q1, mine.p0 - hull.p0
        source, (rows, columns) = pixels, mine.shape
    else:
        row, column = hull.position(block)
        r, c = mine.position(block)
        source, (rows, columns) = pixels[r * side : (r + 1) * side, c * side : (c + 1) * side], (1, 1)
    target = mosaic[row * side : (row + rows) * side, column * side : (column + columns) * side]
    lacking = np.isnan(target)
    target[lacking] = source[lacking]


def reduced(one: ToySource, band: str, reduction: int) -> NDArray[np.float64]:
    """Return a product on its hull, DN plus offset: means of the pixels that have data, rounded half up."""
    footprint, hull = one.tile.footprint, one.tile.hull.bounds
    whole = np.zeros(hull.shape(60), np.int64)
    whole[hull.slices(footprint, 60)] = one.arrays[band]
    stored = max([1, *(number for number in STORED if number <= reduction)])
    for factor in (stored, reduction // stored):
        whole = _means(whole, factor)
    return np.where(whole > 0, whole + getattr(one, "offset", -1000), np.nan)


def _means(pixels: NDArray[np.int64], factor: int) -> NDArray[np.int64]:
    rows, columns = pixels.shape
    cells = pixels.reshape(rows // factor, factor, columns // factor, factor)
    total, count = cells.sum((1, 3)), (cells > 0).sum((1, 3))
    return np.asarray(np.where(count > 0, (2 * total + count) // np.maximum(2 * count, 1), 0))
