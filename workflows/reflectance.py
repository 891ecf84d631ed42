"""Reflectance of a band at its own or a coarser pixel size, the same whatever window it is computed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workflows.errors import WorkflowError
from workflows.scene import RESOLUTION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from workflows.scene import Scene

_STRIP: Final = 1 << 17
"""Pixels that are summed at a time: a megabyte or two, which the processor's caches hold."""


def block_sums(array: NDArray[np.uint16], factor: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return sums of DN > 0 and their number over cells of `factor` x `factor` pixels.

    Parameters
    ----------
    array : ndarray of uint16, shape (y, x)
        Digital numbers; rows and columns are multiples of the factor.
    factor : int
        Pixels along a side of a cell.

    Returns
    -------
    sums, counts : ndarray of int64, shape (y / factor, x / factor)
        Exact integers.
    """
    rows, columns = array.shape
    if rows % factor or columns % factor:
        raise WorkflowError(f"{rows} x {columns} pixels can't be cut into cells of {factor} x {factor}")
    sums, counts = (np.empty((rows // factor, columns // factor), np.int64) for _ in range(2))
    for cells, part in strips(array, factor):
        sums[cells] = cell_sums(part, factor, np.uint32)
        counts[cells] = cell_sums(part > 0, factor, np.uint16)
    return sums, counts


def any_seen(array: NDArray[np.uint16], factor: int) -> NDArray[np.bool_]:
    """Return the cells of `factor` x `factor` pixels that have a DN > 0, (y / factor, x / factor)."""
    rows, columns = array.shape
    found = np.empty((rows // factor, columns // factor), np.bool_)
    for cells, part in strips(array, factor):
        most = part[0::factor].copy()
        for row in range(1, factor):
            np.maximum(most, part[row::factor], out=most)
        some = most[:, 0::factor] > 0
        for column in range(1, factor):
            some |= most[:, column::factor] > 0
        found[cells] = some
    return found


def strips[T: np.generic](array: NDArray[T], factor: int) -> Iterator[tuple[slice, NDArray[T]]]:
    """Yield rows of cells of `factor` x `factor` pixels, and their pixels: as many as fit into a little memory."""
    step = max(_STRIP // max(array.shape[1] * factor, 1), 1)
    for start in range(0, len(array) // factor, step):
        stop = min(start + step, len(array) // factor)
        yield slice(start, stop), array[start * factor : stop * factor]


def cell_sums[T: np.generic](values: NDArray[Any], factor: int, dtype: type[T]) -> NDArray[T]:
    """Return sums over cells of `factor` x `factor` pixels, as numbers of a type that holds them.

    Rows are added first: they run through memory in order.
    """
    rows: NDArray[Any] = values[0::factor].astype(dtype)
    for row in range(1, factor):
        rows += values[row::factor]
    cells = rows[:, 0::factor].copy()
    for column in range(1, factor):
        cells += rows[:, column::factor]
    return cells


def reflectance(scene: Scene, band: str, size: int) -> NDArray[np.float64]:
    """Return top-of-atmosphere reflectance of a band: (mean of DN > 0 + offset) / quantification value.

    Parameters
    ----------
    scene : Scene
        What is given.
    band : str
        Band, such as ``B04``.
    size : int
        Pixel size of the result in metres: the band's own or a multiple of it. The mean of a cell is over those of
        its pixels that have data.

    Returns
    -------
    ndarray of float64, shape (y, x)
        Reflectance of the whole scene; NaN where no pixel of the cell has data.

    Raises
    ------
    MissingBandError
        If the band was not given.
    WorkflowError
        If the pixel size is no multiple of the band's, or does not divide 60 m.
    """
    scene.require([band])
    own = RESOLUTION[band]
    if size % own or 60 % size:
        raise WorkflowError(f"{band} has pixels of {own} m: they can't make pixels of {size} m")
    sums, counts = block_sums(scene.bands[band], size // own)
    with np.errstate(invalid="ignore"):
        mean = sums / counts  # float64 of exact integers: the same in any window
    values: NDArray[np.float64] = (mean + scene.offsets.get(band, 0)) / scene.quantification
    return values
