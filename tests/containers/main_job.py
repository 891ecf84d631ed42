"""The main job through a deployment: search, pixels, map tile, cube by Dask, and the legacy tile bit for bit."""

from __future__ import annotations

import io
import json
import sys
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import rasterio
import xarray as xr
from obstore.store import HTTPStore
from pystac_client import Client
from zarr.storage import ObjectStore

from abut.layout import BANDS
from abut.testing import safe_pixels

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 300
PARTS = 6


def main(url: str, prometheus: str, folder: str) -> None:
    """Do it, and print what was compared."""
    zips = sorted(Path(folder).glob("*.zip"))
    _wait(lambda: httpx.get(f"{url}/stac", timeout=10).status_code == 200, f"{url}/stac")
    items = {item.id: item for item in Client.open(f"{url}/stac").search(collections=["sentinel-2-l1c"]).items()}
    names = {path.name.split(".")[0] for path in zips}
    assert items.keys() >= names, f"{items.keys()} are listed, not {names}"
    for path in zips:
        _legacy(url, path)
    item = items[zips[0].name.split(".")[0]]
    _item(item)
    _tile(url, item.bbox or [])
    _cube(url, zips[0])
    for page, status in (("/metrics", 404), ("/readyz", 404), ("/", 200), ("/healthz", 200)):
        answer = httpx.get(f"{url}{page}", timeout=10, headers={"accept": "text/html"})
        assert answer.status_code == status, f"{page}: {answer.status_code}"
    _wait(lambda: _targets(prometheus) == ["up"] * PARTS, f"{prometheus}: {PARTS} targets that are up")
    print(f"{len(zips)} products: legacy tiles, items, a map tile and a cube are what the SAFEs say")  # noqa: T201


def _wait(ready: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + SECONDS
    while True:
        try:
            if ready():
                return
        except httpx.HTTPError:
            pass
        assert time.monotonic() < until, f"{what} is not there after {SECONDS} s"
        time.sleep(1)


def _legacy(url: str, original: Path) -> None:
    """Compare all bands of a SAFE that the service makes again, decoded, with the original's."""
    name = original.name.split(".")[0]
    answer = httpx.get(f"{url}/legacy/{name}", timeout=SECONDS).raise_for_status()
    made = original.parent.parent / "again" / original.name
    made.parent.mkdir(exist_ok=True)
    made.write_bytes(answer.content)
    for path in (original, made):
        zipfile.ZipFile(path).extractall(path.parent)
    first, second = (path.with_name(f"{name}.SAFE") for path in (original, made))
    for band in BANDS:
        assert np.array_equal(safe_pixels(first, band), safe_pixels(second, band)), f"{name}: {band.name}"


def _item(item: Any) -> None:
    with rasterio.open(item.assets["B01"].href) as image:
        assert image.read(1).any(), item.assets["B01"].href


def _tile(url: str, bbox: list[float]) -> None:
    box = ",".join(map(str, bbox))
    answer = httpx.get(f"{url}/tiles/mosaic/bbox/{box}.png", params={"max_size": 256}, timeout=60).raise_for_status()
    with rasterio.open(io.BytesIO(answer.content)) as image:
        assert image.read().any(), "the picture is empty"


def _cube(url: str, original: Path) -> None:
    """Compare a cube that Dask makes with the SAFE's pixels."""
    tile = original.name.split("_T")[1][:5]
    inputs = {"tile": tile, "bands": ["B01"]}
    made = httpx.post(
        f"{url}/cubes/processes/cube/execution",
        json={"inputs": inputs},
        headers={"prefer": "respond-async"},
        timeout=60,
    ).raise_for_status()
    job = made.headers["location"]
    _wait(lambda: httpx.get(job, timeout=30).json()["status"] not in ("accepted", "running"), job)
    state = httpx.get(job, timeout=30).json()
    assert state["status"] == "successful", json.dumps(state)
    result = httpx.get(f"{job}/results", timeout=30).json()["cube"]["href"]
    store = HTTPStore.from_url(result, client_options={"allow_http": True})
    cube = xr.open_datatree(ObjectStore(store, read_only=True), engine="zarr")  # type: ignore[arg-type]
    pixels = safe_pixels(original.with_name(f"{original.name.split('.')[0]}.SAFE"), "B01")
    assert np.array_equal(cube["r60m"]["b01"].to_numpy()[0], pixels)


def _targets(prometheus: str) -> list[str]:
    answer = httpx.get(f"{prometheus}/api/v1/targets", timeout=10).raise_for_status().json()
    return [target["health"] for target in answer["data"]["activeTargets"]]


if __name__ == "__main__":
    main(*sys.argv[1:])
