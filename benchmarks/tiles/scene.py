"""What is looked at: the nine products of `benchmarks.cubes.scene`, one of the zone beside, and random map tiles."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
from morecantile import Tile as Cell
from morecantile import tms
from pyproj import Transformer

from abut.lattice import Bounds
from abut.layout import BAND
from abut.tiling import tile
from benchmarks.cubes import scene
from benchmarks.cubes.scene import MIDDLE, TILES, border, ground, later, nine

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.cubes.scene import Product

TILE_PIXELS: Final = 256
"""Side of a map tile in pixels."""
RANGE: Final = (1_300, 2_000)
"""DN that are shown black and white: they span the contrast of the ground."""

_MATRICES: Final = tms.get("WebMercatorQuad")
_ALIGNED: Final = 60


@dataclass(frozen=True, slots=True)
class Size:
    """How much is made and asked for."""

    rgb: tuple[str, str, str]
    """Bands that are shown red, green and blue, of one pixel size."""
    zooms: tuple[int, ...]
    """Zooms that are compared."""
    native: tuple[int, ...]
    """Those of them at which everybody reads the bands' own pixels, so that they can be held against the truth."""
    tiles: int
    """Map tiles of each zoom."""
    rounds: int
    """How often each comparison is run; medians are shown."""
    many: int
    """Tiles of the run whose memory is watched."""
    seconds: int
    """How long clients ask at once."""

    @property
    def resolution(self) -> int:
        """Pixel size of the bands in metres."""
        return BAND[self.rgb[0]].resolution

    @property
    def products(self) -> list[Product]:
        """What is in the archive: nine tiles of a datatake, one of the zone beside, later dates of a few blocks."""
        made = scene.Size(self.rgb, self.rgb, 0, self.rounds)
        return [*nine(made), border(made)[1], *later(replace(made, few=self.rgb[-1:]))]

    @property
    def places(self) -> list[str]:
        """MGRS tiles of the first date."""
        return places()


FULL: Final = Size(("B04", "B03", "B02"), tuple(range(8, 15)), (13, 14), 16, 3, 10_000, 8)
QUICK: Final = Size(("B10", "B09", "B01"), (8, 9, 10, 11, 12), (11, 12), 4, 1, 150, 1)


@dataclass(frozen=True, slots=True, order=True)
class MapTile:
    """A tile of WebMercatorQuad."""

    z: int
    """Zoom."""
    x: int
    """Column."""
    y: int
    """Row."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Longitudes and latitudes: west, south, east, north."""
        west, south, east, north = _MATRICES.bounds(Cell(self.x, self.y, self.z))
        return west, south, east, north


@cache
def places() -> list[str]:
    """Return the MGRS tiles of the first date: the nine, then the one of the zone beside."""
    return [*TILES, border(scene.QUICK)[1].tile_id]


@cache
def degrees(epsg: int) -> Transformer:
    """Return what makes longitudes and latitudes of coordinates."""
    return Transformer.from_crs(epsg, 4326, always_xy=True)


@cache
def box_of(place: str) -> tuple[float, float, float, float]:
    """Return an MGRS tile's footprint in longitudes and latitudes: west, south, east, north."""
    foot = tile(place).footprint
    return degrees(foot.zone.epsg).transform_bounds(foot.left, foot.bottom, foot.right, foot.top)


def some_tiles(zoom: int, count: int, seed: int = 1) -> list[MapTile]:
    """Return random map tiles that the products touch, each once: fewer than asked for where there are not as many."""
    chance = random.Random(f"{zoom} {seed}")  # noqa: S311 - reproducible, not secret
    found: dict[MapTile, None] = {}
    for _ in range(20 * count):
        if len(found) == count:
            break
        found.setdefault(_at(chance, chance.choice(places()), zoom))
    return list(found)


