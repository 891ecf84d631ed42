"""Clients that know nothing of Abut, against `abut serve`: they search, and read what the hrefs of the answers name.

The archive is settled and purged, so that each product misses blocks that its neighbour holds; every pixel is compared
with the SAFEs.
"""

from __future__ import annotations

import io
import os
import re
import shutil
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, override

import httpx
import morecantile
import numpy as np
import obstore
import odc.stac
import pystac
import pystac_client
import pytest
import rasterio
import xarray as xr
import zarr
from fastapi import FastAPI
from morecantile import TileMatrixSet
from morecantile.defaults import TileMatrixSets
from obstore.store import HTTPStore
from odc.geo.geobox import GeoBox
from PIL import Image
from pyproj import CRS
from rasterio.windows import Window
from rio_tiler.io import Reader, STACReader
from starlette.testclient import TestClient
from titiler.core.dependencies import DefaultDependency
from titiler.core.factory import MultiBaseTilerFactory, TilerFactory
from zarr.storage import ObjectStore

from abut.archive import open_archive
from abut.lattice import Bounds
from abut.layout import BAND, BANDS
from catalog import holding_of
from ingest.purge import purge
from ingest.settle import settle
from tests.neighbours import EAST, SEAM, WEST, Neighbours
from tests.serving import Served, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from abut.archive import Archive

pytestmark = [
    # odc-geo 0.5 with affine 3 and shapely 2.2; nothing that a service could do about.
    pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning"),
    # rio-tiler on arrays without overviews in GDAL's sense, and on items without statistics.
    pytest.mark.filterwarnings("ignore:The dataset has no Overviews"),
    pytest.mark.filterwarnings("ignore:Some statistics data in STAC are invalid"),
]

TYPES = {"application/x-zarr"}
"""What STACReader is to be told: it skips types of assets that it does not know."""


@dataclass(frozen=True)
class Api:
    """The service, and what pystac-client finds in it."""

    served: Served
    neighbours: Neighbours
    items: list[pystac.Item]
    """West and east."""

    @property
    def url(self) -> str:
        return self.served.url

    def item_url(self, item: pystac.Item) -> str:
        return f"{self.url}/stac/collections/{item.collection_id}/items/{item.id}"


@pytest.fixture(scope="module")
def settled(
    tmp_path_factory: pytest.TempPathFactory, old_archive: Archive, neighbours: tuple[Path, Path]
) -> Neighbours:
    source, folder = Path(old_archive.store.url), tmp_path_factory.mktemp("served") / "archive"
    shutil.copytree(source / "products", folder / "products", copy_function=os.link)
    shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("products"))
    archive = open_archive(folder)
    (layer,) = settle(archive)
    (purged,) = purge(archive, grace=timedelta(0))
    assert purged.objects == 13 * layer.released > 0
    return Neighbours(archive, neighbours)


@pytest.fixture(scope="module")
def api(settled: Neighbours) -> Iterator[Api]:
    with serving(settled.archive.store.url) as served:
        client = pystac_client.Client.open(f"{served.url}/stac")
        found = client.search(collections=["sentinel-2-l1c"], bbox=[5, 44, 12, 49], sortby="grid:code")
        items = list(found.items())
        assert [item.properties["grid:code"] for item in items] == ["MGRS-32TMT", "MGRS-32TNT"]
        yield Api(served, settled, items)


def geobox(place: Bounds, resolution: int) -> GeoBox:
    return GeoBox.from_bbox(
        (place.left, place.bottom, place.right, place.top), crs=str(place.zone), resolution=resolution
    )


def http_store(href: str) -> HTTPStore:
    return HTTPStore.from_url(href, client_options={"allow_http": True})


# What the API says of itself and of its items


def test_every_href_of_an_item_answers(api: Api) -> None:
    for item in api.items:
        links = [link.absolute_href for link in item.links if link.rel != "license"]
        assets = [asset.href for asset in item.assets.values()]
        for href in (*links, *assets):
            assert href.startswith(f"{api.url}/"), href
            place = href.replace("{z}/{x}/{y}", "8/136/90")  # a template of map tiles
            answer = httpx.get(place, follow_redirects=True)
            assert answer.status_code in ((200,) if place == href else (200, 204)), href


