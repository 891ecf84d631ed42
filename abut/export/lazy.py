"""Pieces of lazy rasters, some of which are computed ahead while others are written: stores answer late.

Dask prepares a graph as a whole whenever something of it is computed, and a cube has thousands of pieces. Here it is
prepared once; each piece is then computed of its own tasks alone.
"""

from __future__ import annotations

import contextvars
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from concurrent.futures import Future

    import xarray as xr
    from numpy.typing import NDArray

AHEAD: Final = 4
"""Pieces that are computed at once, of which the first is given out."""

type Piece = tuple[int, slice, slice]
"""Index along time, rows, columns; it begins and ends where chunks do."""


def computed(
    dataset: xr.Dataset, pieces: Sequence[Piece], scheduler: str | None = None
) -> Generator[dict[str, NDArray[Any]]]:
    """Compute pieces one after the other.

    Parameters
    ----------
    dataset : xarray.Dataset
        Lazy variables (time, y, x) of one shape.
    pieces : sequence of (int, slice, slice)
        Step, rows and columns, cut where the chunks of the first variable are.
    scheduler : str, optional
        How Dask computes the tasks of a piece. Default: as it is configured.

    Yields
    ------
    dict of str to ndarray, shape (y, x)
        The variables of each piece, in the order of the pieces.

    Raises
    ------
    Exception
        Whatever the tasks raised.
    """
    source = _Source(dataset, scheduler)
    waiting: deque[Future[dict[str, NDArray[Any]]]] = deque()
    pool = ThreadPoolExecutor(AHEAD, "abut-pieces")
    try:
        for piece in pieces:
            if len(waiting) == AHEAD:
                yield waiting.popleft().result()
            waiting.append(pool.submit(contextvars.copy_context().run, source.read, piece))
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


class _Source:
    """The tasks of lazy variables, prepared."""

    def __init__(self, dataset: xr.Dataset, scheduler: str | None) -> None:
        import dask.threaded  # noqa: PLC0415 - an extra
        from dask.base import get_scheduler  # noqa: PLC0415 - as above

        lazy: dict[str, Any] = {str(name): variable.data for name, variable in dataset.data_vars.items()}
        first = next(iter(lazy.values()))
        chunks = ((1,) * first.shape[0], *first.chunks[1:])
        arrays: list[Any] = [array.rechunk(chunks) for array in lazy.values()]
        chosen: Any = get_scheduler(scheduler=scheduler, collections=arrays)  # type: ignore[no-untyped-call]
        self._get: Any = chosen or dask.threaded.get
        self._graph: dict[Any, Any] = {}
        for array in arrays:
            # As it is: Dask's optimization would repeat what several variables are made of in each of them.
            self._graph.update(array.__dask_graph__())
        self._names = {name: array.name for name, array in zip(lazy, arrays, strict=True)}
        self._rows, self._columns = (_numbers(sizes) for sizes in chunks[1:])

    def read(self, piece: Piece) -> dict[str, NDArray[Any]]:
        """Compute a piece."""
        from dask.optimization import cull  # noqa: PLC0415 - an extra

        step, rows, columns = piece
        down = range(self._rows[rows.start], self._rows[rows.stop])
        across = range(self._columns[columns.start], self._columns[columns.stop])
        keys = {
            name: [[(known, step, row, column) for column in across] for row in down]
            for name, known in self._names.items()
        }
        wanted: list[Any] = list(keys.values())
        tasks, _ = cull(self._graph, wanted)  # type: ignore[no-untyped-call]
        blocks = self._get(tasks, wanted)
        return {name: np.block(_listed(found))[0] for name, found in zip(keys, blocks, strict=True)}


def _listed(blocks: Any) -> Any:
    """Return nested sequences as lists: schedulers return either."""
    return [_listed(one) for one in blocks] if isinstance(blocks, list | tuple) else blocks


def _numbers(sizes: Sequence[int]) -> Mapping[int, int]:
    """Return the number of the chunk that begins at each edge; at the last edge, how many there are."""
    return {edge: number for number, edge in enumerate(accumulate(sizes, initial=0))}
