"""Overviews: means of the pixels that have data."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abut.layout import BAND
from ingest.overviews import Pyramid, reductions


def slow_mean(cell: np.ndarray) -> int:
    """The obvious mean of a cell's valid pixels, rounded half up; 0 if there is none."""
    valid = [int(value) for value in cell.ravel() if value]
    if not valid:
        return 0
    return int(Fraction(sum(valid), len(valid)) + Fraction(1, 2))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.0, 0.02, 0.5, 1.0]))
def test_each_pixel_is_the_mean_of_what_has_data_below_it(seed: int, share: float) -> None:
    generator = np.random.default_rng(seed)
    band = BAND["B01"]
    block = (generator.integers(1, 65_536, (160, 160)) * (generator.random((160, 160)) < share)).astype("<u2")
    pyramid = Pyramid(band, (2, 3))
    pyramid.add(block, 1, 2)
    for reduction, level in pyramid.levels().items():
        side = 160 // reduction
        assert level.shape == (2 * side, 3 * side)
        found = level[side:, 2 * side :]
        assert not level[:side].any()
        assert not level[:, : 2 * side].any()
        for row, column in np.ndindex(found.shape):
            cell = block[row * reduction : (row + 1) * reduction, column * reduction : (column + 1) * reduction]
            assert found[row, column] == slow_mean(cell)


@pytest.mark.parametrize("name", ["B02", "B05", "B01"])
def test_every_reduction_divides_a_block(name: str) -> None:
    band = BAND[name]
    assert all(band.block_pixels % reduction == 0 for reduction in reductions(band.resolution))
    assert max(reductions(band.resolution)) == (64 if band.resolution == 10 else 16)
