"""Two arrays of one place, compared pixel by pixel: where they differ, and by how much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from abut.lattice import Bounds

_ROWS: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How the archive's array differs from the SAFE's."""

    count: int
    """Number of pixels that differ."""
    first_row: int
    """Row of the first of them, from the north, in reading order."""
    first_column: int
    """Its column, from the west."""
    easting: float
    """Easting of its centre in metres."""
    northing: float
    """Northing of its centre in metres."""
    rows: tuple[int, int]
    """First and last row with a differing pixel."""
    columns: tuple[int, int]
    """First and last column with a differing pixel."""
    minimum: int
    """Smallest difference, archive minus SAFE, among the pixels that differ."""
    maximum: int
    """Largest difference."""
    mean: float
    """Mean difference of the pixels that differ."""

    def __str__(self) -> str:
        return (
            f"{self.count} pixels differ, the first in row {self.first_row}, column {self.first_column} "
            f"({self.easting:.0f} E, {self.northing:.0f} N), all in rows {self.rows[0]}...{self.rows[1]}, "
            f"columns {self.columns[0]}...{self.columns[1]}, by {self.minimum:+d}...{self.maximum:+d}, "
            f"mean {self.mean:+.3f}"
        )


def compare(expected: NDArray[Any], found: NDArray[Any], bounds: Bounds, resolution: int) -> Difference | None:
    """Return how two arrays differ, or None if they are equal.

    Parameters
    ----------
    expected : ndarray of unsigned integers, shape (rows, columns)
        The SAFE's.
    found : ndarray of unsigned integers, shape (rows, columns)
        The archive's.
    bounds : Bounds
        Their ground.
    resolution : int
        Pixel size in metres.

    Raises
    ------
    ValueError
        If their shapes differ.
    """
    if expected.shape != found.shape:
        raise ValueError(f"arrays of {expected.shape} and {found.shape} pixels can't be compared")
    count, total, low, high = 0, 0, 0, 0
    first: tuple[int, int] | None = None
    last_row, left, right = 0, 0, 0
    for start in range(0, len(expected), _ROWS):
        rows, columns = np.nonzero(expected[start : start + _ROWS] != found[start : start + _ROWS])
        if not rows.size:
            continue
        rows += start
        steps = found[rows, columns].astype(np.int64) - expected[rows, columns].astype(np.int64)
        if first is None:
            first = int(rows[0]), int(columns[0])
            left, right, low, high = int(columns.min()), int(columns.max()), int(steps.min()), int(steps.max())
        last_row = int(rows[-1])
        left, right = min(left, int(columns.min())), max(right, int(columns.max()))
        low, high = min(low, int(steps.min())), max(high, int(steps.max()))
        count += rows.size
        total += int(steps.sum())
    if first is None:
        return None
    return Difference(
        count=count,
        first_row=first[0],
        first_column=first[1],
        easting=bounds.left + resolution * (first[1] + 0.5),
        northing=bounds.top - resolution * (first[0] + 0.5),
        rows=(first[0], last_row),
        columns=(left, right),
        minimum=low,
        maximum=high,
        mean=total / count,
    )
