"""Indices and composites of the cube service: what plain arithmetic makes of the same cube's pixels."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, override

import numpy as np
import pytest
import xarray as xr

from abut.archive import create_archive
from abut.connection import connect
from abut.errors import TooLargeError
from abut.lattice import Bounds
from ingest.ingest import ingest
from services.cubes import derived
from services.cubes.files import size_of
from services.cubes.inputs import CubeInputs
from services.cubes.worker import Task, attempt, made
from tests.shots import Shot
from tests.test_cubes_service import EXECUTION, opened, service
from tests.toy import CORNER, START, TILES
from workflows.indices import INDICES, spectral_index
from workflows.runs.moments import view_moments
from workflows.runs.scenes import scene_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from starlette.testclient import TestClient

    from abut.archive import Archive
    from abut.layout import Band

BOX = Bounds(CORNER.zone, 600_000, 4_896_000, 612_000, 4_903_200)
"""Over the edge of blocks and of tiles."""
INPUTS: dict[str, Any] = {"bbox": [BOX.left, BOX.bottom, BOX.right, BOX.top], "crs": "EPSG:32632", "across": False}
BANDS = ("B03", "B04", "B08", "B11")
NODATA = -32_768


@dataclass(frozen=True)
class Fine(Shot):
    """A toy product whose pixels have the size of their band."""

    salt: int = 0
    """Other pixels for another date."""

    __hash__ = Shot.__hash__

    @override
    def strips(self, band: Band) -> Iterator[NDArray[np.uint16]]:
        foot, size = self.tile.footprint, band.resolution
        for top in range(foot.top, foot.bottom, -9_600):
            strip = Bounds(foot.zone, foot.left, max(top - 9_600, foot.bottom), foot.right, top)
            rows = np.zeros(strip.shape(size), np.uint16)
            seen = strip.intersection(self.place)
            if seen is not None:
                y, x = np.ogrid[-seen.top : -seen.bottom : size, seen.left : seen.right : size]
                value = (x * 7919 - y * 104_729 + (band.index + 20 * self.salt) * 15_485_863) // 10
                rows[strip.slices(seen, size)] = 1_100 + (value * value // 97) % 8_000
                rows[strip.slices(seen, size)][value % 23 == 0] = 0
            yield rows


@pytest.fixture(name="archive", scope="module")
def _archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Four dates: the first has two tiles, another one an other offset, and one sees a part of the ground."""
    archive = create_archive(tmp_path_factory.mktemp("derived") / "archive")
    seen = Bounds(CORNER.zone, BOX.left - 4_800, BOX.bottom - 4_800, BOX.right + 4_800, BOX.top + 4_800)
    part = Bounds(CORNER.zone, BOX.left - 4_800, BOX.bottom - 4_800, BOX.left + 5_940, BOX.top + 4_800)
    west = Bounds(BOX.zone, seen.left, seen.bottom, 609_600, seen.top)
    ingest(archive, Fine(TILES[0], salt=1, place=west, band_names=BANDS))
    ingest(archive, Fine(TILES[1], salt=1, place=seen, band_names=BANDS))
    later = Fine(TILES[0], band_names=BANDS)
    for salt, place, offset, baseline in ((2, part, -1000, "05.11"), (3, seen, 0, "02.04"), (4, seen, -1000, "05.11")):
        when = START + timedelta(days=5 * salt)
        more: dict[str, Any] = {"datatake": when, "datastrip_start": when, "offset": offset, "baseline": baseline}
        ingest(archive, replace(later, salt=salt, place=place, **more))
    return archive


@pytest.fixture(name="client", scope="module")
def _client(archive: Archive) -> TestClient:
    return service(archive)


