"""Blocks and tiles as GeoJSON, and the tiles of a box."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import shapely
from pyproj import Geod, Transformer

from abut.errors import TooLargeError
from abut.lattice import Block, Zone
from abut.tiling import tile, tiles_of
from services.tiles.squares import BLOCK_PARTS, TILE_PARTS, TILES_LIMIT, geometry_of, outlines, tiles_in

ZONES = (Zone(32632), Zone(32735), Zone(32601), Zone(32633))
GEOD = Geod(ellps="WGS84")


def drawn(block: Block) -> dict[str, Any]:
    return geometry_of(outlines([block.bounds], BLOCK_PARTS)[0])


def vertices(geometry: dict[str, Any]) -> set[tuple[float, float]]:
    return {(x, y) for x, y in shapely.get_coordinates(shapely.geometry.shape(geometry))}


@pytest.mark.parametrize("zone", ZONES, ids=str)
@pytest.mark.parametrize("q", [-700, 0, 510, 880])
def test_blocks_that_touch_have_the_same_vertices_on_their_edge(zone: Zone, q: int) -> None:
    here, east, north = (Block(zone, p, r) for p, r in ((60, q), (61, q), (60, q + 1)))
    for other in (east, north):
        assert len(vertices(drawn(here)) & vertices(drawn(other))) == BLOCK_PARTS + 1


@pytest.mark.parametrize("name", ["32TNM", "21HUB", "01WCV", "33XWH", "60KYG"])
@pytest.mark.parametrize(("parts", "metres"), [(TILE_PARTS, 4.0), (24 * TILE_PARTS, 0.01)])
def test_edges_of_tiles_stay_near_the_straight_lines_of_the_zone(name: str, parts: int, metres: float) -> None:
    ground = tile(name).footprint
    outline = outlines([ground], parts)[0]
    middles = (outline[1:] + outline[:-1]) / 2
    x, y = Transformer.from_crs(4326, ground.zone.epsg, always_xy=True).transform(*middles.T)
    off = np.min(np.abs([x - ground.left, x - ground.right, y - ground.bottom, y - ground.top]), axis=0)
    assert off.max() < metres


def test_rings_are_closed_and_counter_clockwise() -> None:
    for name in ("32TNM", "21HUB", "01KAB"):
        shape = shapely.geometry.shape(geometry_of(outlines([tile(name).footprint], TILE_PARTS)[0]))
        for part in shapely.get_parts(shape):
            assert part.exterior.is_ccw
            assert part.is_valid


def test_what_crosses_180_degrees_is_split_there_and_loses_nothing() -> None:
    where = tile("01KAB").footprint
    geometry = geometry_of(outlines([where], TILE_PARTS)[0])
    assert geometry["type"] == "MultiPolygon"
    parts = shapely.get_parts(shapely.geometry.shape(geometry))
    assert {part.bounds[0] < 0 for part in parts} == {True, False}
    assert all(-180 <= x <= 180 for x, _ in vertices(geometry))
    area = sum(abs(GEOD.geometry_area_perimeter(part)[0]) for part in parts)
    assert area == pytest.approx(where.area, rel=3e-3)  # the scale of the zone's edge


@pytest.mark.parametrize(
    ("box", "some"),
    [
        ((8.9, 45.9, 9.1, 46.1), "32TNS"),
        ((179.9, -17, -179.9, -16.9), "01KAB"),
        ((-180, -17, -179.9, -16.9), "01KAB"),
        ((20, 80, 21, 80.1), "33XXJ"),
        ((9.0, 46.0, 9.0, 46.0), "32TNS"),
    ],
)
def test_tiles_of_a_box_are_those_whose_ground_touches_it(box: tuple[float, ...], some: str) -> None:
    west, south, east, north = box
    found = tiles_in((west, south, east, north))
    assert some in {one.id for one in found}
    assert found == sorted(found)
    if west <= east:
        area = shapely.box(west, south, east, north)
        zones = {one.zone for one in found}
        for zone in zones:
            for one in tiles_of(zone):
                touches = shapely.geometry.shape(geometry_of(outlines([one.footprint], 8)[0])).intersects(area)
                assert touches == (one in found), one


def test_tiles_of_neighbouring_boxes_add_up() -> None:
    edges = (5.0, 6.5, 8.0, 9.5)
    parts = [{*tiles_in((west, 47, east, 48))} for west, east in pairwise(edges)]
    assert set().union(*parts) == {*tiles_in((5.0, 47, 9.5, 48))}


@pytest.mark.parametrize("box", [(-180.0, -90.0, 180.0, 90.0), (0.0, 0.0, 25.0, 25.0), (170.0, -60.0, -100.0, 60.0)])
def test_a_box_with_too_many_tiles_is_refused_with_their_number(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(TooLargeError, match=rf"touches (about )?\d+ tiles, more than {TILES_LIMIT}"):
        tiles_in(box)
