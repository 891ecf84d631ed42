"""`abut.odc.load` equals `odc.stac.load`: pixels, coordinates, types, attributes, errors; and mostly without GDAL."""

from __future__ import annotations

import inspect
import json
import logging
import pickle
import shutil
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import odc.stac
import pystac
import pytest
import rasterio
import xarray as xr
import zarr
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from zarr.storage import MemoryStore

import abut.odc
from abut import complete
from abut.archive import open_archive
from abut.codec import decode_block, encode_block, zarr_codecs
from abut.odc import BlockDriver
from abut.store import Store
from ingest.purge import purge
from ingest.settle import settle
from tests.neighbours import SEAM, WEST, Neighbours
from tests.servers import web_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from abut.archive import Archive
    from abut.lattice import Bounds

pytestmark = [
    # odc-geo 0.5 with affine 3 and shapely 2.2; nothing that we could do about.
    pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def settled(
    tmp_path_factory: pytest.TempPathFactory, old_archive: Archive, neighbours: tuple[Path, Path]
) -> Neighbours:
    """A copy of the archive of two neighbours in which each block is held once."""
    folder = tmp_path_factory.mktemp("odc") / "archive"
    shutil.copytree(old_archive.store.url, folder)
    archive = open_archive(folder)
    (done,) = settle(archive)
    (purged,) = purge(archive, grace=timedelta(0))
    assert purged.objects == 13 * done.released > 0
    return Neighbours(archive, neighbours)


@pytest.fixture(scope="module")
def items(settled: Neighbours) -> list[pystac.Item]:
    return settled.items(settled.archive.store.url)


def pixels(place: Bounds, size: int, *, shift: float = 0) -> GeoBox:
    return GeoBox(
        (place.height // size, place.width // size),
        Affine(size, 0, place.left + shift, 0, -size, place.top),
        str(place.zone),
    )


SMALL = replace(SEAM, bottom=SEAM.bottom + 9_000, top=SEAM.bottom + 13_800)
"""A part of the seam with data on both sides of it."""


@contextmanager
def paths(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """What the log says about how arrays were read."""
    found: list[str] = []
    with caplog.at_level(logging.DEBUG, "abut.odc"):
        caplog.clear()
        yield found
        found += [record.getMessage() for record in caplog.records if record.name == "abut.odc"]


def require_equal(ours: xr.Dataset, stock: xr.Dataset) -> None:
    xr.testing.assert_identical(ours.compute(), stock.compute())
    for name in stock.data_vars:
        assert ours[name].dtype == stock[name].dtype
        assert ours[name].chunks == stock[name].chunks
        assert ours[name].encoding == stock[name].encoding
    assert list(ours.variables) == list(stock.variables)
    assert ours.odc.geobox == stock.odc.geobox


DIRECT: dict[str, dict[str, Any]] = {
    "GeoBox at 10 m": {"bands": ["B02", "B08"], "geobox": pixels(SMALL, 10)},
    "GeoBox at 20 m": {"bands": "B8A", "geobox": pixels(SMALL, 20)},
    "common names": {"bands": ["coastal", "cirrus"], "geobox": pixels(SMALL, 60)},
    "not on the 60 m grid": {"bands": ["B02"], "geobox": pixels(replace(SMALL, left=SMALL.left + 10), 10)},
    "farther than the arrays": {"bands": ["B01"], "geobox": pixels(SMALL.buffered(90_000), 60)},
    "all of the items": {"bands": ["B01"]},
    "x and y": {
        "bands": ["B05"],
        "crs": "EPSG:32632",
        "resolution": 20,
        "x": (SMALL.left, SMALL.right),
        "y": (SMALL.bottom, SMALL.top),
    },
    "like": {"bands": ["B01"], "like": pixels(SMALL, 60)},
    "time by default": {"bands": ["B01"], "geobox": pixels(SMALL, 60), "groupby": "time"},
    "solar day": {"bands": ["B01"], "geobox": pixels(SMALL, 60), "groupby": "solar_day"},
    "each item": {"bands": ["B01"], "geobox": pixels(SMALL, 60), "groupby": "id"},
    "none": {"bands": ["B01"], "geobox": pixels(SMALL, 60), "groupby": None},
    "a property": {"bands": ["B01"], "geobox": pixels(SMALL, 60), "groupby": "grid:code"},
    "given order": {"bands": ["B01"], "geobox": pixels(SMALL, 60), "preserve_original_order": True},
    "Dask": {"bands": ["B02", "B01"], "geobox": pixels(SMALL, 60), "chunks": {}},
    "Dask in chunks": {"bands": ["B02"], "geobox": pixels(SMALL, 10), "chunks": {"x": 500, "y": 333, "time": 1}},
    "threads": {"bands": ["B02", "B03"], "geobox": pixels(SMALL, 10), "pool": 3},
    "float": {"bands": ["B01"], "geobox": pixels(SMALL, 60), "dtype": "float32"},
    "float with NaN": {"bands": ["B01"], "geobox": pixels(SMALL, 60), "dtype": "float64", "nodata": float("nan")},
    "other nodata": {"bands": ["B01"], "geobox": pixels(SMALL, 60), "dtype": {"*": "int32"}, "nodata": -1},
    "bilinear on the grid": {"bands": ["B01"], "geobox": pixels(SMALL, 60), "resampling": "bilinear"},
    "own fuser": {"bands": ["B01"], "geobox": pixels(SMALL, 60), "fuse_func": "tests.test_odc.last_wins"},
}
"""Calls whose pixels lie on the grid of the items' arrays."""

DEGREES = Transformer.from_crs("EPSG:32632", "EPSG:4326", always_xy=True).transform_bounds(
    SMALL.left, SMALL.bottom, SMALL.right, SMALL.top
)

OTHERS: dict[str, dict[str, Any]] = {
    "coarser": {"bands": ["B01"], "geobox": pixels(SMALL, 120)},
    "finer": {"bands": ["B01"], "geobox": pixels(SMALL, 20), "resampling": "cubic"},
    "shifted": {"bands": ["B01"], "geobox": pixels(SMALL, 60, shift=7)},
    "Europe": {"bands": ["B01"], "crs": "EPSG:3035", "resolution": 300},
    "box in degrees": {"bands": ["B01"], "bbox": DEGREES, "crs": "EPSG:4326", "resolution": 0.002},
    "bytes": {"bands": ["B01"], "geobox": pixels(SMALL, 60), "dtype": "uint8"},
}
"""Calls that have to be resampled, or whose type GDAL converts to by rules of its own."""


def last_wins(target: Any, source: Any) -> None:
    """The last item that has data wins, unlike by default."""
    np.copyto(target, source, where=source != 0)


@pytest.mark.parametrize("name", sorted(DIRECT))
def test_a_load_on_the_grid_equals_the_stock_load_without_gdal(
    name: str, items: list[pystac.Item], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock = odc.stac.load(items, **DIRECT[name]).compute()
    lazy = odc.stac.load(items, **DIRECT[name])
    with paths(caplog) as seen:
        ours = abut.odc.load(items, **DIRECT[name])
        require_equal(ours, lazy)
        if name != "Dask":
            monkeypatch.setattr("rasterio.open", None)
            require_equal(abut.odc.load(items, **DIRECT[name]).compute(), stock)
    assert any("chunks are read directly" in line for line in seen)
    assert all(array.values.any() for array in stock.data_vars.values())


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_a_load_that_resamples_equals_the_stock_load(name: str, items: list[pystac.Item]) -> None:
    ours = abut.odc.load(items, **OTHERS[name])
    assert all(array.values.any() for array in ours.data_vars.values())
    require_equal(ours, odc.stac.load(items, **OTHERS[name]))


def test_over_http_too(settled: Neighbours, caplog: pytest.LogCaptureFixture) -> None:
    with web_server(Path(settled.archive.store.url)) as url, paths(caplog) as seen:
        items = settled.items(url)
        geobox = pixels(SMALL, 60)
        require_equal(abut.odc.load(items, ["B01"], geobox=geobox), odc.stac.load(items, bands=["B01"], geobox=geobox))
    assert len(seen) == 2
    assert all("chunks are read directly" in line for line in seen)


def test_the_hole_of_one_item_is_in_both_and_complete_cures_it_in_both(
    settled: Neighbours, items: list[pystac.Item]
) -> None:
    call: dict[str, Any] = {"bands": ["B01"], "geobox": pixels(WEST.footprint, 60)}
    expected = settled.ground("B01", WEST.footprint)
    for load in (odc.stac.load, abut.odc.load):
        alone = load([items[0]], **call)["B01"].values[0]
        assert ((alone == 0) & (expected > 0)).any()
        assert np.array_equal(load(complete([items[0]]), **call)["B01"].values[0], expected)
    require_equal(abut.odc.load([items[0]], **call), odc.stac.load([items[0]], **call))


def test_unsettled_items_that_hold_the_same_ground_load_equally_in_any_order(old_archive: Archive) -> None:
    folder = old_archive.store.url
    first, second = (pystac.Item.from_file(f"{folder}/products/{name}.json") for name in old_archive.product_ids())
    for order in (False, True):
        call: dict[str, Any] = {"bands": ["B01"], "geobox": pixels(SEAM, 60), "preserve_original_order": order}
        for items in ([first, second], [second, first]):
            require_equal(abut.odc.load(items, **call), odc.stac.load(items, **call))


def test_urls_that_are_patched_are_followed(items: list[pystac.Item], settled: Neighbours) -> None:
    elsewhere = [item.clone() for item in items]
    folder = settled.archive.store.url
    for item in elsewhere:
        for asset in item.assets.values():
            asset.href = asset.href.replace(folder, "/nowhere")
    call: dict[str, Any] = {
        "bands": ["B01"],
        "geobox": pixels(SMALL, 60),
        "patch_url": lambda url: url.replace("/nowhere", folder),
    }
    require_equal(abut.odc.load(elsewhere, **call), odc.stac.load(items, **{**call, "patch_url": None}))


def test_an_array_that_is_not_there_is_the_error_of_the_stock_load_or_nothing(items: list[pystac.Item]) -> None:
    broken = items[0].clone()
    broken.assets["B01"].href += "x"
    call: dict[str, Any] = {"bands": ["B01"], "geobox": pixels(SMALL, 60)}
    errors = []
    for load in (odc.stac.load, abut.odc.load):
        with pytest.raises(Exception, match="b01x") as caught:
            load([broken], **call)
        errors.append(caught.type)
    assert errors[0] is errors[1]
    require_equal(
        abut.odc.load([broken, items[1]], fail_on_error=False, **call),
        odc.stac.load([broken, items[1]], fail_on_error=False, **call),
    )


def moved(items: list[pystac.Item], folder: Path, into: Path) -> list[pystac.Item]:
    """The items as if a copy of the archive, made for this, were theirs."""
    shutil.copytree(folder, into)
    found = [item.clone() for item in items]
    for asset in (asset for item in found for asset in item.assets.values()):
        asset.href = asset.href.replace(str(folder), str(into))
    return found


def test_a_block_that_is_damaged_is_the_error_of_the_stock_load(
    settled: Neighbours, items: list[pystac.Item], tmp_path: Path
) -> None:
    broken = moved(items, Path(settled.archive.store.url), tmp_path / "archive")
    for block in Path(broken[0].assets["B01"].href).glob("c/*/*"):
        block.write_bytes(b"no block")
    errors = []
    for load in (odc.stac.load, abut.odc.load):
        with pytest.raises(rasterio.errors.RasterioError) as caught:
            load(broken, bands=["B01"], geobox=pixels(SMALL, 60))
        errors.append((caught.type, str(caught.value)))
    assert errors[0] == errors[1]


def test_dense_archives_load_too_which_gdal_can_not_read(
    settled: Neighbours, items: list[pystac.Item], tmp_path: Path
) -> None:
    dense = moved(items, Path(settled.archive.store.url), tmp_path / "archive")
    for array in (Path(item.assets["B01"].href) for item in dense):
        metadata = json.loads((array / "zarr.json").read_text())
        memory = MemoryStore()
        zarr.create_array(memory, shape=(160, 160), dtype="uint16", chunks=(160, 160), **zarr_codecs("dense"))
        metadata["codecs"] = json.loads(memory._store_dict["zarr.json"].to_bytes())["codecs"]
        (array / "zarr.json").write_text(json.dumps(metadata))
        for block in array.glob("c/*/*"):
            block.write_bytes(encode_block(decode_block(block.read_bytes(), 160), "dense"))
    call: dict[str, Any] = {"bands": ["B01"], "geobox": pixels(SMALL, 60)}
    require_equal(abut.odc.load(dense, **call), odc.stac.load(items, **call))
    with pytest.raises(rasterio.errors.RasterioError):
        odc.stac.load(dense, **call)


def test_images_beside_arrays_are_left_to_gdal(
    items: list[pystac.Item], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    call: dict[str, Any] = {"bands": ["B01"], "geobox": pixels(SMALL, 60)}
    mixed = [items[0], items[1].clone()]
    with rasterio.open(items[1].assets["B01"].href) as array:
        profile = {**array.profile, "driver": "GTiff", "blockxsize": 256, "blockysize": 256}
        with rasterio.open(tmp_path / "b01.tif", "w", **profile) as image:
            image.write(array.read())
    mixed[1].assets["B01"].href = str(tmp_path / "b01.tif")
    with paths(caplog) as seen:
        require_equal(abut.odc.load(mixed, **call), odc.stac.load(items, **call))
    assert sorted("directly" in line for line in seen) == [False, True]


def test_properties_and_drivers_of_the_callers_own_are_left_to_odc_stac(
    items: list[pystac.Item], caplog: pytest.LogCaptureFixture
) -> None:
    for own in ({"with_properties": ["eo:cloud_cover"]}, {"driver": "rio"}):
        call: dict[str, Any] = {"bands": ["B01"], "geobox": pixels(SMALL, 60), **own}
        with paths(caplog) as seen:
            require_equal(abut.odc.load(items, **call), odc.stac.load(items, **call))
        assert seen == ["odc.stac.load itself: driver or with_properties was given"]


def test_the_signature_is_that_of_odc_stac() -> None:
    assert inspect.signature(abut.odc.load) == inspect.signature(odc.stac.load)
    with pytest.raises(TypeError):
        abut.odc.load()


def test_a_driver_can_be_sent_to_another_machine(items: list[pystac.Item]) -> None:
    sent = pickle.loads(pickle.dumps(BlockDriver(keep=True)))  # noqa: S301 - our own
    assert sent.keep
    call: dict[str, Any] = {"bands": ["B01"], "geobox": pixels(SMALL, 60)}
    require_equal(odc.stac.load(items, driver=sent, **call), odc.stac.load(items, **call))


def test_each_block_is_fetched_once_though_odc_stac_reads_in_chunks_of_its_own(
    items: list[pystac.Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    get = Store.get

    def watched(store: Store, key: str) -> bytes:
        fetched.append(key)
        return get(store, key)

    monkeypatch.setattr(Store, "get", watched)
    abut.odc.load(items, bands=["B02"], geobox=pixels(replace(SEAM, left=SEAM.left - 20_040), 10))
    blocks = [key for key in fetched if "/c/" in key]
    assert len(blocks) == len(set(blocks)) > 8
