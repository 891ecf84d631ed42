"""True colours of a layer's ground, block by block, as bytes for pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from abut.codec import decode_block
from abut.layout import BAND, block_key
from cli.demonstration.stock import holders

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from abut.archive import Archive
    from abut.lattice import Block
    from cli.demonstration.stock import Share, Stock

COLOURS: Final = ("B04", "B03", "B02")
"""Red, green and blue."""

_THIN: Final = 4
"""Every how many pixels of a block are looked at."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a layer shows."""

    blocks: Mapping[Block, NDArray[np.uint8]]
    """Red, green, blue of each block, (240, 240, 3) at 40 m; 0 in all three is no data."""


def read_ground(archive: Archive, stock: Stock) -> Ground:
    """Read every block from those that store it now.

    Colours are stretched band by band between the first and the last percent of the valid pixels, and
    brightened by a square root.
    """
    raw = {block: _overlay(archive, shares, block) for block, shares in holders(stock, after=True).items()}
    seen = [dn[(dn > 0).all(axis=2)] for dn in raw.values()]
    valid = np.concatenate(seen) if seen else np.empty((0, 3), np.uint16)
    if not len(valid):
        return Ground({block: np.zeros(dn.shape, np.uint8) for block, dn in raw.items()})
    low, high = np.percentile(valid, (1, 99), axis=0)
    return Ground({block: _stretch(dn, low, high) for block, dn in raw.items()})


def _overlay(archive: Archive, shares: list[Share], block: Block) -> NDArray[np.uint16]:
    """Return every fourth pixel of a block, (240, 240, 3), from the first share that has it."""
    side = BAND[COLOURS[0]].block_pixels // _THIN
    image = np.zeros((side, side, len(COLOURS)), np.uint16)
    for share in shares:
        row, column = share.tile.hull.position(block)
        for i, name in enumerate(COLOURS):
            key = f"{share.product.folder}/{block_key(BAND[name].path, row, column)}"
            pixels = decode_block(archive.store.get(key), BAND[name].block_pixels, archive.profile)
            thinned = pixels[_THIN // 2 :: _THIN, _THIN // 2 :: _THIN]
            image[..., i] = np.where(image[..., i] > 0, image[..., i], thinned)
    return image


def _stretch(dn: NDArray[np.uint16], low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.uint8]:
    share = np.clip((dn - low) / np.maximum(high - low, 1), 0, 1)
    shown = (np.sqrt(share) * 254 + 1).astype(np.uint8)
    shown[~(dn > 0).all(axis=2)] = 0
    return shown
