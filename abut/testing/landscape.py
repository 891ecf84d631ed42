"""A landscape for made-up scenes: coast, lakes, fields, woods, towns, and clouds with their shadows.

Its numbers follow from the place alone, as `abut.testing.scene` wants it, so tiles agree on the ground that they share.
The reflectances are those of Level-1C over such ground, to a few hundredths, so that detectors and classifiers trained
on real pixels know what they see; shadows lie where the sun puts them. Most of it is flat colour: noise is what
encoding costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np

from abut.lattice import BlockRange
from abut.testing.ground import draw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from abut.lattice import Block, Bounds, Zone
    from abut.layout import Band

KINDS: Final = ("water", "crops", "meadow", "soil", "wood", "built")
"""Kinds of ground, by number."""

# Reflectance at the top of the atmosphere in 1/10000, B01 ... B08, B8A, B09 ... B12, as `BANDS` has them.
_SPECTRA: Final = {
    "water": (1050, 800, 550, 300, 270, 250, 250, 200, 180, 60, 10, 80, 60),
    "crops": (1100, 790, 780, 460, 850, 2450, 3200, 3250, 3500, 1100, 10, 1750, 800),
    "meadow": (1120, 850, 850, 650, 1050, 2100, 2550, 2600, 2850, 900, 10, 2000, 1150),
    "soil": (1250, 1100, 1150, 1400, 1650, 1850, 2050, 2150, 2350, 800, 10, 2900, 2350),
    "wood": (1030, 720, 550, 330, 560, 1650, 2050, 2100, 2300, 750, 10, 880, 360),
    "built": (1450, 1400, 1420, 1500, 1620, 1780, 1880, 1900, 2050, 700, 10, 2150, 1950),
}
_CLOUD: Final = (4600, 4500, 4300, 4350, 4400, 4800, 5100, 5000, 5300, 2000, 40, 3900, 3100)
_CIRRUS: Final = (3300, 3150, 3000, 3050, 3100, 3500, 3800, 3700, 4000, 1900, 420, 2700, 2000)
_GROUND: Final = np.array([_SPECTRA[kind] for kind in KINDS], np.int32)
# What full shadow takes away, in 1/256: the sky lights blue better than infrared.
_SHADE: Final = (30, 45, 80, 115, 150, 180, 185, 190, 195, 185, 0, 205, 210)

_CELL: Final = 2_400
_LOWEST, _HIGHEST = 800, 4_400
_WIDEST: Final = 1_150


@dataclass(frozen=True, slots=True, kw_only=True)
class Landscape:
    """Ground and sky of one zone: a texture for `abut.testing.Scene`, whose own clouds are then left out.

    Examples
    --------
    ``Scene(swath=..., clouds=False, texture=Landscape(zone=zone, coast=609_000, sun=(50.0, 160.0)))``
    """

    zone: Zone
    """The zone."""
    coast: int
    """Easting in metres about which the coast runs from north to south; the sea is in the east."""
    sun: tuple[float, float]
    """Zenith of the sun, and its azimuth clockwise from the *grid's* north, in degrees: shadows fall away from it."""
    offset: int = -1000
    """``RADIO_ADD_OFFSET``: what makes reflectances of digital numbers."""
    cloudy: int = 45
    """Cells of 2.4 km with a cloud, in percent."""
    seed: int = 0
    """Another seed, another landscape."""
    sky: int = 0
    """Another number, other clouds over the same ground: another day."""

    def __call__(self, band: Band, bounds: Bounds) -> NDArray[np.uint16]:
        """Return the digital numbers of some ground.

        Parameters
        ----------
        band : Band
            Which band; values are those at the centres of its pixels.
        bounds : Bounds
            Any rectangle of the zone that is aligned to the band's pixels.

        Returns
        -------
        array of uint16, shape (rows, columns), row 0 northmost
            At least 1.

        Raises
        ------
        ValueError
            If the bounds are of another zone or not on the band's pixel grid.
        """
        return self._look(bounds, band.resolution, lambda view: _digital(view, band, self.offset), np.uint16)

    def kinds(self, bounds: Bounds, size: int = 60) -> NDArray[np.uint8]:
        """Return the kind of ground, an index of `KINDS`, (rows, columns) of pixels of some metres."""
        return self._look(bounds, size, lambda view: view.kind, np.uint8)

    def clouds(self, bounds: Bounds, size: int = 60) -> NDArray[np.uint8]:
        """Return how thick clouds are, 0 ... 255, (rows, columns): the truth of what a detector finds."""
        return self._look(bounds, size, lambda view: np.maximum(view.cloud, view.cirrus), np.uint8)

    def shadows(self, bounds: Bounds, size: int = 60) -> NDArray[np.uint8]:
        """Return how dark shadows are, 0 ... 255, (rows, columns), under clouds too."""
        return self._look(bounds, size, lambda view: view.shade, np.uint8)

    def _look[T: np.generic](
        self, bounds: Bounds, size: int, look: Callable[[_View], NDArray[T]], dtype: type[T]
    ) -> NDArray[T]:
        if bounds.zone != self.zone:
            raise ValueError(f"the landscape is in {self.zone}, {bounds} is not")
        whole = np.zeros(bounds.shape(size), dtype)
        for block in BlockRange.around(bounds):
            part = bounds.intersection(block.bounds)
            if part is not None:
                whole[bounds.slices(part, size)] = look(_view(self, block, size))[block.bounds.slices(part, size)]
        return whole


