"""What the reader of SAFE says about products of both formats, in folders and zips."""

from __future__ import annotations

import pickle
import zipfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest

from abut.errors import InvalidSafeError
from abut.tiling import tile
from ingest.safe import find_granules
from tests import safe_builder as build

if TYPE_CHECKING:
    from pathlib import Path

    from ingest.granule import Granule


def read(files: build.Files, folder: Path) -> Granule:
    (granule,) = find_granules(build.write(files, folder))
    return granule


def test_metadata_of_a_compact_product_is_read_completely(tmp_path: Path) -> None:
    metadata = read(build.compact(), tmp_path).metadata
    assert metadata.id == build.NAME
    assert metadata.safe_name == f"{build.NAME}.SAFE"
    assert metadata.safe_format == "compact"
    assert metadata.tile == tile("34UCF")
    assert metadata.granule_id == build.TILE_ID
    assert metadata.datastrip_id == build.STRIP_ID
    assert metadata.layer == f"32634.{build.STRIP_ID}"
    assert metadata.datatake_id == "GS2B_20230823T095559_033753_N05.09"
    assert metadata.datatake_type == "INS-NOBS"
    assert metadata.datatake_start == datetime(2023, 8, 23, 9, 55, 59, 24000, UTC)
    assert metadata.datastrip_start == datetime(2023, 8, 23, 9, 55, 53, tzinfo=UTC)
    assert metadata.sensing_time == datetime(2023, 8, 23, 10, 5, 35, 271949, UTC)
    assert metadata.product_start == datetime(2023, 8, 23, 9, 55, 59, 24000, UTC)
    assert metadata.product_stop == datetime(2023, 8, 23, 9, 56, tzinfo=UTC)
    assert metadata.generation_time == datetime(2023, 8, 23, 12, 2, 34, tzinfo=UTC)
    assert (metadata.spacecraft, metadata.processing_baseline) == ("Sentinel-2B", "05.09")
    assert (metadata.product_type, metadata.product_doi) == ("S2MSI1C", "https://doi.org/10.5270/S2_-742ikth")
    assert (metadata.relative_orbit, metadata.absolute_orbit) == (122, 33753)
    assert metadata.orbit_direction == "descending"
    assert metadata.quantification_value == 10000
    assert metadata.special_values == {"NODATA": 0, "SATURATED": 65535}
    assert metadata.reflectance_conversion_u == 0.97659423426857
    assert (metadata.cloud_percentage, metadata.nodata_percentage) == (3.25, None)
    assert metadata.degraded_percentage == 0.0019
    assert (metadata.mean_sun_zenith, metadata.mean_sun_azimuth) == (43.75, 165.5)


def test_metadata_of_each_band_is_that_of_its_band_id(tmp_path: Path) -> None:
    bands = read(build.compact(), tmp_path).metadata.bands
    assert [band.band.name for band in bands] == list(build.BANDS)
    eighth = bands[8]
    assert eighth.image == build.image("B8A")
    assert eighth.radio_add_offset == -1008
    assert eighth.solar_irradiance == 1892.5
    assert eighth.physical_gain == 8.25
    assert (eighth.wavelength_min, eighth.wavelength_central, eighth.wavelength_max) == (408, 433.5, 458)
    assert (eighth.response_step, eighth.response) == (1, (0.25, 1, 0.5))
    assert (eighth.mean_view_zenith, eighth.mean_view_azimuth) == (8.5, 208)


def test_a_band_without_mean_viewing_angle_has_none(tmp_path: Path) -> None:
    files = build.edited(build.compact(), build.TILE, '<ZENITH_ANGLE unit="deg">3.5<', "<ZENITH_ANGLE>NaN<")
    bands = read(files, tmp_path).metadata.bands
    assert bands[12].mean_view_zenith is None
    assert (bands[3].mean_view_zenith, bands[3].mean_view_azimuth) == (None, 203)


