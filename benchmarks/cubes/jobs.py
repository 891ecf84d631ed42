"""The jobs that are measured: each reads the same window in its own way, in a process of its own.

A job is run twice: first on a small window, so that what it imports is not measured, then on the one that is meant.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from abut.lattice import Bounds, Zone
from abut.layout import BAND, Band
from benchmarks.cubes.proxy import COUNTS
from benchmarks.measure import peak_memory

if TYPE_CHECKING:
    type Arrays = dict[str, Any]
    """By band: an array (y, x) or (time, y, x), or what becomes one when it is read."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a job is told."""

    where: str
    """Folder or URL of what is read."""
    window: tuple[int, int, int, int]
    """Ground: left, bottom, right, top."""
    bands: tuple[str, ...]
    """Bands."""
    epsg: int
    """Zone of the window."""
    tile: str = ""
    """Tile that is asked for by name, if any."""
    buffer: int = 0
    """Metres around it."""
    day: str = ""
    """Period."""
    across: bool | None = None
    """Whether zones beside take part; None: as a user gets it."""
    proxy: str = ""
    """URL of the proxy that counts, if there is one."""
    extra: str = ""
    """Path of a file with more."""

    @property
    def bounds(self) -> Bounds:
        """The ground."""
        return Bounds(Zone(self.epsg), *self.window)

    @property
    def chosen(self) -> tuple[Band, ...]:
        """The bands."""
        return tuple(BAND[name] for name in self.bands)

    def small(self) -> Given:
        """Return the same with a few pixels of ground in the middle."""
        x, y = ((a + b) // 2 // 60 * 60 for a, b in (self.window[::2], self.window[1::2]))
        return replace(self, window=(x, y, x + 600, y + 600), tile="")


def main(job: str, given: str) -> None:
    """Run a job and print a line of JSON: its cost, and the digest of its pixels."""
    told = json.loads(given)
    what = Given(**{**told, "window": tuple(told["window"]), "bands": tuple(told["bands"])})
    JOBS[job](what.small())
    if what.proxy:
        _counts(what.proxy)
    wall, cpu = time.perf_counter(), time.process_time()
    result = JOBS[job](what)
    cost = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "peak": peak_memory()}
    counts = _counts(what.proxy) if what.proxy else {"requests": 0, "bytes": 0}
    print(json.dumps({**cost, **counts, "pixels": digest(result)}))


def digest(arrays: Arrays) -> str:
    """Return what names some arrays: their names, shapes and values."""
    whole = hashlib.sha256()
    for name, lazy in sorted(arrays.items()):
        array = np.asarray(lazy)
        whole.update(f"{name} {array.shape} {array.dtype.newbyteorder('<').str}".encode())
        whole.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")))
    return whole.hexdigest()


def abut_tile(given: Given) -> Arrays:
    """Read a tile and its surroundings, or any window, as a user of the library asks for it."""
    import abut  # noqa: PLC0415 - measured from a warm start only
    import abut.across  # noqa: PLC0415 - as above: only some windows need it

    connection = abut.connect(given.where)
    options: Any = {"datetime": given.day, "bands": given.bands, "across": given.across}
    if given.tile:
        tree = connection.tile(given.tile, given.buffer, **options)
    else:
        tree = connection.cube(window=given.bounds, **options)
    return {band.name: np.asarray(tree[f"{band.group}/{band.key}"])[0] for band in given.chosen}


def by_hand(given: Given) -> Arrays:
    """Fetch, decode and paste the same objects by hand: keys and places are known, nothing is planned."""
    import obstore  # noqa: PLC0415 - as in the libraries it is compared with
    from numcodecs import Blosc  # noqa: PLC0415
    from obstore.store import HTTPStore, LocalStore  # noqa: PLC0415

    far = given.where.startswith("http")
    store = HTTPStore(f"{given.where}/zarr", client_options={"allow_http": True}) if far else LocalStore(given.where)
    window, codec = given.bounds, Blosc()
    arrays: Arrays = {band.name: np.zeros(window.shape(band.resolution), "<u2") for band in given.chosen}

    def paste(job: tuple[str, str, list[int]]) -> None:
        key, name, edges = job
        block, band = Bounds(window.zone, *edges), BAND[name]
        part = block.intersection(window)
        if part is None:
            return
        flat = np.frombuffer(codec.decode(bytes(obstore.get(store, key).bytes())), "<u2")
        pixels = flat.reshape(band.block_pixels, band.block_pixels)
        size = band.resolution
        arrays[name][window.slices(part, size)] = pixels[block.slices(part, size)]

    with ThreadPoolExecutor(64 if far else 4) as pool:
        for _ in pool.map(paste, json.loads(Path(given.extra).read_text())):
            pass
    return arrays


def odc_cogs(given: Given) -> Arrays:
    """Read COGs with stock odc-stac."""
    import odc.stac  # noqa: PLC0415 - heavy

    from abut.window import geobox_of  # noqa: PLC0415 - heavy
    from benchmarks.cubes.cogs import cog_items  # noqa: PLC0415 - heavy

    if given.where.startswith("http"):
        odc.stac.configure_rio(cloud_defaults=True)
    items, arrays = cog_items(given.where, given.bands), {}
    for band in given.chosen:
        geobox = geobox_of(given.bounds, band.resolution)
        data = odc.stac.load(items, bands=[band.name], geobox=geobox, pool=4)
        arrays[band.name] = data[band.name].values[0]
    return arrays