@dataclass(frozen=True, slots=True)
class _View:
    """What there is in each pixel of a block."""

    kind: NDArray[np.uint8]
    """Index of `KINDS`."""
    level: NDArray[np.int8]
    """Brighter or darker than others of its kind, in 1/64."""
    cloud: NDArray[np.uint8]
    """How thick low clouds are."""
    cirrus: NDArray[np.uint8]
    """How thick high ones are."""
    shade: NDArray[np.uint8]
    """How dark shadows are."""


@lru_cache(maxsize=48)
def _view(land: Landscape, block: Block, size: int) -> _View:
    """Bands of one pixel size, and tiles that share ground, ask for the same."""
    rows, columns = block.bounds.shape(size)
    x = block.bounds.left + size // 2 + size * np.arange(columns, dtype=np.int64)
    y = block.bounds.top - block.zone.equator - size // 2 - size * np.arange(rows, dtype=np.int64)
    theme = f"{land.seed}/{land.zone.epsg}"
    kind, level = _ground(theme, x, y, land.coast)
    cloud, cirrus, shade = np.zeros((3, rows, columns), np.uint8)
    for one in _clouds(land, f"{theme}/{land.sky}" if land.sky else theme, block):
        south, east = one.shift
        if one.high:
            _draw(cirrus, one, x, y, 150)
            _draw(shade, one, x - east, y + south, 90)
        else:
            _draw(cloud, one, x, y, 255)
            _draw(shade, one, x - east, y + south, 255)
    return _View(kind, level, cloud, cirrus, shade)


def _digital(view: _View, band: Band, offset: int) -> NDArray[np.uint16]:
    value = _GROUND[:, band.index][view.kind]
    value += value * view.level // 64
    value -= value * view.shade * _SHADE[band.index] // (255 * 256)
    for thickness, bright in ((view.cloud, _CLOUD), (view.cirrus, _CIRRUS)):
        value += (bright[band.index] - value) * thickness // 255
    return np.maximum(value - offset, 1).astype(np.uint16)


