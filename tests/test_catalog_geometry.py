"""Ground of blocks in longitude and latitude, checked against the projection, point by point."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod, Proj, Transformer
from shapely.geometry import shape

from abut.tiling import TILE_SIZE, all_tiles, tile
from catalog.geometry import bbox_of, footprint_of, ground_of, ground_of_blocks
from tests.catalog_products import whole

if TYPE_CHECKING:
    from abut.tiling import Tile
    from catalog.bitmap import Position

# Both hemispheres, both sides of the equator, 180 degrees in several zones, near both ends of the grid.
PLACES = ["32TNM", "53HNA", "31NBA", "31MBV", "01CCV", "60XWR", "01WCS", "01KAB", "60KXF", "01XEN", "33XVJ", "21CWP"]
EVERYWHERE = random.Random(20230823).sample([found.id for found in all_tiles()], 400)  # noqa: S311 - a fixed sample

tiles = st.sampled_from([*PLACES, *EVERYWHERE]).map(tile)


def polygons(geometry: dict[str, Any]) -> list[list[list[list[float]]]]:
    """Return the coordinates of each polygon of a geometry."""
    found: list[Any] = geometry["coordinates"]
    return [found] if geometry["type"] == "Polygon" else found


def degrees(place: Tile, x: float, y: float) -> shapely.Point:
    """Longitude and latitude of a point of the tile's zone, by the projection itself."""
    return shapely.Point(Transformer.from_crs(place.zone.epsg, 4326, always_xy=True).transform(x, y))


@settings(deadline=None)
@given(place=tiles)
def test_footprint_is_a_valid_right_handed_geometry_on_the_globe(place: Tile) -> None:
    geometry = footprint_of(place)
    assert shape(geometry).is_valid
    for exterior, *holes in polygons(geometry):
        assert exterior[0] == exterior[-1]
        assert shapely.LinearRing(exterior).is_ccw
        assert not holes
        assert all(-180 <= x <= 180 and -90 <= y <= 90 for x, y in exterior)


@settings(deadline=None)
@given(place=tiles, u=st.floats(0, 1), v=st.floats(0, 1), side=st.sampled_from("nesw"))
def test_points_five_metres_from_an_edge_lie_on_the_right_side(place: Tile, u: float, v: float, side: str) -> None:
    area, ground = place.footprint, shape(footprint_of(place))
    inside = area.buffered(-5)
    x, y = inside.left + u * inside.width, inside.bottom + v * inside.height
    assert ground.contains(degrees(place, x, y))
    beyond = {"n": (x, area.top + 5), "e": (area.right + 5, y), "s": (x, area.bottom - 5), "w": (area.left - 5, y)}
    assert not ground.contains(degrees(place, *beyond[side]))


@settings(deadline=None)
@given(place=tiles)
def test_area_on_the_ellipsoid_is_that_of_the_square_by_the_scale_of_utm(place: Tile) -> None:
    area, _ = Geod(ellps="WGS84").geometry_area_perimeter(shape(footprint_of(place)))
    middle = degrees(place, place.ulx + TILE_SIZE / 2, place.uly - TILE_SIZE / 2)
    scale = Proj(place.zone.epsg).get_factors(middle.x, middle.y).areal_scale
    assert area * scale == pytest.approx(place.footprint.area, rel=1e-4)


def test_only_tiles_at_180_degrees_are_split_and_both_parts_meet_there() -> None:
    split = {name: footprint_of(tile(name)) for name in PLACES if footprint_of(tile(name))["type"] == "MultiPolygon"}
    assert set(split) == {"01CCV", "60XWR", "01WCS", "01KAB"}
    for geometry in split.values():
        west, south, east, north = bbox_of(geometry)
        assert west > 0 > east
        assert south < north
        extremes = [(min(x for x, _ in rings[0]), max(x for x, _ in rings[0])) for rings in polygons(geometry)]
        assert sorted(extremes) == [(-180.0, east), (west, 180.0)]


@settings(deadline=None)
@given(place=tiles)
def test_bounding_box_is_as_narrow_as_the_tile(place: Tile) -> None:
    west, south, east, north = bbox_of(footprint_of(place))
    assert south < north < south + 1.5
    assert 0 < (east - west) % 360 < 12


@settings(deadline=None, max_examples=50)
@given(place=tiles, data=st.data())
def test_ground_of_blocks_has_their_centres_and_no_others(place: Tile, data: st.DataObject) -> None:
    held: set[Position] = data.draw(st.sets(st.sampled_from(sorted(whole(place))), min_size=1))
    geometry = ground_of_blocks(place, held)
    assert geometry is not None
    ground = shape(geometry)
    assert ground.is_valid
    for position in whole(place):
        part = place.hull.block(*position).bounds.intersection(place.footprint)
        assert part is not None
        centre = degrees(place, (part.left + part.right) / 2, (part.bottom + part.top) / 2)
        assert ground.contains(centre) == (position in held)


@pytest.mark.parametrize("name", PLACES)
def test_all_blocks_together_are_the_footprint(name: str) -> None:
    place = tile(name)
    geometry = ground_of_blocks(place, whole(place))
    assert geometry is not None
    difference = shapely.symmetric_difference(shape(geometry), shape(footprint_of(place)))
    assert abs(Geod(ellps="WGS84").geometry_area_perimeter(difference)[0]) < 1.0


def test_hole_of_a_released_block_is_left_handed() -> None:
    place = tile("32TNM")
    geometry = ground_of_blocks(place, whole(place) - {(5, 5)})
    assert geometry is not None
    (rings,) = polygons(geometry)
    assert [shapely.LinearRing(ring).is_ccw for ring in rings] == [True, False]


def test_vertices_are_no_more_than_the_curvature_needs() -> None:
    def count(name: str) -> int:
        return sum(len(ring) for rings in polygons(footprint_of(tile(name))) for ring in rings)

    assert count("31NBA") < count("32TNM") < count("33XVJ") <= 300


def test_nothing_held_has_no_ground() -> None:
    assert ground_of_blocks(tile("32TNM"), []) is None
    assert ground_of([], tile("32TNM").zone) is None


def test_block_outside_of_the_hull_has_no_ground() -> None:
    with pytest.raises(IndexError, match="block row 12"):
        ground_of_blocks(tile("32TNM"), [(12, 0)])


def test_coordinates_have_seven_decimals() -> None:
    points = np.array(polygons(footprint_of(tile("60XWR")))[0][0])
    assert (points == np.round(points, 7)).all()
