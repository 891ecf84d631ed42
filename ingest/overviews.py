"""Overviews: nodata-aware means for display, aligned to the lattice, 1/4, 1/16 and, at 10 m, 1/64 of a side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from abut.codec import DTYPE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from abut.layout import Band

CHUNK: Final = 960
"""Side of the chunks of the overview arrays in pixels."""
STEP: Final = 4
"""Each level has 1/4 of the rows and columns of the one before."""


def reductions(resolution: int) -> tuple[int, ...]:
    """Return the reductions of a band's overviews: all divide the block's side in pixels."""
    return (4, 16, 64) if resolution == 10 else (4, 16)


class Pyramid:
    """The overviews of one band, filled block by block."""

    def __init__(self, band: Band, shape: tuple[int, int]) -> None:
        self._pixels = band.block_pixels
        self._levels = {
            reduction: np.zeros([blocks * self._pixels // reduction for blocks in shape], DTYPE)
            for reduction in reductions(band.resolution)
        }

    def add(self, block: NDArray[np.uint16], row: int, column: int) -> None:
        """Reduce one block of shape (n, n) into all levels."""
        total, count = block.astype(np.uint32), (block != 0).astype(np.uint32)
        for reduction, level in self._levels.items():
            total, count = _sum_cells(total), _sum_cells(count)
            side = self._pixels // reduction
            level[row * side : (row + 1) * side, column * side : (column + 1) * side] = _mean(total, count)

    def levels(self) -> dict[int, NDArray[np.uint16]]:
        """Return the overviews by reduction; each spans the hull."""
        return self._levels


def _sum_cells(values: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Sum 4 x 4 cells: rows first, which run through memory in order (10 times faster than a reshaped sum)."""
    rows = values[0::STEP] + values[1::STEP]
    rows += values[2::STEP]
    rows += values[3::STEP]
    cells: NDArray[np.uint32] = rows[:, 0::STEP] + rows[:, 1::STEP]
    cells += rows[:, 2::STEP]
    cells += rows[:, 3::STEP]
    return cells


def _mean(total: NDArray[np.uint32], count: NDArray[np.uint32]) -> NDArray[np.uint16]:
    """Mean of the pixels that have data, rounded half up; 0 where none has."""
    safe = np.maximum(count, 1)
    mean: NDArray[np.uint16] = ((total + safe // 2) // safe).astype(DTYPE)
    return mean