@pytest.fixture(name="layers", scope="module")
def _layers(archive: Archive) -> dict[str, NDArray[np.int64]]:
    """NDVI and MNDWI of each date, from DN by arithmetic of whole numbers where there are any."""
    cube = connect(archive.store.url).cube(window=BOX, bands=BANDS, across=False)
    assert isinstance(cube, xr.DataTree)
    fine, coarse = cube["r10m"], cube["r20m"]

    def toa(band: str) -> NDArray[np.float64]:
        node = fine if band != "B11" else coarse
        dn = node[band.lower()].to_numpy().astype(np.float64)
        dn[dn == 0] = np.nan
        if band == "B03":  # on pixels of 20 m
            steps, rows, columns = dn.shape
            cells = dn.reshape(steps, rows // 2, 2, columns // 2, 2)
            empty = np.isnan(cells).all(axis=(2, 4))
            dn = np.where(empty, np.nan, np.nanmean(np.where(empty[:, :, None, :, None], 0, cells), axis=(2, 4)))
        offsets = node["radio_add_offset"].sel(band=band).to_numpy()
        reflectance: NDArray[np.float64] = (dn + offsets[:, None, None]) / 10_000
        return reflectance

    def difference(first: str, second: str) -> NDArray[np.int64]:
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = (toa(first) - toa(second)) / (toa(first) + toa(second))
        whole = np.clip(np.rint(ratio * 10_000), -32_767, 32_767)
        return np.where(np.isfinite(whole), whole, NODATA).astype(np.int64)

    return {"ndvi": difference("B08", "B04"), "mndwi": difference("B03", "B11")}


def execute(client: TestClient, folder: Path, **inputs: Any) -> xr.DataTree:
    answer = client.post(EXECUTION, json={"inputs": {**INPUTS, **inputs}})
    assert answer.status_code == 200, answer.text
    return opened(answer.content, folder)


def raw(tree: xr.DataTree, group: str, name: str) -> NDArray[np.int64]:
    """Whole numbers as they are stored."""
    variable = tree[group][name]
    scaled = variable.to_numpy() / variable.encoding.get("scale_factor", 1)
    return np.where(np.isnan(scaled), NODATA, np.rint(scaled)).astype(np.int64)


def test_indices_of_each_step_are_those_of_its_pixels(
    client: TestClient, layers: dict[str, NDArray[np.int64]], tmp_path: Path
) -> None:
    found = execute(client, tmp_path, index=["ndvi", "mndwi"])
    assert np.unique(layers["ndvi"]).size > 100
    assert (layers["ndvi"] == NODATA).any()
    for name, group in (("ndvi", "r10m"), ("mndwi", "r20m")):
        assert np.array_equal(raw(found, group, name), layers[name])
    plain = execute(client, tmp_path, bands=["B08"])
    assert np.array_equal(found["r10m"]["time"], plain["r10m"]["time"])
    assert set(found["r10m"].data_vars) - {"spatial_ref"} == {"ndvi"}


def test_indices_are_those_of_the_workflow(client: TestClient, archive: Archive, tmp_path: Path) -> None:
    names = ["ndvi", "ndwi", "mndwi", "ndsi"]
    found = execute(client, tmp_path, index=names)
    for step, moment in enumerate(view_moments(connect(archive.store.url), core=BOX, bands=BANDS)):
        scene = scene_of(moment)
        for name in names:
            group = f"r{INDICES[name].resolution}m"
            assert np.array_equal(raw(found, group, name)[step], spectral_index(scene, name)), name
    assert step == 3


@pytest.mark.parametrize("method", ["median", "max"])
def test_composites_are_what_sorting_each_pixel_gives(
    client: TestClient, layers: dict[str, NDArray[np.int64]], tmp_path: Path, method: str
) -> None:
    found = execute(client, tmp_path, index="ndvi,mndwi", composite=method)
    for name, group in (("ndvi", "r10m"), ("mndwi", "r20m")):
        node, stack = found[group], layers[name]
        counts = (stack != NODATA).sum(axis=0)
        wanted, source = np.full(counts.shape, NODATA), np.full(counts.shape, -1)
        for row, column in np.ndindex(counts.shape):
            values = sorted(value for value in stack[:, row, column] if value != NODATA)
            if values:
                wanted[row, column] = values[-1] if method == "max" else values[(len(values) - 1) // 2]
                source[row, column] = list(stack[:, row, column]).index(wanted[row, column])
        assert np.array_equal(raw(found, group, name)[0], wanted)
        assert np.array_equal(node[f"{name}_count"].to_numpy()[0], counts)
        assert np.array_equal(node[f"{name}_source"].to_numpy()[0], source)
        assert {2, 3, 4} <= set(np.unique(counts))
        assert node.sizes["time"] == 1
        assert node.sizes["step"] == len(stack)
        assert node["step_time"].to_numpy()[0] == node["time"].to_numpy()[0]
        assert node["source"].dims == ("step", "block_y", "block_x")


def test_a_job_writes_what_is_answered_at_once(client: TestClient, archive: Archive, tmp_path: Path) -> None:
    inputs = {**INPUTS, "index": ["ndvi", "mndwi"], "composite": "median"}
    (single,) = CubeInputs.model_validate(inputs).cubes(1).values()
    task = Task(
        archive=archive.store.url,
        results=str(tmp_path / "results"),
        key="a",
        ask=json.loads(json.dumps(single.ask)),
        token="t",  # noqa: S106 - names a try
        topic="x",
    )
    (tmp_path / "results").mkdir()
    assert attempt(task).problem is None
    written = xr.open_datatree(tmp_path / "results" / "a", engine="zarr").load()
    xr.testing.assert_identical(written, execute(client, tmp_path, index=["ndvi", "mndwi"], composite="median"))


def test_values_do_not_depend_on_the_window(archive: Archive) -> None:
    connection = connect(archive.store.url)
    inner = Bounds(BOX.zone, BOX.left + 60, BOX.bottom + 120, BOX.right - 1_200, BOX.top - 660)
    both = []
    for box in (BOX, inner):
        ask = {**INPUTS, "bbox": [box.left, box.bottom, box.right, box.top], "index": "mndwi,ndvi", "composite": "max"}
        (single,) = CubeInputs.model_validate(ask).cubes(1).values()
        both.append(made(connection, single.ask).compute(scheduler="synchronous"))
    for group, size in (("r10m", 10), ("r20m", 20)):
        rows, columns = BOX.slices(inner, size)
        for name, values in both[1][group].data_vars.items():
            assert np.array_equal(both[0][group][str(name)].to_numpy()[:, rows, columns], values.to_numpy()), name


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"index": "ndvy"}, "index 'ndvy' is not one of ndvi, ndwi"),
    ({"index": []}, "index: []"),
    ({"composite": "median"}, "composite 'median' needs an index: one of ndvi"),
    ({"composite": "mean", "index": "ndvi"}, "composite: 'mean'"),
    ({"index": "ndvi", "bands": "B04"}, "bands does not go with index"),
    ({"index": "ndvi", "resolution": 20}, "resolution does not go with index"),
    ({"index": "ndvi", "reflectance": True}, "reflectance does not go with index"),
    ({"index": "ndvi", "masks": True}, "masks does not go with index"),
    ({"index": "ndvi", "to": "EPSG:3035", "resolution": 100}, "resolution does not go with index"),
]


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case[1][:40])
def test_what_makes_no_sense_is_refused(client: TestClient, case: tuple[dict[str, Any], str]) -> None:
    inputs, reason = case
    answer = client.post(EXECUTION, json={"inputs": {**INPUTS, **inputs}})
    assert (answer.status_code, reason in answer.json()["detail"]) == (400, True), answer.text


