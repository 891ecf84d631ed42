"""What is read: nine full products of one datatake, one of the zone beside, and twelve later dates of a few blocks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Final, override

import numpy as np

from abut.lattice import BLOCK_SIZE, Bounds
from abut.layout import BAND, BANDS
from abut.tiling import tile, tiles_touching
from abut.window import tile_window
from benchmarks.texture import texture
from tests.shots import Shot
from tests.toy import START

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from abut.layout import Band
    from abut.tiling import Tile

MIDDLE: Final = "32TPP"
"""The tile that is asked for; its eight neighbours have products too."""
TILES: Final = tuple(f"32T{column}{row}" for column in "NPQ" for row in "NPQ")
BUFFER: Final = 10_000
DATE: Final = f"{START:%Y-%m-%d}"
"""When all nine were taken."""
DATES: Final = 12
"""Later dates, five days apart."""
SEEN: Final = (8, 5)
"""Rows and columns of blocks that the later dates see."""
LATER: Final = f"{START + timedelta(days=1):%Y-%m-%d}/{START + timedelta(days=5 * DATES + 1):%Y-%m-%d}"

_NORTH: Final = 18_000_000
"""Beyond every northing, a multiple of 60 m: rows of the pattern are counted from there."""
_STRIP: Final = 960


@dataclass(frozen=True, slots=True)
class Size:
    """How much is made and read."""

    bands: tuple[str, ...]
    """Bands of the nine products."""
    few: tuple[str, ...]
    """Bands of JP2s, COGs, per-tile Zarr, zone-wide Zarr, the product beside and the later dates."""
    tiles: int
    """Tiles of Europe whose month is planned."""
    rounds: int
    """How often each job is run; medians are compared."""

    @property
    def finest(self) -> int:
        """Pixel size of the first of the few bands in metres."""
        return BAND[self.few[0]].resolution


FULL: Final = Size(tuple(band.name for band in BANDS), ("B02", "B8A"), 2_484, 3)
QUICK: Final = Size(("B01", "B09"), ("B01",), 200, 1)


class Product(Shot):
    """A product whose pixels are realistic texture wherever it sees the ground."""

    @override
    def strips(self, band: Band) -> Iterator[NDArray[np.uint16]]:
        """Yield a band's rows: strips of full width, zero outside of `place`."""
        foot, size = self.tile.footprint, band.resolution
        for top in range(foot.top, foot.bottom, -_STRIP * size):
            strip = Bounds(foot.zone, foot.left, max(top - _STRIP * size, foot.bottom), foot.right, top)
            seen = strip.intersection(self.place)
            if seen == strip:
                yield ground(band, strip)
                continue
            rows = np.zeros(strip.shape(size), np.uint16)
            if seen is not None:
                rows[strip.slices(seen, size)] = ground(band, seen)
            yield rows


def ground(band: Band, part: Bounds) -> NDArray[np.uint16]:
    """Return DN of some ground, (y, x): a function of place alone, as hard to code as real images."""
    pattern = _patterns()[band.name]
    side, (rows, columns), size = len(pattern), part.shape(band.resolution), band.resolution
    down = ((_NORTH - part.top) // size + np.arange(rows)) % side
    right = (part.left // size + np.arange(columns)) % side
    return np.take(np.take(pattern, right, axis=1), down, axis=0)


def nine(size: Size) -> list[Product]:
    """Return the products of the datatake."""
    return [Product(name, tile(name).footprint, band_names=size.bands) for name in TILES]


def border(size: Size) -> tuple[Tile, Product]:
    """Return the tile whose surroundings reach into the zone beside, and the product there that has most of them."""
    from abut.ground import ground_in  # noqa: PLC0415 - rasterio is slow to import
    from abut.lattice import Zone  # noqa: PLC0415 - as above

    last = tile("32TQP")
    edge, around = last.footprint.right, tile_window(last, BUFFER)
    rim = Bounds(around.zone, edge, around.bottom, around.right, around.top)
    there = ground_in(Zone(rim.zone.epsg + 1), rim)
    if there is None:
        raise ValueError(f"{rim} has no ground in the zone beside")

    def common(one: Tile) -> int:
        part = one.footprint.intersection(there)
        return 0 if part is None else part.area

    best = max(tiles_touching(there), key=common)
    return last, Product(best.id, best.footprint, band_names=size.few)


def later(size: Size) -> list[Product]:
    """Return the later dates of the tile in the middle; they see a few blocks."""
    moments = [START + timedelta(days=5 * number) for number in range(1, DATES + 1)]
    seen = blocks(*SEEN)
    return [Product(MIDDLE, seen, band_names=size.few, datatake=when, datastrip_start=when) for when in moments]


def blocks(rows: int, columns: int) -> Bounds:
    """Return ground of so many blocks, from a corner deep inside the tile in the middle on."""
    foot = tile(MIDDLE).footprint
    left, bottom = (-(-edge // (2 * BLOCK_SIZE)) * 2 * BLOCK_SIZE for edge in (foot.left, foot.bottom))
    return Bounds(foot.zone, left, bottom, left + columns * BLOCK_SIZE, bottom + rows * BLOCK_SIZE)


def around_corner(size: Size) -> Bounds:
    """Return 512 x 512 pixels around a corner of four blocks that all later dates have."""
    corner = blocks(1, 1)
    half = 256 * size.finest
    if half > BLOCK_SIZE:
        half = BLOCK_SIZE // 2 // 60 * 60  # pixels of 60 m: a smaller one, or it would leave what is held
    x, y = corner.right, corner.top
    return Bounds(corner.zone, x - half, y - half, x + half, y + half)


@cache
def _patterns() -> dict[str, NDArray[np.uint16]]:
    return texture()
