"""The made-up landscape follows from the place alone, and its shadows lie where the sun puts them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abut.lattice import BLOCK_SIZE, Bounds, Zone
from abut.layout import BAND, BANDS, Band
from abut.testing import Scene, Swath
from abut.testing.landscape import KINDS, Landscape
from abut.tiling import tile

NORTH, SOUTH = Zone(32632), Zone(32753)
SUN = (52.0, 165.0)
LAND = Landscape(zone=NORTH, coast=609_000, sun=SUN)


def square(zone: Zone, x: int, y: int, side: int) -> Bounds:
    """A square of ground, its lower left corner counted from easting 0 and the equator."""
    return Bounds(zone, x, zone.equator + y, x + side, zone.equator + y + side)


@given(
    band=st.sampled_from(BANDS),
    zone=st.sampled_from([NORTH, SOUTH]),
    corner=st.tuples(st.integers(0, 160), st.integers(0, 160)),
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
@settings(max_examples=25, deadline=None)
def test_every_rectangle_gives_a_place_the_same_value(
    band: Band, zone: Zone, corner: tuple[int, int], size: tuple[int, int]
) -> None:
    land = replace(LAND, zone=zone)
    around = square(zone, 63 * BLOCK_SIZE, -2 * BLOCK_SIZE, 2 * BLOCK_SIZE)
    left, bottom = around.left + 60 * corner[0], around.bottom + 60 * corner[1]
    part = Bounds(zone, left, bottom, left + 60 * size[0], bottom + 60 * size[1])
    assert np.array_equal(land(band, around)[around.slices(part, band.resolution)], land(band, part))


def test_other_seeds_and_zones_have_other_ground() -> None:
    place = square(NORTH, 600_000, 4_800_000, 4_800)
    kinds = LAND.kinds(place)
    assert (replace(LAND, seed=1).kinds(place) != kinds).mean() > 0.3
    elsewhere = Zone(32633)
    assert (replace(LAND, zone=elsewhere).kinds(replace(place, zone=elsewhere)) != kinds).mean() > 0.3


def test_another_sky_has_other_clouds_over_the_same_ground() -> None:
    place = square(NORTH, 600_000, 4_800_000, 9_600)
    other = replace(LAND, sky=1)
    assert np.array_equal(other.kinds(place), LAND.kinds(place))
    assert (other.clouds(place) != LAND.clouds(place)).mean() > 0.1


def test_pixels_of_all_sizes_show_the_same_kinds() -> None:
    place = square(NORTH, 590_400, 4_790_400, 9_600)
    shares = [
        np.bincount(LAND.kinds(place, size).ravel(), minlength=len(KINDS)) / (9_600 // size) ** 2
        for size in (10, 20, 60)
    ]
    assert min(shares[0]) > 0.02
    assert np.abs(shares[0] - shares[2]).max() < 0.01
    assert np.abs(shares[0] - shares[1]).max() < 0.01


def test_the_sea_is_east_of_the_coast() -> None:
    place = square(NORTH, LAND.coast - 6_000, 4_790_400, 12_000)
    water = LAND.kinds(place) == KINDS.index("water")
    assert water[:, -70:].all()
    assert water[:, :70].mean() < 0.4


@pytest.mark.parametrize("azimuth", [20, 165, 340])
def test_every_shadow_lies_behind_a_cloud(azimuth: int) -> None:
    place = square(SOUTH, 600_000, -3_900_000, 24_000)
    land = replace(LAND, zone=SOUTH, sun=(45.0, float(azimuth)))
    clouds, shadows = land.clouds(place) > 100, land.shadows(place) > 200
    middle = np.s_[80:-80, 80:-80]
    behind = []
    for side in (1, -1):
        covered = np.zeros_like(clouds)
        for height in range(side * 800, side * 4_450, side * 60):
            north, east = -height * np.cos(np.radians(azimuth)), -height * np.sin(np.radians(azimuth))
            covered |= np.roll(clouds, (round(-north / 60), round(east / 60)), (0, 1))
        behind.append(covered[middle][shadows[middle]].mean())
    assert shadows[middle].mean() > 0.05
    assert behind[0] == 1
    assert behind[1] < 0.9


def test_digital_numbers_are_reflectances_less_the_offset() -> None:
    place = square(NORTH, 600_000, 4_800_000, 1_200)
    for band in (BAND["B02"], BAND["B8A"], BAND["B10"]):
        modern, old = LAND(band, place), replace(LAND, offset=0)(band, place)
        assert np.array_equal(modern, old + np.uint16(1000))


def test_ground_of_another_zone_or_off_the_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="epsg=32753"):
        LAND(BAND["B02"], square(SOUTH, 600_000, 0, 600))
    with pytest.raises(ValueError, match="600010"):
        LAND(BAND["B01"], square(NORTH, 600_010, 0, 600))


@pytest.mark.parametrize("name", ["32TNM", "53HPA"])
def test_a_frame_is_all_that_a_scene_shows(name: str) -> None:
    bounds = tile(name).footprint
    middle = bounds.buffered(-51_000)
    frame = Bounds(bounds.zone, middle.left, middle.bottom + 1_200, middle.right - 600, middle.top)
    scene = Scene(
        swath=Swath(zone=bounds.zone, easting=middle.left, northing=middle.bottom, width=60_000),
        clouds=False,
        texture=replace(LAND, zone=bounds.zone),
        frame=frame,
    )
    for band in (BAND["B03"], BAND["B11"], BAND["B09"]):
        pixels = scene.pixels(band, bounds)
        inside = bounds.slices(frame, band.resolution)
        assert (pixels[inside] > 0).all()
        assert np.array_equal(pixels[inside], replace(LAND, zone=bounds.zone)(band, frame))
        assert np.count_nonzero(pixels) == pixels[inside].size
        detectors = scene.detector(band, bounds)
        assert np.array_equal(detectors > 0, pixels > 0)
