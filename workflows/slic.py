"""Superpixels on a grid that is anchored in the zone: SLIC (Achanta et al. 2012) in whole numbers.

The seeds are cells of 16 x 16 pixels counted from the zone's origin. A pixel may belong to the cluster of its own cell
or of the eight around it, whatever the clusters' means have become; five rounds of assigning and averaging follow, and
nothing joins or splits afterwards. A cluster is known by its cell, everywhere.

**Reach.** At first a cluster is the mean of its cell. The choice of round k looks at the means of the 9 cells around a
pixel's own; a mean of round k at the choices of round k in the 9 cells around its own. So the choice of round 1 depends
on cells up to 1 away, each further round on 2 more: after K rounds 2 K - 1 = 9 cells, `CHOICE_REACH`. What is summed
over a pixel's cluster (up to 1 away, whose pixels lie up to 1 further) depends on 2 more: `MEAN_REACH`, 11 cells; from
any pixel of a cell that is at most 11 * 16 + 15 = 191 pixels.

**Exactness.** Values, positions and means are whole numbers. Scores are products of matrices in float64, in which every
product and partial sum is a whole number below 2**53: exact, whatever order they are added in. The first of equal
scores is taken, from the south-west.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from workflows.errors import WorkflowError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    type Floats = NDArray[np.float64]

CELL: Final = 16
"""Pixels along a side of a seed's cell."""
ROUNDS: Final = 5
"""Rounds of assigning and averaging."""
CHOICE_REACH: Final = 2 * ROUNDS - 1
"""Cells around a pixel's own on which the choice of its cluster depends."""
MEAN_REACH: Final = CHOICE_REACH + 2
"""Cells around a pixel's own on which sums over its cluster depend."""
NONE: Final = 255
"""Choice of a pixel without data."""
STEP: Final = 3
"""How much a pixel's distance weighs, in units of the values: more makes rounder clusters."""
LARGEST: Final = 1 << 14
"""Largest absolute value."""
NEIGHBOURS: Final = tuple((row, column) for row in (1, 0, -1) for column in (-1, 0, 1))
"""Rows (southward) and columns of the candidates by choice: from the south-west, row by row to the north-east."""
_NEVER: Final = float(1 << 50)


@dataclass(frozen=True, slots=True)
class Clusters:
    """Which cluster each pixel belongs to."""

    choice: NDArray[np.uint8]
    """Index into `NEIGHBOURS` of the cluster's cell relative to the pixel's own, (y, x); 255 where there
    are no data."""
    counts: NDArray[np.int64]
    """Pixels of each cluster, (cell rows, cell columns)."""


