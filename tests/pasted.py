"""Windows pasted from the legacy arrays of SAFE products, one product after the other: slow, and obvious."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from abut.lattice import BlockRange, Bounds
from abut.testing import safe_pixels
from abut.tiling import rank_key, tile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from abut.layout import Band
    from abut.tiling import Tile


@dataclass(frozen=True)
class Delivered:
    """A product as it was delivered, and when its strip began."""

    id: str
    tile: Tile
    pixels: Callable[[Band], NDArray[np.uint16]]
    """Its whole legacy array of a band."""
    strip: str = ""
    """Strips are overlaid in the order of these."""


@lru_cache(maxsize=8)  # a band of 10 m takes 241 MB
def _decoded(safe: Path, band: str) -> NDArray[np.uint16]:
    return safe_pixels(safe, band)


def delivered(safe: Path) -> Delivered:
    """Return a compact SAFE, whose JP2s rasterio decodes."""
    return Delivered(safe.stem, tile(safe.stem.split("_")[5]), lambda band: _decoded(safe, band.name))


def pasted(products: Sequence[Delivered], window: Bounds, band: Band) -> NDArray[np.uint16]:
    """Return DN of a window at one step, shape (y, x): block by block, strip by strip, best rank first, DN > 0 wins."""
    whole, _ = pasted_from(products, window, band)
    return whole


def pasted_from(
    products: Sequence[Delivered], window: Bounds, band: Band
) -> tuple[NDArray[np.uint16], NDArray[np.intp]]:
    """Return DN of a window, and which product each pixel is from, -1 where none has data."""
    size = band.resolution
    whole: NDArray[np.uint16] = np.zeros(window.shape(size), np.uint16)
    supplier = np.full(whole.shape, -1)
    for block in BlockRange.around(window):
        ground = block.bounds.intersection(window)
        assert ground is not None
        touching = [one for one in products if one.tile.footprint.intersection(block.bounds)]
        for one in sorted(touching, key=lambda one: (one.strip, rank_key(block, one.tile), one.id)):
            part = ground.intersection(one.tile.footprint)
            if part is None:
                continue
            here = window.slices(part, size)
            new = one.pixels(band)[one.tile.footprint.slices(part, size)]
            filled = (whole[here] == 0) & (new > 0)
            whole[here][filled] = new[filled]
            supplier[here][filled] = products.index(one)
    return whole, supplier
