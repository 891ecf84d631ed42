"""Bands and masks as pixels, from JP2 files made here and from GML."""

from __future__ import annotations

import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from affine import Affine
from rasterio.io import MemoryFile
from rasterio.shutil import copy

from abut.errors import InvalidSafeError
from abut.layout import BAND
from ingest import jp2, raster, tiles
from ingest.images import band_strips, classification, quality_strips
from ingest.safe import find_granules
from tests import safe_builder as build
from tests.whole_masks import whole_footprint

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ingest.granule import Granule

LEFT, TOP, SIDE = 300_000, 6_100_020, 1830
B01, B02 = BAND["B01"], BAND["B02"]
MASKS: build.Masks = {
    ("MSK_DETFOO", "B01"): build.mask("MSK_DETFOO", "B01"),
    ("MSK_QUALIT", "B01"): build.mask("MSK_QUALIT", "B01"),
    ("MSK_CLASSI", None): build.mask("MSK_CLASSI"),
}


def encoded(
    pixels: NDArray[Any], *, block: int = 256, epsg: int = 32634, corner: tuple[int, int] = (LEFT, TOP)
) -> bytes:
    """Pixels (component, y, x) at 60 m as a lossless JP2."""
    grid = Affine(60, 0, corner[0], 0, -60, corner[1])
    profile = {"count": len(pixels), "height": pixels.shape[1], "width": pixels.shape[2], "dtype": pixels.dtype}
    with MemoryFile() as tiff, MemoryFile(ext=".jp2") as target:
        with tiff.open(driver="GTiff", crs=f"EPSG:{epsg}", transform=grid, **profile) as image:
            image.write(pixels)
        options = {"REVERSIBLE": "YES", "QUALITY": "100", "BLOCKXSIZE": block, "BLOCKYSIZE": block}
        copy(tiff.name, target.name, driver="JP2OpenJPEG", **options)
        return bytes(target.read())


def ground(seed: int, most: int, count: int = 1, dtype: str = "uint8") -> NDArray[Any]:
    """Pixels with data in a patch across tile borders and in the last row and column, empty elsewhere."""
    pixels = np.zeros((count, SIDE, SIDE), dtype)
    random = np.random.default_rng(seed)
    pixels[:, 500:600, 700:840] = random.integers(0, most, (count, 100, 140), dtype, endpoint=True)
    pixels[:, -1, :] = pixels[:, :, -1] = most
    return pixels


def granule_with(folder: Path, changes: build.Files, masks: build.Masks | None = None) -> Granule:
    (granule,) = find_granules(build.write(build.with_manifest(build.compact(masks or MASKS) | changes), folder))
    return granule


@pytest.fixture(scope="module")
def band() -> NDArray[np.uint16]:
    pixels: NDArray[np.uint16] = ground(1, 32767, dtype="uint16")[0]
    return pixels


