"""Resampling done slowly and obviously: exact coordinates of each pixel centre, one rule after the other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np
from pyproj import Transformer

from abut.lattice import GRID_STEP, Bounds

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

    from abut.lattice import Zone
    from abut.layout import Band

_MARGIN = 20 * GRID_STEP


class Ground(Protocol):
    """What a zone has."""

    @property
    def zone(self) -> Zone:
        """The zone."""
        ...

    def pixels(self, band: Band, window: Bounds, step: int = ..., /) -> NDArray[np.uint16]:
        """DN of a window."""
        ...


class Reference:
    """What a zone has on the pixels of a target."""

    def __init__(self, zone: Ground, target: GeoBox, band: Band, step: int = 0) -> None:
        self.target, self.zone, self.size = target, zone, band.resolution
        x, y = self.places(0.5, 0.5)
        equator = zone.zone.equator
        self.window = Bounds(
            zone.zone,
            int(x.min() - _MARGIN) // GRID_STEP * GRID_STEP,
            int(y.min() - _MARGIN - equator) // GRID_STEP * GRID_STEP + equator,
            int(x.max() + _MARGIN) // GRID_STEP * GRID_STEP,
            int(y.max() + _MARGIN - equator) // GRID_STEP * GRID_STEP + equator,
        )
        self.mosaic = zone.pixels(band, self.window, step)
        self.columns, self.rows = self.in_mosaic(x, y)

    def places(self, column: float, row: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Easting and northing of a place in each pixel (0.5, 0.5 is its centre)."""
        height, width = self.target.shape.yx
        columns, rows = np.meshgrid(np.arange(width) + column, np.arange(height) + row)
        affine = self.target.transform
        x = affine.c + affine.a * columns + affine.b * rows
        y = affine.f + affine.d * columns + affine.e * rows
        exact = Transformer.from_crs(str(self.target.crs), str(self.zone.zone), always_xy=True)
        east, north = exact.transform(x, y)
        return np.asarray(east), np.asarray(north)

    def in_mosaic(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return (x - self.window.left) / self.size, (self.window.top - y) / self.size

    def nearest(self) -> NDArray[np.uint16]:
        """The pixel that holds the centre."""
        found: NDArray[np.uint16] = self.mosaic[np.floor(self.rows).astype(int), np.floor(self.columns).astype(int)]
        return found

    def bilinear(self) -> NDArray[np.float64]:
        """The four pixels around the centre, those with data only; NaN where there is none."""
        column, row = np.floor(self.columns - 0.5).astype(int), np.floor(self.rows - 0.5).astype(int)
        right, down = self.columns - 0.5 - column, self.rows - 0.5 - row
        total, weights = np.zeros(right.shape), np.zeros(right.shape)
        for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
            weight = (right if dx else 1 - right) * (down if dy else 1 - down)
            pixels = self.mosaic[row + dy, column + dx].astype(np.float64)
            weight = np.where(pixels > 0, weight, 0)
            total, weights = total + weight * pixels, weights + weight
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(total / weights)

    def cubic(self) -> NDArray[np.float64]:
        """The sixteen pixels around the centre (Keys 1981, a = -1/2); NaN where one of them has no data."""
        column, row = np.floor(self.columns - 0.5).astype(int), np.floor(self.rows - 0.5).astype(int)
        right, down = self.columns - 0.5 - column, self.rows - 0.5 - row
        total = np.zeros(right.shape)
        for dy in range(-1, 3):
            for dx in range(-1, 3):
                pixels = self.mosaic[row + dy, column + dx].astype(np.float64)
                pixels[pixels == 0] = np.nan
                total += pixels * _keys(right - dx) * _keys(down - dy)
        return total

    def widened(self, method: str, ratio: tuple[float, float]) -> NDArray[np.float64]:
        """Bilinear or cubic kernels widened to pixels that are `ratio` (x, y) as large as the source's.

        Over pixels with data; NaN where the sum of their weights is not positive.
        """
        kernel, reach = (_triangle, 1) if method == "bilinear" else (_keys, 2)
        column, row = np.floor(self.columns - 0.5).astype(int), np.floor(self.rows - 0.5).astype(int)
        right, down = self.columns - 0.5 - column, self.rows - 0.5 - row
        total, weights = np.zeros(right.shape), np.zeros(right.shape)
        wide, high = (math.ceil(reach * size) for size in ratio)
        for dy in range(1 - high, high + 1):
            for dx in range(1 - wide, wide + 1):
                pixels = self.mosaic[row + dy, column + dx].astype(np.float64)
                weight = kernel((dx - right) / ratio[0]) * kernel((dy - down) / ratio[1]) * (pixels > 0)
                total, weights = total + weight * pixels, weights + weight
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(weights > 0, total / weights, np.nan)

    def average(self) -> NDArray[np.float64]:
        """Mean of pixels with data, weighed by their area in the rectangle of two opposite corners; NaN without any."""
        ends = self.in_mosaic(*self.places(0, 0)), self.in_mosaic(*self.places(1, 1))
        (left, right), (top, bottom) = (np.sort([ends[0][axis], ends[1][axis]], axis=0) for axis in (0, 1))
        column, row = np.floor(left).astype(int), np.floor(top).astype(int)
        total, weights = np.zeros(left.shape), np.zeros(left.shape)
        for dy in range(int((bottom - top).max()) + 2):
            for dx in range(int((right - left).max()) + 2):
                width = np.minimum(right, column + dx + 1) - np.maximum(left, column + dx)
                height = np.minimum(bottom, row + dy + 1) - np.maximum(top, row + dy)
                pixels = self.mosaic[row + dy, column + dx].astype(np.float64)
                weight = np.maximum(width, 0) * np.maximum(height, 0) * (pixels > 0)
                total, weights = total + weight * pixels, weights + weight
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(total / weights)


def _triangle(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.maximum(0, 1 - np.abs(distance)))


def _keys(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    t = np.abs(distance)
    near, far = 1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    return np.where(t < 1, near, np.where(t < 2, far, 0))
