"""Requests as users write them: what has no meaning is an error that quotes the value, whatever its type."""

from __future__ import annotations

import json
from typing import Any

import pytest

from abut.errors import AbutError, BadRequestError, InvalidTileError, InvalidWindowError
from abut.inputs import INPUTS, asked_of
from abut.window import bbox_geobox, bbox_window, geometry_window, tile_window

HUGE = 10**400
BOX = [10, 46, 11, 47]
POINT = {"type": "Point", "coordinates": [10, 46]}
BASES: tuple[dict[str, Any], ...] = (
    {"tile": "32TNM"},
    {"bbox": BOX},
    {"geometry": POINT},
    {"bbox": BOX, "to": "EPSG:3035", "resolution": 100},
)
VALUES: tuple[Any, ...] = (
    *(5, -1, True, HUGE, 1e308, 1e-310, 1e-300, float("nan"), float("inf"), "", "x", "10", b"x", 10**5000),
    *([], [1], [HUGE] * 4, ["a"], {}, {"a": 1}, {"type": 5}, {"geometry": 5}),
    {"type": "Point", "coordinates": [HUGE, 1]},
    {"type": "GeometryCollection", "geometries": [5]},
)


@pytest.mark.parametrize("base", BASES, ids="+".join)
def test_values_of_any_type_are_taken_or_refused_in_one_line(base: dict[str, Any]) -> None:
    refused = 0
    for name in INPUTS:
        for value in VALUES:
            said = refusal({**base, name: value})
            refused += said is not None
            assert said is None or ("\n" not in said and len(said) < 700), (name, said)
    assert refused > 300


def refusal(given: dict[str, Any]) -> str | None:
    """What is said of a request; nothing if it can be answered."""
    try:
        asked = asked_of(given)
    except AbutError as error:
        return str(error)
    return None if asked.least_bytes < 1e17 else "it is too large"


WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    ({"tile": 5}, "tile 5 is not a text"),
    ({"tile": ["32TNM"]}, 'tile ["32TNM"] is not a text'),
    ({"tile": "32TNM", "buffer": []}, "buffer [] is not a length"),
    ({"tile": "32TNM", "buffer": True}, "buffer true is not a length"),
    ({"tile": "32TNM", "bands": 5}, "bands 5 is not a text such as B02,B8A"),
    ({"tile": "32TNM", "bands": [1]}, "bands [1] is not a text such as B02,B8A"),
    ({"tile": "32TNM", "masks": "no"}, "masks 'no' is not true or false"),
    ({"bbox": BOX, "to": "EPSG:3035", "resolution": "10"}, "resolution '10' is not a number"),
    ({"bbox": [HUGE, 46, 11, 47]}, "bbox [1000"),
    ({"bbox": BOX, "crs": HUGE}, "is not a coordinate system"),
)


@pytest.mark.parametrize(("given", "said"), WRONG, ids=[said for _, said in WRONG])
def test_values_of_a_wrong_type_are_quoted(given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        asked_of(given)
    assert said in str(caught.value)


def test_windows_of_numbers_that_no_float_holds_are_refused() -> None:
    point = json.loads('{"type": "Point", "coordinates": [1' + "0" * 400 + ", 1]}")
    with pytest.raises(InvalidWindowError, match="is not GeoJSON"):
        geometry_window(point)
    with pytest.raises(InvalidWindowError, match="is not four numbers"):
        bbox_window([HUGE, 46, 11, 47])
    with pytest.raises(InvalidWindowError, match=r"buffer 10+\.\.\. m is not between"):
        tile_window("32TNM", HUGE)
    with pytest.raises(InvalidTileError, match="5 is not the id of a tile"):
        tile_window(5)  # type: ignore[arg-type] # as users may


@pytest.mark.parametrize("resolution", [0, -1, "10", HUGE, float("nan")], ids=lambda value: str(value)[:5])
def test_a_pixel_size_is_a_positive_number(resolution: Any) -> None:
    with pytest.raises(InvalidWindowError, match="is not a positive number"):
        bbox_geobox(BOX, "EPSG:4326", "EPSG:3035", resolution)


@pytest.mark.parametrize("resolution", [1e-310, 1e-300, 0.01])
def test_pixels_that_are_too_many_are_refused_before_they_are_counted(resolution: float) -> None:
    with pytest.raises(InvalidWindowError, match="a side has at most 10,000,000"):
        bbox_geobox(BOX, "EPSG:4326", "EPSG:3035", resolution)
    assert bbox_geobox(BOX, "EPSG:4326", "EPSG:3035", 0.1).shape[0] > 1_000_000