def test_angle_grids_run_from_north_to_south_and_keep_their_gaps(tmp_path: Path) -> None:
    metadata = read(build.compact(), tmp_path).metadata
    assert metadata.sun_angles.shape == (2, 23, 23)
    assert metadata.sun_angles[0, 3, 7] == 43.07
    assert metadata.sun_angles[1, 22, 0] == 182
    assert metadata.view_angles.shape == (13, 12, 2, 23, 23)
    assert metadata.view_angles[12, 11, 1, 4, 10] == 104.1
    assert np.isnan(metadata.view_angles[12, 11, 0, :, 11:]).all()
    seen = ~np.isnan(metadata.view_angles).all(axis=(2, 3, 4))
    assert np.argwhere(seen).tolist() == [[0, 4], [0, 5], [12, 11]]


def test_cloud_cover_is_the_products_where_the_tile_has_none(tmp_path: Path) -> None:
    element = "<CLOUDY_PIXEL_PERCENTAGE>3.25</CLOUDY_PIXEL_PERCENTAGE>"
    assert read(build.edited(build.compact(), build.TILE, element, ""), tmp_path).metadata.cloud_percentage == 7.5


def test_offset_is_zero_where_an_old_product_has_none(tmp_path: Path) -> None:
    for granule in find_granules(build.write(build.multi_granule("53HNA"), tmp_path, f"{build.OLD_NAME}.SAFE")):
        assert {band.radio_add_offset for band in granule.metadata.bands} == {0}


@pytest.mark.parametrize("element", ["Radiometric_Offset_List", "RADIO_ADD_OFFSET"])
def test_new_product_without_offsets_or_with_some_is_refused(tmp_path: Path, element: str) -> None:
    files = build.compact()
    text = files[build.PRODUCT].decode()
    start, end = text.index(f"<{element}"), text.index(f"</{element}>") + len(f"</{element}>")
    files = build.with_manifest(files | {build.PRODUCT: (text[:start] + text[end:]).encode()})
    with pytest.raises(InvalidSafeError, match=r"MTD_MSIL1C.xml: RADIO_ADD_OFFSET of (0|12) of 13 bands"):
        read(files, tmp_path)


def test_files_are_all_but_band_images_and_colour_image(tmp_path: Path) -> None:
    files = build.compact()
    granule = read(files, tmp_path)
    images = {build.image(name) for name in (*build.BANDS, "TCI")}
    assert {file.path: file.size for file in granule.files} == {
        path: len(data) for path, data in files.items() if path not in images
    }
    assert granule.tci == build.image("TCI")
    assert granule.missing == ()
    for file in granule.files:
        assert granule.read(file.path) == files[file.path]
        with granule.open(file.path) as stream:
            assert stream.read() == files[file.path]


def test_file_that_the_manifest_lists_but_is_not_there_is_reported(tmp_path: Path) -> None:
    granule = read(build.without(build.compact(), "INSPIRE.xml"), tmp_path)
    assert granule.missing == ("INSPIRE.xml",)
    assert "INSPIRE.xml" not in {file.path for file in granule.files}


def test_looking_at_a_product_does_not_change_it(tmp_path: Path) -> None:
    files = build.compact()
    before = read(files, tmp_path)
    left_behind = {f"{build.image('B02')}.aux.xml": b"x", f"{build.FOLDER}/AUX_DATA/AUX_ECMWFT.5b7b6.idx": b"x"}
    after = read(files | left_behind, tmp_path)
    assert after.files == before.files
    assert after.source_digest == before.source_digest


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("prefix", [f"{build.NAME}.SAFE/", "downloads/x.SAFE/", ""])
def test_zip_says_what_the_folder_says(tmp_path: Path, method: int, prefix: str) -> None:
    files = build.compact()
    folder = read(files, tmp_path)
    (zipped,) = find_granules(build.write_zip(files, tmp_path / "a{b.zip", prefix, method))
    assert zipped.source_digest == folder.source_digest
    assert zipped.files == folder.files
    assert zipped.metadata.id == folder.metadata.id
    assert zipped.metadata.safe_name == folder.metadata.safe_name
    np.testing.assert_array_equal(zipped.metadata.view_angles, folder.metadata.view_angles)
    assert all(zipped.read(file.path) == folder.read(file.path) for file in folder.files)