@pytest.mark.parametrize("packing", [None, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_strips_of_a_band_are_its_pixels_from_north_to_south(
    tmp_path: Path, band: NDArray[np.uint16], packing: int | None
) -> None:
    files = build.compact() | {build.image("B01"): encoded(band[None], block=192)}
    place = build.write(files, tmp_path) if packing is None else None
    (granule,) = find_granules(place or build.write_zip(files, tmp_path / "x.zip", method=packing or 0))
    strips = list(band_strips(granule, B01))
    assert [strip.shape for strip in strips] == [(192, SIDE)] * 9 + [(102, SIDE)]
    assert {strip.dtype for strip in strips} == {np.dtype(np.uint16)}
    np.testing.assert_array_equal(np.concatenate(strips), band)


def test_image_in_one_tile_is_read_too(tmp_path: Path, band: NDArray[np.uint16]) -> None:
    granule = granule_with(tmp_path, {build.image("B01"): encoded(band[None], block=2048)})
    np.testing.assert_array_equal(np.concatenate(list(band_strips(granule, B01))), band)


def test_nothing_is_left_beside_an_image_and_nothing_there_is_believed(
    tmp_path: Path, band: NDArray[np.uint16]
) -> None:
    granule = granule_with(tmp_path, {build.image("B01"): encoded(band[None])})
    folder = tmp_path / f"{build.NAME}.SAFE" / build.FOLDER / "IMG_DATA"
    before = sorted(folder.iterdir())
    (folder / "T34UCF_20230823T095559_B01.j2w").write_text("60\n0\n0\n-60\n0\n0\n")
    (folder / "T34UCF_20230823T095559_B01.jp2.aux.xml").write_text(
        "<PAMDataset><GeoTransform>0, 1, 0, 0, 0, -1</GeoTransform></PAMDataset>"
    )
    strips = list(band_strips(granule, B01))
    assert sum(len(strip) for strip in strips) == SIDE
    assert len(sorted(folder.iterdir())) == len(before) + 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epsg": 32633}, "georeference EPSG:32633 .* but tile 34UCF has EPSG:32634"),
        ({"corner": (LEFT + 60, TOP)}, r"georeference EPSG:32634 \(60.0, 0.0, 300060.0, .* but tile 34UCF has"),
    ],
)
def test_band_at_another_place_is_refused(tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    data = encoded(np.zeros((1, SIDE, SIDE), np.uint16), **wrong)
    granule = granule_with(tmp_path, {build.image("B01"): data})
    with pytest.raises(InvalidSafeError, match=rf"_B01.jp2: {message}"):
        next(band_strips(granule, B01))


def test_band_without_a_place_is_refused(tmp_path: Path) -> None:
    data = encoded(np.zeros((1, SIDE, SIDE), np.uint16))
    start = data.index(b"jp2c") - 4
    head = b"\x00\x00\x00\x2djp2h" + data[data.index(b"ihdr") - 4 :][:37]
    bare = data[: data.index(b"jp2h") - 4] + head + data[start:]
    granule = granule_with(tmp_path, {build.image("B01"): bare})
    with pytest.raises(InvalidSafeError, match=r"_B01.jp2: georeference EPSG:None .*but tile 34UCF has EPSG:32634"):
        next(band_strips(granule, B01))


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((1, 183, 183), np.uint16), "183 x 183 px, 1 x uint16, but 1830 x 1830 px, 1 x uint16 are due"),
        (np.zeros((1, SIDE, SIDE), np.uint8), "1830 x 1830 px, 1 x uint8, but"),
        (np.zeros((2, SIDE, SIDE), np.uint16), "1830 x 1830 px, 2 x uint16, but"),
    ],
)
def test_band_of_another_form_is_refused(tmp_path: Path, pixels: NDArray[Any], message: str) -> None:
    granule = granule_with(tmp_path, {build.image("B01"): encoded(pixels)})
    with pytest.raises(InvalidSafeError, match=rf"_B01.jp2: {message}"):
        next(band_strips(granule, B01))


def test_band_that_is_no_jp2_is_refused(tmp_path: Path) -> None:
    vrt = b'<VRTDataset rasterXSize="1830" rasterYSize="1830"><VRTRasterBand dataType="UInt16" band="1"/></VRTDataset>'
    for data in (vrt, b"", build.jp2(b"")):
        granule = granule_with(tmp_path, {build.image("B01"): data})
        with pytest.raises(InvalidSafeError, match=r"_B01.jp2: can't be opened as JPEG 2000"):
            next(band_strips(granule, B01))


