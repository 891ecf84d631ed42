"""Features are means of whole numbers over segments and squares of ground, and nothing beyond their reach."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workflows.country import country
from workflows.features import CONTEXT, CONTEXT_BANDS, NAMES, OWN, REACH, SEGMENTS_REACH, Features, context, features
from workflows.guided import guided
from workflows.scene import Box, Scene
from workflows.segments import BANDS, Canvas, known, whole_reflectance
from workflows.slic import CELL, NEIGHBOURS, NONE

WIDE = Box(600_000, -4_200, 606_000, 1_800)
"""Across the equator."""


@pytest.fixture(scope="module")
def scene() -> Scene:
    return country(WIDE)


@pytest.fixture(scope="module")
def everything(scene: Scene) -> Features:
    return features(scene, Canvas.around(WIDE))


def test_reaches_are_what_is_stated() -> None:
    assert SEGMENTS_REACH == 2_160
    assert REACH == 9_570


def test_features_are_means_over_the_pixels_of_a_segment(scene: Scene, everything: Features) -> None:
    canvas, found = everything.canvas, everything
    rows, columns = canvas.rows * CELL, canvas.columns * CELL
    seen = known(scene, canvas, 0, rows)
    assert np.array_equal(seen, found.choice != NONE)
    steps = np.array([*NEIGHBOURS, (0, 0)])[np.minimum(found.choice, 9)]
    row, column = np.indices((rows, columns)) // CELL + np.moveaxis(steps, -1, 0)
    red, nir = (whole_reflectance(scene, canvas, band, 0, rows) for band in ("B04", "B08"))
    ndvi = np.rint((nir - red) / (nir + red) * 10_000)
    moved = np.abs(red - guided(np.where(seen, red, 0), seen, 16))
    for number in range(40, canvas.rows * canvas.columns, 211):
        at = divmod(number, canvas.columns)
        pixels = seen & (row == at[0]) & (column == at[1])
        assert found.counts[at] == pixels.sum()
        for name, values in (("B04", red), ("ndvi", ndvi), ("residual16_B04", moved)):
            expected = np.floor(values[pixels].mean() + 0.5) if pixels.any() else 0
            assert found.values[*at, OWN.index(name)] == expected, name
    assert (found.counts == 0).any()
    assert found.counts.sum() == seen.sum()


def test_a_gradient_is_where_fields_meet_and_nowhere_in_flat_ground() -> None:
    box = Box(0, 0, 960, 960)
    bands = {name: np.full(array.shape, 3_000, np.uint16) for name, array in country(box).bands.items()}
    bands["B08"][:, 48:] = 4_000
    canvas = Canvas.around(box)
    found = features(Scene(box=box, core=box, bands=bands, offsets={}), canvas)
    across = found.values[2, :, OWN.index("gradient_B08")]
    assert across.argmax() in (2, 3)
    assert across[0] == across[5] == 0
    assert (found.values[..., OWN.index("gradient_B04")] == 0).all()


def test_the_context_is_the_mean_of_what_is_there_around_the_centre_of_a_cell(scene: Scene) -> None:
    canvas = Canvas.around(Box(600_900, -1_200, 603_000, 600))
    found = context(scene, canvas)
    band = scene.bands["B08"]
    for row, column in ((0, 0), (3, 7), (9, 12)):
        north, east = (canvas.top - row) * 160 + 80, (canvas.left + column) * 160 + 80
        for step, radius in enumerate(CONTEXT):
            bottom, left = (north // 60 - radius) * 60, (east // 60 - radius) * 60
            side = (2 * radius + 1) * 60
            rows = slice(max((WIDE.top - bottom - side) // 10, 0), max((WIDE.top - bottom) // 10, 0))
            columns = slice(max((left - WIDE.left) // 10, 0), max((left + side - WIDE.left) // 10, 0))
            part = band[rows, columns]
            expected = np.rint(part[part > 0].astype(np.int64).mean() - 1_000) if (part > 0).any() else 0
            assert found[CONTEXT_BANDS.index("B08"), row, column, step] == expected


@settings(max_examples=5, deadline=None)
@given(place=st.tuples(st.integers(0, 23), st.integers(0, 23)), size=st.tuples(st.integers(1, 5), st.integers(1, 5)))
def test_a_window_has_the_own_features_of_the_whole(
    scene: Scene, everything: Features, place: tuple[int, int], size: tuple[int, int]
) -> None:
    up = SEGMENTS_REACH
    left, top = WIDE.left + up + 60 * place[0], WIDE.top - up - 60 * place[1]
    core = Box(left, top - 60 * size[1], left + 60 * size[0], top)
    part = scene.cut(core.grown(up), core)
    canvas = Canvas.around(part.box)
    found = features(part, canvas)
    near, whole = Canvas.around(core), everything.canvas
    own = np.s_[..., : len(OWN)]
    rows, columns = near.rows + 4, near.columns + 4  # the cells that a pixel of the core may ask for
    a, b = canvas.top - near.top - 2, near.left - canvas.left - 2
    c, d = whole.top - near.top - 2, near.left - whole.left - 2
    assert np.array_equal(
        found.values[own][a : a + rows, b : b + columns], everything.values[own][c : c + rows, d : d + columns]
    )


def test_names_are_unique_and_features_few_enough_to_store(scene: Scene) -> None:
    assert len(set(NAMES)) == len(NAMES) == len(OWN) + len(CONTEXT) * len(CONTEXT_BANDS)
    assert set(BANDS) <= set(NAMES)
    bright = {name: np.where(array > 0, 65_535, 0).astype(np.uint16) for name, array in scene.bands.items()}
    some = scene.core.grown(-1_980)
    found = features(replace(scene, bands=bright), Canvas.around(some))
    assert np.abs(found.values).max() <= 65_534
    assert found.values.dtype == np.int32
