"""Clients that know nothing of Abut read a settled and purged archive: every pixel is compared with the SAFEs."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import odc.geo.xr
import odc.stac
import pyproj
import pystac
import pytest
import rasterio
import xarray as xr
import zarr
from obstore.store import HTTPStore
from odc.geo import CRS
from odc.geo.geobox import GeoBox
from rasterio.windows import Window
from rio_tiler.io import Reader, STACReader
from zarr.storage import ObjectStore

from abut.layout import BAND, BANDS
from catalog import holding_of
from tests.neighbours import EAST, SEAM, WEST, Neighbours, reflectance
from tests.servers import web_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from abut.archive import Archive
    from abut.lattice import Bounds

pytestmark = [
    # odc-geo 0.5 with affine 3 and shapely 2.2; nothing that an archive could do about.
    pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning"),
    # rio-tiler on arrays without overviews in GDAL's sense, and on items without statistics.
    pytest.mark.filterwarnings("ignore:The dataset has no Overviews"),
    pytest.mark.filterwarnings("ignore:Some statistics data in STAC are invalid"),
]

TYPES = {"application/x-zarr"}


@dataclass(frozen=True)
class Place:
    """A way to the archive, and the items as seen from there."""

    neighbours: Neighbours
    base: str
    items: list[pystac.Item]

    def group(self, item: pystac.Item) -> Any:
        """What zarr and xarray take for a product's group."""
        href = item.assets["product"].href
        if href.startswith("/"):
            return href
        return ObjectStore(HTTPStore.from_url(href, client_options={"allow_http": True}), read_only=True)


@pytest.fixture(scope="module")
def neighbours(modern_archive: Archive, modern_neighbours: tuple[Path, Path]) -> Neighbours:
    return Neighbours(modern_archive, modern_neighbours)


@pytest.fixture(scope="module", params=["folder", "http"])
def place(request: pytest.FixtureRequest, neighbours: Neighbours) -> Iterator[Place]:
    folder = neighbours.archive.store.url
    if request.param == "folder":
        yield Place(neighbours, folder, neighbours.items(folder))
    else:
        with web_server(Path(folder)) as url:
            yield Place(neighbours, url, neighbours.items(url))


@pytest.fixture(scope="module")
def local(neighbours: Neighbours) -> Place:
    folder = neighbours.archive.store.url
    return Place(neighbours, folder, neighbours.items(folder))


def geobox(place: Bounds, resolution: int) -> GeoBox:
    return GeoBox.from_bbox(
        (place.left, place.bottom, place.right, place.top), crs=str(place.zone), resolution=resolution
    )


# odc-stac


@pytest.mark.parametrize("band", [band.name for band in BANDS])
def test_odc_stac_loads_across_the_seam_what_the_safes_have(place: Place, band: str) -> None:
    loaded = odc.stac.load(place.items, bands=[band], geobox=geobox(SEAM, BAND[band].resolution))
    expected = place.neighbours.ground(band)
    assert loaded[band].dtype == np.uint16
    assert np.array_equal(loaded[band].values[0], expected)
    assert np.count_nonzero(expected) > 10_000 * (10 / BAND[band].resolution) ** 2


def test_both_products_are_needed_for_the_ground_across_the_seam(local: Place) -> None:
    expected = local.neighbours.ground("B02")
    for item in local.items:
        alone = odc.stac.load([item], bands=["B02"], geobox=geobox(SEAM, 10))["B02"].values[0]
        assert 0 < np.count_nonzero(alone) < np.count_nonzero(expected)


def test_odc_stac_puts_one_datatake_into_one_time_step_unasked(place: Place) -> None:
    loaded = odc.stac.load(place.items, bands=["B01"])
    assert loaded.sizes["time"] == 1
    assert len({item.datetime for item in place.items}) == 1
    assert loaded.odc.geobox.crs == CRS("EPSG:32632")
    assert all(item.properties["abut:sensing_time"] > item.properties["datetime"] for item in place.items)


def test_scale_and_offset_of_the_assets_make_reflectance(local: Place) -> None:
    loaded = odc.stac.load(local.items, bands=["B05"], geobox=geobox(SEAM, 20))["B05"][0]
    fields = local.items[0].assets["B05"].extra_fields
    valid = loaded.astype(np.float64).where(loaded != fields["nodata"])
    values = valid * fields["raster:scale"] + fields["raster:offset"]
    expected = reflectance(local.items[0], "B05", local.neighbours.ground("B05"))
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-12)


