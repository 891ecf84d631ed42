"""Segments have the same pixels and names in any window, north and south of the equator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workflows.scenes import noise
from workflows.errors import MissingBandError, NeighbourhoodError
from workflows.scene import RESOLUTION, Box, Scene
from workflows.segments import BANDS, NO_SEGMENT, RADIUS, segment

UP = -(-RADIUS // 60) * 60
WIDE = Box(600_000, -3_600, 605_400, 1_800)
"""Across the equator."""


@pytest.fixture(scope="module")
def fields() -> Scene:
    """Fields with edges and noise; a swath's edge crosses them."""
    raw = noise(BANDS, WIDE, holes=False)
    bands = {}
    for band, array in raw.bands.items():
        side = 130 // RESOLUTION[band]
        rows, columns = array.shape
        patches = np.random.default_rng(len(band)).integers(1_500, 4_000, (rows // side + 1, columns // side + 1))
        whole = np.kron(patches, np.ones((side, side), np.int64))[:rows, :columns] + array // 40
        place = np.add.outer(np.arange(rows) * 2, np.arange(columns)) * RESOLUTION[band]
        bands[band] = np.where(place < 4_000, 0, whole).astype(np.uint16)
    return replace(raw, bands=bands)


@pytest.fixture(scope="module")
def names(fields: Scene) -> np.ndarray:
    return segment(fields, partial=True).ids()


@settings(max_examples=5, deadline=None)
@given(place=st.tuples(st.integers(0, 28), st.integers(0, 28)), wide=st.integers(1, 5), high=st.integers(1, 5))
def test_a_window_has_the_segments_of_the_whole(
    fields: Scene, names: np.ndarray, place: tuple[int, int], wide: int, high: int
) -> None:
    left, top = WIDE.left + UP + 60 * place[0], WIDE.top - UP - 60 * place[1]
    core = Box(left, top - 60 * high, left + 60 * wide, top)
    found = segment(fields.cut(core.grown(UP), core))
    assert np.array_equal(found.ids(), names[WIDE.slices(core, 10)])
    assert found.complete.all()


def test_a_narrow_neighbourhood_gives_others(fields: Scene, names: np.ndarray) -> None:
    core = Box(WIDE.left + 1_800, -1_200, WIDE.left + 3_600, 0)
    found = segment(fields.cut(core.grown(300), core), partial=True)
    assert (found.ids() != names[WIDE.slices(core, 10)]).sum() > 50
    assert not found.complete.any()


def test_names_say_where_a_segment_is(names: np.ndarray) -> None:
    seen = names != NO_SEGMENT
    assert 0.03 < 1 - seen.mean() < 0.5
    row, column = np.divmod(names, 1 << 16)
    rows, columns = np.indices(names.shape)
    assert np.abs(row - (WIDE.top // 10 - 1 - rows) // 16)[seen].max() == 1
    assert np.abs(column - (WIDE.left // 10 + columns) // 16)[seen].max() == 1
    assert row[seen].min() < 0 < row[seen].max()


def test_what_can_not_be_segmented_is_refused(fields: Scene) -> None:
    core = WIDE.grown(-1_620)
    with pytest.raises(NeighbourhoodError, match=r"segmentation looks 1680 m .* there are 1620 m"):
        segment(replace(fields, core=core))
    with pytest.raises(MissingBandError, match="B12 missing"):
        segment(replace(fields, bands={band: dn for band, dn in fields.bands.items() if band != "B12"}))