def test_granules_of_an_old_product_have_their_own_files_and_the_shared_ones(tmp_path: Path) -> None:
    files = build.multi_granule("53HNA", "53HPA")
    granules = find_granules(build.write(files, tmp_path, f"{build.OLD_NAME}.SAFE"))
    assert [granule.metadata.tile.id for granule in granules] == ["53HNA", "53HPA"]
    assert len({granule.source_digest for granule in granules}) == 2
    for granule in granules:
        metadata = granule.metadata
        own = f"S2A_OPER_MSI_L1C_TL_SGS__20160905T073438_A006291_T{metadata.tile}_N02.04"
        assert (metadata.id, metadata.safe_format) == (own, "multi-granule")
        assert metadata.safe_name == f"{build.OLD_NAME}.SAFE"
        assert granule.tci is None
        shared = {"manifest.safe", "INSPIRE.xml", "HTML/star_bg.jpg", build.OLD_PRODUCT}
        shared.add(f"DATASTRIP/{build.OLD_STRIP}/MTD_DS.xml")
        assert {file.path for file in granule.files} == shared | {
            f"GRANULE/{own}/S2A_OPER_MTD_L1C_TL_SGS__T{metadata.tile}.xml",
            f"GRANULE/{own}/QI_DATA/S2A_OPER_MSK_CLOUDS_T{metadata.tile}_B00.gml",
        }
        cloud = granule.masks["MSK_CLOUDS", None]
        assert cloud == f"GRANULE/{own}/QI_DATA/S2A_OPER_MSK_CLOUDS_T{metadata.tile}_B00.gml"


def test_product_is_named_by_its_metadata_not_by_its_folder(tmp_path: Path) -> None:
    (granule,) = find_granules(build.write(build.compact(), tmp_path, "my copy"))
    assert (granule.metadata.id, granule.metadata.safe_name) == (build.NAME, f"{build.NAME}.SAFE")


def test_images_are_found_by_the_list_where_folder_names_disagree(tmp_path: Path) -> None:
    odd = "GRANULE/L1C_T34UCF_A000000_20200101T000000"
    files = {path.replace(build.FOLDER, odd): data for path, data in build.compact().items()}
    listed = files[build.PRODUCT].decode().replace(build.FOLDER, odd)
    granule = read(build.with_manifest(files | {build.PRODUCT: listed.encode()}), tmp_path)
    assert granule.metadata.bands[1].image == build.image("B02").replace(build.FOLDER, odd)
    # The granule's own list still has the other folder's name.
    assert granule.masks["MSK_CLASSI", None] == build.mask("MSK_CLASSI").replace(build.FOLDER, odd)


def test_digest_changes_with_any_file(tmp_path: Path) -> None:
    files = build.compact()
    digests = {read(files, tmp_path / "a").source_digest}
    for number, path in enumerate((build.image("B05"), "INSPIRE.xml", build.TILE)):
        changed = build.with_manifest(files | {path: files[path] + b" "})
        digests.add(read(changed, tmp_path / str(number)).source_digest)
    changed = files | {f"{build.FOLDER}/AUX_DATA/AUX_ECMWFT": b"longer than before"}
    digests.add(read(changed, tmp_path / "b").source_digest)
    assert len(digests) == 5


def test_granule_can_be_sent_to_another_process(tmp_path: Path) -> None:
    (granule,) = find_granules(build.write_zip(build.compact(), tmp_path / "x.zip"))
    copy = pickle.loads(pickle.dumps(granule))  # noqa: S301 - own data
    assert copy.files == granule.files
    assert copy.read("INSPIRE.xml") == b"<MD_Metadata/>"
