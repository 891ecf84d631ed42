"""Pixels that differ are found, counted, and placed by their distance to ground that a lone tile lacks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from abut.labels import place
from abut.lattice import Bounds, Zone
from workflows.errors import WorkflowError
from workflows.runs.distance import (
    difference,
    distances,
    is_different,
    lacking,
    on_pixels,
    rings,
)

GROUND = Bounds(Zone(32632), 600_000, 4_890_000, 606_000, 4_899_000)


def variable(values: np.ndarray, ground: Bounds = GROUND, size: int = 60) -> xr.DataArray:
    spatial = place(ground, size)
    leading = tuple(f"d{axis}" for axis in range(values.ndim - 2))
    return xr.DataArray(values, dims=(*leading, "y", "x"), coords={axis: spatial[axis] for axis in "yx"}, name="v")


def moment(window: Bounds, **bands: np.ndarray) -> xr.DataTree:
    edges = np.array([window.left, window.bottom, window.right, window.top])
    attrs = {"zone": str(window.zone), "window": edges, "core": edges, "products": ["A"]}
    groups = {"/": xr.Dataset(attrs=attrs)}
    for name, values in bands.items():
        size = window.width // values.shape[1]
        groups[f"/r{size}m"] = xr.Dataset({name: (("y", "x"), values)}, place(window, size))
    return xr.DataTree.from_dict(groups)


def test_equal_variables_do_not_differ_and_nan_equals_itself() -> None:
    values = np.zeros(GROUND.shape(60), np.float32)
    values[3] = np.nan
    found = difference(variable(values), variable(values.copy()))
    assert (found.pixels, found.differing, found.largest, found.easting) == (15_000, 0, None, None)
    assert str(found) == "equal (15,000 values)"


@pytest.mark.parametrize("kind", ["uint8", "int64", "float32", "float64", "bool"])
def test_one_differing_pixel_is_found_and_told_where_it_is(kind: str) -> None:
    one = np.zeros(GROUND.shape(60), kind)
    two = one.copy()
    two[120, 77] = 1
    found = difference(variable(one), variable(two))
    assert found.differing == 1
    assert (found.easting, found.northing) == (600_000 + 77.5 * 60, 4_899_000 - 120.5 * 60)
    assert found.largest == 1


def test_the_largest_difference_of_whole_numbers_is_exact_and_does_not_wrap() -> None:
    ends = np.array([[0, 1 << 62], [-(1 << 61), 5]], np.int64)
    other = np.array([[1, -1], [-(1 << 61), 5]], np.int64)
    small = Bounds(GROUND.zone, 600_000, 4_890_000, 600_120, 4_890_120)
    assert difference(variable(ends, small), variable(other, small)).largest == float((1 << 62) + 1)
    bright, dark = (np.full((2, 2), value, np.uint8) for value in (3, 250))
    assert difference(variable(bright, small), variable(dark, small)).largest == 247


def test_values_that_only_look_equal_are_different_and_infinities_have_no_step() -> None:
    zeros, signed = np.zeros((2, 2)), np.full((2, 2), -0.0)
    assert is_different(zeros, signed).all()
    small = Bounds(GROUND.zone, 600_000, 4_890_000, 600_120, 4_890_120)
    one, two = np.array([[np.inf, np.nan], [0, 0]]), np.array([[np.inf, 1.0], [0, 0]])
    found = difference(variable(one, small), variable(two, small))
    assert (found.differing, found.largest) == (1, None)
    assert is_different(np.array([1 + 2j]), np.array([1 + 3j])).all()


def test_layers_above_each_other_are_compared_all() -> None:
    one = np.zeros((3, *GROUND.shape(60)), np.int16)
    two = one.copy()
    two[2, 5, 6] = -7
    found = difference(variable(one), variable(two))
    assert (found.pixels, found.differing, found.largest) == (45_000, 1, 7)
    assert found.northing == 4_899_000 - 5.5 * 60


def test_variables_of_other_type_shape_or_ground_are_refused() -> None:
    one = variable(np.zeros(GROUND.shape(60), np.uint8))
    moved = Bounds(GROUND.zone, 600_060, 4_890_000, 606_060, 4_899_000)
    for other in (
        variable(np.zeros(GROUND.shape(60), np.int8)),
        variable(np.zeros(GROUND.shape(20), np.uint8), size=20),
        variable(np.zeros(GROUND.shape(60), np.uint8), moved),
    ):
        with pytest.raises(WorkflowError, match="v: "):
            difference(one, other)


def test_a_lone_tile_lacks_what_is_outside_and_what_differs_in_any_band() -> None:
    tile = Bounds(GROUND.zone, 600_000, 4_890_000, 603_000, 4_896_000)
    near = {"b02": np.ones(GROUND.shape(10), np.uint16), "b01": np.ones(GROUND.shape(60), np.uint16)}
    lone = {name: np.ones(tile.shape(10 if name == "b02" else 60), np.uint16) for name in near}
    lone["b02"][0, 7] = 0  # the north-western corner, second square
    lone["b01"][9, 20] = 0
    found = lacking(moment(tile, **lone), moment(GROUND, **near))
    expected = np.ones(GROUND.shape(60), bool)
    expected[50:150, :50] = False
    expected[50, 1] = expected[59, 20] = True
    np.testing.assert_array_equal(found, expected)


def test_distance_is_that_of_the_nearest_square_along_rows_columns_and_diagonals() -> None:
    missing = np.zeros((9, 12), bool)
    missing[4, 3] = missing[0, 11] = True
    rows, columns = np.indices(missing.shape)
    brute = np.minimum(np.maximum(abs(rows - 4), abs(columns - 3)), np.maximum(abs(rows - 0), abs(columns - 11)))
    np.testing.assert_array_equal(distances(missing), 60 * brute)
    assert (distances(np.zeros((3, 3), bool)) > 10**9).all()


@given(st.sampled_from([10, 20, 30, 40, 60, 90, 100, 960]), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_a_pixel_is_as_near_as_the_nearest_square_that_it_touches(size: int, seed: int) -> None:
    """Slow and obvious: pixel by pixel, over the squares that its ground overlaps."""
    metres = np.random.default_rng(seed).integers(0, 1000, (32, 32)).astype(np.int32)
    window = Bounds(GROUND.zone, 600_000, 4_890_000, 601_920, 4_891_920)
    count = 1_920 // size
    inner = Bounds(GROUND.zone, 600_000, 4_891_920 - count * size, 600_000 + count * size, 4_891_920)
    array = variable(np.zeros((count, count), np.uint8), inner, size)
    found = on_pixels(metres, window, array)
    for row, column in ((0, 0), (count - 1, count // 2), (count // 3, count - 1)):
        squares = [slice(index * size // 60, -(-(index + 1) * size // 60)) for index in (row, column)]
        assert found[row, column] == metres[squares[0], squares[1]].min()


def test_rings_count_every_pixel_once_and_end_at_the_radius() -> None:
    metres = np.arange(0, 12_000, 60, dtype=np.int32)[None, :]
    wrong = metres <= 9_600
    found = rings(wrong, metres, 9_540)
    assert [ring.label for ring in found] == [
        "not in the lone tile", "0-0.3 km", "0.3-1 km", "1-3 km", "3-6 km", "6-9.54 km", "beyond 9.54 km",
    ]  # fmt: skip
    assert [ring.pixels for ring in found] == [1, 5, 11, 34, 50, 59, 40]
    assert [ring.differing for ring in found] == [1, 5, 11, 34, 50, 59, 1]
    assert sum(ring.pixels for ring in found) == metres.size
    assert all(later.least == 60 + (earlier.most or 0) // 60 * 60 for earlier, later in pairwise(found))


@pytest.mark.parametrize(("radius", "last"), [(0, 0), (10, 60), (1_680, 1_680), (1_690, 1_740)])
def test_a_radius_reaches_as_many_squares_as_it_touches(radius: int, last: int) -> None:
    metres = np.arange(0, 3_000, 60, dtype=np.int32)[None, :]
    found = rings(np.ones(metres.shape, bool), metres, radius)
    assert found[-1].least == last + 60
    assert found[-1].differing == found[-1].pixels == int((metres > last).sum())


def test_layers_count_each() -> None:
    metres = np.array([[0, 60, 120]], np.int32)
    wrong = np.array([[[True, False, False]], [[True, True, False]]])
    assert [(ring.pixels, ring.differing) for ring in rings(wrong, metres, 60)] == [(2, 2), (2, 1), (2, 0)]
