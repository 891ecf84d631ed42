"""SAFE products for the tests of whole paths: made once per session, small patches of data where they matter.

Each family has patches of ground with data around the places where its tiles meet. What lies there is a function of
zone, place, band and family alone, so that tiles agree, whoever encodes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from abut.lattice import Bounds
from abut.testing import Scene, Swath, make_multi_granule_safe, make_safe, safe_pixels
from abut.tiling import Tile, tile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from abut.layout import Band

START = datetime(2025, 8, 1, 10, 15, 59, 24_000, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Family:
    """Products of one datatake that meet somewhere."""

    name: str
    tiles: tuple[str, ...]
    patches: tuple[Bounds, ...]
    baseline: str = "05.11"
    unequal: tuple[str, ...] = ()
    """Tiles whose B03 differs by 2 DN in a part of their patches."""
    multi_granule: bool = False
    orbit: int = 43885

    def alter(self, name: str) -> Callable[[Band, NDArray[np.uint16], Bounds], NDArray[np.uint16]]:
        """Return what puts the patches into the image of a tile."""

        def put(band: Band, image: NDArray[np.uint16], bounds: Bounds) -> NDArray[np.uint16]:
            image = np.zeros_like(image)
            for patch in self.patches:
                part = bounds.intersection(patch)
                if part is not None:
                    pixels = ground(band, part, self.orbit)
                    if name in self.unequal and band.name == "B03":
                        pixels[: len(pixels) // 8] -= 1  # no pixel is 0 before, one of DN 1 becomes nodata
                    image[bounds.slices(part, band.resolution)] = pixels
            return image

        return put

    def scene(self, where: Tile) -> Scene:
        """Return the scene that gives the products their metadata."""
        middle = self.patches[0]
        swath = Swath(zone=where.zone, easting=middle.left, northing=middle.bottom, width=3_000)
        return Scene(
            swath=swath,
            baseline=self.baseline,
            absolute_orbit=self.orbit,
            datatake_start=START.replace(minute=self.orbit % 60),
        )


def ground(band: Band, part: Bounds, seed: int) -> NDArray[np.uint16]:
    """DN of some ground: a slow wave and a fine pattern, with a few extreme values; never 0."""
    rows, columns = part.shape(band.resolution)
    y = (part.top // 10 - band.resolution // 10 * np.arange(rows, dtype=np.int64))[:, None]
    x = (part.left // 10 + band.resolution // 10 * np.arange(columns, dtype=np.int64))[None, :]
    wave = (x // 64 + y // 48) % 97 * 11
    value = 400 + 60 * band.index + wave + (x * 31 + y * 17 + seed) % 13
    value = np.where((x * 7 + y * 13) % 4_001 == 0, 32_767, value)
    return np.where((x * 11 + y * 5) % 3_989 == 0, 1, value).astype(np.uint16)


def square(family_tile: str, corner: str, size: int) -> Bounds:
    """Return a square of ground around a corner (``ne``, ``nw``, ``se``, ``sw``) of a legacy footprint."""
    bounds = tile(family_tile).footprint
    x = bounds.right if "e" in corner else bounds.left
    y = bounds.top if "n" in corner else bounds.bottom
    half = size // 120 * 60
    return Bounds(bounds.zone, x - half, y - half, x + half, y + half)


LATTICE = Family(
    "lattice",
    tuple(f"32T{column}{row}" for row in "NPQ" for column in "NPQ"),
    tuple(square(name, "ne", 16_800) for name in ("32TNN", "32TPN", "32TNP", "32TPP")),
    unequal=("32TPP",),
)
"""3 x 3 tiles of zone 32 at the border to zone 33, with data around their four inner corners."""
NEXT_ZONE = Family("next zone", ("33TUJ",), (square("33TUH", "nw", 9_000),))
"""A tile of the neighbouring zone beside the lattice, of the same datatake."""
RIM = Family("rim", ("25SDC", "25SEB", "25SEC"), (square("25SEB", "nw", 14_400),), orbit=43892)
"""Three tiles at the rim of the European set, where no tile covers a block as far as all three do."""
OLD = Family("old", ("53HNA", "53HPA"), (square("53HPA", "nw", 9_000),), "02.04", orbit=6291, multi_granule=True)
"""Two granules of one old SAFE of a southern zone."""


@dataclass(frozen=True, slots=True)
class Made:
    """A product that was made, and where."""

    safe: Path
    tile: str
    family: Family = field(repr=False)

    def pixels(self, band: Band) -> NDArray[np.uint16]:
        """The slow, obvious reference: rasterio reads the SAFE's image whole."""
        granule = self.tile if self.family.multi_granule else None
        return safe_pixels(self.safe, band, granule)


def make_family(family: Family, folder: Path) -> list[Made]:
    """Make all products of a family."""
    where = tile(family.tiles[0])
    if family.multi_granule:
        safe = make_multi_granule_safe(family.scene(where), family.tiles, folder, alter=family.alter(""))
        return [Made(safe, name, family) for name in family.tiles]
    made = []
    for name in family.tiles:
        scene = family.scene(where if family is not NEXT_ZONE else tile(name))
        safe = make_safe(scene, name, folder, alter=family.alter(name))
        made.append(Made(safe, name, family))
    return made
