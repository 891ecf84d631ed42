"""What lies on the ground: numbers that follow from the place alone, in integers.

Pixels are counted from easting 0 and the equator, so every rectangle that holds a place gives it the same value.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from abut.lattice import Bounds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from abut.layout import Band

CELL: Final = 3_000
"""Side in metres of the cells that hold at most one patch of each theme."""

DARKEST, BRIGHTEST = 1, 32_767
"""Extreme DN of valid pixels: the clamp of old baselines, and all that 15 bits hold."""


@dataclass(frozen=True, slots=True)
class Patch:
    """A rectangle of ground on the 60 m grid that something covers."""

    bounds: Bounds
    """Where."""
    draw: int
    """A number drawn for it, 0 ... 2**32 - 1, that decides what it is."""


def draw(*key: object) -> int:
    """Return a number, 0 ... 2**32 - 1, that follows from the key alone."""
    return zlib.crc32("/".join(map(str, key)).encode())


def patches(theme: str, bounds: Bounds) -> Iterator[Patch]:
    """Yield the patches of a theme that touch some ground, row by row from the north-west.

    About a quarter of the cells hold one, 120 ... 1,020 m on a side.
    """
    zone, equator = bounds.zone, bounds.zone.equator
    for j in range((bounds.top - equator - 1) // CELL, (bounds.bottom - equator) // CELL - 1, -1):
        for i in range(bounds.left // CELL, (bounds.right - 1) // CELL + 1):
            drawn = draw(theme, zone.epsg, i, j)
            if drawn & 3:
                continue
            width, height = (60 * (2 + (drawn >> shift & 15)) for shift in (2, 6))
            left = CELL * i + 60 * ((drawn >> 10) % ((CELL - width) // 60))
            bottom = equator + CELL * j + 60 * ((drawn >> 18) % ((CELL - height) // 60))
            patch = Bounds(zone, left, bottom, left + width, bottom + height)
            if patch.intersection(bounds):
                yield Patch(patch, draw(theme, "what", drawn))


def pattern(theme: str, band: Band, bounds: Bounds) -> tuple[NDArray[np.uint16], NDArray[np.uint32]]:
    """Return a folded ramp with a little noise, and a number drawn for each pixel.

    Parameters
    ----------
    theme : str
        Another theme, another ground.
    band : Band
        Spectral band; it decides pixel size and brightness.
    bounds : Bounds
        Aligned to the band's pixels.

    Returns
    -------
    tuple
        Reflectance in 1/10000 as uint16 and the draws as uint32, both of shape (rows, columns).

    Raises
    ------
    ValueError
        If the bounds are not on the band's pixel grid.
    """
    rows, columns = bounds.shape(band.resolution)
    row0, column0 = _origin(bounds, band.resolution)
    key = draw(theme, bounds.zone.epsg, band.name)
    x = np.arange(column0, column0 + columns, dtype=np.int64)
    y = np.arange(row0, row0 + rows, dtype=np.int64)
    ramp = (7 * x).astype(np.uint32) + (3 * y + (key >> 16)).astype(np.uint32)[:, np.newaxis]
    ramp &= 4095
    np.minimum(ramp, np.uint32(4095) - ramp, out=ramp)
    draws = _low32(x * 0x9E3779B1) + _low32(y * 0x85EBCA77 + key)[:, np.newaxis]
    draws ^= draws >> 15
    draws *= np.uint32(0x2C1B3C6D)
    draws ^= draws >> 13
    # Little noise: it is what encoding costs.
    ramp += (draws & 7) == 0
    ramp += np.uint32(400 + 90 * band.index)
    return ramp.astype(np.uint16), draws


def _low32(values: NDArray[np.int64]) -> NDArray[np.uint32]:
    return (values & 0xFFFFFFFF).astype(np.uint32)


def _origin(bounds: Bounds, resolution: int) -> tuple[int, int]:
    south = bounds.zone.equator - bounds.top
    if bounds.left % resolution or south % resolution:
        raise ValueError(f"{bounds} is not on the {resolution} m pixels of {bounds.zone}")
    return south // resolution, bounds.left // resolution


def put_extremes(values: NDArray[np.uint16], draws: NDArray[np.uint32], resolution: int) -> None:
    """Give about one pixel in 250,000 (at 10 m; as many per area at 60 m) the lowest or highest valid DN."""
    flat = draws.ravel()
    rare = np.flatnonzero(flat < (1 << 14) * (resolution // 10) ** 2)
    values.ravel()[rare] = np.where(flat[rare] & 1, BRIGHTEST, DARKEST)


def repeated(texture: Mapping[str, NDArray[np.uint16]], band: Band, bounds: Bounds) -> NDArray[np.uint16]:
    """Return a texture, repeated from easting 0 and the equator on, over some ground.

    Raises
    ------
    ValueError
        If the bounds are not on the band's pixel grid.
    """
    rows, columns = bounds.shape(band.resolution)
    row0, column0 = _origin(bounds, band.resolution)
    image = texture[band.name]
    down = np.arange(row0, row0 + rows) % image.shape[0]
    across = np.arange(column0, column0 + columns) % image.shape[1]
    return image[np.ix_(down, across)]
