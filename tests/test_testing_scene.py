"""What the made-up satellite saw follows from the place alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from abut.lattice import Bounds, Zone
from abut.layout import BAND, BANDS, Band
from abut.testing import Scene, Swath
from abut.testing.scene import FLAWED_BANDS
from abut.testing.swath import HalfPlane, polygon, runs
from abut.tiling import tile

if TYPE_CHECKING:
    from numpy.typing import NDArray

NORTH, SOUTH = tile("32TNM"), tile("53HPA")
BY_NAME = st.sampled_from(BANDS)


def through(name: str) -> Scene:
    """A scene whose swath goes through the middle of a tile."""
    footprint = tile(name).footprint
    return Scene(swath=Swath(zone=footprint.zone, easting=footprint.left + 54_000, northing=footprint.bottom + 54_000))


@given(
    band=BY_NAME,
    name=st.sampled_from(["32TNM", "53HPA"]),
    corner=st.tuples(st.integers(600, 900), st.integers(0, 1500)),
    size=st.tuples(st.integers(1, 200), st.integers(1, 200)),
    strip=st.sampled_from([None, 0, 1]),
)
@settings(max_examples=60, deadline=None)
def test_every_rectangle_gives_a_place_the_same_value(
    band: Band, name: str, corner: tuple[int, int], size: tuple[int, int], strip: int | None
) -> None:
    scene = through(name).split(tile(name).footprint.bottom + 40_000)
    footprint = tile(name).footprint
    left, bottom = footprint.left + 60 * corner[0], footprint.bottom + 60 * corner[1]
    part = Bounds(footprint.zone, left, bottom, left + 60 * size[0], bottom + 60 * size[1])
    around = part.buffered(1_200)
    for see in (scene.pixels, scene.detector, scene.quality):
        whole, alone = see(band, around, strip=strip), see(band, part, strip=strip)
        assert np.array_equal(whole[..., *around.slices(part, band.resolution)], alone)


@pytest.mark.parametrize("name", ["B02", "B12", "B09"])
def test_four_tiles_agree_on_the_corner_they_share(name: str) -> None:
    tiles = [tile(t) for t in ("32TMT", "32TNT", "32TMS", "32TNS")]
    shared = tiles[0].footprint
    for other in tiles[1:]:
        common = shared.intersection(other.footprint)
        assert common is not None
        shared = common
    scene = Scene(swath=Swath(zone=shared.zone, easting=shared.left + 5_000, northing=shared.bottom + 5_000))
    band = BAND[name]
    seen = [scene.pixels(band, t.footprint)[t.footprint.slices(shared, band.resolution)] for t in tiles]
    assert np.count_nonzero(seen[0]) > seen[0].size // 2
    for one, next_one in pairwise(seen):
        assert np.array_equal(one, next_one)


def test_every_pixel_has_a_value_of_its_own_neighbourhood() -> None:
    # A picture shifted by one pixel in any direction must be told from the right one.
    scene, bounds = through("32TNM"), NORTH.footprint.buffered(-50_400)
    image = scene.pixels(BAND["B03"], bounds)
    for shift in ((0, 1), (1, 0), (3, -7), (1, 1)):
        moved = np.roll(image, shift, axis=(0, 1))
        assert np.count_nonzero(moved != image) > image.size // 8


def test_swath_edges_differ_from_band_to_band() -> None:
    scene = through("32TNM")
    row = Bounds(NORTH.zone, NORTH.ulx, NORTH.uly - 60_000, NORTH.ulx + 109_800, NORTH.uly - 59_940)
    edges = []
    for band in BANDS:
        seen = np.flatnonzero(scene.pixels(band, row)[0])
        assert np.array_equal(seen, np.arange(seen[0], seen[-1] + 1))
        edges.append((int(seen[0]) * band.resolution, int(seen[-1] + 1) * band.resolution))
    assert len({left for left, _ in edges}) > 6
    assert len({right for _, right in edges}) > 6
    assert {right - left for left, right in edges} <= set(range(11_800, 12_200))


@pytest.mark.parametrize("name", ["B04", "B8A", "B01"])
@pytest.mark.parametrize("home", ["32TNM", "53HPA"])
def test_two_datastrips_complement_each_other(name: str, home: str) -> None:
    footprint, band = tile(home).footprint, BAND[name]
    scene = through(home).split(footprint.bottom + 60_000)
    first, second = (scene.pixels(band, footprint, strip=strip) for strip in (0, 1))
    assert np.count_nonzero(first) > 1_000
    assert np.count_nonzero(second) > 1_000
    assert not np.any((first > 0) & (second > 0))
    assert np.array_equal(first + second, scene.pixels(band, footprint))
    assert np.flatnonzero(first.any(axis=1))[0] < np.flatnonzero(second.any(axis=1))[0]
    earlier, later = scene.strips
    assert earlier.start < later.start
    assert earlier.created < later.created


def test_an_ascending_orbit_delivers_the_south_first() -> None:
    scene = replace(through("32TNM"), orbit_direction="ascending").split(NORTH.uly - 50_000)
    assert scene.strips[0].south_of == scene.strips[1].north_of == NORTH.uly - 50_000


def test_the_line_between_datastrips_crosses_the_track_at_right_angles() -> None:
    swath = Swath(zone=NORTH.zone, easting=550_000, northing=4_640_000, slope=(4, 15))
    line = swath.south_of(4_650_000)
    on_track = (550_000 + 40_000 // 15, 4_650_000)
    assert (on_track[0] + 15_000, on_track[1] - 4_001) in line
    assert (on_track[0] + 15_000, on_track[1] - 3_998) not in line


def test_another_baseline_sees_the_same_ground_without_offset() -> None:
    new = through("32TNM")
    old = replace(new, baseline="02.04")
    bounds = NORTH.footprint.buffered(-45_000)
    with_offset, without = (scene.pixels(BAND["B05"], bounds).astype(int) for scene in (new, old))
    ordinary = (without > 1) & (without < 32_767)
    assert np.count_nonzero(ordinary) > 10_000
    assert (new.offset, old.offset) == (-1000, 0)
    assert np.array_equal(with_offset[ordinary], without[ordinary] + 1000)


@pytest.mark.parametrize("what", ["seed", "datatake"])
def test_another_seed_or_datatake_sees_other_ground(what: str) -> None:
    scene = through("32TNM")
    later = replace(scene, datatake_start=scene.datatake_start + timedelta(days=5))
    other = replace(scene, seed=1) if what == "seed" else later
    bounds = NORTH.footprint.buffered(-50_400)
    one, another = (s.pixels(BAND["B8A"], bounds) for s in (scene, other))
    assert np.count_nonzero(one != another) > one.size // 2


@pytest.mark.parametrize("name", ["B02", "B11", "B10"])
def test_a_few_pixels_take_the_extreme_values(name: str) -> None:
    image = through("32TNM").pixels(BAND[name], NORTH.footprint)
    for extreme in (1, 32_767):
        assert 0 < np.count_nonzero(image == extreme) < 200
    assert image.max() == 32_767


def test_the_swath_goes_on_across_a_zone_border() -> None:
    scene = through("32TPT")
    here, there = scene.swath_in(Zone(32632)), scene.swath_in(Zone(32633))
    assert here == scene.swath
    transform = Transformer.from_crs(32632, 32633, always_xy=True)
    for northing in range(here.northing - 60_000, here.northing + 60_001, 20_000):
        easting = here.easting + (northing - here.northing) * here.slope[0] / here.slope[1]
        x, y = transform.transform(easting, northing)
        assert abs(there.across(np.array([x]), np.array([y]))[0]) < 60


def test_tiles_on_both_sides_of_a_zone_border_see_the_same_swath() -> None:
    west, east = tile("32TQT"), tile("33TUN")
    scene = Scene(swath=Swath(zone=west.zone, easting=west.ulx + 85_000, northing=west.uly - 54_000))
    to_west = Transformer.from_crs(32633, 32632, always_xy=True)
    assert np.any(scene.pixels(BAND["B01"], west.footprint))
    rows, columns = np.nonzero(scene.pixels(BAND["B01"], east.footprint))
    assert rows.size > 10_000
    x, y = to_west.transform(east.ulx + 30 + 60 * columns, east.uly - 30 - 60 * rows)
    assert np.abs(scene.swath.across(x, y)).max() < scene.swath.width / 2 + 200


@given(
    planes=st.lists(
        st.builds(HalfPlane, st.integers(-20, 20), st.integers(-20, 20), st.integers(-20_000, 20_000)), max_size=4
    ),
    resolution=st.sampled_from([10, 20, 60]),
)
@settings(max_examples=200, deadline=None)
def test_runs_hold_exactly_the_pixels_whose_centres_are_inside(planes: list[HalfPlane], resolution: int) -> None:
    bounds = Bounds(NORTH.zone, -600, -900, 600, 900)
    first, stop = runs(planes, bounds, resolution)
    rows, columns = bounds.shape(resolution)
    for row in range(rows):
        y = 900 - resolution // 2 - resolution * row
        inside = [
            column
            for column in range(columns)
            if all(plane.a * (-600 + resolution * column + resolution // 2) + plane.b * y < plane.c for plane in planes)
        ]
        assert list(range(first[row], stop[row])) == inside


def test_polygons_are_clipped_to_the_rectangle() -> None:
    bounds = Bounds(NORTH.zone, 0, 0, 100, 100)
    assert polygon((HalfPlane(1, 0, 40),), bounds) == [(0, 100), (39.5, 100), (39.5, 0), (0, 0)]
    assert polygon((HalfPlane(1, 0, -5),), bounds) == []


def test_detector_footprints_do_not_match_the_data_exactly() -> None:
    scene, band = through("32TNM"), BAND["B06"]
    detectors, data = scene.detector(band, NORTH.footprint), scene.pixels(band, NORTH.footprint)
    assert set(np.unique(detectors)) == {0, 5, 6, 7}
    assert np.any((detectors > 0) & (data == 0))
    assert np.any((detectors == 0) & (data > 0))
    assert np.count_nonzero((detectors > 0) != (data > 0)) < detectors.size // 100


def test_clouds_are_brighter_and_inside_the_swath() -> None:
    cloudy = through("32TNM")
    clear = replace(cloudy, clouds=False)
    opaque, cirrus, snow = (plane.astype(bool) for plane in cloudy.classification(NORTH.footprint))
    assert not clear.classification(NORTH.footprint).any()
    for plane in (opaque, cirrus, snow):
        assert np.any(plane)
    for name, changed in (("B01", opaque | snow), ("B10", opaque | cirrus | snow)):
        brightened, plain = (s.pixels(BAND[name], NORTH.footprint).astype(int) for s in (cloudy, clear))
        usual = (plain > 1) & (plain < 30_000)
        assert np.array_equal((brightened != plain) & usual, changed & usual)
        assert not np.any(changed & (plain == 0))


def test_quality_masks_flag_only_pixels_with_data() -> None:
    scene = through("32TNM")
    for band in BANDS:
        if band.resolution == 10 and band.name not in FLAWED_BANDS:
            continue
        flagged = scene.quality(band, NORTH.footprint)
        assert flagged.shape == (8, *NORTH.footprint.shape(band.resolution))
        assert flagged.max() == (band.name in FLAWED_BANDS)
        assert not np.any(flagged.any(axis=0) & (scene.pixels(band, NORTH.footprint) == 0))


def test_a_texture_is_repeated_over_the_ground() -> None:
    rng = np.random.default_rng(0)
    texture = {band.name: rng.integers(0, 9000, (600 // band.resolution,) * 2, dtype=np.uint16) for band in BANDS}
    scene = replace(through("32TNM"), texture=texture, clouds=False)
    for band in (BAND["B08"], BAND["B07"], BAND["B09"]):
        swath = scene.swath
        left, top = swath.easting // 600 * 600, swath.northing // 600 * 600
        square = Bounds(swath.zone, left, top - 1200, left + 600, top)
        expected = np.maximum(texture[band.name], 1)
        assert np.array_equal(scene.pixels(band, square), np.concatenate([expected, expected]))


def test_a_texture_may_be_a_function() -> None:
    def height(band: Band, bounds: Bounds) -> NDArray[np.uint16]:
        rows, columns = bounds.shape(band.resolution)
        y = bounds.top - band.resolution * np.arange(rows)
        return np.broadcast_to((y // 60 % 30_000)[:, np.newaxis], (rows, columns)).astype(np.uint16)

    scene = replace(through("32TNM"), texture=height, clouds=False)
    x, y = scene.swath.easting // 60 * 60, scene.swath.northing // 60 * 60
    image = scene.pixels(BAND["B02"], Bounds(NORTH.zone, x, y - 120, x + 600, y))
    assert image[:, 0].tolist() == [y // 60 % 30_000] + [y // 60 % 30_000 - 1] * 6 + [y // 60 % 30_000 - 2] * 5


def test_southern_pixels_are_counted_from_the_equator() -> None:
    scene = through("53HPA")
    assert np.count_nonzero(scene.pixels(BAND["B01"], SOUTH.footprint)) > 1_000
    askew = Bounds(SOUTH.zone, SOUTH.ulx, SOUTH.uly // 60 * 60 - 6_000, SOUTH.ulx + 109_800, SOUTH.uly // 60 * 60)
    with pytest.raises(ValueError, match="not on the 60 m pixels of EPSG:32753"):
        scene.pixels(BAND["B01"], replace(askew, bottom=askew.bottom - 48_000, top=askew.top - 48_000))


@pytest.mark.parametrize(("width", "slope"), [(0, (4, 15)), (12_000, (1, 0))])
def test_a_swath_without_ground_is_refused(width: int, slope: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="is no band of ground"):
        Swath(zone=NORTH.zone, easting=500_000, northing=4_600_000, width=width, slope=slope)


def test_a_strip_that_is_not_there_is_refused() -> None:
    with pytest.raises(IndexError):
        through("32TNM").strip(1)
