"""Arrays (time, y, x) that are read when they are indexed, and such arrays as tasks of Dask."""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from abut.lattice import BLOCK_SIZE, GRID_STEP, Bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    type Read = Callable[[Bounds, Sequence[int]], NDArray[Any]]

CHUNK_PIXELS: Final = 1_920
"""Default side of a chunk in pixels: 2 blocks at 10 m, 4 at 20 m, 12 at 60 m; 7 MB of DN."""


@dataclass(frozen=True, eq=False)
class ZoneArray:
    """An array that reads what it is asked for; it can be pickled if its reader can."""

    read: Read
    """Returns a part of the ground, on the 60 m grid, at some steps."""
    window: Bounds
    """All of its ground, on the 60 m grid."""
    resolution: int
    """Pixel size in metres."""
    steps: int
    """Length of the time axis."""
    dtype: np.dtype[Any]
    """Type of its values."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Steps, rows, columns."""
        return self.steps, *self.window.shape(self.resolution)

    @property
    def ndim(self) -> int:
        """Three axes: time, y, x."""
        return 3

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Read a part, by slices and whole numbers."""
        time, rows, columns = _complete(key)
        steps = range(self.steps)[time]
        chosen = [steps] if isinstance(steps, int) else list(steps)
        _, height, width = self.shape
        down, row_index = self._span(rows, height)
        across, column_index = self._span(columns, width)
        if not chosen or not len(down) or not len(across):
            return self._nothing(key)
        size, window = self.resolution, self.window
        part = Bounds(
            window.zone,
            window.left + size * across.start,
            window.top - size * down.stop,
            window.left + size * across.stop,
            window.top - size * down.start,
        )
        whole = self.read(part, chosen)
        return whole[0 if isinstance(steps, int) else slice(None), row_index, column_index]

    def _span(self, key: slice | int, length: int) -> tuple[range, slice | int]:
        """Return the pixels to read, whole cells of 60 m, and what of them was asked for."""
        unit = GRID_STEP // self.resolution
        wanted = range(length)[key]
        if isinstance(wanted, int):
            first = wanted // unit * unit
            return range(first, first + unit), wanted - first
        if not len(wanted):
            return range(0), slice(0, 0)
        low, high = min(wanted[0], wanted[-1]), max(wanted[0], wanted[-1])
        first = low // unit * unit
        end = wanted[-1] - first + (1 if wanted.step > 0 else -1)
        index = slice(wanted[0] - first, None if end < 0 else end, wanted.step)
        return range(first, min(-(-(high + 1) // unit) * unit, length)), index

    def _nothing(self, key: Any) -> NDArray[Any]:
        """Return the empty array that a key means, without reading."""
        nothing: NDArray[Any] = np.broadcast_to(np.zeros((), self.dtype), self.shape)[key].copy()
        return nothing


def chunk_sizes(
    chunks: Mapping[str, int | str] | int | str, window: Bounds, resolution: int, steps: int
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return the sizes of chunks along time, y and x.

    Parameters
    ----------
    chunks : mapping, int or str
        Pixels along ``x`` and ``y``, rounded to whole blocks (at least one), and steps along ``time``; -1 for all,
        ``"auto"`` or nothing for the default (1,920 pixels, one step). A number is meant for both x and y.
    window : Bounds
        The ground.
    resolution : int
        Pixel size in metres.
    steps : int
        Length of the time axis.

    Raises
    ------
    ValueError
        If it is none of these.
    """
    if isinstance(chunks, int | str):
        chunks = {"x": chunks, "y": chunks}
    unknown = sorted(set(chunks) - {"time", "y", "x"})
    if unknown:
        raise ValueError(f"chunks of {unknown[0]!r}: the axes are time, y and x")
    sizes = {axis: _size(axis, chunks.get(axis, "auto")) for axis in ("time", "y", "x")}
    time = steps if sizes["time"] < 0 else sizes["time"] or 1
    south = window.zone.equator
    return (
        _runs(0, steps, max(time, 1)),
        _edges(window.bottom - south, window.top - south, resolution, sizes["y"])[::-1],
        _edges(window.left, window.right, resolution, sizes["x"]),
    )


def as_dask(array: ZoneArray, chunks: tuple[tuple[int, ...], ...], name: str) -> Any:
    """Return an array as a Dask array, a task for each chunk."""
    import dask.array  # noqa: PLC0415 - an extra

    made: Any = dask.array.from_array(  # type: ignore[no-untyped-call]
        array,
        chunks=chunks,
        name=f"abut-{name}-{uuid.uuid4().hex}",
        asarray=False,
        fancy=False,
        meta=np.empty((0, 0, 0), array.dtype),
    )
    return made


def _complete(key: Any) -> tuple[Any, Any, Any]:
    parts: list[Any] = list(key) if isinstance(key, tuple) else [key]
    if Ellipsis in parts:
        at = parts.index(Ellipsis)
        parts[at : at + 1] = [slice(None)] * (4 - len(parts))
    parts += [slice(None)] * (3 - len(parts))
    return parts[0], parts[1], parts[2]


def _size(axis: str, value: int | str) -> int:
    """Return a size as a number, 0 for the default."""
    if value in ("auto", ""):
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or value < -1 or value == 0:
        raise ValueError(f"chunks of {axis}: {value!r} is neither a number of pixels, -1 nor 'auto'")
    return value


def _edges(start: int, stop: int, resolution: int, pixels: int) -> tuple[int, ...]:
    """Cut metres at edges of blocks, counted from the block of the start; return sizes in pixels."""
    if pixels < 0:
        return ((stop - start) // resolution,)
    side = BLOCK_SIZE // resolution
    blocks = max(1, math.floor((pixels or CHUNK_PIXELS) / side + 0.5))
    first = start // BLOCK_SIZE * BLOCK_SIZE
    cuts = [at for at in range(first, stop, blocks * BLOCK_SIZE) if at > start]
    ends = [start, *cuts, stop]
    return tuple((end - begin) // resolution for begin, end in pairwise(ends))


def _runs(start: int, stop: int, size: int) -> tuple[int, ...]:
    return tuple(min(size, stop - at) for at in range(start, stop, size)) or (0,)
