"""Windows: tiles, boxes, geometries and GeoBoxes become rectangles of a zone on the 60 m grid; bad ones are refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from abut.errors import InvalidTileError, InvalidWindowError
from abut.ground import ground_in, zones_on
from abut.lattice import Bounds, Zone
from abut.tiling import tile
from abut.window import (
    bbox_window,
    geobox_of,
    geobox_window,
    geometry_window,
    neighbour_zones,
    tile_window,
    zone_of,
)

NORTH, SOUTH = Zone(32632), Zone(32732)


def square(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


ROUNDED = [(0, 0), (1, 60), (60, 60), (60.5, 120), (10_000, 10_020), (100_000, 100_020)]


@pytest.mark.parametrize(("buffer", "grown"), ROUNDED)
def test_a_buffer_is_rounded_up_to_60_m(buffer: float, grown: int) -> None:
    assert tile_window("T32TNM", buffer) == tile("32TNM").footprint.buffered(grown)


@pytest.mark.parametrize("buffer", [-1, 100_001, math.nan, math.inf])
def test_buffers_beyond_the_limit_are_refused_by_value(buffer: float) -> None:
    with pytest.raises(InvalidWindowError, match=f"buffer {buffer:g} m is not between 0 and 100,000 m"):
        tile_window("32TNM", buffer)
    assert tile_window("32TNM", 100_000).width == 109_800 + 200_040


def test_a_tile_that_the_grid_lacks_is_refused_by_name() -> None:
    with pytest.raises(InvalidTileError, match="'32TZZ'"):
        tile_window("32TZZ")


@settings(max_examples=60)
@given(
    st.floats(-179.9, 179.9), st.floats(-79, 82), st.floats(0.001, 1.5), st.floats(0.001, 1.0), st.integers(0, 2**32)
)
def test_a_window_around_a_box_covers_it_and_is_the_smallest(
    west: float, south: float, width: float, height: float, seed: int
) -> None:
    east = (west + width + 180) % 360 - 180
    window = bbox_window((west, south, east, south + height))
    assert (window.left % 60, (window.bottom - window.zone.equator) % 60, window.width % 60, window.height % 60) == (
        0,
    ) * 4
    rng = np.random.default_rng(seed)
    lon, lat = west + width * rng.random(2_000), south + height * rng.random(2_000)
    lon[:1000:2], lon[1:1000:2] = west, west + width  # half of them on the edges
    lat[1000:1500:2], lat[1001:1500:2] = south, south + height
    x, y = Transformer.from_crs(4326, window.zone.epsg, always_xy=True).transform(lon, lat)
    assert window.left - 1 <= x.min()
    assert x.max() <= window.right + 1
    assert window.bottom - 1 <= y.min()
    assert y.max() <= window.top + 1
    edges = bbox_window((west, south, east, south + height), zone=window.zone)
    assert edges == window
    slack = 60 + 0.03 * max(np.ptp(x), np.ptp(y))  # 2,000 places do not find the very corners
    assert x.min() - window.left < slack
    assert window.right - x.max() < slack
    assert y.min() - window.bottom < slack
    assert window.top - y.max() < slack


def test_a_box_in_the_coordinates_of_a_zone_is_snapped_outward_and_stays_in_that_zone() -> None:
    assert bbox_window((600_001, 5_100_059, 600_061, 5_100_061), "EPSG:32632") == Bounds(
        NORTH, 600_000, 5_100_000, 600_120, 5_100_120
    )
    south = bbox_window((600_001, 9_999_901, 600_061, 9_999_999), 32732)
    assert south == Bounds(SOUTH, 600_000, 9_999_880, 600_120, 10_000_000), "counted from the equator"
    assert bbox_window((900_000, 5_100_000, 900_060, 5_100_060), 32632).zone == NORTH, "although 33 is nearer"


def test_the_centre_decides_the_zone_of_a_box_unless_one_is_named() -> None:
    assert bbox_window((11.5, 46, 12.4, 46.5)).zone == NORTH
    assert bbox_window((12.2, 46, 13.1, 46.5)).zone == Zone(32633)
    assert bbox_window((12.2, 46, 13.1, 46.5), zone=NORTH).zone == NORTH
    assert bbox_window((4_300_000, 2_500_000, 4_310_000, 2_510_000), "EPSG:3035").zone == NORTH
    assert bbox_window((8, -0.2, 8.1, 0.1)).zone == SOUTH
    assert bbox_window((8, -0.1, 8.1, 0.2)).bottom < 0, "northings below the equator are negative in the north"


def test_a_box_across_the_antimeridian_has_west_beyond_east() -> None:
    window = bbox_window((179.8, -17, -179.9, -16.5))
    assert window.zone == Zone(32701), "zone 60 has no tile there, although its meridians are"
    assert 25_000 < window.width < 35_000
    parts = {
        "type": "MultiPolygon",
        "coordinates": [square(179.8, -17, 180, -16.5)["coordinates"], square(-180, -17, -179.9, -16.5)["coordinates"]],
    }
    assert geometry_window(parts) == window
    assert neighbour_zones(window) == (Zone(32760),)


def test_a_geometry_gives_the_window_of_its_outline() -> None:
    box = (11.1, 46.1, 11.2, 46.3)
    assert geometry_window(square(*box)) == bbox_window(box)
    assert geometry_window({"type": "Feature", "properties": {}, "geometry": square(*box)}) == bbox_window(box)
    point = geometry_window({"type": "Point", "coordinates": [11.15, 46.2]})
    assert (point.width, point.height) == (60, 60)
    line = geometry_window({"type": "LineString", "coordinates": [[11.1, 46.1], [11.2, 46.3]]})
    assert bbox_window(box).contains(line)
    projected = geometry_window(square(600_000, 5_100_000, 600_600, 5_100_600), "EPSG:32632")
    assert projected == Bounds(NORTH, 600_000, 5_100_000, 600_600, 5_100_600)


BAD_BOXES: list[tuple[Any, Any, str]] = [
    ((11, 46, 11, 47), 4326, "empty or reversed"),
    ((11, 47, 12, 46), 4326, "empty or reversed"),
    ((12, 46, 11, 47), 4326, "spans 359 degrees of longitude; are west and east swapped?"),
    ((-100, 46, 100, 47), 4326, "spans 200 degrees"),
    ((11, 46, 12), 4326, "not four numbers"),
    ((11, 46, 12, "x"), 4326, "not four numbers"),
    ((11, 46, 12, math.nan), 4326, "finite"),
    ((11, 46, 12, 91), 4326, "not in degrees"),
    ((600_000, 5_100_000, 610_000, 5_110_000), 4326, "not in degrees"),
    ((10, 40, 50, 60), 4326, "too large for one zone"),
    ((610_000, 5_100_000, 600_000, 5_110_000), 32632, "empty or reversed"),
    ((0, 85, 1, 86), 4326, "no tile of the Sentinel-2 grid holds"),
    ((0, -85, 1, -84), 4326, "no tile of the Sentinel-2 grid holds"),
    ((0, 0, 1, 1), "EPSG:99999", "'EPSG:99999' is not a coordinate system that is known"),
    ((0, 0, 1, 1), "nonsense", "'nonsense' is not a coordinate system that is known"),
    ((0, 0, 1, 1), "EPSG:5773", "is not a coordinate system of the ground"),
    ((1e9, 1e9, 2e9, 2e9), 3035, "no place in EPSG:3035"),
]


@pytest.mark.parametrize(("bbox", "crs", "reason"), BAD_BOXES, ids=lambda value: ascii(value)[:40])
def test_bad_boxes_are_refused_by_value(bbox: Any, crs: Any, reason: str) -> None:
    with pytest.raises(InvalidWindowError, match=reason.replace("?", r"\?")) as caught:
        bbox_window(bbox, crs)
    assert "\n" not in str(caught.value)


BAD_GEOMETRIES: list[Any] = [
    {}, {"type": "Polygon"}, {"type": "Polygon", "coordinates": []}, {"type": "Circle", "coordinates": [1, 2]},
    {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}, {"type": "Point", "coordinates": ["a", "b"]},
    {"type": "Point", "coordinates": [200, 0]}, {"type": "Feature", "geometry": None}, None, "POINT (1 2)", 5,
    {"type": "Point", "coordinates": [math.nan, 0]},
]  # fmt: skip


@pytest.mark.parametrize("geometry", BAD_GEOMETRIES, ids=ascii)
def test_what_is_no_geometry_is_refused(geometry: Any) -> None:
    with pytest.raises(InvalidWindowError, match="geometry"):
        geometry_window(geometry)


@pytest.mark.parametrize("resolution", [10, 20, 60])
def test_a_window_as_a_geobox_and_back(resolution: int) -> None:
    for bounds in (tile_window("32TNM", 10_000), tile_window("32MNE")):
        assert geobox_window(geobox_of(bounds, resolution)) == bounds


def test_a_geobox_of_other_pixels_is_no_window() -> None:
    others = [
        GeoBox((10, 10), Affine(10, 0, 4_300_000, 0, -10, 2_700_000), "EPSG:3035"),
        GeoBox((10, 10), Affine(10, 0, 600_005, 0, -10, 5_100_000), "EPSG:32632"),
        GeoBox((10, 10), Affine(10, 0, 600_000, 0, 10, 5_100_000), "EPSG:32632"),
        GeoBox((10, 10), Affine(10, 1, 600_000, 0, -10, 5_100_000), "EPSG:32632"),
        GeoBox((10, 10), Affine(30, 0, 600_000, 0, -30, 5_100_000), "EPSG:32632"),
        GeoBox((10, 10), Affine(60, 0, 600_000, 0, -60, 6_000_000), "EPSG:32732"),  # of 60 m, but from northing 0
        GeoBox((10, 10), Affine(10, 0, 600_000, 0, -10, 5_100_000), None),
        GeoBox((10, 10), Affine(10, 0, 600_000, 0, -10, 5_100_000), "EPSG:25832"),
    ]
    assert [geobox_window(other) for other in others] == [None] * len(others)


PLACES = [
    (9.0, 46.0, 32632), (5.9, 46.0, 32631), (6.0, 46.0, 32631), (6.5, 46.0, 32632), (9.0, 0.0, 32632),
    (9.0, -0.0001, 32732), (5.0, 60.0, 32632), (3.2, 60.0, 32631), (8.9, 78.0, 32631), (9.1, 78.0, 32631),
    (12.0, 78.0, 32633), (20.0, 78.0, 32633), (180.0, 0.5, 32601), (-180.0, 0.5, 32601), (179.0, -10.0, 32760),
    (179.9999, -10.0, 32701), (191.0, 10.0, 32602), (9.0, 83.0, 32633),
]  # fmt: skip


@pytest.mark.parametrize(("lon", "lat", "epsg"), PLACES)
def test_the_zone_of_a_place(lon: float, lat: float, epsg: int) -> None:
    """MGRS, but where the grid has no tile of its zone: at 6 degrees east, 46 north there are tiles of 31T alone."""
    assert zone_of(lon, lat) == Zone(epsg)


@pytest.mark.parametrize(("lon", "lat"), [(0, 89), (0, -89), (math.nan, 0), (0, 91), (0, math.inf)])
def test_a_place_without_tiles_has_no_zone(lon: float, lat: float) -> None:
    with pytest.raises(InvalidWindowError):
        zone_of(lon, lat)


def test_zones_under_pixels_of_any_coordinate_system() -> None:
    alps = GeoBox((200, 400), Affine(1_000, 0, 4_300_000, 0, -1_000, 2_700_000), "EPSG:3035")
    assert zones_on(alps) == (Zone(32633), Zone(32632)), "the centre is at 12.3 degrees east"
    fiji = GeoBox((100, 100), Affine(0.01, 0, 179.5, 0, -0.01, -16), "EPSG:4326")
    assert set(zones_on(fiji)) == {Zone(32701), Zone(32760)}
    part = ground_in(Zone(32633), alps)
    assert part is not None
    assert part.left < 500_000 < part.right
    assert ground_in(Zone(32640), alps) is None


def test_the_margin_grows_the_ground_but_not_beyond_the_tiles() -> None:
    window = tile_window("32TQM", 10_000)
    plain, more = ground_in(Zone(32633), window), ground_in(Zone(32633), window, 600)
    assert plain is not None
    assert more is not None
    assert more.contains(plain)
    assert (more.right - plain.right, plain.bottom - more.bottom) == (600, 600)
    own = ground_in(NORTH, window)
    assert own is not None
    assert (own.left, own.bottom, own.top) == (window.left, window.bottom, window.top), "no projection, no rounding"
    assert own.right < window.right, "the zone has no tile there"


def test_ground_that_can_not_be_projected_is_refused() -> None:
    world = GeoBox((120, 360), Affine(1, 0, -180, 0, -1, 60), "EPSG:4326")
    with pytest.raises(InvalidWindowError, match="reaches too far"):
        ground_in(NORTH, world)
