"""Edge-aware smoothing: the guided filter of He, Sun and Tang (2013), each band its own guide, in whole numbers.

Sums over squares are of whole numbers and exact; what is divided is divided pixel by pixel in float64 and rounded, so a
value is a function of the (4 r + 1) x (4 r + 1) pixels around it, whatever window it is computed in. Two squares of
2 r + 1 pixels follow each other: the reach is 2 r (`reach`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from workflows.disks import box_sum
from workflows.errors import WorkflowError

if TYPE_CHECKING:
    from numpy.typing import NDArray

EDGE: Final = 100
"""Standard deviation, in units of the values (ten-thousandths), above which a square counts as having an edge."""
LARGEST: Final = 32_767
"""Largest absolute value: with it, all products stay below 2**53."""
_UNIT: Final = 1 << 12


def reach(radius: int) -> int:
    """Return the pixels around one that its smoothed value depends on."""
    return 2 * radius


def guided(values: NDArray[np.int64], valid: NDArray[np.bool_], radius: int, edge: int = EDGE) -> NDArray[np.int64]:
    """Return values smoothed where they vary less than an edge does.

    In each square around a valid pixel, with mean m and variance v of its valid pixels, a = v / (v + edge**2) and
    b = (1 - a) m; the result is mean(a) x + mean(b) over the squares that hold the pixel.

    Parameters
    ----------
    values : ndarray of int64, shape (y, x)
        Whole numbers within +-32,767.
    valid : ndarray of bool, shape (y, x)
        Where there are data; the rest takes no part.
    radius : int
        Pixels; squares have sides of 2 r + 1. 1 to 32.
    edge : int
        Standard deviation of an edge, in units of the values; at least 1.

    Returns
    -------
    ndarray of int64, shape (y, x)
        Smoothed values, rounded half to even; 0 where there are no data.

    Raises
    ------
    WorkflowError
        If radius, edge or values are out of range.
    """
    if not (1 <= radius <= 32 and edge >= 1):
        raise WorkflowError(f"the radius {radius} is not 1 to 32, or the edge {edge} is below 1")
    known = np.where(valid, values, 0).astype(np.int64)
    if known.size and max(-int(known.min()), int(known.max())) > LARGEST:
        raise WorkflowError(f"values of {known.min()} to {known.max()} are beyond +-{LARGEST}")
    counts = box_sum(valid.astype(np.int64), radius)
    some = np.maximum(counts, 1)
    sums, squares = box_sum(known, radius), box_sum(known * known, radius)
    spread = some * squares - sums * sums  # variance times the square of the count
    slope = np.rint(_UNIT * (spread / (spread + edge * edge * some * some))).astype(np.int64)
    level = np.rint((_UNIT - slope) * sums / some).astype(np.int64)
    slopes, levels = box_sum(np.where(valid, slope, 0), radius), box_sum(np.where(valid, level, 0), radius)
    smooth = np.rint((slopes * known + levels) / (_UNIT * some)).astype(np.int64)
    found: NDArray[np.int64] = np.where(valid, smooth, 0)
    return found