def test_limits_are_of_the_pixels_that_are_read(archive: Archive, tmp_path: Path) -> None:
    pixels = 2 * 2 * 4 * BOX.area // 10**2
    answer = service(archive, cube_sync_bytes=pixels - 1).post(
        EXECUTION, json={"inputs": {**INPUTS, "index": "ndvi", "composite": "max"}}
    )
    assert (answer.status_code, f"{pixels:,} bytes" in answer.json()["detail"]) == (413, True), answer.text
    found = execute(service(archive, cube_sync_bytes=pixels), tmp_path, index="ndvi", composite="max")
    assert size_of(found) < pixels


def test_composites_of_too_many_steps_are_refused(
    client: TestClient, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(derived, "STEPS", 3)
    inputs = {**INPUTS, "index": "ndvi", "composite": "max"}
    answer = client.post(EXECUTION, json={"inputs": inputs}, headers={"prefer": "respond-async"})
    assert (answer.status_code, "4 steps are more than the 3 of one composite" in answer.text) == (413, True), (
        answer.text
    )
    with pytest.raises(TooLargeError):
        made(connect(archive.store.url), CubeInputs.model_validate(inputs).cubes(1).popitem()[1].ask)


def test_the_url_of_a_cube_takes_them_too(client: TestClient, tmp_path: Path) -> None:
    box = ",".join(map(str, INPUTS["bbox"]))
    asked = {"bbox": box, "crs": "EPSG:32632", "across": "false", "index": "ndvi", "composite": "max"}
    answer = client.get("/cubes/cube", params=asked)
    assert answer.status_code == 200, answer.text
    xr.testing.assert_identical(
        opened(answer.content, tmp_path), execute(client, tmp_path, index="ndvi", composite="max")
    )
    explained = client.get("/cubes/explain", params=asked).json()
    assert explained == client.get("/cubes/explain", params={**asked, "index": "ndvi"}).json()
    other = client.get("/cubes/cube", params={**asked, "composite": "median"})
    assert other.headers["etag"] != answer.headers["etag"]
