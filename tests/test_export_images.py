"""Images of a re-created SAFE: lossless, coded like ESA's; true colours by the formula of the docs."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio

from abut.errors import ExportError
from abut.export import jp2, tci
from abut.export.gdal import Grid, require_pixels
from abut.lattice import Bounds, Zone
from tests.conftest import shared_data

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

GROUND = Bounds(Zone(32733), 499_980, 6_590_220, 519_180, 6_609_420)


def noise(resolution: int, highest: int) -> NDArray[np.uint16]:
    pixels = np.random.default_rng(7).integers(0, highest + 1, GROUND.shape(resolution), dtype=np.uint16)
    pixels[0, 0] = highest
    pixels[: len(pixels) // 2] = np.where(pixels[: len(pixels) // 2] % 3 > 0, 0, pixels[: len(pixels) // 2])
    return pixels


@pytest.mark.parametrize("resolution", [10, 20, 60])
@pytest.mark.parametrize(("highest", "bits"), [(32_767, 15), (32_768, 16), (65_535, 16)])
def test_band_images_are_lossless_and_declare_the_bits_that_they_need(
    tmp_path: Path, resolution: int, highest: int, bits: int
) -> None:
    pixels = noise(resolution, highest)
    path = tmp_path / "band.jp2"
    jp2.write_band(path, Grid(GROUND, resolution), pixels, tmp_path)
    with rasterio.open(path) as image:
        np.testing.assert_array_equal(image.read(1), pixels)
        assert image.crs.to_epsg() == 32733
        assert tuple(image.bounds) == (GROUND.left, GROUND.bottom, GROUND.right, GROUND.top)
        assert image.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", "16") == str(bits)
        assert image.tags(ns="IMAGE_STRUCTURE")["COMPRESSION_REVERSIBILITY"] == "LOSSLESS"
        assert image.block_shapes[0] == (jp2.BLOCK[resolution],) * 2 or min(pixels.shape) < jp2.BLOCK[resolution]
    require_pixels(path, hashlib.sha256(pixels).hexdigest())
    assert [entry.name for entry in tmp_path.iterdir()] == ["band.jp2"]


def test_the_codestream_has_five_resolutions_one_layer_and_no_loss(tmp_path: Path) -> None:
    path = tmp_path / "band.jp2"
    jp2.write_band(path, Grid(GROUND, 20), noise(20, 9_000), tmp_path)
    data = path.read_bytes()
    coding = data[data.index(b"\xff\x52") :]
    progression, layers, levels, wavelet = coding[5], coding[6:8], coding[9], coding[13]
    assert (progression, layers, levels, wavelet) == (0, b"\x00\x01", 4, 1)  # LRCP, 1, 5 resolutions, reversible 5-3


def test_an_image_that_reads_back_unequal_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "band.jp2"
    jp2.write_band(path, Grid(GROUND, 60), noise(60, 9_000), tmp_path)
    with pytest.raises(ExportError, match=r"band\.jp2: SHA-256"):
        require_pixels(path, "0" * 64)


def test_true_colours_run_from_1_to_255_and_0_is_no_data() -> None:
    shown = tci.table(-1000, 10_000)
    assert shown[[0, 1, 1000, 1014, 4557, 4558, 65_535]].tolist() == [0, 1, 1, 1, 254, 255, 255]
    assert (np.diff(shown[1:].astype(int)) >= 0).all()
    assert tci.table(0, 10_000)[[1, 3557, 3558]].tolist() == [1, 254, 255]
    np.testing.assert_array_equal(tci.table(0, 1_000)[:356], tci.table(0, 10_000)[:3560:10])


def test_true_colours_are_0_where_one_of_three_bands_has_no_data(tmp_path: Path) -> None:
    grid = Grid(GROUND, 60)
    shown = tci.table(0, 10_000)
    bands = {name: noise(60, 9_000) for name in tci.BANDS}
    for index, name in enumerate(bands):
        bands[name][index] = 0
        tci.write_colour(tmp_path, name, grid, bands[name], shown)
    joined, digests = tci.join_colours(tmp_path, grid)
    require_pixels(joined, *digests)
    with rasterio.open(joined) as image:
        colours = image.read()
    valid = np.logical_and.reduce([pixels > 0 for pixels in bands.values()])
    for colour, pixels in zip(colours, bands.values(), strict=True):
        np.testing.assert_array_equal(colour, np.where(valid, shown[pixels], 0))


def test_the_true_colours_of_the_sample_product_follow_the_formula() -> None:
    (safe,) = (shared_data() / "eopf").glob("*.SAFE")
    (path,) = safe.glob("GRANULE/*/IMG_DATA/*_TCI.jp2")
    with rasterio.open(path) as image:
        theirs = image.read()
    bands = []
    for name in tci.BANDS:
        with rasterio.open(str(path).replace("TCI", name)) as image:
            bands.append(image.read(1))
    valid = np.logical_and.reduce([pixels > 0 for pixels in bands])
    for colour, pixels in zip(theirs, bands, strict=True):
        np.testing.assert_array_equal(colour, np.where(valid, tci.table(-1000, 10_000)[pixels], 0))
