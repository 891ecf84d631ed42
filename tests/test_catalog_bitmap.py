"""Sets of blocks as text."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.bitmap import pack, unpack

if TYPE_CHECKING:
    from catalog.bitmap import Position

shapes = st.tuples(st.integers(1, 13), st.integers(1, 13))


@given(shape=shapes, data=st.data())
def test_any_set_of_blocks_comes_back(shape: tuple[int, int], data: st.DataObject) -> None:
    block = st.tuples(st.integers(0, shape[0] - 1), st.integers(0, shape[1] - 1))
    positions: set[Position] = data.draw(st.sets(block))
    assert unpack(pack(positions, shape), shape) == positions


@given(shape=shapes, data=st.data())
def test_bits_run_row_by_row_from_the_north_west(shape: tuple[int, int], data: st.DataObject) -> None:
    row, column = data.draw(st.integers(0, shape[0] - 1)), data.draw(st.integers(0, shape[1] - 1))
    packed = base64.b64decode(pack([(row, column)], shape))
    number = row * shape[1] + column
    assert [byte >> (7 - bit) & 1 for byte in packed for bit in range(8)].index(1) == number
    assert sum(byte.bit_count() for byte in packed) == 1


def test_hull_of_13_x_13_blocks_needs_32_characters() -> None:
    assert len(pack([], (13, 13))) == 32


@pytest.mark.parametrize("position", [(-1, 0), (0, -1), (12, 0), (0, 13)])
def test_block_outside_of_the_hull_is_refused(position: Position) -> None:
    with pytest.raises(ValueError, match=f"block row {position[0]}, column {position[1]} is outside"):
        pack([position], (12, 13))


def test_text_that_is_no_bitmap_of_the_hull_is_refused() -> None:
    with pytest.raises(ValueError, match="is not base64"):
        unpack("*", (2, 2))
    with pytest.raises(ValueError, match="of 2 bytes does not fit 2 x 2"):
        unpack(base64.b64encode(b"\0\0").decode(), (2, 2))
    with pytest.raises(ValueError, match="bits past the last"):
        unpack(base64.b64encode(b"\xff").decode(), (2, 2))
