"""Items say what a SAFE, a store and a ledger say, in STAC's words."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pystac
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import shape

from abut.layout import BAND, BANDS
from abut.tiling import tile
from catalog import Holding, extensions, holding_of, make_collection, make_item, valid_of, with_holding
from catalog.assets import half_maximum_width
from catalog.geometry import ground_of_blocks
from tests.catalog_products import START, band_metadata, digest, item, product, store, whole
from tests.stac_schemas import validate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from catalog.bitmap import Position

LATER = START + timedelta(days=3)
HOLDER = "S2B_MSIL1C_20230823T095559_N0509_R122_T32TMM_20230823T120234"
OTHER = "S2B_MSIL1C_20230823T095559_N0509_R122_T32TNL_20230823T120234"


def ledger(revision: int, released: Mapping[Position, str] | None = None, **changes: Any) -> Holding:
    """What a ledger says of the product of tile 32TNM: all of its blocks held but the released ones."""
    released = released or {}
    fields: dict[str, Any] = {
        "revision": revision,
        "held": whole(tile("32TNM")) - frozenset(released),
        "holders": released,
        "withdrawn": False,
        "updated": LATER + timedelta(minutes=revision),
    }
    return Holding(**{**fields, **changes})


@pytest.mark.parametrize("full", [True, False], ids=["every optional value", "no optional value"])
@pytest.mark.parametrize("tile_id", ["32TNM", "53HNA", "01WCS", "01CCV", "60XWR"])
def test_item_is_valid_against_every_schema_that_it_names(tile_id: str, full: bool) -> None:
    metadata = product(tile_id, full=full)
    assert len(validate(make_item(metadata, store(metadata, full=full)))) == 1 + len(extensions.ITEM)


def test_item_that_released_blocks_is_valid() -> None:
    released = {(0, 0): HOLDER, (3, 4): OTHER}
    validate(pystac.Item.from_dict(with_holding(item(), ledger(7, released)), migrate=False))


def test_item_that_holds_nothing_is_valid_and_has_no_geometry() -> None:
    emptied = with_holding(item(), ledger(8, dict.fromkeys(whole(tile("32TNM")), HOLDER)))
    assert emptied["geometry"] is None
    assert "bbox" not in emptied
    validate(pystac.Item.from_dict(emptied, migrate=False))


def test_collection_is_valid_against_every_schema_that_it_names() -> None:
    assert len(validate(make_collection())) == 1 + len(extensions.COLLECTION)


def test_collection_describes_the_assets_of_its_items() -> None:
    templates = make_collection().to_dict()["item_assets"]
    assets = item()["assets"]
    assert set(templates) == set(assets)
    for key, template in templates.items():
        assert template["roles"] == assets[key]["roles"]
        assert template["type"] == assets[key]["type"]


@pytest.mark.parametrize("band", BANDS, ids=lambda band: band.name)
def test_common_names_are_said_in_both_ways_that_clients_read(band: Any) -> None:
    """STAC 1.1 says them in `bands`, pystac and odc-stac read `eo:bands`, where three red edges had one name."""
    asset = item()["assets"][band.name]
    (described,) = asset["eo:bands"]
    assert described["name"] == asset["bands"][0]["eo:common_name"] == band.common_name
    assert described.get("common_name", "rededge")[:7] == band.common_name[:7]
    assert make_collection().to_dict()["item_assets"][band.name]["eo:bands"] == [described]


def test_acquisition_type_is_said_where_the_type_of_the_datatake_says_it() -> None:
    kinds = {"INS-NOBS": "nominal", "INS-VIC": "calibration", "INS-RAW": None}
    found = {kind: item(datatake_type=kind)["properties"].get("product:acquisition_type") for kind in kinds}
    assert found == kinds


def test_dimensions_of_the_collection_are_those_of_no_single_tile() -> None:
    dimensions = make_collection().to_dict()["cube:dimensions"]
    assert dimensions["band"]["values"] == list(BAND)
    assert dimensions["time"]["extent"] == ["2015-06-27T10:25:31Z", None]
    assert dimensions["x"]["extent"] == [-180, 180]
    places = (item(place)["properties"]["abut:footprint"] for place in ("01CDH", "59XNP"))  # southern- and northernmost
    latitudes = [y for place in places for y in shapely.get_coordinates(shape(place))[:, 1]]
    assert dimensions["y"]["extent"] == [
        pytest.approx(min(latitudes), abs=0.01),
        pytest.approx(max(latitudes), abs=0.01),
    ]


def test_pictures_are_of_bands_that_there_are() -> None:
    made = make_collection().to_dict()
    for render in made["renders"].values():
        assert set(render["assets"]) <= set(made["item_assets"])
        assert ("rescale" in render) != ("colormap" in render)
        if "rescale" in render:
            assert len(render["rescale"]) == (1 if "expression" in render else len(render["assets"]))


def test_collection_says_who_made_it_under_which_licence_and_how_to_cite_it() -> None:
    made = make_collection()
    assert made.license == "other"
    assert {link.rel for link in made.links} >= {"license", "cite-as", "about"}
    assert made.get_single_link("cite-as").href == next(  # type: ignore[union-attr] # asserted above
        link["href"] for link in item()["links"] if link["rel"] == "cite-as"
    )


def test_item_is_strict_json() -> None:
    made = item(cloud_percentage=float("nan"), reflectance_conversion_u=float("inf"))
    properties = made["properties"]
    assert "eo:cloud_cover" not in properties
    assert "s2:reflectance_conversion_factor" not in properties
    assert json.loads(json.dumps(made, allow_nan=False)) == made


def test_datetime_is_the_start_of_the_datatake_and_the_sensing_time_is_kept_apart() -> None:
    properties = item()["properties"]
    assert properties["datetime"] == "2023-08-23T09:55:59.024000Z"
    assert properties["abut:sensing_time"] == "2023-08-23T10:01:16.274000Z"
    assert properties["abut:datastrip_start"] == "2023-08-23T09:55:59Z"


def test_properties_say_what_the_metadata_says() -> None:
    properties = item()["properties"]
    expected = {
        "platform": "sentinel-2b",
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "gsd": 10,
        "eo:cloud_cover": 12.5,
        "proj:code": "EPSG:32632",
        "grid:code": "MGRS-32TNM",
        "mgrs:utm_zone": 32,
        "mgrs:latitude_band": "T",
        "mgrs:grid_square": "NM",
        "sat:orbit_state": "descending",
        "sat:relative_orbit": 122,
        "sat:absolute_orbit": 33753,
        "view:sun_azimuth": 164.5,
        "view:sun_elevation": 48.75,
        "processing:level": "L1C",
        "processing:version": "05.09",
        "product:type": "S2MSI1C",
        "s2:datatake_id": "GS2B_20230823T095559_033753_N05.09",
        "s2:nodata_pixel_percentage": 0.25,
        "abut:quantification_value": 10000,
        "abut:layer": product().layer,
        "abut:revision": 0,
        "abut:withdrawn": False,
        "abut:data_bytes": 612_345_678,
    }
    assert {key: properties[key] for key in expected} == expected


def test_deprecated_fields_of_the_sentinel_2_extension_are_absent() -> None:
    deprecated = {"mgrs_tile", "processing_baseline", "generation_time", "product_type", "granule_id"}
    assert not {f"s2:{name}" for name in deprecated} & set(item()["properties"])
    assert not [key for key in item()["properties"] if key.startswith("s2:mean_solar")]


def test_mean_viewing_direction_is_right_across_north() -> None:
    bands = tuple(band_metadata(band) for band in BANDS)  # azimuths from 350 to 14 degrees
    properties = item(bands=bands)["properties"]
    assert 0 <= properties["view:azimuth"] < 5
    assert 3.0 < properties["view:incidence_angle"] < 4.2


def test_viewing_direction_is_absent_where_no_band_has_one() -> None:
    assert not [key for key in item(full=False)["properties"] if key in {"view:azimuth", "view:incidence_angle"}]


def test_digests_are_those_of_the_store() -> None:
    properties = item()["properties"]
    digests = properties["abut:digests"]
    assert digests["bands"] == {band.name: digest(band.name) for band in BANDS}
    assert digests["masks"]["quality/B02"] == digest("quality/B02")
    assert properties["abut:record_digest"] == digest("record")


@pytest.mark.parametrize("band", BANDS, ids=lambda band: band.name)
def test_band_asset_describes_the_array_over_the_hull(band: Any) -> None:
    record = item()
    asset, hull = record["assets"][band.name], tile("32TNM").hull.bounds
    assert asset["href"] == f"./{record['properties']['abut:store']}/{band.path}"
    assert asset["type"] == "application/x-zarr"
    assert asset["proj:shape"] == [hull.height // band.resolution, hull.width // band.resolution]
    assert asset["proj:transform"] == [band.resolution, 0, hull.left, 0, -band.resolution, hull.top]
    assert (asset["nodata"], asset["data_type"], asset["gsd"]) == (0, "uint16", band.resolution)
    assert (asset["raster:scale"], asset["raster:offset"]) == (0.0001, -0.1)
    assert asset["bands"][0]["name"] == band.name
    assert asset["bands"][0]["eo:common_name"] == band.common_name
    assert asset["bands"][0]["eo:center_wavelength"] == pytest.approx((443 + 60 * band.index) / 1000)
    assert asset["bands"][0]["eo:full_width_half_max"] == pytest.approx(0.010)


def test_band_assets_say_that_they_are_not_the_legacy_tile() -> None:
    assets = item()["assets"]
    for name in BAND:
        assert "this product" in assets[name]["title"]
        assert "Not the legacy tile" in assets[name]["description"]


def test_offset_before_baseline_04_is_zero() -> None:
    asset = item(full=False)["assets"]["B02"]
    assert (asset["raster:offset"], asset["abut:radio_add_offset"]) == (0.0, 0)


@pytest.mark.parametrize("bands", [("B01", "B09", "B10"), ("B8A",), ("B12", "B02")])
def test_product_with_some_bands_has_assets_for_these(bands: tuple[str, ...]) -> None:
    metadata = product()
    made = make_item(metadata, store(metadata, bands=bands))
    assert {key for key in made.assets if key in BAND} == set(bands)
    assert made.properties["gsd"] == min(BAND[name].resolution for name in bands)
    assert set(made.properties["abut:digests"]["bands"]) == set(bands)
    validate(made)


def test_product_without_bands_is_refused() -> None:
    metadata = product()
    with pytest.raises(ValueError, match="no band is stored"):
        make_item(metadata, store(metadata, bands=()))


def test_stored_band_without_digest_is_refused() -> None:
    metadata = product()
    with pytest.raises(ValueError, match="band B02 is stored but has no metadata or no digest"):
        make_item(metadata, store(metadata, band_digests={"B01": digest("B01")}))


def test_time_without_zone_is_refused() -> None:
    metadata = product(sensing_time=datetime(2023, 8, 23))  # noqa: DTZ001 - what is tested
    with pytest.raises(ValueError, match="2023-08-23T00:00:00 has no time zone"):
        make_item(metadata, store(metadata))


def test_block_outside_of_the_hull_is_refused() -> None:
    metadata = product()
    with pytest.raises(ValueError, match="block row 13, column 0 is outside"):
        make_item(metadata, store(metadata, valid=frozenset({(13, 0)})))


def test_group_masks_angles_metadata_and_preview_have_assets() -> None:
    record = item()
    assets, prefix = record["assets"], record["properties"]["abut:store"]
    granule = f"./{prefix}/legacy/GRANULE/L1C_T32TNM_A033753_20230823T095553"
    assert {key: asset["href"] for key, asset in assets.items() if key not in BAND} == {
        "product": f"./{prefix}",
        "detector_footprint": f"./{prefix}/conditions/mask/detector_footprint",
        "quality": f"./{prefix}/quality/mask",
        "classification": f"./{prefix}/conditions/mask/l1c_classification/r60m",
        "angles": f"./{prefix}/conditions/geometry",
        "granule_metadata": f"{granule}/MTD_TL.xml",
        "product_metadata": f"./{prefix}/legacy/MTD_MSIL1C.xml",
        "thumbnail": f"{granule}/QI_DATA/T32TNM_20230823T095559_PVI.jp2",
    }
    assert assets["product"]["type"] == "application/vnd.zarr; version=3"
    assert assets["thumbnail"]["type"] == "image/jp2"
    assert assets["granule_metadata"]["file:size"] == 600_000


def test_masks_and_files_that_are_not_there_have_no_assets() -> None:
    metadata = product()
    made = make_item(metadata, store(metadata, full=False))
    assert set(made.assets) - set(BAND) == {"product", "angles"}


def test_metadata_of_a_multi_granule_product_is_that_of_the_tile() -> None:
    def granule(tile_id: str) -> str:
        name = f"L1C_TL_SGS__20160905T073438_A006291_T{tile_id}"
        return f"GRANULE/S2A_OPER_MSI_{name}_N02.04/S2A_OPER_MTD_{name}.xml"

    files = {granule("53HLA"): 1, granule("53HNA"): 2, "S2A_OPER_MTD_SAFL1C_PDMC_2016.xml": 3}
    metadata = product("53HNA")
    assets = make_item(metadata, store(metadata, legacy_files=files)).assets
    assert assets["granule_metadata"].href.endswith(granule("53HNA"))
    assert assets["product_metadata"].href.endswith("/legacy/S2A_OPER_MTD_SAFL1C_PDMC_2016.xml")


def test_doi_is_a_link() -> None:
    assert [link["href"] for link in item()["links"] if link["rel"] == "cite-as"] == [
        "https://doi.org/10.5270/S2_-742ikth"
    ]


def test_fresh_item_holds_every_block_that_has_data() -> None:
    valid = frozenset({(0, 0), (5, 6), (11, 11)})
    fresh = item(valid=valid)
    assert valid_of(fresh) == valid
    assert holding_of(fresh) == Holding(
        revision=0, held=valid, holders={}, withdrawn=False, updated=START + timedelta(days=1, hours=2)
    )


def test_item_follows_the_ledger() -> None:
    released = {(0, 0): HOLDER, (0, 1): HOLDER, (11, 4): OTHER}
    settled = with_holding(item(), ledger(3, released))
    assert settled["properties"]["abut:revision"] == 3
    assert settled["properties"]["updated"] == "2023-08-26T09:58:59.024000Z"
    assert settled["geometry"] == ground_of_blocks(tile("32TNM"), whole(tile("32TNM")) - frozenset(released))
    neighbours = [link for link in settled["links"] if link["rel"] == "abut:neighbour"]
    assert [(link["abut:product"], link["href"]) for link in neighbours] == [
        (HOLDER, f"./{HOLDER}.json"),
        (OTHER, f"./{OTHER}.json"),
    ]
    assert holding_of(settled) == ledger(3, released)


def test_older_revision_changes_nothing() -> None:
    settled = with_holding(item(), ledger(5, {(0, 0): HOLDER}))
    assert with_holding(settled, ledger(4)) == settled


def test_same_or_newer_revision_replaces() -> None:
    settled = with_holding(item(), ledger(5, {(0, 0): HOLDER}))
    for revision in (5, 6):
        again = with_holding(settled, ledger(revision, {(1, 1): OTHER}))
        assert holding_of(again).holders == {(1, 1): OTHER}


def test_what_an_item_says_depends_on_the_last_ledger_alone() -> None:
    fresh = item()
    detour = with_holding(with_holding(fresh, ledger(1, {(2, 2): OTHER}, withdrawn=True)), ledger(2, {(0, 0): HOLDER}))
    assert detour == with_holding(fresh, ledger(2, {(0, 0): HOLDER}))


def test_withdrawal_is_said_and_taken_back() -> None:
    hidden = with_holding(item(), ledger(1, withdrawn=True))
    assert hidden["properties"]["abut:withdrawn"] is True
    assert with_holding(hidden, ledger(2))["properties"]["abut:withdrawn"] is False


def test_the_given_item_is_not_changed() -> None:
    fresh = item()
    before = copy.deepcopy(fresh)
    with_holding(fresh, ledger(1, {(0, 0): HOLDER}))
    made = make_item(product(), store(product()))
    assert with_holding(made, ledger(0, updated=START + timedelta(days=1, hours=2))) == fresh == before


def test_ledger_that_names_an_empty_block_is_refused() -> None:
    fresh = item(valid=frozenset({(0, 0)}))
    with pytest.raises(ValueError, match=r"empty at ingest: \[\(1, 1\)\]"):
        with_holding(fresh, ledger(1, held=frozenset({(0, 0), (1, 1)})))


def test_block_both_held_and_released_is_refused() -> None:
    with pytest.raises(ValueError, match=r"both held and released: \[\(2, 3\)\]"):
        with_holding(item(), ledger(1, {(2, 3): HOLDER}, held=frozenset({(2, 3)})))


positions = st.sets(st.tuples(st.integers(0, 11), st.integers(0, 11)), min_size=1)


@settings(deadline=None)  # the first example loads the grid, and machines are busy
@given(data=st.data(), valid=positions, revision=st.integers(1, 10**9), withdrawn=st.booleans())
def test_holding_survives_the_way_through_an_item_and_json(
    data: st.DataObject, valid: set[Position], revision: int, withdrawn: bool
) -> None:
    released = data.draw(st.dictionaries(st.sampled_from(sorted(valid)), st.sampled_from([HOLDER, OTHER])))
    holding = Holding(
        revision=revision,
        held=frozenset(valid) - frozenset(released),
        holders=released,
        withdrawn=withdrawn,
        updated=datetime(2024, 2, 29, 23, 59, 59, 1, tzinfo=UTC),
    )
    said = with_holding(item(valid=frozenset(valid)), holding)
    assert holding_of(json.loads(json.dumps(said))) == holding
    assert holding_of(pystac.Item.from_dict(said, migrate=False)) == holding
    assert valid_of(said) == valid


def test_half_maximum_width_of_a_box_and_a_triangle() -> None:
    assert half_maximum_width(2.0, [1, 1, 1, 1]) == pytest.approx(8.0)  # half is reached midway to the zeros outside
    assert half_maximum_width(1.0, [0, 0.5, 1, 0.5, 0]) == pytest.approx(2.0)
    assert half_maximum_width(1.0, []) is None
    assert half_maximum_width(1.0, [0.0, 0.0]) is None
