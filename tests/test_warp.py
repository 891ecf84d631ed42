"""Across zones: native pixels stay, the rest equals a slow reference, and no division of a request changes a byte."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from abut.across import NATIVE, NODATA, REPROJECTED, Neighbour, Part, batches, fill, join, needed
from abut.errors import BadRequestError, InvalidWindowError
from abut.ground import neighbour_zones, tiles_on
from abut.lattice import Bounds, Zone
from abut.layout import BAND
from abut.pixels import read_bands
from abut.tiling import tile
from abut.timeline import align
from abut.warp import REACH, Warp
from abut.window import geobox_of, tile_window
from tests.reference_warp import Reference
from tests.toy_zones import ToyZone, slot, waves

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from abut.layout import Band

pytestmark = [
    # odc-geo 0.5 with affine 3 and shapely 2.2; nothing that we could do about.
    pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning"),
]

B01, B09, B05 = BAND["B01"], BAND["B09"], BAND["B05"]
B02, B03, B04 = BAND["B02"], BAND["B03"], BAND["B04"]
WEST, EAST = ("31TGM",), ("32TLR",)
ROUNDING = 0.5 + 1e-6
"""Bilinear, cubic and average: what rounding to whole DN allows."""


def square(crs: str, place: tuple[float, float], size: float, pixels: int = 100, *, whole: bool = True) -> GeoBox:
    """Pixels around a place in degrees; their edges are multiples of the pixel size, or not."""
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(*place)
    left, top = round(x / size) * size - pixels // 2 * size, round(y / size) * size + pixels // 2 * size
    shift = 0.0 if whole else size / 3
    return GeoBox((pixels, pixels + 7), Affine(size, 0, left + shift, 0, -size, top - shift), crs)


def middle_of_the_top(name: str) -> tuple[float, float]:
    """Where a tile ends in the north, in degrees: half of the ground around has data."""
    footprint = tile(name).footprint
    to_degrees = Transformer.from_crs(str(footprint.zone), "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform((footprint.left + footprint.right) / 2, footprint.top)
    return lon, lat


def ground_of_the_hole() -> Bounds:
    """A square in the middle of the ground that is tested."""
    footprint = tile("31TGM").footprint
    x, y = (footprint.left + footprint.right) // 2, footprint.top
    return Bounds(footprint.zone, x - 900, y - 1500, x + 900, y - 600)


RIM = middle_of_the_top("31TGM")
TARGETS = {
    "neighbour": square("EPSG:32632", RIM, 60),
    "finer": square("EPSG:32632", RIM, 20),
    "coarser": square("EPSG:32632", RIM, 100),
    "ragged": square("EPSG:32632", RIM, 30, whole=False),
    "Europe": square("EPSG:3035", RIM, 60),
    "degrees": square("EPSG:4326", RIM, 0.0005, whole=False),
    "rotated": GeoBox((90, 120), square("EPSG:32632", RIM, 60).transform @ Affine.rotation(30), "EPSG:32632"),
}


def filled(
    target: GeoBox,
    zones: Sequence[ToyZone],
    resampling: str = "nearest",
    *,
    bands: Sequence[Band] = (B01,),
    part: tuple[slice, slice] | None = None,
    own: ToyZone | None = None,
) -> tuple[dict[Band, NDArray[np.uint16]], NDArray[np.uint8]]:
    """A target, or a part of it, as a request reads it."""
    height, width = target.shape.yx
    rows, columns = part or (slice(0, height), slice(0, width))
    by_zone = {zone.zone: zone for zone in zones}
    nothing = ToyZone(("01CCV",), slots=())
    joined = join(target, bands, lambda window: by_zone.get(window.zone, nothing), own, resampling=resampling)
    shape = (len(joined.slots), rows.stop - rows.start, columns.stop - columns.start)
    values: dict[Band, NDArray[np.uint16]] = {band: np.zeros(shape, np.uint16) for band in bands}
    if joined.own is not None:
        size, affine = int(target.resolution.x), target.transform
        zone = joined.own.zone
        left, top = int(affine.c) + size * columns.start, int(affine.f) - size * rows.start
        window = Bounds(zone, left, top - size * shape[1], left + size * shape[2], top)
        values = read_bands(joined.own, window, bands)
    return values, fill(Part(target, rows, columns, values), joined.neighbours, resampling=resampling)


# Against the slow reference


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_nearest_is_the_pixel_that_holds_the_exact_place_of_each_centre(name: str) -> None:
    zone = ToyZone(WEST)
    values, provenance = filled(TARGETS[name], [zone])
    expected = Reference(zone, TARGETS[name], B01).nearest()
    assert 0.2 < np.count_nonzero(expected) / expected.size < 0.8
    assert np.array_equal(values[B01][0], expected)
    assert np.array_equal(provenance[0], np.where(expected > 0, REPROJECTED, NODATA))


@pytest.mark.parametrize("name", ["neighbour", "finer", "ragged", "Europe", "degrees", "rotated"])
@pytest.mark.parametrize("method", ["bilinear", "cubic"])
def test_interpolation_weighs_pixels_with_data_and_is_nodata_where_there_are_none(name: str, method: str) -> None:
    """Cubic needs all its sixteen pixels, and is bilinear where one has no data; it stays between 1 and 65,535."""
    zone, target = ToyZone(WEST, speckled=True), TARGETS[name]
    pixels = filled(target, [zone], method)[0][B01][0]
    reference = Reference(zone, target, B01)
    expected = reference.bilinear()
    if method == "cubic":
        cubic = reference.cubic()
        assert (cubic < 0).any()
        expected = np.where(np.isfinite(cubic), np.clip(cubic, 1, 65535), expected)
    assert np.array_equal(pixels > 0, np.isfinite(expected))
    assert np.nanmax(np.abs(pixels - expected)) <= ROUNDING


@pytest.mark.parametrize("size", [75, 180])
@pytest.mark.parametrize("method", ["bilinear", "cubic"])
def test_kernels_are_as_wide_as_the_pixels_of_the_target(method: str, size: int) -> None:
    zone, target = ToyZone(WEST, speckled=True), square("EPSG:32632", RIM, size)
    pixels = filled(target, [zone], method)[0][B01][0]
    across, down = Warp(target, zone.zone, 60, method).factors
    assert across == pytest.approx(size / 60, rel=0.005)
    expected = np.clip(Reference(zone, target, B01).widened(method, (across, down)), 1, 65535)
    assert np.array_equal(pixels > 0, np.isfinite(expected))
    assert np.nanmax(np.abs(pixels - expected)) <= ROUNDING


@pytest.mark.parametrize("method", sorted(REACH))
def test_a_band_does_not_depend_on_what_else_is_asked_for(method: str) -> None:
    """Not on other bands, not on steps in time, whether these have holes or are full."""
    full, holes = ToyZone(WEST), ToyZone(WEST, speckled=True)
    lost = ground_of_the_hole()
    for zone in (full, holes, ToyZone(WEST, hole=lost), ToyZone(WEST, hole=lost, slots=(slot(0), slot(1), slot(2)))):
        target = TARGETS["neighbour"]
        together = filled(target, [zone], method, bands=[B01, B09])[0]
        first = ToyZone(zone.tiles, slots=zone.slots[:1], hole=zone.hole, speckled=zone.speckled)
        for band in (B01, B09):
            assert np.array_equal(filled(target, [first], method, bands=[band])[0][band][0], together[band][0])


@pytest.mark.parametrize("name", sorted(set(TARGETS) - {"rotated"}))
def test_average_is_the_mean_of_data_under_the_pixel_weighed_by_area(name: str) -> None:
    zone, target = ToyZone(WEST, speckled=True), TARGETS[name]
    pixels = filled(target, [zone], "average")[0][B01][0]
    expected = Reference(zone, target, B01).average()
    assert np.array_equal(pixels > 0, np.isfinite(expected))
    assert np.nanmax(np.abs(pixels - expected)[pixels > 0]) <= ROUNDING


@pytest.mark.parametrize("method", sorted(REACH))
def test_two_zones_that_saw_the_same_ground_agree_where_both_did(method: str) -> None:
    west, east = ToyZone(WEST, ground=waves), ToyZone(EAST, ground=waves)
    shared = Bounds(Zone(32632), 305_040, 5_093_100, 311_040, 5_099_100)
    native = east.pixels(B01, shared).astype(int)
    pixels = filled(geobox_of(shared, 60), [west], method)[0][B01][0].astype(int)
    assert native.all()
    assert pixels.all()
    allowed = {"nearest": 110, "bilinear": 5, "cubic": 3, "average": 25}[method]
    assert np.abs(pixels - native).max() <= allowed


# Parts


@pytest.mark.parametrize("name", sorted(TARGETS))
@pytest.mark.parametrize("method", sorted(REACH))
def test_any_division_of_a_request_gives_the_same_bytes(name: str, method: str) -> None:
    zone, target = ToyZone(WEST, speckled=True), TARGETS[name]
    whole, provenance = filled(target, [zone], method)
    height, width = target.shape.yx
    random = np.random.default_rng(sorted(TARGETS).index(name))
    down, across = (
        [0, *sorted(int(cut) for cut in random.choice(np.arange(1, size), cuts, replace=False)), size]
        for size, cuts in ((height, 1), (width, 2))
    )
    for top, bottom in pairwise(down):
        for left, right in pairwise(across):
            part = slice(top, bottom), slice(left, right)
            pixels, origin = filled(target, [zone], method, part=part)
            assert np.array_equal(pixels[B01], whole[B01][:, *part])
            assert np.array_equal(origin, provenance[:, *part])


@pytest.mark.parametrize("method", sorted(REACH))
def test_a_smaller_request_on_the_same_pixels_gives_the_same_bytes(method: str) -> None:
    zone = ToyZone(WEST)
    for name in ("neighbour", "Europe"):
        target, part = TARGETS[name], (slice(37, 89), slice(11, 70))
        whole = filled(target, [zone], method)[0][B01]
        assert np.array_equal(filled(target[part], [zone], method)[0][B01], whole[:, *part])


def test_pieces_are_smaller_where_pixels_are_large_so_that_sources_stay_small() -> None:
    coarse = Warp(square("EPSG:3035", RIM, 1200), Zone(32631), 60, "average")
    assert coarse.side * max(coarse.factors) < 400
    assert Warp(TARGETS["Europe"], Zone(32631), 60, "average").side == 160


@pytest.mark.parametrize("method", sorted(REACH))
@pytest.mark.parametrize("size", [700, 10_000])
def test_what_is_read_at_once_is_bounded_however_large_the_pixels_are(size: int, method: str) -> None:
    """Without it, 10 km pixels would be read by squares of 640 km: 8 GB for each band and step."""
    target, bands = GeoBox((20, 20), Affine(size, 0, 4_000_000, 0, -size, 2_600_000), "EPSG:3035"), (B02, B03, B04)
    window = needed(target, Zone(32631), bands, method)
    assert window is not None
    source = align([ToyZone(WEST)])[0]
    nothing = dict.fromkeys(bands, np.zeros((1, 20, 20), np.uint16))
    part = Part(target, slice(0, 20), slice(0, 20), nothing)
    read: dict[Band, int] = dict.fromkeys(bands, 0)
    for batch in batches(part, Neighbour(source, window), [0], method):
        height, width = batch.ground.shape(10)
        assert 2 * height * width * len(batch.bands) <= 1.3 * 2**28
        for band in batch.bands:
            read[band] += sum(
                (piece.rows.stop - piece.rows.start) * (piece.columns.stop - piece.columns.start)
                for piece in batch.pieces
            )
    assert len(set(read.values())) == 1
    assert read[B02] > 0


def test_pixels_of_10_km_have_the_values_that_they_would_have_in_any_batch() -> None:
    zone, target = ToyZone(WEST), GeoBox((6, 6), Affine(10_000, 0, 3_980_000, 0, -10_000, 2_560_000), "EPSG:3035")
    expected = Reference(zone, target, B01).nearest()
    assert (expected > 0).any()
    assert np.array_equal(filled(target, [zone])[0][B01][0], expected)


def test_pixels_that_need_more_than_memory_holds_are_refused_by_size() -> None:
    target = GeoBox((6, 6), Affine(100_000, 0, 4_000_000, 0, -100_000, 2_600_000), "EPSG:3035")
    for method, most in (("nearest", "81,920"), ("average", "27,300"), ("cubic", "16,380")):
        with pytest.raises(BadRequestError, match=rf"from 10 m \({method}\): at most {most} m"):
            Warp(target, Zone(32631), 10, method)
    Warp(target, Zone(32631), 60, "nearest")


# Native pixels, bands, provenance


BORDER = Bounds(Zone(32632), 292_020, 5_085_000, 307_980, 5_103_000)
"""Around the north-west corner of 32TLR; 31TGM has the west of it and the south of 5,200,020 of its own zone."""


def test_native_values_stay_and_only_what_lacks_is_reprojected_and_marked() -> None:
    west, east = ToyZone(WEST), ToyZone(EAST)
    values, provenance = filled(geobox_of(BORDER, 60), [west], own=east)
    native, other = east.pixels(B01, BORDER), Reference(west, geobox_of(BORDER, 60), B01).nearest()
    assert (native > 0).any()
    assert ((native == 0) & (other > 0)).any()
    assert np.array_equal(values[B01][0], np.where(native > 0, native, other))
    assert np.array_equal(provenance[0] == NATIVE, native > 0)
    assert np.array_equal(provenance[0] == REPROJECTED, (native == 0) & (other > 0))


def test_a_hole_of_one_band_is_filled_in_that_band_and_marks_the_pixel() -> None:
    hole = Bounds(Zone(32632), 303_000, 5_090_040, 304_800, 5_091_000)
    west, east = ToyZone(WEST), ToyZone(EAST, hole=hole)
    values, provenance = filled(geobox_of(BORDER, 60), [west], own=east, bands=[B01, B09])
    inside = BORDER.slices(hole, 60)
    assert np.array_equal(values[B01][0][inside], east.pixels(B01, hole))
    assert np.array_equal(values[B09][0][inside], Reference(west, geobox_of(hole, 60), B09).nearest())
    assert (provenance[0][inside] == REPROJECTED).all()


def test_bands_of_several_pixel_sizes_are_put_on_one_target() -> None:
    zone, target = ToyZone(WEST), TARGETS["finer"]
    values, _ = filled(target, [zone], bands=[B01, B05])
    for band in (B01, B05):
        assert np.array_equal(values[band][0], Reference(zone, target, band).nearest())


def test_nothing_of_other_zones_is_read_where_nothing_lacks() -> None:
    west, east = ToyZone(WEST), ToyZone(EAST)
    inner = Bounds(Zone(32632), 305_040, 5_090_040, 307_980, 5_093_100)
    _, provenance = filled(geobox_of(inner, 60), [west], own=east)
    assert (provenance == NATIVE).all()
    assert east.reads
    assert not west.reads


def test_only_blocks_under_what_lacks_are_read_of_other_zones() -> None:
    west, east = ToyZone(WEST), ToyZone(EAST)
    filled(geobox_of(tile_window("32TLR"), 60), [west], own=east)
    assert not west.reads
    filled(geobox_of(tile_window("32TLR", 10_000), 60), [west], own=east)
    assert 0 < len(set(west.reads)) <= 40


# Time


def test_one_datatake_in_two_zones_is_one_step_and_one_of_a_neighbour_alone_is_a_step_too() -> None:
    west = ToyZone(WEST, slots=(slot(0), slot(2), slot(5)))
    east = ToyZone(EAST, slots=(slot(2), slot(3)))
    target = geobox_of(BORDER, 60)
    joined = join(target, [B01], lambda _: west, east)
    assert [one.datatakes for one in joined.slots] == [slot(day).datatakes for day in (0, 2, 3, 5)]
    values, provenance = filled(target, [west], own=east)
    other = [Reference(west, target, B01, step).nearest() for step in range(3)]
    native = [east.pixels(B01, BORDER, step) for step in range(2)]
    expected = [other[0], np.where(native[0] > 0, native[0], other[1]), native[1], other[2]]
    assert np.array_equal(values[B01], expected)
    assert not (provenance[[0, 3]] == NATIVE).any()
    assert not (provenance[2] == REPROJECTED).any()


def test_offsets_that_differ_between_zones_make_two_steps_neither_of_both() -> None:
    west, east = ToyZone(WEST, slots=(slot(0, offset=0), slot(1))), ToyZone(EAST, slots=(slot(0), slot(1)))
    joined = join(geobox_of(BORDER, 60), [B01], lambda _: west, east)
    assert [(one.datatakes, one.radio_add_offset["B01"]) for one in joined.slots] == [
        (slot(0).datatakes, -1000), (slot(0).datatakes, 0), (slot(1).datatakes, -1000),
    ]  # fmt: skip
    assert joined.own is not None
    assert (joined.own.index, joined.neighbours[0].source.index) == ((0, None, 1), (None, 0, 1))


# Places


@pytest.mark.parametrize(
    ("name", "corner", "zones"),
    [
        pytest.param("01XEK", "north-east", (32602, 32603), id="three zones"),
        pytest.param("33XVG", "north-west", (32631,), id="Svalbard"),
        pytest.param("31VEF", "south-east", (32632,), id="31V and 32V"),
        pytest.param("32VKM", "north-west", (32631,), id="32V and 31V"),
        pytest.param("01KAB", "south-west", (32760,), id="antimeridian"),
        pytest.param("32NMF", "south-west", (32732,), id="equator"),
    ],
)
def test_around_the_corner_of_a_tile_the_neighbour_zones_fill_in_their_order(
    name: str, corner: str, zones: tuple[int, ...]
) -> None:
    footprint = tile(name).footprint
    x = footprint.left if corner.endswith("west") else footprint.right
    y = footprint.bottom if corner.startswith("south") else footprint.top
    window = Bounds(footprint.zone, x - 3600, y - 3600, x + 3600, y + 3600)
    own = ToyZone((name,))
    others = [ToyZone((tiles_on(zone, window)[-1].id,)) for zone in neighbour_zones(window)]
    assert tuple(zone.zone.epsg for zone in others) == zones
    values, provenance = filled(geobox_of(window, 60), others, own=own)
    expected = own.pixels(B01, window)
    assert 0 < np.count_nonzero(expected) < expected.size
    assert np.array_equal(provenance[0] == NATIVE, expected > 0)
    for other in others:
        pixels = Reference(other, geobox_of(window, 60), B01).nearest()
        assert ((expected == 0) & (pixels > 0)).any()
        expected = np.where(expected > 0, expected, pixels)
    assert np.array_equal(values[B01][0], expected)


# Requests that make no sense


def test_an_unknown_method_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="resampling 'lanczos' is not one of nearest, bilinear, cubic, average"):
        filled(TARGETS["Europe"], [ToyZone(WEST)], "lanczos")


def test_a_target_far_beyond_a_zone_is_refused() -> None:
    world = GeoBox((180, 360), Affine(1, 0, -180, 0, -1, 90), "EPSG:4326")
    with pytest.raises(InvalidWindowError):
        filled(world, [ToyZone(WEST)])
