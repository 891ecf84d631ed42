"""Pieces of lazy cubes: what Dask computes of the whole, computed piece by piece, some ahead."""

from __future__ import annotations

import threading
from typing import Any

import dask.array
import numpy as np
import pytest
import xarray as xr

from abut.export.lazy import AHEAD, computed

da: Any = dask.array
SHAPE = (2, 10, 12)
PIECES = [
    (step, rows, columns)
    for step in range(2)
    for rows in (slice(0, 3), slice(3, 10))
    for columns in (slice(0, 5), slice(5, 12))
]
VALUES = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)


def dataset(**arrays: Any) -> xr.Dataset:
    return xr.Dataset({name: (("time", "y", "x"), array) for name, array in arrays.items()})


def lazy(values: np.ndarray) -> Any:
    return da.from_array(values, chunks=((1, 1), (3, 7), (5, 4, 3)))


@pytest.mark.parametrize("scheduler", [None, "synchronous", "threads"])
def test_pieces_are_those_of_the_whole(scheduler: str | None) -> None:
    other = da.from_array(VALUES * 2, chunks=(2, 4, 12))  # cut elsewhere
    cube = dataset(one=lazy(VALUES) + 1, two=other)
    for (step, rows, columns), values in zip(PIECES, computed(cube, PIECES, scheduler), strict=True):
        assert np.array_equal(values["one"], VALUES[step, rows, columns] + 1)
        assert np.array_equal(values["two"], VALUES[step, rows, columns] * 2)


def test_what_variables_share_is_computed_once() -> None:
    calls: list[int] = []

    def both(block: np.ndarray) -> np.ndarray:
        if block.size:
            calls.append(1)
        return np.concatenate([block, -block])

    shared = da.map_blocks(both, lazy(VALUES)[:1], chunks=((2,), (3, 7), (5, 4, 3)), dtype=np.int16, meta=VALUES[:0])
    cube = dataset(plus=shared[:1], minus=shared[1:])
    pieces = PIECES[:4]
    for (_, rows, columns), values in zip(pieces, computed(cube, pieces), strict=True):
        assert np.array_equal(values["plus"], VALUES[0, rows, columns])
        assert np.array_equal(values["minus"], -VALUES[0, rows, columns])
    assert len(calls) == 6


def test_some_pieces_are_computed_ahead_but_not_all() -> None:
    begun: list[int] = []

    def noted(block: np.ndarray) -> np.ndarray:
        if block.size:
            begun.append(1)
        return block

    rows = [(0, slice(row, row + 1), slice(0, 1)) for row in range(40)]
    array = da.map_blocks(noted, da.zeros((1, 40, 1), chunks=1, dtype=np.int16), dtype=np.int16, meta=VALUES[:0])
    pieces = computed(dataset(one=array), rows)
    next(pieces)
    assert len(begun) <= AHEAD + 1
    pieces.close()
    assert len(begun) <= AHEAD + 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("abut-pieces")]


def test_what_a_task_raises_is_raised() -> None:
    def bad(block: np.ndarray) -> np.ndarray:
        if block.size and block.max() > 100:
            raise OSError("the store is silent")
        return block

    cube = dataset(one=da.map_blocks(bad, lazy(VALUES), dtype=np.int16, meta=VALUES[:0]))
    pieces = computed(cube, PIECES)
    assert np.array_equal(next(pieces)["one"], VALUES[0, :3, :5])
    with pytest.raises(OSError, match="silent"):
        list(pieces)
