"""Where two results differ: how many pixels, by distance to ground that a lone tile lacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workflows.errors import WorkflowError
from workflows.runs.results import ground
from workflows.scene import COARSEST, RESOLUTION

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from abut.lattice import Bounds

_EDGES: Final = (300, 1_000, 3_000, 6_000)
"""Distances in metres at which rings end, as far as the workflow's radius is larger."""
_ROWS: Final = 1_024


@dataclass(frozen=True, slots=True)
class Difference:
    """How the values of two variables of the same ground differ, bit for bit."""

    pixels: int
    """Number of values."""
    differing: int
    """Number of values whose bits differ."""
    easting: float | None = None
    """Of the centre of the first that differs, in reading order from the north-west, in metres; None if none does."""
    northing: float | None = None
    """As `easting`."""
    largest: float | None = None
    """Largest absolute difference of numbers; None if there is none, or only NaN is on one side."""

    def __str__(self) -> str:
        if not self.differing:
            return f"equal ({self.pixels:,} values)"
        by = "" if self.largest is None else f", by up to {self.largest:g}"
        return (
            f"{self.differing:,} of {self.pixels:,} values differ{by}; the first at "
            f"{self.easting:.0f} E, {self.northing:.0f} N"
        )


@dataclass(frozen=True, slots=True)
class Ring:
    """Pixels at some distance from ground that a lone tile lacks."""

    label: str
    """Such as ``0.3-1 km``."""
    least: int
    """Shortest distance in metres, inclusive; 0: pixels of that ground itself."""
    most: int | None
    """Longest distance in metres, inclusive; None: as far as it goes."""
    pixels: int
    """Number of values of the result there."""
    differing: int
    """Number of those that differ."""


