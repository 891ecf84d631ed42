"""Making what is read, once: the archive, and the same pixels as JP2s, COGs, per-tile and zone-wide Zarr."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import rasterio
import xarray as xr
import zarr
from zarr.codecs import BloscCodec

from abut.archive import create_archive, open_archive
from abut.connection import connect
from abut.errors import ConflictError
from abut.layout import BAND
from abut.materialise import materialise
from abut.period import parse_period
from abut.store import open_store
from abut.testing.images import BLOCK
from abut.testing.jp2 import write_jp2
from abut.tiling import tile
from abut.view import select
from abut.zone_layout import zone_blocks
from benchmarks.catalogue.items import europe
from benchmarks.cubes.scene import DATE, DATES, MIDDLE, SEEN, TILES, border, ground, later, nine
from ingest.ingest import ingest
from ingest.purge import purge
from ingest.settle import settle
from tests.test_view_scale import fill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from abut.lattice import Zone
    from abut.layout import Band
    from abut.tiling import Tile
    from benchmarks.cubes.scene import Product, Size

CHUNK: Final = 1830
"""Side of a chunk of a per-tile Zarr in pixels, as in the products of today."""
COG_BLOCK: Final = 1024
"""Side of a block of a COG in pixels."""


def make(size: Size, out: Path) -> dict[str, float]:
    """Make what is absent; return the seconds that each part took.

    Raises
    ------
    ConflictError
        If there is something that was made of another scene.
    """
    require_same_scene(out, [asdict(size), DATES, SEEN, CHUNK, COG_BLOCK])
    parts: dict[str, Callable[[Path], None]] = {
        "archive": lambda folder: _archive(size, folder),
        "jp2": lambda folder: in_two(_jp2s, [(folder, name, size.few) for name in TILES]),
        "cog": lambda folder: in_two(write_cogs, [(folder, name, size.few) for name in TILES]),
        "tiles": lambda folder: in_two(_zarr, [(folder, name, size.few) for name in TILES]),
        "zone.zarr": lambda folder: _zone(size, out / "archive", folder),
        "month": lambda folder: _month(size, folder),
    }
    return make_absent(out, parts)


def require_same_scene(out: Path, scene: object) -> None:
    """Note of what a folder's data are made.

    Raises
    ------
    ConflictError
        If there is something that was made of another scene.
    """
    made, text = out / "made.json", json.dumps(scene)
    if made.exists() and made.read_text() != text:
        raise ConflictError(f"{out}: was made of another scene, {made.read_text()}; delete it")
    made.write_text(text)


def make_absent(out: Path, parts: Mapping[str, Callable[[Path], None]]) -> dict[str, float]:
    """Make the files and folders that are not there, each under another name until it is whole.

    Parameters
    ----------
    out : Path
        Where they are made.
    parts : mapping
        By name: what makes one in a folder.

    Returns
    -------
    dict
        Seconds that each took that was made.
    """
    spent = {}
    for name, part in parts.items():
        if (out / name).exists():
            continue
        print(f"making {name} ...", end=" ", flush=True)
        start, unfinished = time.perf_counter(), out / f"{name}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        part(unfinished)
        unfinished.rename(out / name)
        spent[name] = time.perf_counter() - start
        print(f"{spent[name]:.0f} s", flush=True)
    return spent


def in_two(do: Callable[..., None], jobs: Iterable[tuple[object, ...]]) -> None:
    """Do all jobs in two processes."""
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        for done in [pool.submit(do, *job) for job in jobs]:
            done.result()


def _archive(size: Size, folder: Path) -> None:
    archive = create_archive(folder)
    in_two(ingest_one, [(folder, product) for product in (*nine(size), border(size)[1], *later(size))])
    settle(archive)
    purge(archive, grace=timedelta(0))


def ingest_one(folder: Path, product: Product) -> None:
    """Ingest a product into the archive of a folder."""
    ingest(open_archive(folder), product, threads=1)


def _jp2s(folder: Path, name: str, bands: tuple[str, ...]) -> None:
    place = tile(name).footprint
    for band in (BAND[one] for one in bands):
        write_jp2(folder / f"T{name}_{band.name}.jp2", ground(band, place), place, BLOCK[band.resolution])


def write_cogs(folder: Path, name: str, bands: tuple[str, ...]) -> None:
    """Write the ground of a tile as a COG a band, with overviews."""
    for band in (BAND[one] for one in bands):
        place, pixels = tile(name).footprint, ground(band, tile(name).footprint)
        rows, columns = pixels.shape
        with rasterio.open(
            folder / f"T{name}_{band.name}.tif",
            "w",
            driver="COG",
            count=1,
            height=rows,
            width=columns,
            dtype="uint16",
            nodata=0,
            crs=f"EPSG:{place.zone.epsg}",
            transform=rasterio.Affine(band.resolution, 0, place.left, 0, -band.resolution, place.top),
            compress="DEFLATE",
            predictor=2,
            blocksize=COG_BLOCK,
        ) as image:
            image.write(pixels, 1)


def _zarr(folder: Path, name: str, bands: tuple[str, ...]) -> None:
    """Write a tile with its overlap as one Zarr: groups by pixel size, consolidated, encoded like the archive."""
    store = folder / f"T{name}_.zarr"
    codec = BloscCodec(typesize=2, cname="zstd", clevel=3, shuffle="shuffle")
    for resolution in dict.fromkeys(BAND[one].resolution for one in bands):
        here = [BAND[one] for one in bands if BAND[one].resolution == resolution]
        data = _labelled(tile(name), resolution, here)
        encoding = {band.key: {"chunks": (min(CHUNK, data.sizes["y"]),) * 2, "compressors": (codec,)} for band in here}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", zarr.errors.ZarrUserWarning)  # consolidated metadata is an extension
            data.to_zarr(store, group=f"r{resolution}m", encoding=encoding, zarr_format=3, consolidated=True)


def _labelled(place: Tile, resolution: int, bands: Iterable[Band]) -> xr.Dataset:
    foot = place.footprint
    rows, columns = foot.shape(resolution)
    coordinates = {
        "y": foot.top - resolution * (np.arange(rows) + 0.5),
        "x": foot.left + resolution * (np.arange(columns) + 0.5),
    }
    return xr.Dataset({band.key: (("y", "x"), ground(band, foot)) for band in bands}, coordinates)


def _zone(size: Size, archive: Path, folder: Path) -> None:
    connection, zone = connect(archive), tile(MIDDLE).zone
    view = select(connection.archive, connection.finder, zone_blocks(zone).bounds, parse_period(DATE))
    materialise(view, open_store(folder), bands=[BAND[name] for name in size.few])


def _month(size: Size, folder: Path) -> None:
    """Write ledgers and items of a month of Europe, settled, without a pixel."""
    archive = create_archive(folder, catalogue="")
    for places in europe_by_zone(size.tiles).values():
        fill(archive, places)


def europe_by_zone(count: int) -> dict[Zone, list[Tile]]:
    """Return tiles of Europe by zone, west to east."""
    zones: dict[Zone, list[Tile]] = {}
    for one in sorted(europe(count), key=lambda one: (one.ulx, one.id)):
        zones.setdefault(one.zone, []).append(one)
    return zones