def slic(values: NDArray[np.int16], valid: NDArray[np.bool_]) -> Clusters:
    """Return the clusters of pixels.

    Parameters
    ----------
    values : ndarray of int16, shape (band, y, x)
        Whole numbers within +-16,384; y and x are whole cells, row 0 of a cell's pixels is in the north.
    valid : ndarray of bool, shape (y, x)
        Where there are data.

    Returns
    -------
    Clusters
        Beside what is given, memory is one byte a pixel, and what a row of cells takes in float64.

    Raises
    ------
    WorkflowError
        If shapes don't fit, or values are too large.
    """
    _, rows, columns = values.shape
    if valid.shape != (rows, columns) or rows % CELL or columns % CELL or not rows * columns:
        raise WorkflowError(f"{valid.shape} flags and {rows} x {columns} values: not as many, or no cells of {CELL}")
    if max(-int(values.min()), int(values.max())) > LARGEST:
        raise WorkflowError(f"values of {values.min()} to {values.max()} are beyond +-{LARGEST}")
    choice = np.where(valid, 4, NONE).astype(np.uint8)
    for _ in range(ROUNDS):
        means, counts = _means(_sums(values, choice))
        for row in range(rows // CELL):
            part = slice(row * CELL, (row + 1) * CELL)
            found = _nearest(values[:, part], means[row : row + 3], counts[row : row + 3] > 0)
            choice[part] = np.where(valid[part], found, NONE)
    pixels = np.zeros((rows // CELL + 2, columns // CELL + 2, 1))
    for row in range(rows // CELL):
        add_row(pixels, row, choice[row * CELL : (row + 1) * CELL], np.ones((1, CELL, columns)))
    return Clusters(choice, pixels[1:-1, 1:-1, 0].astype(np.int64))


def add_row(sums: Floats, row: int, choice: NDArray[np.uint8], layers: NDArray[np.generic]) -> Floats:
    """Add the pixels of a row of cells to the sums of their clusters.

    Parameters
    ----------
    sums : ndarray of float64, shape (cell rows + 2, cell columns + 2, layer)
        Whole numbers, with a rim of one cell; changed.
    row : int
        Row of cells.
    choice : ndarray of uint8, shape (16, x)
        Choices of its pixels.
    layers : ndarray, shape (layer, 16, x)
        Whole numbers; sums must stay below 2**53.

    Returns
    -------
    ndarray of float64, shape (cell columns, 9, layer)
        What was added, by the pixels' own cell and their choice.
    """
    chosen = (_cells(choice[None]) == np.arange(len(NEIGHBOURS))[:, None]).astype(np.float64)
    added: Floats = chosen @ _cells(layers).transpose(0, 2, 1).astype(np.float64)
    for number, (down, right) in enumerate(NEIGHBOURS):
        sums[row + 1 + down, 1 + right : 1 + right + len(added)] += added[:, number]
    return added


def _cells(layers: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return (layer, 16, x) as (cell, layer, pixel)."""
    count, _, columns = layers.shape
    apart = layers.reshape(count, CELL, columns // CELL, CELL).transpose(2, 0, 1, 3)
    return apart.reshape(columns // CELL, count, CELL * CELL)


def _places(columns: int) -> Floats:
    """Return ones and the places (down, right) of the pixels of a row of cells in their own cell, (3, 16, x)."""
    down, right = np.mgrid[0:CELL, 0:columns] * STEP
    return np.stack([np.ones_like(down), down, right % (CELL * STEP)]).astype(np.float64)


def _sums(values: NDArray[np.int16], choice: NDArray[np.uint8]) -> Floats:
    """Return count, place relative to the cluster's own cell, and values, summed over clusters, with a rim."""
    bands, rows, columns = values.shape
    sums = np.zeros((rows // CELL + 2, columns // CELL + 2, 3 + bands))
    places = _places(columns)
    for row in range(rows // CELL):
        part = slice(row * CELL, (row + 1) * CELL)
        added = add_row(sums, row, choice[part], np.concatenate([places, values[:, part]]))
        for number, (down, right) in enumerate(NEIGHBOURS):
            place = sums[row + 1 + down, 1 + right : 1 + right + len(added)]
            place[:, 1] -= down * CELL * STEP * added[:, number, 0]
            place[:, 2] -= right * CELL * STEP * added[:, number, 0]
    return sums


def _means(sums: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Return whole means of places and values, halves upward, and counts."""
    counts = sums[..., 0].astype(np.int64)
    some = np.maximum(counts, 1)[..., None]
    return ((2 * sums[..., 1:].astype(np.int64) + some) // (2 * some)).astype(np.float64), counts


def _nearest(values: NDArray[np.int16], means: Floats, there: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the choice of each pixel of a row of cells: squared distance, without the pixel's own square."""
    bands, _, columns = values.shape
    wide = columns // CELL
    terms = np.empty((wide, len(NEIGHBOURS), 3 + bands))
    for number, (down, right) in enumerate(NEIGHBOURS):
        side = slice(1 + right, 1 + right + wide)
        mean = means[1 + down, side].copy()
        mean[:, 0] += down * CELL * STEP
        mean[:, 1] += right * CELL * STEP
        terms[:, number, 0] = np.where(there[1 + down, side], (mean * mean).sum(axis=1), _NEVER)
        terms[:, number, 1:] = -2 * mean
    pixels = _cells(np.concatenate([_places(columns), values]))
    scores = terms @ pixels
    best, choice = scores[:, 0].copy(), np.zeros((wide, CELL * CELL), np.uint8)
    for number in range(1, len(NEIGHBOURS)):
        np.copyto(choice, number, where=scores[:, number] < best)
        np.minimum(best, scores[:, number], out=best)
    return choice.reshape(wide, CELL, CELL).transpose(1, 0, 2).reshape(CELL, columns)
