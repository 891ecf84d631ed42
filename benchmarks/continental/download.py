"""The counterpart: SAFEs downloaded whole, as zips, and what is wanted computed of their images with rasterio.

It is made as one would make it who is in a hurry: several downloads at once, computing meanwhile in all processes.
``python -m benchmarks.continental.download URL OUT KIND WORKERS CONNECTIONS NAME ...`` prints a line of JSON.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import sys
import threading
import time
import xml.etree.ElementTree as ET
import zipfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import numpy as np
import rasterio
import xarray as xr

from abut.export.cube_zarr import write_zarr
from benchmarks.continental.outputs import GROUPS
from benchmarks.continental.scale import BANDS
from workflows.composites import Moment, composite
from workflows.indices import INDICES, index_of_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_TILE: Final = re.compile(r"_T([0-9A-Z]{5})_")
_OFFSET: Final = {"B04": "3", "B08": "7", "B8A": "8", "B12": "12"}
"""``band_id`` of the offsets in the metadata of a product."""


def main() -> None:
    """Download, compute, write, and tell when what was done."""
    url, out, kind, workers, connections, *names = sys.argv[1:]
    print(json.dumps(run(url, Path(out), kind, names, workers=int(workers), connections=int(connections))))


def run(url: str, out: Path, kind: str, names: Sequence[str], *, workers: int, connections: int) -> dict[str, Any]:
    """Download zips and compute a cube of each tile as soon as all of its own are there.

    Parameters
    ----------
    url : str
        Where the zips lie.
    out : Path
        Where zips and cubes are written.
    kind : {"bands", "ndvi", "nbr"}
        What is wanted.
    names : sequence of str
        File names of the zips.
    workers : int
        Processes that compute.
    connections : int
        Downloads at once.

    Returns
    -------
    dict
        ``wall``: seconds from the first request until the last cube is written. ``parts``: of each product and cube
        when it was begun and ended, in seconds since the beginning. ``cubes``: where they are, by tile.
    """
    out.mkdir(parents=True)
    tiles: dict[str, list[str]] = {}
    for name in sorted(names, key=lambda one: (one[11:26], one)):
        found = _TILE.search(name)
        assert found, name  # noqa: S101 - names were made by us
        tiles.setdefault(found[1], []).append(name)
    environment = multiprocessing.get_context("spawn")
    parts: list[dict[str, Any]] = []
    gate = threading.Lock()
    with (
        ProcessPoolExecutor(workers, environment, _one_thread) as computing,
        ThreadPoolExecutor(connections) as loading,
        httpx.Client(timeout=600, limits=httpx.Limits(max_connections=connections)) as client,
    ):
        list(computing.map(_ready, range(workers)))  # what processes import is part of no run
        start = time.time()

        def load(name: str) -> Path:
            began, path = time.time(), out / name
            with client.stream("GET", f"{url}/{name}") as answer, path.open("wb") as file:
                answer.raise_for_status()
                for piece in answer.iter_bytes(1 << 20):
                    file.write(piece)
            with gate:
                parts.append({"task": "download", "tile": name, "start": began - start, "end": time.time() - start})
            return path

        loads = {tile: [loading.submit(load, name) for name in some] for tile, some in tiles.items()}
        cubes = {
            tile: computing.submit(calculate, [one.result() for one in some], out / f"{tile}.zarr", kind)
            for tile, some in loads.items()
        }
        for tile, cube in cubes.items():
            began, ended = cube.result()
            parts.append({"task": "cube", "tile": tile, "start": began - start, "end": ended - start})
        wall = time.time() - start
    return {"wall": wall, "parts": parts, "cubes": {tile: str(out / f"{tile}.zarr") for tile in tiles}}


def calculate(zips: list[Path], target: Path, kind: str) -> tuple[float, float]:
    """Write the cube of a tile; return when it was begun and ended, as `time.time`."""
    began = time.time()
    bands = BANDS if kind == "bands" else INDICES[kind].bands
    images, offsets, quantification = zip(*(_opened(path, bands) for path in zips), strict=True)
    stack = {band: np.stack([_read(some[band]) for some in images]) for band in bands}
    if kind == "bands":
        made: dict[str, NDArray[Any]] = {band.lower(): values for band, values in stack.items()}
    else:
        made = _composite(kind, stack, offsets, quantification, [path.name for path in zips])
    with rasterio.open(images[0][bands[0]]) as image:
        transform, crs = image.transform, image.crs
    about = {"GeoTransform": " ".join(map(str, transform.to_gdal())), "crs_wkt": crs.to_wkt()}
    data: dict[str, Any] = {name: (("time", "y", "x"), values) for name, values in made.items()}
    cube = xr.Dataset(data, {"spatial_ref": ((), 0, about)})
    for variable in cube.data_vars.values():
        variable.encoding["grid_mapping"] = "spatial_ref"
    from zarr.storage import LocalStore  # noqa: PLC0415 - slow to import

    write_zarr(xr.DataTree.from_dict({"/": xr.Dataset(), f"/{GROUPS[kind]}": cube}), LocalStore(target))
    return began, time.time()


def _composite(
    kind: str,
    stack: dict[str, NDArray[np.uint16]],
    offsets: Sequence[dict[str, int]],
    quantification: Sequence[int],
    names: Sequence[str],
) -> dict[str, NDArray[Any]]:
    """Return value, count and source of the median of a month, (1, y, x) each."""
    index = INDICES[kind]
    layers = [
        index_of_numbers(
            index, [stack[band][step] for band in index.bands], [offsets[step][band] for band in index.bands], scale
        )
        for step, scale in enumerate(quantification)
    ]
    made = composite(layers, [Moment(_time(name), name) for name in names])
    return {
        kind: made.values[None],
        f"{kind}_count": made.count.astype(np.int16)[None],
        f"{kind}_source": made.source[None],
    }


def _opened(path: Path, bands: Sequence[str]) -> tuple[dict[str, str], dict[str, int], int]:
    """Return GDAL's name of each image of a zip, the offset of each band, and the quantification value."""
    with zipfile.ZipFile(path) as packed:
        names = packed.namelist()
        (metadata,) = (name for name in names if name.endswith("/MTD_MSIL1C.xml"))
        root = ET.fromstring(packed.read(metadata))  # noqa: S314 - made by us
    images = {
        band: f"/vsizip/{path}/{name}"
        for band in bands
        for name in names
        if "/IMG_DATA/" in name and name.endswith(f"_{band}.jp2")
    }
    listed = {one.attrib["band_id"]: int(one.text or "") for one in root.iter("RADIO_ADD_OFFSET")}
    (quantification,) = (int(one.text or "") for one in root.iter("QUANTIFICATION_VALUE"))
    return images, {band: listed.get(_OFFSET[band], 0) for band in bands}, quantification


def _read(name: str) -> NDArray[np.uint16]:
    with rasterio.open(name) as image:
        pixels: NDArray[np.uint16] = image.read(1)
        return pixels


def _time(name: str) -> Any:
    from datetime import UTC, datetime  # noqa: PLC0415 - of this alone

    return datetime.strptime(name[11:26], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)


def _one_thread() -> None:
    os.environ["GDAL_NUM_THREADS"] = "1"


def _ready(_: int) -> int:
    time.sleep(0.2)  # so that each process gets one
    return os.getpid()


if __name__ == "__main__":
    main()
