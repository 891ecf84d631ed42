"""Putting pieces of a cube together to chunks of Zarr arrays, so that each chunk is encoded and written once.

A lazy cube is read in pieces that end where blocks do; chunks of the Zarr that it becomes are counted from its corner.
Where the two differ, as for legacy tiles, a piece ends inside of chunks: written as it comes, each chunk would be
fetched, decoded, encoded and written up to four times.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from concurrent.futures import Future

    from numpy.typing import NDArray

THREADS: Final = 8
"""Chunks that are written at once, while the next piece is read."""
LIMIT: Final = 100_000_000
"""Bytes of chunks that are not complete; beyond, the oldest ones are written as they are, and completed later."""

type _Key = tuple[int, int, int]


@dataclass(slots=True)
class _Chunk:
    """A chunk of all arrays that is not complete."""

    values: dict[str, NDArray[Any]]
    where: tuple[slice, slice, slice]
    left: int
    """Pixels that are missing."""
    begun: bool = False
    """Whether a part of it was written before."""


@dataclass(slots=True)
class ChunkWriter:
    """Writes arrays (time, y, x) of one shape whose chunks have one step; a context, at whose end all is written."""

    arrays: Mapping[str, Any]
    """Zarr arrays, in which nothing is yet."""
    _open: dict[_Key, _Chunk] = field(default_factory=dict)
    _early: dict[_Key, int] = field(default_factory=dict)
    """Chunks that were written before they were complete: how many pixels are missing."""
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(THREADS, "abut-zarr"))
    _pending: list[Future[None]] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                for chunk in self._open.values():
                    self._submit(chunk)
                self._wait()
        finally:
            self._pool.shutdown(cancel_futures=True)

    def add(self, step: int, rows: slice, columns: slice, values: Mapping[str, NDArray[Any]]) -> None:
        """Take a piece of one step; it does not overlap others.

        Parameters
        ----------
        step : int
            Index along time.
        rows, columns : slice
            Where it is.
        values : mapping
            By name of the array, shape (rows, columns).

        Raises
        ------
        Exception
            Whatever the store raised while earlier pieces were written.
        """
        complete = []
        for key, part, whole in self._parts(step, rows, columns):
            chunk = self._open.get(key) or self._begin(key, whole)
            inside, outside = _within(part, whole), _within(part, (rows, columns))
            for name, array in values.items():
                chunk.values[name][inside] = array[outside]
            chunk.left -= (part[0].stop - part[0].start) * (part[1].stop - part[1].start)
            if not chunk.left:
                complete.append(self._open.pop(key))
        self._wait()  # of the piece before: while it was written, this one was read
        for chunk in complete:
            self._submit(chunk)
        self._write_beyond_limit()

    def _parts(
        self, step: int, rows: slice, columns: slice
    ) -> Iterator[tuple[_Key, tuple[slice, slice], tuple[slice, slice]]]:
        """Yield the chunks that a piece touches: key, what of it the piece has, and all of it."""
        array = next(iter(self.arrays.values()))
        _, height, width = array.shape
        _, down, across = array.chunks
        for row in range(rows.start // down, -(-rows.stop // down)):
            for column in range(columns.start // across, -(-columns.stop // across)):
                whole = (
                    slice(row * down, min((row + 1) * down, height)),
                    slice(column * across, min((column + 1) * across, width)),
                )
                part = (
                    slice(max(rows.start, whole[0].start), min(rows.stop, whole[0].stop)),
                    slice(max(columns.start, whole[1].start), min(columns.stop, whole[1].stop)),
                )
                yield (step, row, column), part, whole

    def _begin(self, key: _Key, whole: tuple[slice, slice]) -> _Chunk:
        shape = (whole[0].stop - whole[0].start, whole[1].stop - whole[1].start)
        where = (slice(key[0], key[0] + 1), *whole)
        if key in self._early:
            self._wait()
            values = {name: np.array(array[where][0]) for name, array in self.arrays.items()}
            chunk = _Chunk(values, where, self._early.pop(key), begun=True)
        else:
            values = {name: np.full(shape, array.fill_value, array.dtype) for name, array in self.arrays.items()}
            chunk = _Chunk(values, where, shape[0] * shape[1])
        self._open[key] = chunk
        return chunk

    def _submit(self, chunk: _Chunk) -> None:
        for name, values in chunk.values.items():
            array = self.arrays[name]
            if chunk.begun or not _is_fill(values, array.fill_value):  # what is not there reads as the fill value
                self._pending.append(self._pool.submit(_write, array, chunk.where, values))

    def _wait(self) -> None:
        pending, self._pending = self._pending, []
        for one in pending:
            one.result()

    def _write_beyond_limit(self) -> None:
        """Write the oldest chunks though they are not complete, one after the other, until the rest is small enough."""
        size = sum(array.dtype.itemsize for array in self.arrays.values())
        while sum(size * values.size for chunk in self._open.values() for values in _first(chunk)) > LIMIT:
            key = next(iter(self._open))
            chunk = self._open.pop(key)
            self._early[key] = chunk.left
            self._wait()
            self._submit(chunk)
            self._wait()


def _within(part: tuple[slice, slice], whole: tuple[slice, slice]) -> tuple[slice, ...]:
    """Return a part counted from the corner of the whole."""
    return tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(part, whole, strict=True))


def _first(chunk: _Chunk) -> list[NDArray[Any]]:
    return list(chunk.values.values())[:1]


def _is_fill(values: NDArray[Any], fill: Any) -> bool:
    if values.dtype.kind == "f" and np.isnan(fill):
        return bool(np.isnan(values).all())
    return bool((values == fill).all())


def _write(array: Any, where: tuple[slice, slice, slice], values: NDArray[Any]) -> None:
    array[where] = values[None]
