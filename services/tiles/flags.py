"""Flags of a mosaic: each pixel's mask from the product that supplied its DN."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from abut.layout import MASK_BLOCKS
from services.tiles.mosaic import PAD
from services.tiles.objects import Broken, Want

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from abut.view_masks import Mask
    from services.tiles.mosaic import Mosaic
    from services.tiles.objects import Kind, Objects
    from services.tiles.plan import Overlay
    from services.tiles.window import Tally


def flags_of(made: Mosaic, mask: Mask, objects: Objects, tally: Tally) -> NDArray[np.uint8]:
    """Return a mask on the pixels of a mosaic that knows its suppliers.

    On larger pixels than the mask's: all flags that are set in a pixel, or its first detector.

    Returns
    -------
    ndarray of uint8, shape (1, y, x)
        Padded as the mosaic is; 0 where it has no data, and where the product has no such mask.
    """
    assert made.index is not None  # noqa: S101 - it knows its suppliers
    index = made.index[made.bands.index(mask.band)]
    padded = np.zeros((1, *(size + 2 * PAD for size in index.shape)), np.uint8)
    target = padded[0, PAD:-PAD, PAD:-PAD]
    overlays = {one.product: one for one in made.plan.overlays}
    for number in np.unique(index[index > 0]).tolist():
        _paste(made, mask, overlays[made.suppliers[number - 1]], index == number, target, objects, tally)
    return padded


def _paste(  # noqa: PLR0917 - of one use
    made: Mosaic,
    mask: Mask,
    one: Overlay,
    mine: NDArray[np.bool_],
    target: NDArray[np.uint8],
    objects: Objects,
    tally: Tally,
) -> None:
    window = made.window
    side, native = MASK_BLOCKS * window.level.block, MASK_BLOCKS * mask.band.block_pixels
    top, left = -one.hull.q1 * window.level.block, one.hull.p0 * window.level.block
    rows, columns = (np.flatnonzero(mine.any(axis=axis)) for axis in (1, 0))
    chunks = [
        (row, column)
        for row in range((window.top + int(rows[0]) - top) // side, (window.top + int(rows[-1]) - top) // side + 1)
        for column in range(
            (window.left + int(columns[0]) - left) // side, (window.left + int(columns[-1]) - left) // side + 1
        )
    ]
    tally.add(len(chunks))
    kind: Kind = "ids" if mask.kind == "detector_footprint" else "bits"
    wants = [
        Want(f"{one.folder}/{mask.chunk_key(*chunk)}", one.product, kind, native, window.level.reduction)
        for chunk in chunks
    ]
    for (row, column), found in zip(chunks, objects.get(wants), strict=True):
        if isinstance(found, Broken):
            made.broken[one.product] = found
            continue
        common = window.common(top + row * side, left + column * side, side, side)
        if common is not None and not found.empty:
            place = common[0], common[1]
            np.copyto(target[place], found.pixels[common[2], common[3]], where=mine[place])