def test_an_item_links_to_its_store(api: Api) -> None:
    for item in api.items:
        (store,) = item.get_links("store")
        assert store.absolute_href == item.assets["product"].href
        assert zarr.open_group(ObjectStore(http_store(store.absolute_href)), mode="r").attrs is not None


def test_the_same_items_are_found_by_get_and_post_and_by_collection(api: Api) -> None:
    client = pystac_client.Client.open(f"{api.url}/stac")
    expected = {item.id: item.to_dict() for item in api.items}
    for method in ("GET", "POST"):
        found = client.search(bbox=[5, 44, 12, 49], filter="eo:cloud_cover >= 0", limit=1, method=method)
        assert {item.id: item.to_dict() for item in found.items()} == expected
    (collection,) = client.get_collections()
    assert {item.id for item in collection.get_items()} == set(expected)


# GDAL and rio-tiler


@pytest.mark.parametrize("band", ["B02", "B8A", "B10"])
def test_rasterio_opens_the_href_of_a_band_as_it_is(api: Api, band: str) -> None:
    for item, tile in zip(api.items, (WEST, EAST), strict=True):
        hull = tile.hull.bounds
        with rasterio.open(item.assets[band].href) as image:
            assert image.driver == "Zarr"
            assert image.crs.to_epsg() == tile.zone.epsg
            assert tuple(image.bounds) == (hull.left, hull.bottom, hull.right, hull.top)
            assert image.block_shapes == [(BAND[band].block_pixels,) * 2]
            assert image.nodata == 0
            assert np.array_equal(image.read(1), api.neighbours.held(item, band))


def test_every_band_reads_over_http_as_from_the_disk(api: Api) -> None:
    local = api.neighbours.items(api.neighbours.archive.store.url)
    for served, item, tile in zip(api.items, local, (WEST, EAST), strict=True):
        for band in BANDS:
            part = tile.hull.bounds.intersection(SEAM)
            assert part is not None
            window = Window.from_slices(*tile.hull.bounds.slices(part, band.resolution))
            with (
                rasterio.open(served.assets[band.name].href) as there,
                rasterio.open(item.assets[band.name].href) as here,
            ):
                pixels = here.read(1, window=window)
                assert pixels.any()
                assert np.array_equal(there.read(1, window=window), pixels), band


@pytest.mark.parametrize("value", ["TRUE", "EMPTY_DIR", "FALSE"])
def test_gdal_needs_no_setting_and_bears_the_usual_ones(api: Api, value: str) -> None:
    item = api.items[0]
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN=value), rasterio.open(item.assets["B09"].href) as image:
        assert np.array_equal(image.read(1), api.neighbours.held(item, "B09"))


def test_gdal_takes_the_form_that_names_the_driver_too(api: Api) -> None:
    item = api.items[1]
    with rasterio.open(f'ZARR:"/vsicurl/{item.assets["B01"].href}"') as image:
        assert np.array_equal(image.read(1), api.neighbours.held(item, "B01"))


def test_a_block_that_a_neighbour_holds_reads_as_nodata(api: Api) -> None:
    item = api.items[0]
    row, column = min(holding_of(item).holders)
    with rasterio.open(item.assets["B02"].href) as image:
        block = image.read(1, window=Window(column * 960, row * 960, 960, 960), masked=True)
    assert block.mask.all()
    assert api.neighbours.ground("B02", WEST.hull.block(row, column).bounds).any()


def test_rio_tiler_reads_a_part_of_an_asset(api: Api) -> None:
    item, part = api.items[0], replace(SEAM, right=WEST.footprint.right)
    expected = api.neighbours.held(item, "B02")[WEST.hull.bounds.slices(part, 10)]
    assert expected.any()
    with Reader(item.assets["B02"].href) as reader:
        image = reader.part(
            (part.left, part.bottom, part.right, part.top), bounds_crs="EPSG:32632", dst_crs="EPSG:32632"
        )
    assert np.array_equal(image.array.data[0], expected)
    assert np.array_equal(image.array.mask[0], expected == 0)


