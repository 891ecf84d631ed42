"""Where the satellite looked: slanted bands of ground, in whole metres, decided exactly.

Everything is a set of half-planes with integer coefficients, so that a pixel is inside or not by integer
arithmetic alone: two tiles that share ground can't disagree. In each row of pixels a convex set is one run of
columns, which is what `runs` returns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from abut.lattice import Bounds, Zone


@dataclass(frozen=True, slots=True)
class HalfPlane:
    """The points with ``a * easting + b * northing < c``."""

    a: int
    """Coefficient of the easting."""
    b: int
    """Coefficient of the northing."""
    c: int
    """Limit."""

    def __contains__(self, point: tuple[int, int]) -> bool:
        return self.a * point[0] + self.b * point[1] < self.c

    @property
    def complement(self) -> HalfPlane:
        """The points that are not inside."""
        return HalfPlane(-self.a, -self.b, 1 - self.c)


@dataclass(frozen=True, slots=True, kw_only=True)
class Swath:
    """A slanted band of ground along a straight track, in the coordinates of one zone.

    Raises
    ------
    ValueError
        If the width is not positive, or the slope's second number is not.
    """

    zone: Zone
    """The zone whose coordinates these are."""
    easting: int
    """Easting in metres of a point on the centre line."""
    northing: int
    """Northing in metres of that point."""
    width: int = 12_000
    """Width in metres, measured due east."""
    slope: tuple[int, int] = (4, 15)
    """The track goes this many metres east on that many metres north (a descending orbit at mid latitudes)."""

    def __post_init__(self) -> None:
        if self.width <= 0 or self.slope[1] <= 0:
            raise ValueError(f"a swath of width {self.width} m and slope {self.slope} is no band of ground")

    def east_of(self, offset: int) -> HalfPlane:
        """Return the points at least `offset` metres due east of the centre line."""
        return self.west_of(offset).complement

    def west_of(self, offset: int) -> HalfPlane:
        """Return the points less than `offset` metres due east of the centre line."""
        east, north = self.slope
        return HalfPlane(north, -east, north * (self.easting + offset) - east * self.northing)

    def south_of(self, northing: int) -> HalfPlane:
        """Return the points behind the line that crosses the track at right angles at a northing of its centre."""
        east, north = self.slope
        along = (east * east + north * north) * (northing - self.northing)
        # Along the track: east * x + north * y, scaled by `north` to stay in integers.
        return HalfPlane(north * east, north * north, north * (east * self.easting + north * self.northing) + along)

    def north_of(self, northing: int) -> HalfPlane:
        """Return the points on or beyond that line."""
        return self.south_of(northing).complement

    def across(self, easting: NDArray[np.float64], northing: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the distance in metres due east of the centre line."""
        east, north = self.slope
        return easting - self.easting - (northing - self.northing) * east / north


def sides(bounds: Bounds) -> tuple[HalfPlane, HalfPlane, HalfPlane, HalfPlane]:
    """Return the half-planes whose common points are a rectangle, edges included on the left and bottom."""
    return (
        HalfPlane(1, 0, bounds.right),
        HalfPlane(0, 1, bounds.top),
        HalfPlane(-1, 0, 1 - bounds.left),
        HalfPlane(0, -1, 1 - bounds.bottom),
    )


def runs(area: Sequence[HalfPlane], bounds: Bounds, resolution: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return, for each row of pixels, the columns whose centres lie in all half-planes.

    Parameters
    ----------
    area : sequence of HalfPlane
        A convex piece of ground.
    bounds : Bounds
        The ground of the array; row 0 is northmost.
    resolution : int
        Pixel size in metres, even.

    Returns
    -------
    tuple of arrays of int64, each of shape (rows,)
        First column, and one past the last; equal where the row has none.
    """
    rows, columns = bounds.shape(resolution)
    first = np.zeros(rows, dtype=np.int64)
    stop = np.full(rows, columns, dtype=np.int64)
    y = bounds.top - resolution // 2 - resolution * np.arange(rows, dtype=np.int64)
    x0 = bounds.left + resolution // 2
    for plane in area:
        room = plane.c - plane.b * y - plane.a * x0  # a * resolution * column < room
        step = plane.a * resolution
        if step > 0:
            stop = np.minimum(stop, -(-room // step))
        elif step < 0:
            first = np.maximum(first, room // step + 1)
        else:
            stop = np.where(room > 0, stop, 0)
    first = np.minimum(first, columns)
    return first, np.maximum(np.minimum(stop, columns), first)


def fill(target: NDArray[np.uint8], value: int, spans: tuple[NDArray[np.int64], NDArray[np.int64]]) -> None:
    """Set the runs of columns of a (rows, columns) array to a value."""
    for row, (first, stop) in enumerate(zip(*spans, strict=True)):
        target[row, first:stop] = value


def polygon(area: Sequence[HalfPlane], bounds: Bounds) -> list[tuple[float, float]]:
    """Return the corners (easting, northing) of the part of a rectangle that lies in all half-planes.

    Clockwise from the upper left, not closed; empty where nothing is left. Cut sides run half a unit of their
    half-plane inside it.
    """
    corners: list[tuple[float, float]] = [
        (bounds.left, bounds.top),
        (bounds.right, bounds.top),
        (bounds.right, bounds.bottom),
        (bounds.left, bounds.bottom),
    ]
    for plane in area:
        corners = _clip(corners, plane)
    return corners


def _clip(corners: list[tuple[float, float]], plane: HalfPlane) -> list[tuple[float, float]]:
    kept: list[tuple[float, float]] = []
    # Between the integers, so that no pixel's centre lies on the line: inside and outside are the same as for `runs`.
    sides = [plane.a * x + plane.b * y - plane.c + 0.5 for x, y in corners]
    for i, ((x, y), side) in enumerate(zip(corners, sides, strict=True)):
        (px, py), before = corners[i - 1], sides[i - 1]
        if (side < 0) != (before < 0):
            t = before / (before - side)
            kept.append((px + t * (x - px), py + t * (y - py)))
        if side < 0:
            kept.append((x, y))
    return kept
