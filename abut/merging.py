"""Merging a block of its holders: the first DN > 0 in their order wins, each as far as it may be shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from abut.codec import decode_block
from abut.errors import DigestMismatchError
from abut.unusable import explained

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from abut.blocks import BlockSource, Part
    from abut.lattice import Block, Bounds
    from abut.layout import Band


def merge(  # noqa: PLR0917 - what is read, and where to
    source: BlockSource,
    parts: Sequence[Part],
    band: Band,
    region: NDArray[np.uint16],
    block: Block,
    ground: Bounds,
    *,
    index: NDArray[np.uint8] | None = None,
) -> int:
    """Paste the holders of a block into an array, first DN > 0 first.

    Parameters
    ----------
    source : BlockSource
        Where the objects are.
    parts : sequence of Part
        Who holds the block, in the order of the overlay; at least one.
    band : Band
        The band.
    region : ndarray of uint16, shape (y, x)
        Where to paste; what was there is gone.
    block : Block
        The block.
    ground : Bounds
        What of the block the array is, on the grid of the band.
    index : ndarray of uint8, shape (y, x), optional
        Zeros; becomes the index of the part that each pixel is of, and stays 0 where none has data.

    Returns
    -------
    int
        Bytes that were read.

    Raises
    ------
    MissingObjectError, UnsupportedStoreError
        If an object is not there, or can't be reached.
    DigestMismatchError
        If an object is no block.
    """
    size, window = 0, block.bounds.slices(ground, band.resolution)
    cropped: dict[str, NDArray[np.uint16]] = {}  # what one object shows of several products
    for number, part in enumerate(parts):
        place, shown = _shown(part, block, window, band.resolution)
        target = region[place]
        holes = target == 0 if number else None
        if holes is not None and not holes.any():
            if part.crop is None:
                break
            continue
        key = part.key(band)
        pixels = cropped.get(key)
        if pixels is None:
            pixels, read = decoded(source, key, band)
            size += read
        if part.crop is not None:
            cropped[key] = pixels
            if number == 0:
                region[...] = 0
        np.copyto(target, pixels[shown], where=True if holes is None else holes)
        if index is not None and holes is not None:
            index[place][holes & (target > 0)] = number
    return size


def _shown(
    part: Part, block: Block, window: tuple[slice, slice], resolution: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return which pixels of a window of a block a holder may show, counted in the window and in the block."""
    if part.crop is None:
        return (slice(None), slice(None)), window
    inside, outside = [], []
    for wanted, crop in zip(window, block.bounds.slices(part.crop, resolution), strict=True):
        start = max(wanted.start, crop.start)
        stop = max(start, min(wanted.stop, crop.stop))
        inside.append(slice(start - wanted.start, stop - wanted.start))
        outside.append(slice(start, stop))
    return (inside[0], inside[1]), (outside[0], outside[1])


def decoded(source: BlockSource, key: str, band: Band) -> tuple[NDArray[np.uint16], int]:
    """Return an object of a band as pixels, shape (n, n), and its size in bytes; errors as `merge`."""
    where = f"{source.store.url}/{key}"
    with explained(where):
        data = source.store.get(key)
    try:
        return decode_block(data, band.block_pixels, source.profile), len(data)
    except ValueError as error:
        raise DigestMismatchError(f"{where}: {error}") from error