def inner_tiles(zoom: int, count: int, seed: int = 1) -> list[MapTile]:
    """Return random map tiles that lie in the MGRS tile in the middle wholly."""
    chance = random.Random(f"{zoom} {seed}")  # noqa: S311 - as above
    west, south, east, north = _within(MIDDLE)
    found: dict[MapTile, None] = {}
    for _ in range(1_000 * count):
        if len(found) == count:
            break
        one = _at(chance, MIDDLE, zoom)
        left, bottom, right, top = one.box
        if west < left and right < east and south < bottom and top < north:
            found.setdefault(one)
    return list(found)


def _at(chance: random.Random, place: str, zoom: int) -> MapTile:
    foot = tile(place).footprint
    x, y = chance.uniform(foot.left, foot.right), chance.uniform(foot.bottom, foot.top)
    longitude, latitude = degrees(foot.zone.epsg).transform(x, y)
    found = _MATRICES.tile(longitude, latitude, zoom)
    return MapTile(zoom, found.x, found.y)


@cache
def _within(place: str) -> tuple[float, float, float, float]:
    """Return a box of longitudes and latitudes inside of an MGRS tile's footprint."""
    foot = tile(place).footprint
    x, y = np.array([foot.left, foot.right] * 2), np.array([foot.bottom] * 2 + [foot.top] * 2)
    longitudes, latitudes = degrees(foot.zone.epsg).transform(x, y)
    west, east = sorted(longitudes)[1], sorted(longitudes)[2]
    return west, sorted(latitudes)[1], east, sorted(latitudes)[2]


def exact_indices(one: MapTile, resolution: int) -> tuple[Bounds, NDArray[np.int64], NDArray[np.int64]]:
    """Return which source pixel of the middle zone lies under the centre of each pixel of a map tile.

    Each centre is transformed on its own: the truth that approximate transforms are held against.

    Returns
    -------
    Bounds
        Ground around the tile, with two more pixels of 60 m on each side.
    ndarray, ndarray
        Rows and columns of source pixels in that ground, both (y, x) of the map tile.
    """
    zone = tile(MIDDLE).zone
    left, bottom, right, top = _MATRICES.xy_bounds(Cell(one.x, one.y, one.z))
    steps = (np.arange(TILE_PIXELS) + 0.5) / TILE_PIXELS
    x, y = np.meshgrid(left + steps * (right - left), top - steps * (top - bottom))
    east, north = Transformer.from_crs(3857, zone.epsg, always_xy=True).transform(x, y)
    around = Bounds(
        zone,
        (int(east.min()) // _ALIGNED - 2) * _ALIGNED,
        (int(north.min()) // _ALIGNED - 2) * _ALIGNED,
        (int(east.max()) // _ALIGNED + 3) * _ALIGNED,
        (int(north.max()) // _ALIGNED + 3) * _ALIGNED,
    )
    rows = np.floor((around.top - north) / resolution).astype(np.int64)
    columns = np.floor((east - around.left) / resolution).astype(np.int64)
    return around, rows, columns


@dataclass(frozen=True, slots=True)
class Against:
    """How a picture differs from the truth."""

    other: float
    """Share of its pixels that show another source pixel than the one under their centre."""
    far: float
    """Share that shows none of the nine source pixels around that."""


def against_truth(pixels: NDArray[np.uint16], one: MapTile, bands: tuple[str, ...]) -> Against:
    """Hold DN of a map tile against the ground, source pixel by source pixel.

    Parameters
    ----------
    pixels : ndarray
        DN, (band, y, x).
    one : MapTile
        Which tile; it has to lie in the tile in the middle.
    bands : tuple of str
        Names of the bands, of one pixel size.
    """
    around, rows, columns = exact_indices(one, BAND[bands[0]].resolution)
    source = np.stack([ground(BAND[name], around) for name in bands])
    here = (pixels == source[:, rows, columns]).all(axis=0)
    near = np.zeros_like(here)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            near |= (pixels == source[:, rows + down, columns + right]).all(axis=0)
    return Against(float(1 - here.mean()), float(1 - near.mean()))