def safe_jp2s(given: Given) -> Arrays:
    """Read JP2s of nine SAFEs by windows with rasterio: each pixel of the window is asked of one product only."""
    import rasterio  # noqa: PLC0415 - heavy
    from rasterio.windows import Window  # noqa: PLC0415

    from benchmarks.cubes.cogs import shares  # noqa: PLC0415 - heavy

    window = given.bounds
    arrays: Arrays = {band.name: np.zeros(window.shape(band.resolution), np.uint16) for band in given.chosen}
    for place, part in shares(window):
        for band in given.chosen:
            size, foot = band.resolution, place.footprint
            rows, columns = foot.slices(part, size)
            with rasterio.open(Path(given.where) / f"T{place.id}_{band.name}.jp2") as image:
                pixels = image.read(1, window=Window.from_slices(rows, columns))
            arrays[band.name][window.slices(part, size)] = pixels
    return arrays


def per_tile(given: Given) -> Arrays:
    """Run the user's code for per-tile Zarr."""
    return _snippet("per_tile", json.loads(given.extra), given)


def archive(given: Given) -> Arrays:
    """Run the user's code for the archive; the warm-up is another request, as that code knows no windows."""
    return _snippet("archive", given.where, given) if given.tile else abut_tile(given)


def zone_wide(given: Given) -> Arrays:
    """Run the user's code for a zone-wide Zarr."""
    return _snippet("zone_wide", given.where, given)


def to_zarr(given: Given) -> Arrays:
    """Write a cube lazily, through Dask, to Zarr; what was written is read and compared after it was measured."""
    import shutil  # noqa: PLC0415 - as below

    import dask  # noqa: PLC0415 - heavy
    import zarr  # noqa: PLC0415 - heavy

    import abut  # noqa: PLC0415 - heavy
    from abut.export.cube import write_cube  # noqa: PLC0415 - heavy

    connection = abut.connect(given.where)
    cube = connection.cube(window=given.bounds, datetime=given.day, bands=given.bands, chunks={}, across=given.across)
    out = Path(given.extra)
    shutil.rmtree(out, ignore_errors=True)
    with dask.config.set(scheduler="threads", num_workers=2):
        write_cube(cube, out)
    root = zarr.open_group(out, mode="r")
    return {band.name: root[f"{band.group}/{band.key}"] for band in given.chosen}


def series(given: Given) -> Arrays:
    """Read all dates of a window at one pixel size."""
    import abut  # noqa: PLC0415 - as above

    connection = abut.connect(given.where)
    size = given.chosen[0].resolution
    cube = connection.cube(window=given.bounds, datetime=given.day, bands=given.bands, resolution=size)
    return {band.name: cube[band.key].values for band in given.chosen}


def plan_month(given: Given) -> Arrays:
    """Plan a month of all tiles, zone by zone; the pixels are none, but the numbers of products must be equal."""
    from abut.finding import locate  # noqa: PLC0415 - as above
    from abut.view import select  # noqa: PLC0415
    from tests.test_view_scale import JULY  # noqa: PLC0415 - who wrote the ledgers

    archive, finder = locate(given.where)
    grounds = [Bounds(Zone(epsg), *edges) for epsg, *edges in json.loads(given.extra)]
    views = [select(archive, finder, ground, JULY) for ground in (grounds if given.tile else grounds[:1])]
    return {"products": np.array([len(slot.products) for view in views for slot in view.slots])}


def truth(given: Given) -> Arrays:
    """Make the ground that the products were made of."""
    from benchmarks.cubes.scene import ground  # noqa: PLC0415 - not in processes that are measured

    return {band.name: ground(band, given.bounds) for band in given.chosen}


def truth_often(given: Given) -> Arrays:
    """Make the same with an axis of time; `extra` says how many times."""
    from benchmarks.cubes.scene import ground  # noqa: PLC0415 - as above

    return {
        band.name: np.broadcast_to(ground(band, given.bounds), (int(given.extra), *given.bounds.shape(band.resolution)))
        for band in given.chosen
    }


def _snippet(name: str, where: Any, given: Given) -> Arrays:
    """Run a user's code."""
    groups: dict[str, list[str]] = {}
    for band in given.chosen:
        groups.setdefault(band.group, []).append(band.key)
    options = {"client_options": {"allow_http": True}} if given.proxy else {}  # a user's server has TLS
    asked = {
        "options": options,
        "tile": given.tile,
        "day": given.day,
        "bounds": given.window,
        "bands": given.bands,
        "groups": groups,
    }
    read = importlib.import_module(f"benchmarks.cubes.snippets.{name}").read
    return {key.upper(): array for key, array in read(where, asked).items()}


def _counts(proxy: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{proxy}{COUNTS}") as answer:  # noqa: S310 - our own proxy
        counts: dict[str, int] = json.load(answer)
    return counts


_ALL = (
    abut_tile, by_hand, odc_cogs, safe_jp2s, per_tile, archive, zone_wide, to_zarr, series, plan_month, truth,
    truth_often,
)  # fmt: skip
JOBS = {job.__name__: job for job in _ALL}

if __name__ == "__main__":
    main(*sys.argv[1:])
