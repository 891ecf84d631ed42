"""Indices: each pixel as its formula says, and the same in any window."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workflows.scenes import SIDE, noise
from workflows.errors import MissingBandError, WorkflowError
from workflows.indices import INDICES, NODATA, quantized, spectral_index
from workflows.scene import RESOLUTION, Box, Scene

BOX = Box(600_000, -SIDE, 600_000 + SIDE, 0)
BANDS = tuple(RESOLUTION)


def exactly(scene: Scene, name: str, row: int, column: int) -> int:
    """Compute one pixel with fractions, straight from the definition."""
    index = INDICES[name]
    values = []
    for band in index.bands:
        factor = index.resolution // RESOLUTION[band]
        cell = scene.bands[band][row * factor : (row + 1) * factor, column * factor : (column + 1) * factor]
        seen = [int(dn) for dn in cell.flat if dn]
        if not seen:
            return NODATA
        values.append((Fraction(sum(seen), len(seen)) + scene.offsets[band]) / scene.quantification)
    a, b, *rest = values
    top, bottom = (a - b, a + b) if not rest else (Fraction(5, 2) * (a - b), a + 6 * b - Fraction(15, 2) * rest[0] + 1)
    return NODATA if bottom == 0 else max(-32_767, min(32_767, round(top / bottom * 10_000)))


@pytest.mark.parametrize("name", sorted(INDICES))
@pytest.mark.parametrize("offset", [0, -1000])
def test_every_pixel_is_what_the_formula_says(name: str, offset: int) -> None:
    box = Box(600_000, -1_200, 601_200, 0)
    scene = noise(BANDS, box, offset=offset)
    found = spectral_index(scene, name)
    rows, columns = box.shape(INDICES[name].resolution)
    assert found.shape == (rows, columns)
    expected = [exactly(scene, name, row, column) for row, column in product(range(rows), range(columns))]
    apart = np.abs(found.ravel().astype(int) - expected)
    assert apart.max() <= 1  # a half, to the last bit, may fall either way in float64
    assert (apart > 0).mean() < 0.001
    assert (found == NODATA).any()


def test_reflectance_that_adds_up_to_nothing_has_no_index() -> None:
    arrays = {"B08": np.full((6, 6), 1_200, np.uint16), "B04": np.full((6, 6), 800, np.uint16)}
    box = Box(0, 0, 60, 60)
    scene = Scene(box=box, core=box, bands=arrays, offsets={"B08": -1000, "B04": -1000})
    assert (spectral_index(scene, "ndvi") == NODATA).all()


@given(x=st.integers(0, 40), y=st.integers(0, 40), wide=st.integers(1, 40), high=st.integers(1, 40))
def test_a_window_has_the_bytes_of_the_whole(x: int, y: int, wide: int, high: int) -> None:
    scene = noise(("B03", "B11"), BOX)
    left, top = BOX.left + 60 * x, BOX.top - 60 * y
    part = Box(left, top - 60 * high, left + 60 * wide, top)
    whole = spectral_index(scene, "ndsi")
    assert np.array_equal(spectral_index(scene.cut(part), "ndsi"), whole[BOX.slices(part, 20)])


def test_an_offset_that_is_forgotten_is_found() -> None:
    right, wrong = (spectral_index(noise(("B08", "B04"), BOX, offset=offset), "ndvi") for offset in (-1000, 0))
    assert (right != wrong).mean() > 0.9


def test_values_that_int16_does_not_hold_are_cut() -> None:
    assert quantized(np.array([5.0, -5.0, np.nan, np.inf, 0.00004, 0.00016])).tolist() == [
        *(32_767, -32_767, NODATA, NODATA, 0, 2)
    ]


def test_what_is_missing_is_named() -> None:
    scene = noise(("B08",), BOX)
    with pytest.raises(MissingBandError, match="B04 missing; there are B08"):
        spectral_index(scene, "ndvi")
    with pytest.raises(WorkflowError, match=r"'ndvy' is no index; there are ndvi, ndwi"):
        spectral_index(scene, "ndvy")