def is_different(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where the bits of two arrays of one shape and type differ: NaN equals itself, -0.0 is not 0.0."""
    if first.dtype.kind == "c":
        return is_different(first.real, second.real) | is_different(first.imag, second.imag)
    if first.dtype.kind == "f":
        word = np.dtype(f"u{first.dtype.itemsize}")
        first, second = (np.ascontiguousarray(one).view(word) for one in (first, second))
    found: NDArray[np.bool_] = first != second
    return found


def difference(first: xr.DataArray, second: xr.DataArray) -> Difference:
    """Return how two variables differ.

    Parameters
    ----------
    first, second : xarray.DataArray
        Variables (..., y, x), as `workflows.runs.results.variables` returns them.

    Raises
    ------
    WorkflowError
        If type, shape or ground differ: there is nothing to count then.
    """
    require_alike(first, second)
    shape = first.shape[-2:]
    one, two = (array.to_numpy().reshape(-1, *shape) for array in (first, second))
    count, place, largest = 0, None, None
    for start in range(0, shape[0], _ROWS):
        parts = one[:, start : start + _ROWS], two[:, start : start + _ROWS]
        wrong = is_different(*parts)
        found = np.count_nonzero(wrong)
        if not found:
            continue
        if place is None:
            row, column = np.argwhere(wrong.any(axis=0))[0]
            place = start + int(row), int(column)
        count += int(found)
        largest = largest_step(largest, *(part[wrong] for part in parts))
    if place is None:
        return Difference(one.size, 0)
    return Difference(one.size, count, float(first["x"][place[1]]), float(first["y"][place[0]]), largest)


def largest_step(before: float | None, first: NDArray[Any], second: NDArray[Any]) -> float | None:
    """Return the largest absolute difference of two arrays, and of what came before; None if there is no number."""
    wide: Any = np.clongdouble if first.dtype.kind == "c" else np.longdouble  # exact for whole numbers of 64 bits
    with np.errstate(invalid="ignore"):  # infinite on both sides
        steps = np.abs(first.astype(wide) - second.astype(wide))
    steps = steps[~np.isnan(steps)]
    found = [] if before is None else [before]
    return max([*found, float(steps.max())]) if steps.size else before


def require_alike(first: xr.DataArray, second: xr.DataArray) -> None:
    """Require that two variables have the same type, shape and ground."""
    if first.dtype != second.dtype or first.shape != second.shape or first.dims != second.dims:
        raise WorkflowError(f"{first.name}: {first.dtype} {first.shape} here, {second.dtype} {second.shape} there")
    if not all(np.array_equal(first[axis], second[axis]) for axis in ("y", "x")):
        raise WorkflowError(f"{first.name}: the pixels of two results are not the same ground")


def lacking(lone: xr.DataTree, near: xr.DataTree) -> NDArray[np.bool_]:
    """Return where a lone tile lacks ground.

    Parameters
    ----------
    lone : xarray.DataTree
        Moment of a product alone.
    near : xarray.DataTree
        Moment of the same ground and what is around it, of the same bands.

    Returns
    -------
    ndarray of bool, shape (rows, columns)
        Squares of 60 m of the window of `near`, row 0 in the north: those outside of the window of `lone`, and those
        in which a pixel of some band is not the same.
    """
    window = ground(near, "window")
    own = ground(lone, "window").intersection(window)
    found = np.ones(window.shape(COARSEST), np.bool_)
    if own is None:
        return found
    inner = np.zeros(own.shape(COARSEST), np.bool_)
    tile = ground(lone, "window")
    for name, array in pixels_of(near).items():
        inner |= _unequal(pixels_of(lone)[name], array, tile, window, own)
    found[window.slices(own, COARSEST)] = inner
    return found


def pixels_of(moment: xr.DataTree) -> dict[str, xr.DataArray]:
    """Return the digital numbers of a moment by band: ``B02``."""
    return {
        str(name).upper(): array
        for node in moment.children.values()
        for name, array in node.data_vars.items()
        if str(name).upper() in RESOLUTION
    }


def _unequal(lone: xr.DataArray, near: xr.DataArray, tile: Bounds, window: Bounds, own: Bounds) -> NDArray[np.bool_]:
    """Return the squares of 60 m in which two arrays of a band differ."""
    size = window.width // near.sizes["x"]
    wrong = lone.to_numpy()[tile.slices(own, size)] != near.to_numpy()[window.slices(own, size)]
    rows, columns = own.shape(COARSEST)
    side = COARSEST // size
    found: NDArray[np.bool_] = wrong.reshape(rows, side, columns, side).any(axis=(1, 3))
    return found


def distances(missing: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the Chebyshev distance in metres of each square of 60 m to the nearest one that is missing.

    Parameters
    ----------
    missing : ndarray of bool, shape (rows, columns)
        What `lacking` returns.

    Returns
    -------
    ndarray of int32, shape (rows, columns)
        0 in those that are missing; the largest int32 everywhere if none is.
    """
    from scipy.ndimage import distance_transform_cdt  # noqa: PLC0415 - slow to import

    if not missing.any():
        return np.full(missing.shape, np.iinfo(np.int32).max, np.int32)
    found: NDArray[np.int32] = distance_transform_cdt(~missing, metric="chessboard").astype(np.int32) * COARSEST
    return found


def on_pixels(metres: NDArray[np.int32], window: Bounds, variable: xr.DataArray) -> NDArray[np.int32]:
    """Return the distance of each pixel of a variable: the shortest of the squares of 60 m that it touches.

    Parameters
    ----------
    metres : ndarray of int32, shape (rows, columns)
        Distances by squares of 60 m.
    window : Bounds
        Their ground.
    variable : xarray.DataArray
        With pixel centres x and y inside of the window, evenly spaced.

    Returns
    -------
    ndarray of int32, shape (y, x)
    """
    y, x = (variable[axis].to_numpy().astype(np.float64) for axis in ("y", "x"))
    down = _shortest(metres, window.top - y, abs(y[0] - y[1]), axis=0)
    return _shortest(down, x - window.left, abs(x[1] - x[0]), axis=1)


def _shortest(metres: NDArray[np.int32], offsets: NDArray[np.float64], size: float, *, axis: int) -> NDArray[np.int32]:
    """Return the minimum over the squares that pixels with centres at some offsets touch, along an axis."""
    small = 1e-6 * size  # edges that touch are no overlap
    last = metres.shape[axis] - 1
    first = np.clip(np.floor((offsets - size / 2 + small) / COARSEST).astype(np.intp), 0, last)
    end = np.clip(np.ceil((offsets + size / 2 - small) / COARSEST).astype(np.intp) - 1, 0, last)
    found = metres.take(first, axis)
    for step in range(1, int((end - first).max()) + 1):
        np.minimum(found, metres.take(np.minimum(first + step, end), axis), out=found)
    return found


def rings(differing: NDArray[np.bool_], metres: NDArray[np.int32], radius: int) -> tuple[Ring, ...]:
    """Count pixels by distance.

    Parameters
    ----------
    differing : ndarray of bool, shape (..., y, x)
        Which ones differ.
    metres : ndarray of int32, shape (y, x)
        Their distances.
    radius : int
        Metres that the workflow looks around a pixel; rounded up to squares of 60 m.

    Returns
    -------
    tuple of Ring
        Ground that is missing itself, then rings outwards, and at last what lies beyond the radius.
    """
    reach = -(-radius // COARSEST) * COARSEST
    ends = [0, *(edge for edge in _EDGES if edge < reach), *([reach] if reach else [])]
    counts = np.digitize(metres, ends, right=True)
    layers = differing.reshape(-1, *metres.shape)
    per_pixel = layers.sum(axis=0)
    found = np.bincount(counts.ravel(), minlength=len(ends) + 1) * len(layers)
    wrong = np.bincount(counts.ravel(), weights=per_pixel.ravel(), minlength=len(ends) + 1)
    made = []
    for number, count in enumerate(found):
        least = 0 if number == 0 else ends[number - 1] // COARSEST * COARSEST + COARSEST
        most = ends[number] if number < len(ends) else None
        label = _label(0 if number == 0 else ends[number - 1], most)
        made.append(Ring(label, least, most, int(count), int(wrong[number])))
    return tuple(made)


def _label(start: int, end: int | None) -> str:
    if end == 0:
        return "not in the lone tile"
    if end is None:
        return f"beyond {start / 1000:g} km"
    return f"{start / 1000:g}-{end / 1000:g} km"
