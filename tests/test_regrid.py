"""Pixels of 10, 20 and 60 m into each other, compared with loops over cells."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from abut.regrid import regrid_bits, regrid_dn, regrid_ids

PAIRS = [(10, 20), (10, 60), (20, 60)]


@pytest.mark.parametrize(("size", "target"), PAIRS)
def test_coarser_dn_are_means_of_data_rounded_half_to_even(size: int, target: int) -> None:
    chance, factor = np.random.default_rng(size), target // size
    pixels = (
        chance.integers(1, 12, (30 * factor, 20 * factor)) * (chance.random((30 * factor, 20 * factor)) < 0.3)
    ).astype(np.uint16)
    pixels[:factor, :factor] = 0
    pixels[:factor, factor : 2 * factor] = 65_535
    expected = np.zeros((30, 20), np.uint16)
    halves = 0
    for row, column in np.ndindex(30, 20):
        cell = pixels[row * factor : (row + 1) * factor, column * factor : (column + 1) * factor]
        data = [int(value) for value in cell.ravel() if value]
        if data:
            mean = Fraction(sum(data), len(data))
            halves += mean.denominator == 2
            expected[row, column] = round(mean)
    assert halves > 5
    assert np.array_equal(regrid_dn(pixels, size, target), expected)
    assert expected[0, 0] == 0
    assert expected[0, 1] == 65_535


@pytest.mark.parametrize(("target", "size"), PAIRS)
def test_finer_pixels_repeat_the_one_that_covers_them(size: int, target: int) -> None:
    pixels = np.arange(12, dtype=np.uint16).reshape(3, 4)
    factor = size // target
    finer = regrid_dn(pixels, size, target)
    assert finer.shape == (3 * factor, 4 * factor)
    for row, column in np.ndindex(*finer.shape):
        assert finer[row, column] == pixels[math.floor(row / factor), math.floor(column / factor)]
    assert np.array_equal(regrid_bits(pixels.astype(np.uint8), size, target), finer)


def test_coarser_flags_are_all_that_are_set_in_the_cell() -> None:
    mask = np.zeros((6, 12), np.uint8)
    mask[1, 2], mask[5, 5], mask[0, 11] = 1, 4, 128
    assert regrid_bits(mask, 10, 60).tolist() == [[5, 128]]


def test_a_coarser_detector_is_that_of_the_first_pixel_that_has_one() -> None:
    detectors = np.array([[0, 0, 3, 4], [7, 8, 0, 5], [0, 0, 0, 6], [0, 0, 9, 6]], np.uint8)
    others = np.arange(16, dtype=np.uint8).reshape(4, 4)
    joined, taken = regrid_ids(detectors, 10, 20, others)
    assert joined.tolist() == [[7, 3], [0, 6]]
    assert taken.tolist() == [[4, 2], [8, 11]]
