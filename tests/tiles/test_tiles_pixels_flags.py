"""Flags and smooth pixels of map tiles: masks as cubes have them, kernels as they are defined."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest

from abut.finding import ArchiveFinder
from abut.lattice import Bounds
from abut.layout import BAND
from abut.pixels import read_bands
from abut.regrid import regrid_bits, regrid_ids
from abut.tiling import tile
from abut.view import select
from abut.view_masks import Mask, read_mask
from services.tiles.frame import Frame
from services.tiles.levels import halved, level_for, levels_of
from services.tiles.mosaic import PAD
from services.tiles.scenes import Limits, Scenes
from services.tiles.warp import interpolated, is_whole, nearest
from services.tiles.wish import Wish
from tests.tiles.pictures import frame_of

if TYPE_CHECKING:
    from abut.archive import Archive
    from services.tiles.warp import Resampling

FLAGS = {
    "classification": Mask("classification"),
    "B02_detector_footprint": Mask("detector_footprint", BAND["B02"]),
    "B11_quality": Mask("quality", BAND["B11"]),
    "B01_detector_footprint": Mask("detector_footprint", BAND["B01"]),
}


def seam() -> Bounds:
    """Ground of the scene's swath on both sides of the rim of 32TNT, where blocks were released."""
    west, east = tile("32TMT").footprint, tile("32TNT").footprint
    shared = west.intersection(east)
    assert shared is not None
    bottom = west.zone.equator + (shared.bottom + 50_000 - west.zone.equator) // 9_600 * 9_600 + 7_200
    return Bounds(
        west.zone, (shared.left + 3_000) // 240 * 240, bottom, (shared.left + 10_200) // 240 * 240, bottom + 4_800
    )


@pytest.mark.parametrize("name", FLAGS)
def test_flags_are_those_of_the_cube(modern_archive: Archive, name: str) -> None:
    mask, place = FLAGS[name], seam()
    view = select(modern_archive, ArchiveFinder(), place)
    expected = read_mask(view, modern_archive.store, place, mask, [0])[0]
    dn = read_bands(view, place, [mask.band])[mask.band][0]
    assert len(np.unique(expected[dn > 0])) > 1 or name == "B11_quality"
    found = Scenes(modern_archive).open(Wish()).read(frame_of(place, mask.band.resolution), [name])
    assert found.data.dtype == np.uint8
    assert np.array_equal(found.nodata[0], dn == 0)
    assert np.array_equal(found.data[0], np.where(dn > 0, expected, 0))


@pytest.mark.parametrize(
    ("name", "factor"), [("B02_detector_footprint", 2), ("B02_detector_footprint", 4), ("classification", 4)]
)
def test_flags_of_larger_pixels_are_those_of_the_cell(modern_archive: Archive, name: str, factor: int) -> None:
    mask, place = FLAGS[name], seam()
    view = select(modern_archive, ArchiveFinder(), place)
    own = read_mask(view, modern_archive.store, place, mask, [0])[0]
    expected = regrid_bits(own, 1, factor) if name == "classification" else regrid_ids(own, 1, factor)[0]
    found = Scenes(modern_archive).open(Wish()).read(frame_of(place, factor * mask.band.resolution), [name])
    assert found.data[0].any()
    seen = ~found.nodata[0]
    assert 0.1 < seen.mean() <= 1
    assert np.array_equal(found.data[0][seen], expected[seen])


def test_bands_and_flags_of_all_sizes_come_together(modern_archive: Archive) -> None:
    names = ["B04", "classification", "B8A", "B02_detector_footprint", "provenance", "B01"]
    place = seam()
    scene = Scenes(modern_archive).open(Wish())
    found = scene.read(frame_of(place, 20), names, resampling="bilinear")
    assert found.layers == tuple(names)
    assert found.data.dtype == np.float32
    for number, name in enumerate(names):
        alone = scene.read(frame_of(place, 20), [name], resampling="bilinear")
        if name != "provenance":
            np.testing.assert_array_equal(found.data[number], alone.data[0])
            np.testing.assert_array_equal(found.nodata[number], alone.nodata[0])
    assert set(np.unique(found.data[4])) <= {0, 1}


def test_dn_on_the_own_grid_are_those_of_the_cube_in_every_band(modern_archive: Archive) -> None:
    place = seam()
    view = select(modern_archive, ArchiveFinder(), place)
    scene = Scenes(modern_archive).open(Wish())
    for name in ("B02", "B8A", "B10"):
        found = scene.read(frame_of(place, BAND[name].resolution), [name], resampling="cubic", unscale=False)
        expected = read_bands(view, place, [BAND[name]])[BAND[name]][0]
        assert expected.any()
        assert np.array_equal(found.data[0], expected)


