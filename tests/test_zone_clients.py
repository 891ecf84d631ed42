"""Clients that know nothing of Abut slice a zone over HTTP: pixels are compared with pasting the tiles' arrays."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
import tensorstore
import xarray as xr
from obstore.store import HTTPStore
from zarr.storage import ObjectStore

import abut
from abut.lattice import Zone
from abut.zone_layout import zone_blocks
from ingest.ingest import ingest
from tests.pasted import pasted
from tests.serving import serving
from tests.zone_scene import B01, B09, BETWEEN, PERIOD, SHOTS, WINDOW, copied, make_archive, truth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from abut.archive import Archive
    from abut.layout import Band
    from tests.serving import Served

ZARRITA = Path(__file__).parent / "zarrita"
GROUND = zone_blocks(Zone(32632)).bounds
ROWS, COLUMNS = GROUND.slices(WINDOW, 60)


@pytest.fixture(name="archive", scope="module")
def _archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return make_archive(tmp_path_factory.mktemp("clients"), "unsettled")


@pytest.fixture(name="served", scope="module")
def _served(archive: Archive) -> Iterator[Served]:
    with serving(archive.store.url) as running:
        yield running


@pytest.fixture(name="plain", scope="module")
def _plain(served: Served) -> str:
    return f"{served.url}/zarr/zones/32632/{PERIOD.replace('/', '--')}.zarr"


@pytest.fixture(name="url", scope="module", params=["plain", "snapshot"])
def _url(request: pytest.FixtureRequest, plain: str) -> str:
    return plain if request.param == "plain" else snapshot_of(plain)


def snapshot_of(plain: str) -> str:
    """What the documentation says: the URL that the root's attributes tell of."""
    document = httpx.get(f"{plain}/zarr.json").raise_for_status().json()
    return f"{plain.partition('/zarr/zones/')[0]}/zarr/zones/{document['attributes']['abut:zone']['snapshot']}"


def over_http(url: str) -> ObjectStore[HTTPStore]:
    return ObjectStore(HTTPStore.from_url(url, client_options={"allow_http": True}), read_only=True)


@cache
def expected(step: int, band: Band) -> NDArray[np.uint16]:
    found = pasted(truth(SHOTS[step]), WINDOW, band)
    assert (found > 0).any()
    return found


def windowed(variable: xr.DataArray) -> NDArray[Any]:
    return variable.sel(x=slice(WINDOW.left, WINDOW.right), y=slice(WINDOW.top, WINDOW.bottom)).to_numpy()


def test_xarray_reads_through_obstore(url: str) -> None:
    with xr.open_zarr(over_http(url), group="r60m", chunks=None) as found:
        for band in (B01, B09):
            for step in range(2):
                assert np.array_equal(windowed(found[band.key][step]), expected(step, band))
        assert found.radio_add_offset.sel(band="B01").values.tolist() == [-1000, 0]
    with xr.open_datatree(over_http(url), engine="zarr", chunks=None) as tree:  # type: ignore[arg-type] # xarray's types
        assert np.array_equal(windowed(tree["r60m"].to_dataset().b09[0]), expected(0, B09))
        times = [np.datetime64(shots[0].datatake.replace(tzinfo=None), "ns") for shots in SHOTS]
        assert tree.time.values.tolist() == np.array(times).tolist()


def test_abut_reads_through_the_service(served: Served) -> None:
    store = abut.zone_store(served.url, 32632, PERIOD, resolution=60)
    with xr.open_zarr(store, chunks=None) as found:
        for step in range(2):
            assert np.array_equal(windowed(found.b09[step]), expected(step, B09))
    assert store.counts.passed > 0


def test_xarray_reads_through_fsspec(url: str) -> None:
    with xr.open_zarr(url, group="r60m", chunks=None) as found:
        assert np.array_equal(windowed(found.b01[0]), expected(0, B01))


def test_tensorstore_reads(url: str) -> None:
    spec = {"driver": "zarr3", "kvstore": f"{url}/r60m/b01/"}
    array = tensorstore.open(spec, read=True, open=True).result()
    assert array.shape == (2, *GROUND.shape(60))
    for step in range(2):
        assert np.array_equal(array[step, ROWS, COLUMNS].read().result(), expected(step, B01))


def node() -> str:
    """The program node, with zarrita; skips the test without, unless ABUT_REQUIRE_NODE is set."""
    program = shutil.which("node")
    missing = "node is absent" if program is None else ""
    if program is not None and not (ZARRITA / "node_modules" / "zarrita").is_dir():
        missing = "zarrita is absent (tests/zarrita/setup installs it)"
    if missing and os.environ.get("ABUT_REQUIRE_NODE"):
        pytest.fail(missing)
    if program is None or missing:
        pytest.skip(missing)
    return program


def zarrita(url: str, path: str, step: int, file: Path) -> dict[str, Any]:
    """Read a window with zarrita in Node."""
    numbers = (step, ROWS.start, ROWS.stop, COLUMNS.start, COLUMNS.stop)
    command = [node(), str(ZARRITA / "read.mjs"), url, path, *map(str, numbers), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def test_zarrita_reads_in_node(url: str, tmp_path: Path) -> None:
    seen = zarrita(url, "r60m/b01", 1, tmp_path / "pixels")
    assert seen["shape"] == [2, *GROUND.shape(60)]
    assert seen["chunks"] == [1, 160, 160]
    assert seen["dtype"] == "uint16"
    pixels = np.fromfile(tmp_path / "pixels", "<u2").reshape(seen["window"])
    assert np.array_equal(pixels, expected(1, B01))
    microseconds = [round(shots[0].datatake.timestamp() * 1e6) for shots in SHOTS]
    assert [int(moment) for moment in seen["time"]] == microseconds
    assert seen["bands"] == ["B01", "B09", "B10"]
    assert seen["offsets"] == ["-1000", "-1000", "0", "0", "0", "0"]
    assert (seen["x"][0], seen["x"][-1]) == (WINDOW.left + 30, WINDOW.right - 30)
    assert (seen["y"][0], seen["y"][-1]) == (WINDOW.top - 30, WINDOW.bottom + 30)


def test_a_client_of_a_snapshot_is_not_confused_by_products_that_arrive(archive: Archive, tmp_path: Path) -> None:
    changing = copied(archive, tmp_path)
    with serving(changing.store.url, "--workers", "2") as running:
        plain = f"{running.url}/zarr/zones/32632/{PERIOD.replace('/', '--')}.zarr"
        opened = snapshot_of(plain)
        with xr.open_zarr(over_http(opened), group="r60m", chunks=None) as found:
            ingest(changing, BETWEEN, threads=1)
            assert np.array_equal(windowed(found.b01[1]), expected(1, B01))
            for _ in range(12):  # whichever worker answers
                with xr.open_zarr(over_http(opened), group="r60m", chunks=None) as again:
                    assert again.b01.shape == found.b01.shape
            assert np.array_equal(windowed(again.b09[1]), expected(1, B09))