def _ground(
    theme: str, x: NDArray[np.int64], y: NDArray[np.int64], coast: int
) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    """Return kinds and levels of pixels at some eastings and northings from the equator."""
    # Fields lie at a slant of 1 : 5 to the grid, in rows whose hedges do not meet.
    row = (5 * y[:, np.newaxis] + x) // 2_000
    drawn = _hashed(theme, "field", row, (5 * x - y[:, np.newaxis] + 700 * (row % 4)) // 2_900)
    kind = np.array([1, 1, 1, 1, 2, 2, 2, 3, 3, 3], np.uint8)[drawn % 10]
    level = ((drawn >> 8) % 17).astype(np.int8) - np.int8(8)
    houses = _hashed(theme, "house", y[:, np.newaxis] // 40, x // 40)
    town = (_waves(theme, "town", x, y, 1_700) > 172) & (houses % 4 > 0)
    for number, where, change in (
        (4, _waves(theme, "wood", x, y, 1_300) > 168, 0),
        (5, town, (houses >> 8) % 41 - 16),
        (0, _waves(theme, "lake", x, y, 1_500) > 188, 0),
        (0, x > coast + 12 * (_waves(theme, "coast", x[:1] * 0, y, 2_600) - 128), 0),
    ):
        kind[where] = number
        level = np.where(where, change, level).astype(np.int8)
    return kind, level


def _waves(theme: str, what: str, x: NDArray[np.int64], y: NDArray[np.int64], scale: int) -> NDArray[np.int64]:
    """Return a smooth field, 0 ... 255, (rows, columns): numbers drawn every `scale` metres, and straight between."""
    (i, u), (j, v) = (np.divmod(values, scale) for values in (x, y))
    down, across = np.arange(j.min(), j.max() + 2), np.arange(i.min(), i.max() + 2)
    nodes = _hashed(theme, what, down[:, np.newaxis], across) & 255
    i, j, v = i - across[0], j - down[0], v[:, np.newaxis]
    lines = nodes[:, i] * (scale - u) + nodes[:, i + 1] * u
    found: NDArray[np.int64] = (lines[j] * (scale - v) + lines[j + 1] * v) // (scale * scale)
    return found


def _hashed(theme: str, what: str, row: NDArray[np.int64], column: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a number drawn for each place, 0 ... 2**32 - 1."""
    mixed = (row * 0x9E3779B1 + column * 0x85EBCA77 + draw(theme, what)).astype(np.uint32)
    mixed ^= mixed >> 15
    mixed *= np.uint32(0x2C1B3C6D)
    mixed ^= mixed >> 12
    mixed *= np.uint32(0x297A2D39)
    mixed ^= mixed >> 15
    return mixed.astype(np.int64)


@dataclass(frozen=True, slots=True)
class _Cloud:
    """A round cloud."""

    x: int
    """Easting of its middle."""
    y: int
    """Northing of its middle from the equator."""
    radius: int
    """Metres."""
    high: bool
    """Thin, of ice."""
    shift: tuple[int, int]
    """Metres south and east from it to its shadow."""


def _clouds(land: Landscape, theme: str, block: Block) -> Iterator[_Cloud]:
    """Yield the clouds that may be seen in a block, or throw a shadow into it."""
    away, azimuth = np.tan(np.radians(land.sun[0])), np.radians(land.sun[1])
    around = int(_HIGHEST * away) + _WIDEST + _CELL
    left, bottom = block.bounds.left, block.bounds.bottom - block.zone.equator
    right, top = left + block.bounds.width, bottom + block.bounds.height
    rows = range((bottom - around) // _CELL, (top + around) // _CELL + 1)
    columns = range((left - around) // _CELL, (right + around) // _CELL + 1)
    for j, i in product(rows, columns):
        # Clouds that are near each other hang about as high.
        drawn, more, base = draw(theme, "cloud", i, j), draw(theme, "size", i, j), draw(theme, "base", i // 3, j // 3)
        if drawn % 100 >= land.cloudy:
            continue
        height = _LOWEST + base % (_HIGHEST - _LOWEST - 200) + more % 200
        yield _Cloud(
            x=_CELL * i + (drawn >> 8) % _CELL,
            y=_CELL * j + (drawn >> 20) % _CELL,
            radius=_WIDEST - 10 * ((more >> 8) % 70),
            high=(more >> 16) % 6 == 0,
            shift=(round(height * away * np.cos(azimuth)), round(-height * away * np.sin(azimuth))),
        )


def _draw(image: NDArray[np.uint8], one: _Cloud, x: NDArray[np.int64], y: NDArray[np.int64], most: int) -> None:
    """Draw a disk with a soft edge where nothing thicker is."""
    rows, columns = (np.flatnonzero(abs(values - at) < one.radius) for values, at in ((y, one.y), (x, one.x)))
    if rows.size and columns.size:
        part = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        near = one.radius**2 - (y[rows, np.newaxis] - one.y) ** 2 - (x[columns] - one.x) ** 2
        thick = (3 * most * near // one.radius**2).clip(0, most).astype(np.uint8)
        np.maximum(part, thick, out=part)