def test_a_hole_of_one_item_is_filled_by_the_neighbours_that_it_names(place: Place) -> None:
    item = pystac.Item.from_file(f"{place.base}/products/{place.items[0].id}.json")
    footprint = geobox(WEST.footprint, 60)
    alone = odc.stac.load([item], bands=["B01"], geobox=footprint)["B01"].values[0]
    expected = place.neighbours.ground("B01", WEST.footprint)
    missing = (alone == 0) & (expected > 0)
    assert missing.any()
    assert np.array_equal(alone[~missing], expected[~missing])
    complete = [item, *(pystac.Item.from_file(link.absolute_href) for link in item.get_links("abut:neighbour"))]
    assert np.array_equal(odc.stac.load(complete, bands=["B01"], geobox=footprint)["B01"].values[0], expected)


# GDAL and rio-tiler


@pytest.mark.parametrize("band", ["B03", "B8A", "B10"])
def test_rasterio_opens_the_asset_and_reads_what_the_product_holds(place: Place, band: str) -> None:
    for item, tile in zip(place.items, (WEST, EAST), strict=True):
        hull, side = tile.hull.bounds, BAND[band].block_pixels
        with rasterio.open(item.assets[band].href) as image:
            assert image.crs.to_epsg() == tile.zone.epsg
            assert tuple(image.bounds) == (hull.left, hull.bottom, hull.right, hull.top)
            assert image.res == (BAND[band].resolution,) * 2
            assert image.block_shapes == [(side, side)]
            assert image.dtypes == ("uint16",)
            assert image.nodata == 0
            assert (*image.scales, *image.offsets) == pytest.approx((0.0001, -0.1))
            assert np.array_equal(image.read(1), place.neighbours.held(item, band))


def test_a_block_that_a_neighbour_holds_reads_as_nodata(place: Place) -> None:
    item = place.items[0]
    row, column = min(holding_of(item).holders)
    with rasterio.open(item.assets["B02"].href) as image:
        block = image.read(1, window=Window(column * 960, row * 960, 960, 960), masked=True)
    assert block.mask.all()
    assert place.neighbours.ground("B02", WEST.hull.block(row, column).bounds).any()


def test_gdal_needs_no_listing_if_told_that_it_is_zarr(neighbours: Neighbours) -> None:
    with web_server(Path(neighbours.archive.store.url), listings=False) as url:
        item = neighbours.items(url)[0]
        with pytest.raises(rasterio.errors.RasterioIOError):
            rasterio.open(item.assets["B01"].href)
        with rasterio.open(f'ZARR:"/vsicurl/{item.assets["B01"].href}"') as image:
            assert np.array_equal(image.read(1), neighbours.held(item, "B01"))


def test_rio_tiler_reads_a_part_of_an_asset(place: Place) -> None:
    item, part = place.items[0], replace(SEAM, right=WEST.footprint.right)
    expected = place.neighbours.held(item, "B02")[WEST.hull.bounds.slices(part, 10)]
    assert expected.any()
    with Reader(item.assets["B02"].href) as reader:
        image = reader.part(
            (part.left, part.bottom, part.right, part.top), bounds_crs="EPSG:32632", dst_crs="EPSG:32632"
        )
    assert np.array_equal(image.array.data[0], expected)
    assert np.array_equal(image.array.mask[0], expected == 0)


def test_rio_tiler_reads_bands_through_the_item(place: Place) -> None:
    item, part = place.items[1], replace(SEAM, left=EAST.hull.bounds.left)
    box = (part.left, part.bottom, part.right, part.top)
    with STACReader(f"{place.base}/products/{item.id}.json", include_asset_types=TYPES) as reader:
        assert reader.assets == [band.name for band in BANDS]
        image = reader.part(box, bounds_crs="EPSG:32632", dst_crs="EPSG:32632", assets=["B02", "B04"])
    for index, band in enumerate(("B02", "B04")):
        expected = place.neighbours.held(item, band)[EAST.hull.bounds.slices(part, 10)]
        assert expected.any()
        assert np.array_equal(image.array.filled(0)[index], expected)


# Zarr and xarray


@pytest.mark.parametrize("band", ["B02", "B05", "B09"])
def test_zarr_reads_what_the_product_holds(place: Place, band: str) -> None:
    for item in place.items:
        group = zarr.open_group(place.group(item), mode="r")
        array = group[BAND[band].path]
        assert isinstance(array, zarr.Array)
        assert array.chunks == (BAND[band].block_pixels,) * 2
        assert np.array_equal(np.asarray(array), place.neighbours.held(item, band))


