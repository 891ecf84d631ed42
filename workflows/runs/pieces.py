"""Parts of moments, as somebody who has no more is given them: pieces with the radius around them, a lone tile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workflows.runs.distance import Difference, difference, pixels_of
from workflows.runs.results import ground
from workflows.runs.scenes import cut_moment
from workflows.scene import COARSEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    import xarray as xr
    from numpy.typing import NDArray

    from abut.lattice import Bounds

_NARROWEST = 4 * COARSEST
"""Sides in metres of the smallest piece."""


def pieces_of(moment: xr.DataTree, buffer: int) -> Iterator[xr.DataTree]:
    """Yield the four parts of a moment's core, each with no more around it than a buffer.

    They meet in the middle of the data, so that seams go through them. A core that is too narrow is not cut.

    Parameters
    ----------
    moment : xarray.DataTree
        With at least `buffer` metres around its core.
    buffer : int
        Metres, a multiple of 60.
    """
    core = ground(moment)
    band = min(pixels_of(moment).values(), key=lambda array: array.sizes["x"])
    size = ground(moment, "window").width // band.sizes["x"]
    seen = band.to_numpy()[ground(moment, "window").slices(core, size)] > 0
    x = _middle(seen.any(axis=0), core.left, core.right, size)
    y = core.bottom + core.top - _middle(seen.any(axis=1), core.bottom, core.top, size)
    for bottom, top in _parts(core.bottom, y, core.top):
        for left, right in _parts(core.left, x, core.right):
            part = type(core)(core.zone, left, bottom, right, top)
            yield cut_moment(moment, part.buffered(buffer), part)


def _middle(seen: NDArray[np.bool_], start: int, end: int, size: int) -> int:
    """Return where half of the lines with data lie behind, on the 60 m grid; `start` is where line 0 begins."""
    lines = np.flatnonzero(seen)
    half = int(np.median(lines)) * size if lines.size else (end - start) // 2
    return start + min(max(half, _NARROWEST), end - start - _NARROWEST) // COARSEST * COARSEST


def _parts(start: int, middle: int, end: int) -> list[tuple[int, int]]:
    return [(start, end)] if end - start < 2 * _NARROWEST else [(start, middle), (middle, end)]


def add_difference(whole: xr.DataArray, piece: xr.DataArray, before: Difference | None) -> Difference:
    """Compare a piece with the whole, and add what was found to what came before.

    A piece whose pixels are not on the whole's grid differs everywhere.
    """
    places = [_place(whole, piece, axis) for axis in ("y", "x")]
    rows, columns = places
    if rows is None or columns is None or piece.dtype != whole.dtype or piece.shape[:-2] != whole.shape[:-2]:
        found = Difference(piece.size, piece.size, float(piece["x"][0]), float(piece["y"][0]))
    else:
        found = difference(whole[..., rows, columns], piece)
    if before is None:
        return found
    first = before if before.differing else found
    steps = [one.largest for one in (before, found) if one.largest is not None]
    return Difference(
        before.pixels + found.pixels,
        before.differing + found.differing,
        first.easting,
        first.northing,
        max(steps, default=None),
    )


def _place(whole: xr.DataArray, piece: xr.DataArray, axis: str) -> slice | None:
    """Return which of the whole's rows or columns a piece has; None if they are others."""
    all_of, some = whole[axis].to_numpy(), piece[axis].to_numpy()
    (start,) = np.nonzero(all_of == some[0])
    if not start.size or not np.array_equal(all_of[start[0] : start[0] + len(some)], some):
        return None
    return slice(int(start[0]), int(start[0]) + len(some))


def lone_part(lone: xr.DataTree, window: Bounds, core: Bounds) -> xr.DataTree:
    """Return what a lone tile has of a window, for a core."""
    own = ground(lone, "window").intersection(window)
    return cut_moment(lone, own or core, core)


def angles_of(near: xr.DataTree, lone: xr.DataTree) -> xr.Dataset:
    """Return the angles of a moment, for the blocks of a lone tile."""
    part = cut_moment(near, ground(lone, "window"), ground(lone))
    return part["geometry"].to_dataset().copy(deep=True)


def with_angles(lone: xr.DataTree, angles: xr.Dataset) -> xr.DataTree:
    """Return a lone tile with other angles: all that it lacks are pixels."""
    made = lone.copy()
    made["geometry"] = type(lone)(angles)
    return made