def test_rio_tiler_reads_bands_through_the_url_of_the_item(api: Api) -> None:
    item, part = api.items[1], replace(SEAM, left=EAST.hull.bounds.left)
    box = (part.left, part.bottom, part.right, part.top)
    with STACReader(api.item_url(item), include_asset_types=TYPES) as reader:
        assert reader.assets == [band.name for band in BANDS]
        image = reader.part(box, bounds_crs="EPSG:32632", dst_crs="EPSG:32632", assets=["B11", "B05"])
    for index, band in enumerate(("B11", "B05")):
        expected = api.neighbours.held(item, band)[EAST.hull.bounds.slices(part, 20)]
        assert expected.any()
        assert np.array_equal(image.array.filled(0)[index], expected)


def test_rio_tiler_needs_to_be_told_the_type_of_the_arrays(api: Api) -> None:
    with STACReader(api.item_url(api.items[0])) as reader:
        assert not {band.name for band in BANDS} & set(reader.assets)


# odc-stac


@pytest.mark.parametrize("band", ["B02", "B8A", "B10"])
def test_odc_stac_loads_search_results_as_the_safes_have_them(api: Api, band: str) -> None:
    found = pystac_client.Client.open(f"{api.url}/stac").search(
        collections=["sentinel-2-l1c"], bbox=[5, 44, 12, 49], query={"eo:cloud_cover": {"lte": 100}}
    )
    loaded = odc.stac.load(found.items(), bands=[band], geobox=geobox(SEAM, BAND[band].resolution))
    expected = api.neighbours.ground(band)
    assert loaded.sizes["time"] == 1
    assert np.array_equal(loaded[band].values[0], expected)
    assert np.count_nonzero(expected) > 10_000 * (10 / BAND[band].resolution) ** 2


# titiler


class ArraysToo(DefaultDependency):
    """What STACReader has to be told."""

    @override
    def as_dict(self, exclude_none: bool = True) -> dict[str, Any]:
        return {"include_asset_types": TYPES}


GRID = TileMatrixSet.custom(
    [SEAM.left, SEAM.top - 8 * 256 * 20, SEAM.left + 8 * 256 * 20, SEAM.top], CRS.from_epsg(32632), id="seam"
)
"""Map tiles whose pixels at zoom 3 are those of the 20 m bands."""


@pytest.fixture(scope="module")
def titiler() -> TestClient:
    """A stock titiler."""
    schemes = TileMatrixSets({"seam": GRID, **{name: morecantile.tms.get(name) for name in ("WebMercatorQuad",)}})
    arrays = TilerFactory(router_prefix="/array", supported_tms=schemes)
    items = MultiBaseTilerFactory(
        reader=STACReader, router_prefix="/item", supported_tms=schemes, reader_dependency=ArraysToo
    )
    app = FastAPI()
    app.include_router(arrays.router, prefix="/array")
    app.include_router(items.router, prefix="/item")
    return TestClient(app)


def tile_with_most(api: Api, item: pystac.Item, hull: Bounds) -> tuple[int, int, np.ndarray[Any, Any]]:
    """Column, row and true pixels of the tile of 20 m pixels in which an item holds most of band 5."""
    held = api.neighbours.held(item, "B05")
    found = []
    for x in range(8):
        for y in range(8):
            left, top = SEAM.left + x * 5120, SEAM.top - y * 5120
            place = Bounds(SEAM.zone, left, top - 5120, left + 5120, top)
            if hull.intersection(place) == place:
                found.append((int(np.count_nonzero(pixels := held[hull.slices(place, 20)])), x, y, pixels))
    _, x, y, pixels = max(found, key=lambda one: one[:3])
    return x, y, pixels


