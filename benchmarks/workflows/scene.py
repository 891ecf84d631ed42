"""What is looked at: nine full-size SAFEs of one datatake with clouds and realistic texture, and later dates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from abut.lattice import BLOCK_SIZE, Bounds
from abut.layout import BAND
from abut.testing import Scene, Swath
from abut.testing.angles import sun_angles
from abut.testing.landscape import Landscape
from abut.tiling import tile
from benchmarks.cubes.scene import MIDDLE, TILES
from benchmarks.texture import texture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from abut.layout import Band

BUFFER: Final = 9_600
"""Metres around the core: the widest neighbourhood of a built-in workflow."""
DATES: Final = 4
"""Moments of the composite, the first included, five days apart."""
SEEN: Final = 4
"""Blocks along a side of the ground that later dates see."""
_MEAN: Final = 1_500
_PER_BAND: Final = 40
"""`texture` has these means: the landscape brings its own."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is made and computed."""

    blocks: int
    """Blocks along a side of the core, from the north-eastern corner of the tile in the middle; 0: all of the tile."""
    around: int
    """Metres of ground beyond the core that the products see; 0: they see all that their tiles have. No JP2 block or
    archive block that is farther away than this is read."""
    rounds: int
    """How often each case is run; medians are compared."""

    @property
    def core(self) -> Bounds:
        """The ground for which results are wanted."""
        foot = tile(MIDDLE).footprint
        return foot if not self.blocks else corner(foot, self.blocks)

    @property
    def frame(self) -> Bounds | None:
        """The ground that the products see; None: all."""
        return self.core.buffered(self.around) if self.around else None


FULL: Final = Size(0, 0, 3)
"""A whole tile, and eight neighbours that are full of data."""
RIM: Final = Size(0, 30_000, 1)
"""The same, but that neighbours see no farther than the farthest block which a window of the tile touches (of images:
12.8 km at 20 m). It is made in a third of the time, and reads the same blocks."""
QUICK: Final = Size(1, 19_200, 1)
"""A corner of the tile: to see that it works."""


def corner(foot: Bounds, blocks: int) -> Bounds:
    """Return whole blocks in the north-east of a tile, from the last ones that are all in it."""
    right, top = foot.right // BLOCK_SIZE * BLOCK_SIZE, foot.top // BLOCK_SIZE * BLOCK_SIZE
    return Bounds(foot.zone, right - blocks * BLOCK_SIZE, top - blocks * BLOCK_SIZE, right, top)


def nested(core: Bounds) -> list[Bounds]:
    """Return ground of a quarter and of half of the side of some ground, from its north-eastern corner, and it."""
    found = []
    for share in (4, 2):
        wide, high = ((edge // share) // 60 * 60 for edge in (core.right - core.left, core.top - core.bottom))
        found.append(Bounds(core.zone, core.right - wide, core.top - high, core.right, core.top))
    return [*found, core]


@dataclass(frozen=True, slots=True)
class Ground:
    """Clouds, shadows and land cover of the made-up landscape, and on them what makes images hard to code."""

    landscape: Landscape
    """Its flat colours."""

    def __call__(self, band: Band, bounds: Bounds) -> NDArray[np.uint16]:
        """Return digital numbers of some ground, (y, x): a function of place and band alone."""
        pattern = _patterns()[band.name]
        side, (rows, columns), size = len(pattern), bounds.shape(band.resolution), band.resolution
        down = (-bounds.top // size + np.arange(rows)) % side
        right = (bounds.left // size + np.arange(columns)) % side
        fine = np.take(np.take(pattern, right, axis=1), down, axis=0)
        return (self.landscape(band, bounds) + fine).clip(1, 32_767).astype(np.uint16)


@cache
def _patterns() -> dict[str, NDArray[np.int32]]:
    return {name: one.astype(np.int32) - _MEAN - _PER_BAND * BAND[name].index for name, one in texture().items()}


def seen(size: Size, number: int = 0) -> Scene:
    """Return what the satellite saw.

    Parameters
    ----------
    size : Size
        How much is made.
    number : int
        Date; later ones than the first see `SEEN` x `SEEN` blocks.
    """
    foot = tile(MIDDLE).footprint
    middle = ((foot.left + foot.right) // 2, (foot.bottom + foot.top) // 2)
    swath = Swath(zone=foot.zone, easting=middle[0], northing=middle[1], width=420_000)
    scene = Scene(swath=swath, clouds=False, frame=size.frame)
    start = scene.datatake_start + timedelta(days=5 * number)
    zenith, azimuth = sun_angles(scene, tile(MIDDLE)).mean(axis=(1, 2))
    land = Landscape(zone=foot.zone, coast=middle[0], sun=(float(zenith), float(azimuth)), seed=number)
    frame = part(size) if number else size.frame
    return Scene(swath=swath, clouds=False, frame=frame, datatake_start=start, texture=Ground(land), seed=number)


def part(size: Size) -> Bounds:
    """Return the ground of the later dates: whole blocks in the north-east of the tile."""
    return corner(tile(MIDDLE).footprint, min(SEEN, size.blocks or SEEN))


def products(size: Size) -> list[tuple[str, int]]:
    """Return tile and date of each product that sees anything."""
    first = [name for name in TILES if size.frame is None or tile(name).footprint.intersection(size.frame)]
    return [*((name, 0) for name in first), *((MIDDLE, number) for number in range(1, DATES))]
