"""GML masks of old baselines: polygons in, pixels out."""

from __future__ import annotations

import numpy as np
import pytest

from abut.errors import InvalidSafeError
from ingest.gml import MaskPolygon, burn, read_mask
from ingest.xmlfile import parse_xml
from tests.safe_builder import box, gml, ring

LEFT, TOP = 300_000, 6_100_020


def polygons(*features: tuple[str, str, str], epsg: int = 32634) -> tuple[MaskPolygon, ...]:
    return read_mask(parse_xml(gml(*features, epsg=epsg), "mask.gml"), 32634)


def pixels(*features: tuple[str, str, str], shape: tuple[int, int] = (6, 8)) -> list[list[int]]:
    found: list[list[int]] = burn(((polygon, 1) for polygon in polygons(*features)), shape, (LEFT, TOP), 10).tolist()
    return found


def local(left: float, bottom: float, right: float, top: float) -> tuple[float, float, float, float]:
    """Pixels from the upper left corner as coordinates."""
    return LEFT + 10 * left, TOP - 10 * bottom, LEFT + 10 * right, TOP - 10 * top


def test_mask_without_members_is_empty() -> None:
    assert polygons() == ()
    assert read_mask(parse_xml(b"<Mask><maskMembers/></Mask>", "mask.gml"), 32634) == ()
    assert not burn((), (2, 3), (LEFT, TOP), 10).any()


@pytest.mark.parametrize("height", [None, 91.5])
def test_polygon_in_two_or_three_dimensions_covers_pixels_whose_centre_it_holds(height: float | None) -> None:
    square = ("a", "OPAQUE", box(*local(1.4, 4.6, 5.6, 1.4), height=height))
    expected = np.zeros((6, 8), int)
    expected[1:5, 1:6] = 1
    assert pixels(square) == expected.tolist()


def test_hole_is_not_covered() -> None:
    outer, inner = box(*local(0, 6, 8, 0)), box(*local(2, 4, 5, 1), tag="interior")
    expected = np.ones((6, 8), int)
    expected[1:4, 2:5] = 0
    assert pixels(("a", "OPAQUE", outer + inner)) == expected.tolist()


def test_polygon_that_leaves_the_tile_is_cut() -> None:
    expected = np.zeros((6, 8), int)
    expected[:, 6:] = 1
    assert pixels(("a", "OPAQUE", box(*local(6, 900, 1000, -900)))) == expected.tolist()
    assert not np.any(pixels(("a", "OPAQUE", box(*local(60, 90, 100, 60)))))


def test_last_polygon_stays_where_they_overlap() -> None:
    both = polygons(("a", "x", box(*local(0, 6, 5, 0))), ("b", "x", box(*local(3, 6, 8, 0))))
    assert burn(zip(both, (7, 9), strict=True), (1, 8), (LEFT, TOP), 10).tolist() == [[7, 7, 7, 9, 9, 9, 9, 9]]
    swapped = zip(both[::-1], (9, 7), strict=True)
    assert burn(swapped, (1, 8), (LEFT, TOP), 10).tolist() == [[7, 7, 7, 7, 7, 9, 9, 9]]


def test_ring_that_encloses_nothing_covers_nothing() -> None:
    corner, other = (LEFT + 10.0, TOP - 10.0), (LEFT + 50.0, TOP - 10.0)
    assert polygons(("a", "x", ring(corner, other)), ("b", "x", ring(corner, corner, corner))) == ()
    with_hole = box(*local(0, 6, 8, 0)) + ring(corner, other, tag="interior")
    assert np.all(pixels(("a", "x", with_hole)))


def test_feature_of_several_polygons_gives_each() -> None:
    two = f"{box(*local(0, 6, 2, 0))}</gml:Polygon><gml:Polygon>{box(*local(6, 6, 8, 0))}"
    assert pixels(("a", "x", two), shape=(1, 8)) == [[1, 1, 0, 0, 0, 0, 1, 1]]
    assert [polygon.feature for polygon in polygons(("a", "x", two))] == ["a", "a"]


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ('srsDimension="2">0 0 0', "posList of 3 numbers in dimension '2'"),
        ('srsDimension="4">0 0 0 0', "posList of 4 numbers in dimension '4'"),
        ('srsDimension="2">0 zero', "posList holds text that is no number"),
        ('srsDimension="2">0 0 1 nan 1 1', "coordinate that is no UTM coordinate"),
        ('srsDimension="2">0 0 1 inf 1 1', "coordinate that is no UTM coordinate"),
        ('srsDimension="2">0 0 1 1e300 1 1', "coordinate that is no UTM coordinate"),
    ],
)
def test_impossible_coordinates_are_refused(numbers: str, message: str) -> None:
    rings = f"<gml:exterior><gml:LinearRing><gml:posList {numbers}</gml:posList></gml:LinearRing></gml:exterior>"
    with pytest.raises(InvalidSafeError, match=rf"^mask.gml: .*{message}"):
        polygons(("a", "x", rings))


def test_other_projection_is_refused() -> None:
    with pytest.raises(InvalidSafeError, match=r"EPSG:8.7:32633', but the tile is in EPSG:32634"):
        polygons(epsg=32633)


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        (b"<Masks/>", "root element 'Masks' is not that of a GML mask"),
        (b"<Mask><MaskFeature><maskType>x</maskType><Polygon/></MaskFeature></Mask>", "no exterior in Polygon"),
        (gml(("a", "", box(*local(0, 6, 8, 0)))), "maskType is empty"),
    ],
)
def test_what_is_no_mask_is_refused(xml: bytes, message: str) -> None:
    with pytest.raises(InvalidSafeError, match=message):
        read_mask(parse_xml(xml, "mask.gml"), 32634)