def test_titiler_renders_a_map_tile_with_the_pixels_of_the_safe(api: Api, titiler: TestClient) -> None:
    item = api.items[0]
    x, y, expected = tile_with_most(api, item, WEST.hull.bounds)
    assert np.count_nonzero(expected) > 10_000
    of_array = titiler.get(f"/array/tiles/seam/3/{x}/{y}.npy", params={"url": item.assets["B05"].href})
    of_item = titiler.get(f"/item/tiles/seam/3/{x}/{y}.npy", params={"url": api.item_url(item), "assets": "B05"})
    for answer in (of_array, of_item):
        assert answer.status_code == 200, answer.text
        pixels, mask = np.load(io.BytesIO(answer.content))
        assert np.array_equal(pixels, expected)
        assert np.array_equal(mask > 0, expected > 0)


def test_titiler_renders_pictures_for_web_maps(api: Api, titiler: TestClient) -> None:
    item = api.items[0]
    assert item.bbox is not None
    west, south, east, north = item.bbox
    tile = morecantile.tms.get("WebMercatorQuad").tile((west + east) / 2, (south + north) / 2, 9)
    answer = titiler.get(
        f"/item/tiles/WebMercatorQuad/{tile.z}/{tile.x}/{tile.y}.png",
        params={"url": api.item_url(item), "assets": ["B04", "B03", "B02"], "rescale": "0,4000"},
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.mode == "RGBA"
        assert np.asarray(image)[..., 3].any()


# Zarr, xarray, obstore


@pytest.mark.parametrize("band", ["B05", "B09"])
def test_zarr_reads_what_the_product_holds(api: Api, band: str) -> None:
    for item in api.items:
        group = zarr.open_group(ObjectStore(http_store(item.assets["product"].href), read_only=True), mode="r")
        array = group[BAND[band].path]
        assert isinstance(array, zarr.Array)
        assert np.array_equal(np.asarray(array), api.neighbours.held(item, band))


def test_xarray_opens_a_product(api: Api) -> None:
    for item, tile in zip(api.items, (WEST, EAST), strict=True):
        store: Any = ObjectStore(http_store(item.assets["product"].href), read_only=True)
        with xr.open_zarr(store, group="measurements/reflectance/r60m", mask_and_scale=False, chunks=None) as data:
            assert np.array_equal(data.b01, api.neighbours.held(item, "B01"))
            assert data.odc.geobox == geobox(tile.hull.bounds, 60)
        with xr.open_datatree(store, engine="zarr", chunks=None) as tree:
            assert "/conditions/geometry" in {node.path for node in tree.subtree}


def test_obstore_reads_objects_and_ranges_of_them(api: Api) -> None:
    store, archive = http_store(f"{api.url}/zarr"), api.neighbours.archive.store
    keys = [entry.key for entry in archive.entries("products") if "/b02/c/" in entry.key][:5]
    for key in keys:
        data = archive.get(key)
        assert bytes(obstore.get(store, key).bytes()) == data
        assert bytes(obstore.get_range(store, key, start=10, end=50)) == data[10:50]
        assert bytes(obstore.get(store, key, options={"range": {"suffix": 16}}).bytes()) == data[-16:]
        assert obstore.head(store, key)["size"] == len(data)
    with pytest.raises(FileNotFoundError):
        obstore.get(store, keys[0].replace("/b02/", "/b99/"))


def test_pystac_reads_the_archive_as_a_static_catalogue_too(api: Api) -> None:
    for found in api.items:
        item = pystac.Item.from_file(f"{api.url}/zarr/products/{found.id}.json")
        hrefs = {key: asset.get_absolute_href() for key, asset in item.assets.items()}
        assert hrefs == {key: asset.href for key, asset in found.assets.items()}
        (neighbour,) = item.get_links("abut:neighbour")
        assert pystac.Item.from_file(neighbour.absolute_href).id in {other.id for other in api.items} - {item.id}


def test_the_example_of_the_documentation_runs(api: Api) -> None:
    page = (Path(__file__).parents[1] / "docs" / "serving.md").read_text(encoding="utf-8")
    codes = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (code,) = (one for one in codes if "odc.stac.load" in one)
    names: dict[str, Any] = {}
    exec(code.replace("http://127.0.0.1:8000", api.url), names)  # noqa: S102 - our own page
    loaded = names["data"].B08[0].compute()
    assert loaded.odc.geobox.resolution.x == 20
    assert np.count_nonzero(loaded) > 100_000
