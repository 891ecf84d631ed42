"""What the same pixels cost if they are read from SAFE products: whole files to fetch, JPEG 2000 to decode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from abut.tiling import TILE_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from abut.lattice import Bounds
    from abut.layout import Band
    from abut.tiling import Tile

DECODED_PER_SECOND: Final = 17_000_000
"""Bytes of pixels that OpenJPEG, which every free reader of JP2 uses, decodes in a second of one core (measured: 16 to
18 million)."""
JP2_SHARE: Final = {"default": 1 / 1.23, "dense": 1 / 1.03}
"""Bytes of a product's JP2s for each byte of its blocks before anything was released, by profile (measured)."""
JP2_TILE: Final = {10: 1024, 20: 640, 60: 192}
"""Pixels along the side of the parts of a SAFE's JP2 that can be decoded by themselves."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A SAFE product that pixels are read from."""

    tile: Tile
    """Its tile."""
    window: Bounds
    """What is wanted."""
    bands: tuple[Band, ...]
    """Which bands."""
    block_bytes: int
    """Bytes of the product's blocks of these bands as they were ingested."""
    profile: str
    """How these are encoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SafeCost:
    """What the same pixels cost if they are read from the SAFE products."""

    products: int
    """SAFE products that have to be opened, over all steps: as few as cover the window."""
    images: int
    """JP2 files: products times bands."""
    file_bytes: int
    """Bytes of these files, from those of the products' blocks by `JP2_SHARE`."""
    decoded_bytes: int
    """Bytes of pixels in the parts of the files (`JP2_TILE`) that the window touches."""
    decode_seconds: float
    """Seconds of one core that decoding these takes, by `DECODED_PER_SECOND`."""


def safe_cost(opened: Iterable[Opened]) -> SafeCost:
    """Return the cost of reading from SAFE products."""
    found = list(opened)
    decoded = sum(_decoded(one.tile, one.window, band.resolution) for one in found for band in one.bands)
    return SafeCost(
        products=len(found),
        images=sum(len(one.bands) for one in found),
        file_bytes=sum(round(one.block_bytes * JP2_SHARE[one.profile]) for one in found),
        decoded_bytes=decoded,
        decode_seconds=decoded / DECODED_PER_SECOND,
    )


def covering(window: Bounds, tiles: Iterable[Tile]) -> frozenset[Tile]:
    """Return few tiles that cover as much of a window as all of them: the one that adds most first."""
    left = sorted(tiles)
    chosen: set[Tile] = set()
    parts = [(tile, part) for tile in left if (part := tile.footprint.intersection(window))]
    x = np.unique([edge for _, part in parts for edge in (part.left, part.right)])
    y = np.unique([edge for _, part in parts for edge in (part.bottom, part.top)])
    rest = np.outer(np.diff(y), np.diff(x))
    cells = {
        tile: np.s_[
            np.searchsorted(y, part.bottom) : np.searchsorted(y, part.top),
            np.searchsorted(x, part.left) : np.searchsorted(x, part.right),
        ]
        for tile, part in parts
    }
    while rest.any():
        best = max(cells, key=lambda tile: int(rest[cells[tile]].sum()))
        if not rest[cells[best]].any():
            break
        rest[cells[best]] = 0
        chosen.add(best)
    return frozenset(chosen)


def _decoded(tile: Tile, window: Bounds, resolution: int) -> int:
    """Bytes of a band's pixels in the parts of its JP2 that a window touches."""
    part = tile.footprint.intersection(window)
    if part is None:
        return 0
    step, size = JP2_TILE[resolution], TILE_SIZE // resolution
    rows, columns = tile.footprint.slices(part, resolution)

    def touched(pixels: slice) -> int:
        return int(min(-(-pixels.stop // step) * step, size) - pixels.start // step * step)

    return 2 * touched(rows) * touched(columns)
