"""Pixels of one size as pixels of another, where one size divides the other: repeated, or joined by exact rules.

Pixels of 10, 20 and 60 m lie on one grid, so nothing is interpolated. Finer from coarser: the pixel that covers the
place (nearest). Coarser from finer: a rule for what is counted, in whole numbers, so that the result depends on the
pixels of the cell alone and not on the window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def regrid_dn(pixels: NDArray[np.uint16], size: int, target: int) -> NDArray[np.uint16]:
    """Return DN on pixels of another size.

    Parameters
    ----------
    pixels : ndarray of uint16, shape (y, x)
        DN; 0 is nodata. The edges are those of whole pixels of both sizes.
    size, target : int
        Present and wanted pixel size in metres, one of which divides the other.

    Returns
    -------
    ndarray of uint16
        Repeated, or the mean of the DN > 0 of each cell, rounded half to even; 0 where a cell has none.
    """
    if target <= size:
        return repeated(pixels, size // target)
    cells = _cells(pixels, target // size)
    total: NDArray[np.uint32] = cells.sum(axis=(1, 3), dtype=np.uint32)
    count = np.count_nonzero(cells, axis=(1, 3)).astype(np.uint32)
    whole, rest = np.divmod(total, np.maximum(count, 1))
    up = (2 * rest > count) | ((2 * rest == count) & (count > 0) & (whole % 2 == 1))
    mean: NDArray[np.uint16] = (whole + up).astype(np.uint16)
    return mean


def regrid_bits(mask: NDArray[np.uint8], size: int, target: int) -> NDArray[np.uint8]:
    """Return flags on pixels of another size: repeated, or all bits that are set anywhere in the cell."""
    if target <= size:
        return repeated(mask, size // target)
    joined: NDArray[np.uint8] = np.bitwise_or.reduce(_cells(mask, target // size), axis=(1, 3))
    return joined


def regrid_ids(
    ids: NDArray[np.uint8], size: int, target: int, *others: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], ...]:
    """Return ids on pixels of another size, and what else is known of the pixels that were taken.

    Repeated, or that of the cell's first pixel with an id > 0, row by row from the north-west; where there is none,
    its first pixel.
    """
    if target <= size:
        return tuple(repeated(array, size // target) for array in (ids, *others))
    factor = target // size
    rows, columns = ids.shape[0] // factor, ids.shape[1] // factor
    first = np.argmax(_lists(ids, factor) > 0, axis=-1)[..., None]
    taken = (np.take_along_axis(_lists(array, factor), first, axis=-1) for array in (ids, *others))
    return tuple(array.reshape(rows, columns) for array in taken)


def repeated[T: np.generic](pixels: NDArray[T], factor: int) -> NDArray[T]:
    """Return pixels repeated in both directions."""
    if factor == 1:
        return pixels
    return np.repeat(np.repeat(pixels, factor, axis=0), factor, axis=1)


def _cells(pixels: NDArray[Any], factor: int) -> NDArray[Any]:
    """Split into cells: (row, row in the cell, column, column in the cell)."""
    rows, columns = pixels.shape
    return pixels.reshape(rows // factor, factor, columns // factor, factor)


def _lists(pixels: NDArray[Any], factor: int) -> NDArray[Any]:
    """List the pixels of each cell, row by row: (row, column, pixel)."""
    cells = _cells(pixels, factor).swapaxes(1, 2)
    return cells.reshape(*cells.shape[:2], factor * factor)
