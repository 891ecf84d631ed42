"""Sums, dilation and opening over small disks of pixels, in whole numbers: the same in any window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    type Flags = NDArray[np.bool_]


def disk(radius: int) -> list[tuple[int, int]]:
    """Return rows and columns, relative to the centre, of the pixels whose centres are within a radius in pixels."""
    reach = range(-radius, radius + 1)
    return [(row, column) for row in reach for column in reach if row * row + column * column <= radius * radius]


def disk_sum(values: NDArray[np.int64], radius: int) -> NDArray[np.int64]:
    """Return the sum over a disk around each pixel, (y, x); there is nothing beyond the edge."""
    rows, columns = values.shape
    padded = np.pad(values, radius)
    total = np.zeros_like(values)
    for row, column in disk(radius):
        total += padded[radius + row : radius + row + rows, radius + column : radius + column + columns]
    return total


def dilated(flags: Flags, radius: int) -> Flags:
    """Return pixels with a flagged one within a radius, (y, x); there is none beyond the edge."""
    rows, columns = flags.shape
    padded = np.pad(flags, radius)
    found = np.zeros_like(flags)
    for row, column in disk(radius):
        found |= padded[radius + row : radius + row + rows, radius + column : radius + column + columns]
    return found


def opened(flags: Flags, radius: int) -> Flags:
    """Return flagged pixels that lie in a flagged disk, (y, x); beyond the edge all count as flagged."""
    eroded = ~dilated(~flags, radius)
    return dilated(eroded, radius) & flags


def box_sum(values: NDArray[np.int64], radius: int) -> NDArray[np.int64]:
    """Return the sum over a square of 2 r + 1 pixels around each pixel, (y, x); there is nothing beyond the edge."""
    side = 2 * radius + 1
    rows, columns = values.shape
    total = np.zeros((rows + side, columns + side), np.int64)
    np.cumsum(np.cumsum(np.pad(values, radius), axis=0), axis=1, out=total[1:, 1:])
    found: NDArray[np.int64] = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    return found