def test_xarray_decodes_reflectance_with_pixel_centres_and_crs(place: Place) -> None:
    for item, tile in zip(place.items, (WEST, EAST), strict=True):
        path, hull = "measurements/reflectance/r20m", tile.hull.bounds
        with xr.open_zarr(place.group(item), group=path, chunks=None) as data:
            assert set(data.data_vars) == {"b05", "b06", "b07", "b8a", "b11", "b12"}
            expected = reflectance(item, "B05", place.neighbours.held(item, "B05"))
            np.testing.assert_allclose(data.b05, expected, rtol=0, atol=1e-12)
            assert data.x.values[[0, -1]].tolist() == [hull.left + 10, hull.right - 10]
            assert data.y.values[[0, -1]].tolist() == [hull.top - 10, hull.bottom + 10]
            assert data.odc.geobox == geobox(hull, 20)
            assert data.b05.odc.crs == CRS(str(tile.zone))
            assert pyproj.CRS.from_cf(data.spatial_ref.attrs) == pyproj.CRS.from_epsg(tile.zone.epsg)


def test_xarray_can_read_raw_digital_numbers(local: Place) -> None:
    item = local.items[0]
    with xr.open_zarr(local.group(item), group="measurements/reflectance/r60m", mask_and_scale=False) as data:
        assert data.b01.dtype == np.uint16
        assert np.array_equal(data.b01, local.neighbours.held(item, "B01"))


def test_xarray_opens_the_whole_product_as_a_tree_without_listing(place: Place) -> None:
    """Plain HTTP can't list: that the tree opens there shows that its metadata are consolidated."""
    item = place.items[1]
    with xr.open_datatree(place.group(item), engine="zarr", chunks=None) as tree:
        paths = {node.path for node in tree.subtree}
        hull = EAST.hull.bounds
        for resolution in (10, 20, 60):
            for group in ("conditions/mask/detector_footprint", "quality/mask"):
                mask = tree[f"{group}/r{resolution}m"]
                assert mask.dtype == np.uint8
                assert mask.shape[1:] == hull.shape(resolution)
                assert mask.odc.geobox == geobox(hull, resolution)
        np.testing.assert_allclose(
            tree["measurements/reflectance/r60m/b10"],
            reflectance(item, "B10", place.neighbours.held(item, "B10")),
            rtol=0,
            atol=1e-12,
        )
        assert tree["conditions/mask/l1c_classification/r60m"].shape == hull.shape(60)
        assert tree["conditions/geometry/sun_angles"].shape == (2, 23, 23)
        coarse = tree["measurements/reflectance/overviews/r10m/16"].to_dataset()
        assert coarse.odc.geobox == geobox(hull, 160)
    assert "/conditions/meteorology" in paths


# pystac


def test_pystac_resolves_the_links_of_an_item(place: Place) -> None:
    item = pystac.Item.from_file(f"{place.base}/products/{place.items[0].id}.json")
    collection = item.get_collection()
    assert collection is not None
    assert collection.id == item.collection_id == "sentinel-2-l1c"
    (neighbour,) = item.get_links("abut:neighbour")
    assert pystac.Item.from_file(neighbour.absolute_href).id == place.items[1].id
    hrefs = {key: asset.get_absolute_href() for key, asset in item.assets.items()}
    assert hrefs == {key: asset.href for key, asset in place.items[0].assets.items()}


def test_the_legacy_footprint_is_kept_beside_the_ground_that_is_held(local: Place) -> None:
    for item in local.items:
        assert item.properties["abut:footprint"]["type"] == "Polygon"
        assert item.geometry != item.properties["abut:footprint"]


# The page about them


def test_examples_of_the_documentation_run(local: Place) -> None:
    page = (Path(__file__).parents[1] / "docs" / "clients.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    zones = [block for block in blocks if "/zarr/zones/" in block]  # `tests/test_service_workers.py` has their server
    assert len(zones) == 1
    tokens = [block for block in blocks if "token=" in block]  # `tests/test_access_clients.py` has theirs
    assert len(tokens) == 1
    blocks = [block for block in blocks if block not in (*zones, *tokens)]
    assert len(blocks) > 5
    with web_server(Path(local.base)) as url:
        names: dict[str, Any] = {}
        for block in blocks:
            code = block.replace("/data/l1c", local.base).replace("https://example.org/l1c", url)
            code = code.replace('["product"].href)', '["product"].href, client_options={"allow_http": True})')
            exec(code, names)  # noqa: S102 - our own page
        assert np.array_equal(np.asarray(names["array"]), local.neighbours.held(names["item"], "B01"))
    assert names["blue"].sizes["time"] == 1
    assert len(names["complete"]) == 2