def test_detectors_of_coarse_pictures_stay_within_the_limit(modern_archive: Archive) -> None:
    scenes = Scenes(modern_archive, limits=Limits(cache_bytes=1_000_000))
    scenes.open(Wish()).read(frame_of(seam(), 80), ["B02_detector_footprint"])
    assert scenes.objects.size <= 1_000_000


def mosaic(holes: float) -> np.ndarray:
    """A padded mosaic of two bands."""
    generator = np.random.default_rng(5)
    values = generator.integers(1, 10_000, (2, 40, 50)) * (generator.random((2, 40, 50)) >= holes)
    return np.pad(values, ((0, 0), (PAD, PAD), (PAD, PAD))).astype(np.uint16)


def slow(padded: np.ndarray, column: float, row: float, method: str) -> float:
    """A value at a place: pixels with data, weighed by their distance; 0 without any."""
    weight_of = {"bilinear": lambda t: max(0.0, 1 - t), "cubic": keys}[method]
    total = weights = 0.0
    middle = int(np.floor(row)) + PAD, int(np.floor(column)) + PAD
    near = [range(max(0, at - 3), min(size, at + 4)) for at, size in zip(middle, padded.shape, strict=True)]
    for y, x in itertools.product(*near):
        across, down = abs(x - PAD + 0.5 - column), abs(y - PAD + 0.5 - row)
        if padded[y, x] > 0 and across < 2 and down < 2:
            weight = weight_of(across) * weight_of(down)
            total, weights = total + weight * float(padded[y, x]), weights + weight
    return total / weights if weights > 1e-6 else 0.0


def keys(t: float) -> float:
    return 1.5 * t**3 - 2.5 * t**2 + 1 if t < 1 else -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t < 2 else 0.0


@pytest.mark.parametrize("holes", [0.0, 0.3])
@pytest.mark.parametrize("method", ["bilinear", "cubic"])
def test_kernels_weigh_the_pixels_with_data(method: Resampling, holes: float) -> None:
    padded = mosaic(holes)
    generator = np.random.default_rng(6)
    for low, high in ((3, 36), (-9, 60)):
        columns, rows = generator.uniform(low, high, (2, 12, 12))
        whole = is_whole(padded, columns, rows, method)
        assert whole == (holes == 0 and low == 3)
        found = interpolated(padded, columns, rows, method, whole=whole)
        expected = [
            [[slow(band, c, r, method) for c, r in zip(*line, strict=True)] for line in zip(columns, rows, strict=True)]
            for band in padded
        ]
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2)
        inside = np.array(
            [
                [0 <= c < 50 and 0 <= r < 40 for c, r in zip(*line, strict=True)]
                for line in zip(columns, rows, strict=True)
            ]
        )
        exact = nearest(padded, columns, rows)
        assert not exact[:, ~inside].any()
        at = np.floor(rows[inside]).astype(int) + PAD, np.floor(columns[inside]).astype(int) + PAD
        assert np.array_equal(exact[:, inside], padded[:, *at])


@pytest.mark.parametrize("resolution", [10, 20, 60])
def test_levels_divide_blocks_and_are_the_coarsest_that_fit(resolution: int) -> None:
    levels = levels_of(resolution)
    assert [level.reduction for level in levels] == sorted({level.reduction for level in levels})
    assert all(9_600 % level.metres == 0 for level in levels)
    assert all(b.metres == 2 * a.metres for a, b in itertools.pairwise(levels))
    for metres in (1.0, 9.9999999, 10, 19, 60, 75, 119.9, 120, 640, 5_000):
        chosen = level_for(resolution, metres)
        assert chosen.metres <= max(metres * 1.001, resolution)
        finer = [level for level in levels if level.metres <= metres * 1.000001]
        assert chosen == (finer[-1] if finer else levels[0])


def test_the_level_is_that_of_the_zoom_and_not_of_the_tile() -> None:
    side = 40_075_016.68557849 / 2**12
    frames = [Frame("EPSG:3857", (0, n * side, side, (n + 1) * side), 256, 256) for n in range(0, 1500, 100)]
    assert {level_for(10, frame.metres).reduction for frame in frames} == {2}


def test_halves_are_means_of_what_has_data() -> None:
    pixels = np.array([[1, 2, 0, 0], [3, 5, 0, 7], [0, 0, 65_535, 65_535], [0, 0, 65_535, 65_534]], np.uint16)
    assert halved(pixels).tolist() == [[3, 7], [0, 65_535]]
    assert halved(np.full((2, 2), 65_535, np.uint16)).tolist() == [[65_535]]
    assert halved(np.array([[1, 1], [1, 2]], np.uint16)).tolist() == [[1]]
    assert halved(np.array([[1, 1], [2, 2]], np.uint16)).tolist() == [[2]]
