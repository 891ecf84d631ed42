"""Colours by value are those of rio-tiler, at the cost of one look-up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rio_tiler.colormap import apply_cmap, cmap
from rio_tiler.models import ImageData
from titiler.core.resources.enums import ImageType

from services.tiles.palette import ENTRIES, indexed
from services.tiles.rendering import picture
from services.tiles.renders import INTERVALS_LIMIT, KINDS_LIMIT

if TYPE_CHECKING:
    from numpy.typing import NDArray

colours = st.tuples(*[st.integers(0, 255)] * 4)
numbers = st.integers(-8, 24).map(lambda value: value / 8)
intervals = st.tuples(numbers, numbers).filter(lambda ends: ends[0] < ends[1])
VALUES: dict[str, NDArray[Any]] = {
    "float32": np.arange(-16, 40, dtype=np.float32).reshape(1, 7, 8) / 8,
    "uint8": np.arange(256, dtype=np.uint8).reshape(1, 8, 32),
    "uint16": np.arange(0, 65_536, 97, dtype=np.uint16).reshape(1, 26, -1),
    "int32": np.arange(-28, 28, dtype=np.int32).reshape(1, 7, 8),
}


def assert_alike(values: NDArray[Any], given_colours: Any) -> None:
    places, table = indexed(values, given_colours)
    assert sorted(table) == list(range(ENTRIES))
    for ours, theirs in zip(apply_cmap(places, table), apply_cmap(values, given_colours), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", VALUES)
@settings(max_examples=30, deadline=None)
@given(given_colours=st.lists(st.tuples(intervals, colours), min_size=1, max_size=12))
def test_of_intervals_the_last_one_counts(kind: str, given_colours: Any) -> None:
    assert_alike(VALUES[kind], given_colours)


@pytest.mark.parametrize("kind", VALUES)
@settings(max_examples=30, deadline=None)
@given(given_colours=st.dictionaries(st.integers(-30, 300), colours, min_size=1, max_size=40))
def test_single_values_have_their_colour(kind: str, given_colours: Any) -> None:
    assert_alike(VALUES[kind], given_colours)


def test_edges_are_of_the_precision_of_the_values() -> None:
    assert_alike(np.array([[[0.1, 0.2, 0.3]]], np.float32), [((0.1, 0.2), (1, 2, 3, 4)), ((0.2, 0.3), (5, 6, 7, 8))])


@pytest.mark.parametrize(
    "given_colours",
    [
        [((value / 64, (value + 1) / 64), (value, 255 - value, 0, 255)) for value in range(INTERVALS_LIMIT)],
        {value: (value, 255 - value, 0, 255) for value in range(KINDS_LIMIT - 1)},
    ],
    ids=["intervals", "values"],
)
def test_a_picture_is_passed_over_once(given_colours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def passed(*_: Any) -> None:
        raise AssertionError("a pass for each colour")

    monkeypatch.setattr("rio_tiler.colormap.apply_discrete_cmap", passed)
    monkeypatch.setattr("rio_tiler.colormap.apply_intervals_cmap", passed)
    values = np.ma.MaskedArray(np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 8, 8), mask=False)
    content, kind = picture(ImageData(values), ImageType.npy, given_colours)
    assert kind == "application/x-binary"
    assert len(content) > 4 * 64


def test_the_largest_maps_fit_into_a_table() -> None:
    many = [((value, value + 0.5), (value, 0, 0, 255)) for value in range(INTERVALS_LIMIT)]
    assert_alike(VALUES["int32"], many)
    assert_alike(VALUES["uint16"], {97 * value: (value, 0, 0, 255) for value in range(KINDS_LIMIT - 1)})
    assert_alike(VALUES["uint8"], {value: (value, 0, 0, 255) for value in range(KINDS_LIMIT)})
    assert_alike(VALUES["uint8"], cmap.get("viridis"))