def test_lost_end_is_an_error_not_zeros(tmp_path: Path) -> None:
    noise = np.random.default_rng(2).integers(1, 999, (1, SIDE, SIDE), np.uint16)
    data = encoded(noise, block=192)
    granule = granule_with(tmp_path, {build.image("B01"): data[: len(data) * 6 // 10]})
    strips = band_strips(granule, B01)
    good: list[NDArray[np.uint16]] = []
    with pytest.raises(InvalidSafeError, match=r"_B01.jp2: can't be decoded in rows \d+ ... \d+$"):
        good.extend(strips)
    good_rows = sum(len(strip) for strip in good)
    assert 0 < good_rows < SIDE * 7 // 10
    np.testing.assert_array_equal(np.concatenate(good), noise[0, :good_rows])


def test_images_are_read_by_several_threads_at_once(tmp_path: Path, band: NDArray[np.uint16]) -> None:
    noise = np.random.default_rng(7).integers(1, 999, (1, SIDE, SIDE), np.uint16)
    cut = encoded(noise, block=192)
    files = {build.image("B01"): encoded(band[None], block=192), build.image("B09"): cut[: len(cut) // 2]}
    granule = granule_with(tmp_path, files)

    def read(name: str) -> NDArray[np.uint16] | InvalidSafeError:
        try:
            return np.concatenate(list(band_strips(granule, BAND[name])))
        except InvalidSafeError as error:
            return error

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(read, ["B01", "B09"] * 4))
    for good, lost in zip(results[::2], results[1::2], strict=True):
        assert not isinstance(good, InvalidSafeError)
        np.testing.assert_array_equal(good, band)
        assert isinstance(lost, InvalidSafeError)


def test_detectors_of_a_raster_mask(tmp_path: Path) -> None:
    detectors = ground(3, 12)
    granule = granule_with(tmp_path, {MASKS["MSK_DETFOO", "B01"]: encoded(detectors)})
    found = whole_footprint(granule, B01)
    assert found is not None
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, detectors[0])
    assert whole_footprint(granule, B02) is None


def test_impossible_detector_is_refused(tmp_path: Path) -> None:
    granule = granule_with(tmp_path, {MASKS["MSK_DETFOO", "B01"]: encoded(ground(3, 13))})
    with pytest.raises(InvalidSafeError, match=r"MSK_DETFOO_B01.jp2: detector 13 is not 0 ... 12"):
        whole_footprint(granule, B01)


@pytest.mark.parametrize("block", [256, 200, 2048])
def test_planes_of_the_quality_mask_become_bits(tmp_path: Path, block: int) -> None:
    planes = ground(4, 1, count=8)
    planes[5, 1024:1280, 256:512] = 1
    planes[5, 1280:1536, 768:1024] = 1
    data = encoded(planes, block=block)
    granule = granule_with(tmp_path, {MASKS["MSK_QUALIT", "B01"]: data})
    strips = quality_strips(granule, B01)
    assert strips is not None
    packed = np.concatenate(list(strips))
    for bit in range(8):
        np.testing.assert_array_equal(packed >> bit & 1, planes[bit])
    assert quality_strips(granule, B02) is None


def test_tiles_of_equal_bytes_are_found_where_their_sides_are_powers_of_two() -> None:
    planes = np.zeros((8, SIDE, SIDE), np.uint8)
    planes[2, 300, 300] = 1
    keys = keys_of(encoded(planes, block=256))
    assert sorted(keys) == list(range(64))
    inner = [keys[row * 8 + column] for row in range(7) for column in range(7)]
    assert len(set(inner)) == 2
    assert inner.count(keys[1 * 8 + 1]) == 1
    assert keys_of(encoded(planes, block=200)) == {}


def test_empty_tiles_stay_known_however_many_others_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of a single value takes next to nothing; others go, the oldest first, when there are too many."""
    monkeypatch.setattr(tiles, "_kept", tiles._Kept(200_000))
    decoded: list[tuple[int, int]] = []
    plain = raster.read

    def counting(image: Any, where: str, rows: tuple[int, int], columns: tuple[int, int] | None = None) -> NDArray[Any]:
        assert columns is not None
        decoded.append((rows[0], columns[0]))
        return plain(image, where, rows, columns)

    monkeypatch.setattr(raster, "read", counting)
    planes = np.zeros((8, SIDE, SIDE), np.uint8)
    odd = [(place, place) for place in range(256, 1792, 256)]  # unlike each other; three of 65,536 bytes are kept
    for place, _ in odd:
        planes[2, place + 44, place : place + 5 + place // 256] = 1
    granule = granule_with(tmp_path, {MASKS["MSK_QUALIT", "B01"]: encoded(planes)})
    for again in range(2):
        decoded.clear()
        strips = quality_strips(granule, B01)
        assert strips is not None
        np.testing.assert_array_equal(np.concatenate(list(strips)), planes[2] << 2)
        assert set(odd) <= set(decoded)
        assert len(decoded) == len(odd) + (0 if again else 4)  # empty: whole, cut at the right, below, and at both


def keys_of(data: bytes) -> dict[int, bytes]:
    return jp2.tile_keys(io.BytesIO(data), len(data))


@pytest.mark.parametrize("cut", [10, 60, 400])
def test_no_tiles_are_called_equal_in_a_file_that_is_cut(cut: int) -> None:
    data = encoded(np.zeros((1, SIDE, SIDE), np.uint8))
    assert keys_of(data)
    assert keys_of(data[:-cut]) == {}
    assert keys_of(b"no image") == {}


def test_value_that_is_no_bit_is_refused(tmp_path: Path) -> None:
    granule = granule_with(tmp_path, {MASKS["MSK_QUALIT", "B01"]: encoded(ground(5, 2, count=8))})
    strips = quality_strips(granule, B01)
    assert strips is not None
    with pytest.raises(InvalidSafeError, match=r"MSK_QUALIT_B01.jp2: value 2 in a plane of bits"):
        list(strips)


def test_planes_of_the_classification_become_bits(tmp_path: Path) -> None:
    planes = ground(6, 1, count=3)
    granule = granule_with(tmp_path, {MASKS["MSK_CLASSI", None]: encoded(planes)})
    found = classification(granule)
    assert found is not None
    assert found.shape == (SIDE, SIDE)
    np.testing.assert_array_equal(found, planes[0] + 2 * planes[1] + 4 * planes[2])


def test_product_without_masks_has_none(tmp_path: Path) -> None:
    granule = granule_with(tmp_path, {}, {("MSK_OTHER", None): build.mask("MSK_OTHER")})
    assert granule.masks == {}
    assert whole_footprint(granule, B01) is None
    assert quality_strips(granule, B01) is None
    assert classification(granule) is None
