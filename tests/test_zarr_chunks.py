"""Pieces that end anywhere become arrays whose chunks are written once each."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.storage import MemoryStore

from abut.export import zarr_chunks
from abut.export.zarr_chunks import ChunkWriter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

STEPS = 2


class Counting(MemoryStore):
    """Counts what is written and deleted."""

    def __init__(self) -> None:
        super().__init__()
        self.written: Counter[str] = Counter()
        self.deleted = 0

    async def set(self, key: str, value: Any, byte_range: Any = None) -> None:
        if key.endswith("broken/c/0/0/0"):
            raise OSError("the disk is full")
        self.written[key] += 1
        await super().set(key, value, byte_range)

    async def delete(self, key: str) -> None:
        self.deleted += 1
        await super().delete(key)


def made(store: Counting, values: dict[str, NDArray[Any]], side: int) -> dict[str, Any]:
    group = zarr.open_group(store, mode="a")
    return {
        name: group.create_array(
            name, shape=array.shape, dtype=array.dtype, chunks=(1, side, side), fill_value=fill_of(array)
        )
        for name, array in values.items()
    }


def fill_of(array: NDArray[Any]) -> float:
    return float("nan") if array.dtype.kind == "f" else 0


def pieces(cuts: tuple[list[int], list[int]], shape: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    rows, columns = (
        [0, *sorted({cut for cut in some if 0 < cut < size}), size] for some, size in zip(cuts, shape, strict=True)
    )
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            yield slice(top, bottom), slice(left, right)


def write(arrays: dict[str, Any], values: dict[str, NDArray[Any]], cuts: tuple[list[int], list[int]]) -> None:
    shape = next(iter(values.values())).shape
    with ChunkWriter(arrays) as writer:
        for step in range(shape[0]):
            for rows, columns in pieces(cuts, (shape[1], shape[2])):
                writer.add(step, rows, columns, {name: array[step, rows, columns] for name, array in values.items()})


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    side=st.integers(1, 16),
    cuts=st.tuples(st.lists(st.integers(1, 39), max_size=4), st.lists(st.integers(1, 39), max_size=4)),
    limit=st.sampled_from([0, 300, 10**9]),
    seed=st.integers(0, 9),
)
@settings(max_examples=60, deadline=None)
def test_any_pieces_give_the_whole_array(
    shape: tuple[int, int], side: int, cuts: tuple[list[int], list[int]], limit: int, seed: int
) -> None:
    random, (height, width) = np.random.default_rng(seed), shape
    dn = random.integers(1, 9_999, (STEPS, height, width), np.uint16)
    dn[:, : height // 2, : width // 2] = 0
    values: dict[str, NDArray[Any]] = {"dn": dn, "toa": np.where(dn == 0, np.nan, dn / 10_000).astype(np.float32)}
    store = Counting()
    arrays = made(store, values, side)
    before = zarr_chunks.LIMIT
    zarr_chunks.LIMIT = limit  # type: ignore[misc]
    try:
        write(arrays, values, cuts)
    finally:
        zarr_chunks.LIMIT = before  # type: ignore[misc]
    for name, array in values.items():
        assert np.array_equal(arrays[name][:], array, equal_nan=array.dtype.kind == "f")
    chunks = {key: number for key, number in store.written.items() if "/c/" in key}
    if limit == 10**9:
        assert set(chunks.values()) <= {1}
        assert not store.deleted
    has_data = {
        (step, row, column)
        for step in range(STEPS)
        for row in range(-(-height // side))
        for column in range(-(-width // side))
        if dn[step, row * side : (row + 1) * side, column * side : (column + 1) * side].any()
    }
    assert {tuple(map(int, key.split("/")[2:])) for key in chunks if key.startswith("dn/")} == has_data


def test_what_the_store_raises_is_raised() -> None:
    values = {"broken": np.ones((1, 8, 8), np.uint16)}
    arrays = made(Counting(), values, 4)
    with pytest.raises(OSError, match="the disk is full"):
        write(arrays, values, ([3], []))


def test_after_an_error_nothing_more_is_written() -> None:
    store = Counting()
    arrays = made(store, {"dn": np.ones((1, 8, 8), np.uint16)}, 8)

    def stopped() -> None:
        with ChunkWriter(arrays) as writer:
            writer.add(0, slice(0, 4), slice(0, 8), {"dn": np.ones((4, 8), np.uint16)})
            raise ValueError("no longer wanted")

    with pytest.raises(ValueError, match="no longer wanted"):
        stopped()
    assert not any("/c/" in key for key in store.written)
