"""Pictures done slowly and obviously: exact coordinates of each pixel, legacy arrays of products one over the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
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
    lon, lat = places(frame, "EPSG:4326")
    values = np.full(lon.shape, np.nan)
    certain, shown = np.ones(lon.shape, bool), np.zeros(lon.shape, np.intp)
    best = np.full(lon.shape, np.inf)
    for zone in sorted({one.tile.zone for group in groups for one in group}):
        mine = tuple(tuple(one for one in group if one.tile.zone == zone) for group in groups)
        mosaic, corner = level(mine, band, reduction)
        east, north = places(frame, str(zone))
        column, row = (east - corner[0]) / (60 * reduction), (corner[1] - north) / (60 * reduction)
        inside = (column >= 0) & (row >= 0) & (column < mosaic.shape[1]) & (row < mosaic.shape[0])
        at = np.where(inside, row, 0).astype(int), np.where(inside, column, 0).astype(int)
        found = np.where(inside, mosaic[at], np.nan)
        away = np.abs((lon - (zone.number * 6 - 183) + 180) % 360 - 180)
        away = away + 0.001 * ((lat < 0) != (zone.epsg > 32_700))
        if frame.zone == zone:
            away = np.full(lon.shape, -1.0)
        nearer = ~np.isnan(found) & (away < best)
        values[nearer], best[nearer], shown[nearer] = found[nearer], away[nearer], zone.epsg
        for place in (column, row):
            certain &= ~np.isfinite(place) | (np.abs(place - np.round(np.where(inside, place, 0.5))) > slack)
    return Picture(values, certain, shown)


@lru_cache(maxsize=32)
def places(frame: Frame, crs: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x and y of the centres of all pixels in a coordinate system, each by itself."""
    left, _, _, top = frame.bounds
    width, height = frame.pixel
    x, y = np.meshgrid(left + (np.arange(frame.width) + 0.5) * width, top - (np.arange(frame.height) + 0.5) * height)
    east, north = Transformer.from_crs(frame.crs, crs, always_xy=True).transform(x, y)
    return np.asarray(east), np.asarray(north)


@lru_cache(maxsize=16)
def level(
    groups: tuple[tuple[ToySource, ...], ...], band: str, reduction: int
) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """Return the mosaic of a zone, NaN where nothing is, and easting and northing of its corner."""
    everyone = [one for group in groups for one in group]
    hulls = [BlockRange.around(one.place) for one in everyone]  # beyond that nobody has data
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
    for block in hull:
        for group in groups:
            for one in _ordered(group, block, by_rank=reduction < min(STORED)):
                _paste(mosaic[_of(block, hull, side)], own[one][_of(block, BlockRange.around(one.place), side)])
    return mosaic, (hull.bounds.left, hull.bounds.top)


def _ordered(group: Sequence[ToySource], block: Block, *, by_rank: bool) -> list[ToySource]:
    seen = [one for one in group if block in BlockRange.around(one.place)]
    touching = [one for one in seen if one.tile.footprint.intersection(block.bounds)]
    if not by_rank:
        return sorted(touching, key=lambda one: (one.datastrip_start, one.id))
    return sorted(touching, key=lambda one: (one.datastrip_start, rank_key(block, one.tile), one.id))


def _of(block: Block, hull: BlockRange, side: int) -> tuple[slice, slice]:
    row, column = hull.position(block)
    return slice(row * side, (row + 1) * side), slice(column * side, (column + 1) * side)


def _paste(target: NDArray[np.float64], source: NDArray[np.float64]) -> None:
    lacking = np.isnan(target)
    target[lacking] = source[lacking]


@lru_cache(maxsize=32)
def reduced(one: ToySource, band: str, reduction: int) -> NDArray[np.float64]:
    """Return a product on the blocks that it sees, DN plus offset: means of what has data, rounded half up."""
    around = BlockRange.around(one.place).bounds
    whole = np.zeros(around.shape(60), np.int64)
    part = one.tile.footprint.intersection(around)
    assert part is not None
    whole[around.slices(part, 60)] = one.arrays[band][one.tile.footprint.slices(part, 60)]
    stored = max([1, *(number for number in STORED if number <= reduction)])
    for factor in (stored, reduction // stored):
        whole = _means(whole, factor)
    return np.where(whole > 0, whole + getattr(one, "offset", -1000), np.nan)


def _means(pixels: NDArray[np.int64], factor: int) -> NDArray[np.int64]:
    rows, columns = pixels.shape
    cells = pixels.reshape(rows // factor, factor, columns // factor, factor)
    total, count = cells.sum((1, 3)), (cells > 0).sum((1, 3))
    return np.asarray(np.where(count > 0, (2 * total + count) // np.maximum(2 * count, 1), 0))
