"""The reader on real products, and against what the official EOPF converter made of one."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import rasterio
import zarr

from abut.errors import InvalidSafeError
from abut.layout import BAND, BANDS
from abut.tiling import tile
from ingest import jp2
from ingest.granule_xml import read_view_angles
from ingest.images import band_strips, classification, quality_strips
from ingest.safe import find_granules
from ingest.xmlfile import parse_xml
from tests import safe_builder as build
from tests.whole_masks import whole_footprint

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ingest.granule import Granule

SHARED = Path(__file__).parents[1].parent / "shared" / "data"
OLD_TILES = ["53HLA", "53HMA", "53HNA", "53HNV", "53HPA", "53HPV"]


def shared(pattern: str) -> Path:
    found = sorted(SHARED.glob(pattern))
    if not found:
        pytest.skip(f"real data is not there: {pattern}")
    return found[0]


def whole(strips: object) -> NDArray[Any]:
    return np.concatenate(list(cast("Any", strips)))


@pytest.fixture(scope="module")
def old() -> list[Granule]:
    return find_granules(shared("safe/S2A_OPER_PRD_MSIL1C_*.SAFE"))


@pytest.fixture(scope="module")
def compact() -> Granule:
    return find_granules(shared("safe/S2A_MSIL1C_*T32TNM*.SAFE"))[0]


@pytest.fixture(scope="module")
def modern() -> Granule:
    return find_granules(shared("eopf/*.SAFE"))[0]


@pytest.fixture(scope="module")
def converted() -> zarr.Group:
    return zarr.open_group(shared("eopf/*.zarr"), mode="r")


def values(group: zarr.Group, path: str) -> NDArray[Any]:
    return np.asarray(cast("zarr.Array[Any]", group[path])[...])


def test_six_granules_of_an_old_product_are_one_layer(old: list[Granule]) -> None:
    assert sorted(granule.metadata.tile.id for granule in old) == OLD_TILES
    strip = "S2A_OPER_MSI_L1C_DS_SGS__20160905T073438_S20160905T010424_N02.04"
    assert {granule.metadata.layer for granule in old} == {f"32753.{strip}"}
    assert {granule.metadata.absolute_orbit for granule in old} == {6291}
    assert len({granule.metadata.id for granule in old}) == len({granule.source_digest for granule in old}) == 6
    for granule in old:
        metadata = granule.metadata
        assert metadata.id == metadata.granule_id
        assert metadata.safe_format == "multi-granule"
        assert (metadata.processing_baseline, metadata.orbit_direction) == ("02.04", "descending")
        assert {band.radio_add_offset for band in metadata.bands} == {0}
        assert len(granule.masks) == 66
        assert granule.tci is None
        assert len(granule.missing) == 4
        assert all(path.endswith("_report.xml") for path in granule.missing)
        own = [file.path for file in granule.files if file.path.startswith("GRANULE/")]
        assert all(path.startswith(f"GRANULE/{metadata.id}/") for path in own)


def test_metadata_of_a_real_compact_product(compact: Granule) -> None:
    metadata = compact.metadata
    assert metadata.id == "S2A_MSIL1C_20170226T102021_N0204_R065_T32TNM_20170226T102458"
    assert metadata.tile == tile("32TNM")
    assert (metadata.relative_orbit, metadata.absolute_orbit) == (65, 8785)
    assert metadata.reflectance_conversion_u == 1.02186151634506
    assert metadata.bands[8].solar_irradiance == 955.19
    assert metadata.bands[7].physical_gain == 6.20728204
    assert (metadata.bands[1].wavelength_min, metadata.bands[1].wavelength_max) == (440, 538)
    assert len(metadata.bands[1].response) == 97
    assert max(metadata.bands[1].response) == 1
    assert metadata.cloud_percentage == 0.1491
    assert compact.tci is not None
    assert "GRANULE/L1C_T32TNM_A008785_20170226T102458/AUX_DATA/AUX_ECMWFT" in {file.path for file in compact.files}


def test_mean_angles_agree_with_the_grids(compact: Granule, old: list[Granule], modern: Granule) -> None:
    for granule in (compact, *old, modern):
        metadata = granule.metadata
        assert abs(metadata.sun_angles[0].mean() - metadata.mean_sun_zenith) < 0.6
        for band, grids in zip(metadata.bands, metadata.view_angles, strict=True):
            seen = grids[:, 0][~np.isnan(grids[:, 0])]
            assert band.mean_view_zenith is not None
            assert seen.min() - 0.6 < band.mean_view_zenith < seen.max() + 0.6


def test_product_whose_metadata_was_cut_says_what_is_missing() -> None:
    with pytest.raises(InvalidSafeError, match=r"MTD_TL.xml: no Mean_Sun_Angle/ZENITH_ANGLE in Tile_Angles$"):
        find_granules(shared("safe/S2B_MSIL1C_*T34UCF*.SAFE"))


def test_91_viewing_angle_grids_are_read_as_they_are_written() -> None:
    text = shared("safe/full_MTD_TL/*.xml").read_text()
    views = read_view_angles(parse_xml(text.encode(), "MTD_TL.xml").child("Geometric_Info/Tile_Angles"))
    grids = re.findall(
        r'Angles_Grids bandId="(\d+)" detectorId="(\d+)">(.*?)</Viewing_Incidence_Angles_Grids>', text, re.DOTALL
    )
    assert len(grids) == 91
    expected = np.full((13, 12, 2, 23, 23), np.nan)
    for band, detector, body in grids:
        numbers = [float(number) for row in re.findall("<VALUES>(.*?)</VALUES>", body) for number in row.split()]
        expected[int(band), int(detector) - 1] = np.reshape(numbers, (2, 23, 23))
    np.testing.assert_array_equal(views, expected)


def test_real_files_agree_with_their_manifests(old: list[Granule], compact: Granule, modern: Granule) -> None:
    for granule in (*old, compact):
        for path in granule.masks.values():
            granule.check(path)
        with pytest.raises(InvalidSafeError, match=r"_B04.jp2: 0 bytes, but the manifest says \d+"):
            granule.check(granule.metadata.bands[3].image)
    assert modern.missing == ()
    for file in modern.files:
        modern.check(file.path)
    for band in modern.metadata.bands:
        modern.check(band.image)
    assert modern.tci is not None
    modern.check(modern.tci)


@pytest.mark.parametrize("name", ["B01", "B09", "B10"])
def test_bands_and_masks_equal_those_of_the_official_converter(
    modern: Granule, converted: zarr.Group, name: str
) -> None:
    band, key = BAND[name], f"r60m/{name.lower()}"
    np.testing.assert_array_equal(
        whole(band_strips(modern, band)), values(converted, f"measurements/reflectance/{key}")
    )
    np.testing.assert_array_equal(whole(quality_strips(modern, band)), values(converted, f"quality/mask/{key}"))
    detectors = values(converted, f"conditions/mask/detector_footprint/{key}")
    np.testing.assert_array_equal(cast("Any", whole_footprint(modern, band)), detectors)


def test_10_m_band_equals_that_of_the_official_converter(modern: Granule, converted: zarr.Group) -> None:
    row = 0
    for strip in band_strips(modern, BAND["B03"]):
        stored = cast("zarr.Array[Any]", converted["measurements/reflectance/r10m/b03"])[row : row + len(strip)]
        np.testing.assert_array_equal(strip, np.asarray(stored))
        row += len(strip)
    assert row == 10980


def test_classification_and_angles_equal_those_of_the_official_converter(
    modern: Granule, converted: zarr.Group
) -> None:
    stored = values(converted, "conditions/mask/l1c_classification/r60m/b00")
    np.testing.assert_array_equal(cast("Any", classification(modern)), stored)
    geometry = "conditions/geometry"
    np.testing.assert_array_equal(modern.metadata.sun_angles, values(converted, f"{geometry}/sun_angles"))
    seen = [int(name[1:]) for name in values(converted, f"{geometry}/detector").astype(str)]
    assert values(converted, f"{geometry}/band").astype(str).tolist() == [band.key for band in BANDS]
    views = modern.metadata.view_angles
    np.testing.assert_array_equal(
        views[:, [detector - 1 for detector in seen]], values(converted, f"{geometry}/viewing_incidence_angles")
    )
    assert np.isnan(np.delete(views, [detector - 1 for detector in seen], axis=1)).all()


def test_old_detector_masks_follow_the_viewing_angle_grids(old: list[Granule]) -> None:
    for granule in old:
        footprint = whole_footprint(granule, BAND["B10"])
        assert footprint is not None
        # Nodes of the angle grids are 5 km apart from the tile's corner; the last ones lie outside of it.
        nodes = footprint[::83, ::83][:22, :22]
        grids = ~np.isnan(granule.metadata.view_angles[10, :, 0, :22, :22])
        for detector in np.unique(nodes[nodes > 0]):
            assert grids[detector - 1][nodes == detector].mean() > 0.9


def test_old_quality_masks_have_the_types_that_their_text_has(old: list[Granule]) -> None:
    for granule in old:
        strips = quality_strips(granule, BAND["B10"])
        assert strips is not None
        bits = {bit for bit in range(8) if any((strip >> bit & 1).any() for strip in strips)}
        text = b"".join(granule.read(path) for (_, band), path in granule.masks.items() if band == "B10")
        kinds = {4: b">QT_DEFECTIVE_PIXELS<", 5: b">QT_NODATA_PIXELS<", 6: b">QT_PARTIALLY_CORRECTED_PIXELS<"}
        assert bits <= {bit for bit, kind in kinds.items() if kind in text}


def test_old_clouds_cover_what_the_metadata_says(old: list[Granule], compact: Granule) -> None:
    for granule in (*old, compact):
        clouds, seen = classification(granule), whole_footprint(granule, BAND["B01"])
        assert clouds is not None
        assert seen is not None
        percentage = 100 * np.count_nonzero(clouds) / np.count_nonzero(seen)
        assert granule.metadata.cloud_percentage == pytest.approx(percentage, abs=0.5)


@pytest.fixture(scope="module")
def with_real_masks(tmp_path_factory: pytest.TempPathFactory) -> Granule:
    """A product of tile 29UNU that has the real raster masks of one, and made-up metadata."""
    folder = shared("imagery/T29UNU_*/QI_DATA")
    masks: build.Masks = {("MSK_CLASSI", None): build.mask("MSK_CLASSI")}
    for name in build.BANDS:
        masks |= {(kind, name): build.mask(kind, name) for kind in ("MSK_DETFOO", "MSK_QUALIT")}
    moved = {b"34UCF": b"29UNU", b"EPSG:32634": b"EPSG:32629", b">300000<": b">499980<", b">6100020<": b">5900040<"}
    files = build.compact(masks)
    for old_text, new_text in moved.items():
        files = {path: data.replace(old_text, new_text) for path, data in files.items()}
    files = {path.replace("34UCF", "29UNU"): data for path, data in files.items()}
    for path in files:
        if "/MSK_" in path:
            files[path] = (folder / Path(path).name).read_bytes()
    return find_granules(build.write(build.with_manifest(files), tmp_path_factory.mktemp("real"), "x"))[0]


def test_real_raster_masks_equal_a_plain_reading(with_real_masks: Granule) -> None:
    def planes(kind: str, band: str | None) -> NDArray[Any]:
        with rasterio.open(with_real_masks.gdal_path(with_real_masks.masks[kind, band])) as image:
            return np.asarray(image.read())

    for path in with_real_masks.masks.values():
        with_real_masks.check(path)
    for name in ("B01", "B10"):
        expected = np.packbits(planes("MSK_QUALIT", name), axis=0, bitorder="little")[0]
        np.testing.assert_array_equal(whole(quality_strips(with_real_masks, BAND[name])), expected)
    for name in ("B10", "B11", "B02"):
        found = whole_footprint(with_real_masks, BAND[name])
        np.testing.assert_array_equal(cast("Any", found), planes("MSK_DETFOO", name)[0])
    opaque, cirrus, snow = planes("MSK_CLASSI", None)
    classes = cast("Any", classification(with_real_masks))
    np.testing.assert_array_equal(classes, opaque + 2 * cirrus + 4 * snow)
    assert opaque.any()
    assert cirrus.any()


def test_real_quality_masks_are_mostly_tiles_of_equal_bytes(with_real_masks: Granule) -> None:
    for name, side in (("B01", 8), ("B02", 11), ("B05", 3)):
        data = with_real_masks.read(with_real_masks.masks["MSK_QUALIT", name])
        keys = jp2.tile_keys(io.BytesIO(data), len(data))
        assert sorted(keys) == list(range(side * side))
        assert len(set(keys.values())) == 4
