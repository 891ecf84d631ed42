"""Arrays that are read when they are indexed, and how they are cut into chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from abut.lattice import Bounds
from abut.zone_array import ZoneArray, chunk_sizes
from tests.memory_blocks import ZONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

WINDOW = Bounds(ZONE, 480_000 - 1_260, 4_800_000 - 540, 480_000 + 20_040, 4_800_000 + 9_660)
SIZE = 20
ROWS, COLUMNS = WINDOW.shape(SIZE)
TRUTH: NDArray[np.int64] = np.arange(3 * ROWS * COLUMNS).reshape(3, ROWS, COLUMNS)


def read(part: Bounds, slots: Sequence[int]) -> NDArray[Any]:
    """What a reader does: whole cells of 60 m, some steps."""
    assert not any(edge % 60 for edge in (part.left, part.right, part.bottom, part.top))
    rows, columns = WINDOW.slices(part, SIZE)
    return TRUTH[list(slots)][:, rows, columns]


ARRAY = ZoneArray(read, WINDOW, SIZE, 3, TRUTH.dtype)


@pytest.mark.parametrize(
    "key",
    [
        np.s_[:, :, :],
        np.s_[...],
        np.s_[1],
        np.s_[1:3, 7],
        np.s_[..., 5],
        np.s_[0, 1, 2],
        np.s_[-1, -1, -1],
        np.s_[:, 4:11:3, 100:5:-7],
        np.s_[::-1, ::-1, ::-1],
        np.s_[::2, -5:, :4],
        np.s_[0, ROWS - 1 : ROWS, 0:1],
        np.s_[:, 5:5, :],
        np.s_[3:, 0, 0],
        np.s_[1, ..., 1],
    ],
    ids=str,
)
def test_a_part_is_that_of_the_whole(key: Any) -> None:
    assert (ARRAY.shape, ARRAY.ndim) == (TRUTH.shape, TRUTH.ndim)
    assert np.array_equal(ARRAY[key], TRUTH[key])
    assert ARRAY[key].shape == TRUTH[key].shape


@pytest.mark.parametrize("key", [np.s_[3], np.s_[0, ROWS], np.s_[0, 0, -COLUMNS - 1]])
def test_beyond_the_end_is_an_error(key: Any) -> None:
    with pytest.raises(IndexError):
        ARRAY[key]


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ({}, ((1, 1, 1), (510,), (1065,))),  # 1,920 px are 4 blocks, which are more than there is
        ("auto", ((1, 1, 1), (510,), (1065,))),
        (480, ((1, 1, 1), (3, 480, 27), (63, 480, 480, 42))),
        ({"x": 700, "y": 1, "time": 2}, ((2, 1), (3, 480, 27), (63, 480, 480, 42))),
        ({"x": 721}, ((1, 1, 1), (510,), (543, 522))),
        ({"x": -1, "y": -1, "time": -1}, ((3,), (510,), (1065,))),
    ],
)
def test_chunks_end_where_blocks_end(chunks: Any, expected: tuple[tuple[int, ...], ...]) -> None:
    found = chunk_sizes(chunks, WINDOW, SIZE, 3)
    assert tuple(map(sum, found)) == TRUTH.shape
    edges = np.cumsum(found[2])[:-1] * SIZE + WINDOW.left
    assert not (edges % 9_600).any()
    assert not ((WINDOW.top - np.cumsum(found[1])[:-1] * SIZE) % 9_600).any()
    assert found == expected
