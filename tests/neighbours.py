"""What two neighbouring products in an archive must show to its readers, worked out from their SAFEs alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pystac

from abut.lattice import Bounds
from abut.layout import BAND
from abut.testing import safe_pixels
from abut.tiling import tile
from catalog import absolute, holding_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from abut.archive import Archive

WEST, EAST = tile("32TMT"), tile("32TNT")


def _overlap() -> Bounds:
    shared = WEST.footprint.intersection(EAST.footprint)
    assert shared is not None
    return shared


SHARED = _overlap()
SEAM = Bounds(SHARED.zone, SHARED.left - 9_600, SHARED.bottom + 40_020, SHARED.right + 9_600, SHARED.bottom + 70_020)
"""Ground across the seam, where the swath of `tests.conftest.old_scene` crosses from one tile into the other."""


@lru_cache(maxsize=6)  # a band of 10 m takes 241 MB
def _pixels(safe: Path, band: str) -> NDArray[np.uint16]:
    return safe_pixels(safe, band)


@dataclass(frozen=True)
class Neighbours:
    """Two products, settled and purged, and the SAFEs that they were made of."""

    archive: Archive
    safes: tuple[Path, Path]

    def items(self, base: str) -> list[pystac.Item]:
        """The items, west and east, with links that start at a location of the archive."""
        ids = [safe.stem for safe in self.safes]
        raw = [json.loads(self.archive.store.get(f"products/{name}.json")) for name in ids]
        return [pystac.Item.from_dict(absolute(item, base), migrate=False) for item in raw]

    def ground(self, band: str, place: Bounds = SEAM) -> NDArray[np.uint16]:
        """DN of some ground as the two SAFEs have it; they agree where both do."""
        size = BAND[band].resolution
        whole: NDArray[np.uint16] = np.zeros(place.shape(size), np.uint16)
        for safe, where in zip(self.safes, (WEST, EAST), strict=True):
            part = place.intersection(where.footprint)
            assert part is not None
            pixels, target = _pixels(safe, band)[where.footprint.slices(part, size)], place.slices(part, size)
            assert np.array_equal(whole[target][whole[target] > 0], pixels[whole[target] > 0])
            whole[target] = pixels
        return whole

    def held(self, item: pystac.Item, band: str) -> NDArray[np.uint16]:
        """DN of a product's whole array: the legacy tile in the blocks that its item says it holds, else zero."""
        where = tile(item.properties["grid:code"])
        size, side = BAND[band].resolution, BAND[band].block_pixels
        hull = where.hull.bounds
        legacy = np.zeros(hull.shape(size), np.uint16)
        legacy[hull.slices(where.footprint, size)] = _pixels(self.safes[where == EAST], band)
        whole = np.zeros_like(legacy)
        for row, column in holding_of(item).held:
            block = np.s_[row * side : (row + 1) * side, column * side : (column + 1) * side]
            whole[block] = legacy[block]
        return whole


def reflectance(item: pystac.Item, band: str, pixels: NDArray[Any]) -> NDArray[np.float64]:
    """Reflectance from DN by what the SAFE of baseline 05.11 says; NaN where there are no data."""
    assert item.properties["processing:version"] == "05.11"
    assert band in BAND
    return np.where(pixels > 0, (pixels.astype(np.float64) - 1000) / 10_000, np.nan)
