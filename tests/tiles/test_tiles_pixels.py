"""Pixels of map tiles against a slow reference: seams, corners, zone borders, hemispheres, overviews."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ingest.purge import purge
from ingest.settle import settle
from services.tiles.frame import Frame
from services.tiles.scenes import Scenes
from services.tiles.wish import Wish
from tests.tiles.pictures import (
    BORDER,
    BORDER_WEST,
    DATE_LINE,
    EDGE,
    EQUATOR,
    FOUR,
    archive_of,
    assert_shows,
    frame_of,
    shown,
    tile_at,
)
from tests.tiles.reference import picture
from tests.toy import CORNER, ground

if TYPE_CHECKING:
    from abut.archive import Archive
    from services.tiles.warp import Resampling


@pytest.fixture(scope="session")
def four(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Four tiles around a corner, with all their overlap; not to be changed."""
    return archive_of(tmp_path_factory.mktemp("tiles") / "four", *FOUR)


@pytest.fixture(scope="session")
def lean(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """The same without any overlap; not to be changed."""
    archive = archive_of(tmp_path_factory.mktemp("tiles") / "lean", *FOUR)
    settle(archive)
    purge(archive, grace=timedelta(0))
    return archive


@pytest.fixture(scope="session")
def border(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Two tiles of two southern zones; not to be changed."""
    return archive_of(tmp_path_factory.mktemp("tiles") / "border", *BORDER)


@pytest.fixture(scope="session")
def date_line(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Two tiles on both sides of 180 degrees; not to be changed."""
    return archive_of(tmp_path_factory.mktemp("tiles") / "date line", *DATE_LINE)


@pytest.fixture(scope="session")
def equator(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Two tiles of two hemispheres; not to be changed."""
    return archive_of(tmp_path_factory.mktemp("tiles") / "equator", *EQUATOR)


@pytest.mark.parametrize("archive", ["four", "lean"])
@pytest.mark.parametrize(("zoom", "reduction"), [(12, 1), (10, 1), (9, 2), (8, 4), (7, 8), (6, 16), (5, 32)])
def test_the_corner_of_four_tiles_is_what_the_products_show(
    archive: str, zoom: int, reduction: int, request: pytest.FixtureRequest
) -> None:
    frame = tile_at(zoom, 10.3, 44.3)
    found = shown(request.getfixturevalue(archive), frame)
    assert_shows(found, [FOUR], frame, reduction)


@pytest.mark.parametrize("archive", ["four", "lean"])
def test_a_frame_on_the_own_grid_has_the_pixels_as_they_are(archive: str, request: pytest.FixtureRequest) -> None:
    scene = Scenes(request.getfixturevalue(archive)).open(Wish())
    place = replace(CORNER, left=CORNER.left + 1_260, top=CORNER.top - 3_420)
    for resampling in ("nearest", "bilinear", "cubic"):
        found = scene.read(frame_of(place), ["B09", "B01"], resampling=resampling, unscale=False)
        assert found.data.dtype == np.uint16
        assert not found.nodata.any()
        for number, band in enumerate(("B09", "B01")):
            assert np.array_equal(found.data[number], ground(band, CORNER)[CORNER.slices(place, 60)])


@pytest.mark.parametrize("zoom", [13, 10, 7])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.37, -0.61)])
def test_a_tile_of_512_pixels_is_the_four_tiles_below_it(four: Archive, zoom: int, shift: tuple[float, float]) -> None:
    large = tile_at(zoom, 10.3, 44.3, 512)
    pixel = large.pixel[0]
    left, bottom, right, top = (
        edge + pixel * offset for edge, offset in zip(large.bounds, (*shift, *shift), strict=True)
    )
    large = replace(large, bounds=(left, bottom, right, top))
    middle = (left + right) / 2, (bottom + top) / 2
    whole = shown(four, large)
    for rows, (low, high) in ((slice(0, 256), (middle[1], top)), (slice(256, 512), (bottom, middle[1]))):
        for columns, (west, east) in ((slice(0, 256), (left, middle[0])), (slice(256, 512), (middle[0], right))):
            part = shown(four, Frame(large.crs, (west, low, east, high), 256, 256))
            np.testing.assert_array_equal(whole[rows, columns], part)


@pytest.mark.parametrize("zoom", [10, 7])
def test_a_part_of_a_picture_is_the_picture_of_the_part(four: Archive, zoom: int) -> None:
    scene, frame = Scenes(four).open(Wish()), tile_at(zoom, 10.3, 44.3)
    left, _, _, top = frame.bounds
    pixel = frame.pixel[0]
    whole = scene.read(frame, ["B01"], resampling="bilinear")
    for row, column in ((3, 41), (90, 101)):
        corner = left + column * pixel, top - row * pixel
        part = Frame(frame.crs, (corner[0], corner[1] - 120 * pixel, corner[0] + 150 * pixel, corner[1]), 150, 120)
        found = scene.read(part, ["B01"], resampling="bilinear")
        cut = np.s_[:, row : row + 120, column : column + 150]
        np.testing.assert_allclose(found.data, whole.data[cut], atol=2e-6)
        np.testing.assert_array_equal(found.nodata, whole.nodata[cut])


@pytest.mark.parametrize(("zoom", "reduction"), [(13, 1), (11, 1), (10, 1), (9, 2), (8, 4)])
def test_the_border_of_two_zones_shows_each_pixel_in_the_zone_that_it_is_nearer_to(
    border: Archive, zoom: int, reduction: int
) -> None:
    frame = tile_at(zoom, 12.0, -33.5)
    frame = replace(frame, bounds=(frame.bounds[0] - 9_999, *frame.bounds[1:]))
    assert_shows(shown(border, frame), [BORDER], frame, reduction)
    expected = picture([BORDER], frame, "B01", reduction)
    assert {32732, 32733} <= set(np.unique(expected.zone).tolist())


def test_the_border_of_two_zones_has_no_gap(border: Archive) -> None:
    frame = Frame("EPSG:4326", (11.95, -33.55, 12.05, -33.5), 300, 150)
    found = Scenes(border).open(Wish()).read(frame, ["B01", "provenance"], resampling="bilinear")
    assert not found.nodata.any()
    assert (found.data[1] == 1).all()
    assert len(found.products) == 2


def test_a_frame_of_a_zone_shows_that_zone_first_and_says_what_is_from_another(border: Archive) -> None:
    place = replace(BORDER_WEST, right=BORDER_WEST.right + 12_000, left=BORDER_WEST.right - 6_000)
    frame = frame_of(place)
    assert_shows(shown(border, frame), [BORDER], frame)
    found = Scenes(border).open(Wish()).read(frame, ["provenance", "B01"])
    expected = picture([BORDER], frame, "B01")
    told = np.select([expected.zone == 32732, expected.zone == 32733], [1, 2], 0)
    assert {1, 2} <= set(np.unique(told).tolist())
    assert np.array_equal(found.data[0][expected.certain], told[expected.certain])


@pytest.mark.parametrize(("zoom", "reduction"), [(13, 1), (11, 1), (9, 2), (8, 4)])
def test_the_equator_joins_both_hemispheres(equator: Archive, zoom: int, reduction: int) -> None:
    frame = tile_at(zoom, 15.0, 0.0)
    side = frame.bounds[3] - frame.bounds[1]
    frame = replace(
        frame, bounds=(frame.bounds[0], frame.bounds[1] + side / 2, frame.bounds[2], frame.bounds[3] + side / 2)
    )
    assert_shows(shown(equator, frame), [EQUATOR], frame, reduction)
    expected = picture([EQUATOR], frame, "B01", reduction)
    assert {32633, 32733} <= set(np.unique(expected.zone).tolist())


def test_the_equator_has_no_gap_and_no_doubled_line(equator: Archive) -> None:
    frame = Frame("EPSG:4326", (14.95, -0.05, 15.05, 0.05), 200, 200)
    expected = picture([EQUATOR], frame, "B01")
    assert np.isfinite(expected.dn).all()
    assert_shows(shown(equator, frame), [EQUATOR], frame)


@pytest.mark.parametrize(
    "frame",
    [
        Frame("EPSG:4326", (179.95, -17.05, 180.05, -17.0), 200, 100),
        Frame("EPSG:3857", (EDGE - 10_000, -1_925_000, EDGE, -1_915_000), 128, 128),
        Frame("EPSG:3857", (-EDGE, -1_925_000, -EDGE + 10_000, -1_915_000), 128, 128),
    ],
    ids=["across", "west", "east"],
)
def test_the_date_line_is_a_border_of_zones_like_others(date_line: Archive, frame: Frame) -> None:
    found = shown(date_line, frame)
    assert np.isfinite(found).all()
    assert_shows(found, [DATE_LINE], frame)
    west, south, east, north = Scenes(date_line).open(Wish()).bounds
    assert (west, east) == (-180, 180)
    assert -17.3 < south < north < -16.1


@pytest.mark.parametrize("resampling", ["bilinear", "cubic"])
def test_smooth_resampling_stays_between_what_is_there(four: Archive, resampling: Resampling) -> None:
    frame = tile_at(13, 10.3, 44.3)
    scene = Scenes(four).open(Wish())
    smooth = scene.read(frame, ["B01"], resampling=resampling)
    sharp = scene.read(frame, ["B01"])
    assert np.array_equal(smooth.nodata, sharp.nodata)
    assert not np.array_equal(smooth.data, sharp.data)
