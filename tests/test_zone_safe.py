"""A zone as one array against SAFE products, decoded by rasterio: all pixel sizes and masks, across a seam."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest
import xarray as xr

from abut.codec import decode_block
from abut.finding import ArchiveFinder
from abut.lattice import BlockRange, Bounds
from abut.layout import BAND, BANDS
from abut.materialise import materialise
from abut.store import open_store
from abut.tiling import tile
from abut.view import select
from abut.view_masks import Mask, read_mask
from abut.zone_layout import ZoneLayout, zone_blocks
from abut.zone_zarr import ZoneStore
from abut.zoned import open_zoned
from services.zones import zones_app
from tests.pasted import delivered, pasted
from tests.zone_scene import copied

if TYPE_CHECKING:
    from pathlib import Path

    from abut.archive import Archive
    from abut.view import View
    from abut.zone_chunks import ZoneSource

WEST, EAST = tile("32TMT"), tile("32TNT")
SEAM = Bounds(WEST.zone, EAST.ulx - 3_000, EAST.uly - 58_200, WEST.ulx + 109_800 + 3_000, EAST.uly - 46_200)
"""Across the overlap of both tiles, and beyond on both sides."""
CHOSEN = tuple(BAND[name] for name in ("B01", "B02", "B05"))
"""A band of each pixel size."""


def view_of(archive: Archive) -> View:
    return select(archive, ArchiveFinder(), zone_blocks(WEST.zone).bounds)


@pytest.fixture(name="view", scope="module")
def _view(old_archive: Archive) -> View:
    return view_of(old_archive)


@pytest.fixture(name="source", scope="module", params=["view", "materialised"])
def _source(request: pytest.FixtureRequest, view: View, tmp_path_factory: pytest.TempPathFactory) -> ZoneSource:
    if request.param == "view":
        return view
    out = open_store(tmp_path_factory.mktemp("safe") / "zone.zarr", create=True)
    materialise(view, out, bands=CHOSEN)
    return open_zoned(out.url)


def test_the_zone_has_the_pixels_and_masks_of_the_safes(
    source: ZoneSource, view: View, neighbours: tuple[Path, Path]
) -> None:
    products = [delivered(safe) for safe in neighbours]
    store = ZoneStore.of(source, bands=CHOSEN, store=view.store)
    with xr.open_datatree(store, engine="zarr", chunks=None) as tree:  # type: ignore[arg-type] # xarray's types
        for band in CHOSEN:
            found = tree[band.group].to_dataset().sel(x=slice(SEAM.left, SEAM.right), y=slice(SEAM.top, SEAM.bottom))
            expected = pasted(products, SEAM, band)
            assert np.array_equal(found[band.key][0], expected)
            assert 0 < np.count_nonzero(expected) < expected.size
            assert found.radio_add_offset.values.tolist() == [[0]]
            detectors = read_mask(view, view.store, SEAM, Mask("detector_footprint", band), [0])
            assert np.array_equal(found[f"{band.key}_detector_footprint"], detectors)
            assert (detectors > 0).any()
        clouds = tree["r60m"].to_dataset().l1c_classification
        clouds = clouds.sel(x=slice(SEAM.left, SEAM.right), y=slice(SEAM.top, SEAM.bottom))
        assert np.array_equal(clouds, read_mask(view, view.store, SEAM, Mask("classification"), [0]))


@pytest.mark.parametrize("state", ["unsettled", "settled"])
def test_blocks_over_http_are_those_of_the_safes(
    old_archive: Archive, neighbours: tuple[Path, Path], tmp_path: Path, state: str
) -> None:
    archive, band, products = (
        copied(old_archive, tmp_path, state),
        BAND["B02"],
        [delivered(safe) for safe in neighbours],
    )
    view = view_of(archive)
    layout, day = ZoneLayout(view.zone, 1), f"{view.slots[0].time:%Y-%m-%d}"
    blocks = [block for block in BlockRange.around(SEAM) if view.parts(0, block)]
    assert {len(view.parts(0, block)) for block in blocks} == ({2} if state == "unsettled" else {1})

    async def asked() -> list[httpx.Response]:
        transport = httpx.ASGITransport(zones_app(archive))
        async with httpx.AsyncClient(transport=transport, base_url="http://abut") as client:
            keys = [layout.key("r10m/b02", 0, block) for block in blocks]
            return [await client.get(f"/32632/{day}.zarr/{key}") for key in keys]

    for block, answer in zip(blocks, asyncio.run(asked()), strict=True):
        assert np.array_equal(decode_block(answer.content, 960), pasted(products, block.bounds, band))
        if state == "settled":
            assert answer.content == archive.store.get(view.parts(0, block)[0].key(band))


def test_arrays_are_declared_as_the_products_declare_theirs(old_archive: Archive, view: View) -> None:
    folder, static = old_archive.product(old_archive.product_ids()[0]).folder, ZoneStore.of(view).static
    for band in BANDS:
        theirs = json.loads(old_archive.store.get(f"{folder}/{band.path}/zarr.json"))
        mine = json.loads(static[f"{band.group}/{band.key}/zarr.json"])
        for name in ("data_type", "fill_value", "codecs", "chunk_key_encoding", "zarr_format", "storage_transformers"):
            assert mine[name] == theirs[name]
        chunks = [document["chunk_grid"]["configuration"]["chunk_shape"] for document in (mine, theirs)]
        assert chunks[0] == [1, *chunks[1]]
        for name in ("_CRS", "grid_mapping", "proj:code", "zarr_conventions", "spatial:dimensions"):
            assert mine["attributes"][name] == theirs["attributes"][name]
        assert mine["attributes"]["spatial:transform"][0] == theirs["attributes"]["spatial:transform"][0]
        assert {"scale_factor", "add_offset", "_FillValue"} <= theirs["attributes"].keys() - mine["attributes"].keys()
