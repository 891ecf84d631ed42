"""One service of two processes: what either of them made, the other serves; and GDAL reads a zone from both."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from functools import cache
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import psutil  # type: ignore[import-untyped] # distributed brings it
import pytest
import rasterio
import xarray as xr
from obstore.store import HTTPStore
from rasterio.windows import Window
from zarr.storage import ObjectStore

import abut
from abut.lattice import Zone
from abut.zone_layout import zone_blocks
from benchmarks.cubes.proxy import COUNTS, delayed
from ingest.ingest import ingest
from tests.pasted import pasted
from tests.serving import serving
from tests.writing import PHOTOS, WRITER, photo
from tests.zone_scene import B01, BETWEEN, PERIOD, SHOTS, WINDOW, make_archive, truth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from abut.archive import Archive
    from tests.serving import Served

ROWS, COLUMNS = zone_blocks(Zone(32632)).bounds.slices(WINDOW, 60)
EDGES = [WINDOW.left, WINDOW.bottom, WINDOW.right, WINDOW.top]
ASKED: Any = {"crs": "EPSG:32632", "bands": "B01", "resolution": 60, "across": False}
TOKEN = {"authorization": f"Bearer {WRITER}"}


@pytest.fixture(name="archive", scope="module")
def _archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return make_archive(tmp_path_factory.mktemp("workers"), "settled")


@pytest.fixture(name="served", scope="module")
def _served(archive: Archive) -> Iterator[Served]:
    secrets: Any = {"transactions": "true", "write_tokens": WRITER}
    with serving(archive.store.url, "--workers", "2", **secrets) as running:
        assert len(workers(running)) == 2
        yield running


def workers(served: Served) -> list[int]:
    """Ids of the processes that answer."""
    return sorted(int(re.sub(r"\D", "", message)) for message in served.workers(2))


@contextlib.contextmanager
def answered_by(served: Served, number: int) -> Iterator[None]:
    """Halt the other process, for a moment."""
    (other,) = [process for place, process in enumerate(workers(served)) if place != number]
    os.kill(other, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(other, signal.SIGCONT)


def by_each(served: Served, path: str) -> list[httpx.Response]:
    """What the processes answer, one after the other."""
    answers = []
    for number in range(2):
        with answered_by(served, number):
            answers.append(httpx.get(f"{served.url}{path}", timeout=60))
    return answers


@cache
def expected(step: int) -> NDArray[np.uint16]:
    return pasted(truth(SHOTS[step]), WINDOW, B01)


def zone_url(served: Served, *, snapshot: bool) -> str:
    """URL of the month, or of its snapshot as the first process tells of it."""
    zones = f"{served.url}/zarr/zones"
    plain = f"{zones}/32632/{PERIOD.replace('/', '--')}.zarr"
    if not snapshot:
        return plain
    with answered_by(served, 0):
        root = httpx.get(f"{plain}/zarr.json", timeout=60).raise_for_status().json()
    return f"{zones}/{root['attributes']['abut:zone']['snapshot']}"


@pytest.mark.parametrize("snapshot", [False, True])
@pytest.mark.parametrize("form", ['ZARR:"/vsicurl/{}/r60m/b01"', 'ZARR:"/vsicurl/{}":/r60m/b01'])
def test_gdal_reads_a_zone_as_an_image_with_a_band_for_each_step(served: Served, form: str, *, snapshot: bool) -> None:
    name = form.format(zone_url(served, snapshot=snapshot))
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"), rasterio.open(name) as image:
        assert (image.crs.to_epsg(), image.count, image.nodata, image.dtypes[0]) == (32632, 2, 0, "uint16")
        assert image.block_shapes[0] == (160, 160)
        window = image.window(*EDGES)
        assert window == Window.from_slices(ROWS, COLUMNS)
        for step in range(2):
            assert np.array_equal(image.read(1 + step, window=window), expected(step))
            moment = np.datetime64(int(image.tags(1 + step)["DIM_time_VALUE"]), "us")
            assert moment == np.datetime64(SHOTS[step][0].datatake.replace(tzinfo=None))


def test_cubes_of_either_process_are_one_answer(served: Served) -> None:
    query = httpx.QueryParams({**ASKED, "bbox": ",".join(map(str, EDGES)), "format": "netcdf"})
    first, second = by_each(served, f"/cubes/cube?{query}")
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.headers["etag"] == second.headers["etag"]
    explained = by_each(served, f"/cubes/explain?{httpx.QueryParams({**ASKED, 'bbox': ','.join(map(str, EDGES))})}")
    assert explained[0].json() == explained[1].json()


def test_a_job_of_one_process_is_a_job_of_the_other(served: Served, archive: Archive) -> None:
    asked = {"inputs": {**ASKED, "bbox": EDGES}}
    with answered_by(served, 0):
        made = httpx.post(
            f"{served.url}/cubes/processes/cube/execution", json=asked, headers={"prefer": "respond-async"}, timeout=60
        )
    path = made.headers["location"].removeprefix(served.url)
    end = time.monotonic() + 90
    while (state := httpx.get(f"{served.url}{path}").json())["status"] in ("accepted", "running"):
        assert time.monotonic() < end, state
        time.sleep(0.1)
    assert [answer.json()["status"] for answer in by_each(served, path)] == ["successful", "successful"]
    hrefs = {answer.json()["cube"]["href"] for answer in by_each(served, f"{path}/results")}
    (href,) = hrefs
    wanted: Any = abut.connect(archive.store.url).cube(EDGES, crs=32632, bands="B01", resolution=60, across=False)
    for number in range(2):
        with answered_by(served, number):
            store: Any = ObjectStore(HTTPStore.from_url(href, client_options={"allow_http": True}), read_only=True)
            with xr.open_zarr(store, mask_and_scale=False, decode_coords="all", chunks=None) as found:
                xr.testing.assert_equal(found, wanted)


def test_a_cube_over_http_is_planned_by_few_round_trips(served: Served) -> None:
    with delayed(served.url, 0.2) as far:
        connection = abut.connect(far)
        assert httpx.get(f"{far}{COUNTS}").json()["depth"] <= 3, "index, archive.json"
        plan = connection.plan(WINDOW, datetime=PERIOD, across=False)
        assert len(plan.source.slots) == 2
        assert httpx.get(f"{far}{COUNTS}").json()["depth"] <= 4, "search, ledgers, items"


def test_what_one_process_writes_the_other_lists(served: Served) -> None:
    stac = f"{served.url}/stac"
    with answered_by(served, 0):
        assert httpx.post(f"{stac}/collections", json=PHOTOS, headers=TOKEN).status_code == 201
    with answered_by(served, 1):
        made = httpx.post(f"{stac}/collections/field-photos/items", json=photo(), headers=TOKEN)
        assert made.status_code == 201, made.text
    for answer in by_each(served, "/stac/search?collections=field-photos"):
        assert [item["id"] for item in answer.json()["features"]] == ["photo-1"]


def test_a_snapshot_of_one_process_is_served_by_the_other_after_products_arrived(
    served: Served, archive: Archive
) -> None:
    month = "/zarr/zones/32632/2023-08-19--2023-09-20"
    with answered_by(served, 0):
        root = httpx.get(f"{served.url}{month}.zarr/zarr.json", timeout=60).raise_for_status().json()
        path = f"/zarr/zones/{root['attributes']['abut:zone']['snapshot']}"
        before = httpx.get(f"{served.url}{path}/r60m/b01/zarr.json").json()
    ingest(archive, BETWEEN, threads=1)
    for answer in by_each(served, f"{path}/r60m/b01/zarr.json"):
        assert answer.json() == before
    with answered_by(served, 1):  # which never planned the month
        changed = httpx.get(f"{served.url}{month}.zarr/r60m/b01/zarr.json", timeout=60).json()
    assert changed["shape"][0] == before["shape"][0] + 1
    row, column = ROWS.start // 160 + 1, COLUMNS.start // 160 + 1
    blocks = by_each(served, f"{path}/r60m/b01/c/0/{row}/{column}")
    assert [answer.status_code for answer in blocks] == [200, 200]
    assert blocks[0].content == blocks[1].content


def test_workers_whose_supervisor_is_killed_end_too(served: Served) -> None:
    """The last one here, as the service is gone then."""
    ended = [psutil.Process(process) for process in workers(served)]
    served.process.kill()
    served.process.wait()
    _, alive = psutil.wait_procs(ended, timeout=60)
    assert alive == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{served.url}/healthz")
