"""Monthly composites: those of all layers at once, whatever the order of moments and the size of pieces."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xarray as xr

import abut
from abut.lattice import BlockRange
from abut.tiling import tile
from tests.workflows import sky
from tests.workflows.moments import bounds, moment_of
from tests.workflows.products import NORTH
from workflows import clouds, composites
from workflows.indices import NODATA, spectral_index
from workflows.runs import composite
from workflows.runs.moments import plan_moments
from workflows.runs.registry import workflow
from workflows.runs.running import Task, run
from workflows.runs.safes import safe_moment
from workflows.runs.scenes import cut_moment, scene_of
from workflows.runs.tiles import run_tiles
from workflows.runs.zone_plan import Seen
from workflows.scene import BLOCK, Box

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from abut.archive import Archive
    from abut.connection import Connection
    from abut.lattice import Bounds
    from workflows.composites import Method
    from workflows.scene import Scene

CORE = Box(57 * BLOCK, 510 * BLOCK, 59 * BLOCK, 511 * BLOCK)
"""Two blocks."""
PARAMS: dict[str, object] = {"index": "ndvi,ndmi", "reach": 10}
RADIUS = -(-clouds.radius(10) // 60) * 60
START = datetime(2023, 8, 3, 10, tzinfo=UTC)
SEEN = tuple(Seen(START + timedelta(days=5 * number), f"GS2B_{number}", (f"p{number}",)) for number in range(4))


@pytest.fixture(scope="module")
def scenes() -> dict[Seen, Scene]:
    """Four moments; clouds lie elsewhere in each, and one lacks the west."""
    first = sky.make(CORE.grown(RADIUS), CORE).scene
    random, made = np.random.default_rng(1), {}
    for number, one in enumerate(SEEN):
        bands = {name: np.roll(band, number * band.shape[1] // 5, 1) for name, band in first.bands.items()}
        for name in ("B04", "B08", "B11"):
            bands[name] = bands[name] + random.integers(0, 60, bands[name].shape, np.uint16)
        if number == 2:
            for band in bands.values():
                band[:, : band.shape[1] // 3] = 0
        made[one] = replace(first, bands=bands)
    return made


@pytest.fixture(scope="module")
def clear(scenes: dict[Seen, Scene]) -> dict[Seen, NDArray[np.bool_]]:
    """Where each moment shows clear ground, found in all of it at once."""
    return {one: clouds.clouds_and_shadows(scene, reach=10).classes == clouds.CLEAR for one, scene in scenes.items()}


class Reader:
    """Cuts moments out of scenes, and notes how many bytes each has."""

    def __init__(self, scenes: dict[Seen, Scene]) -> None:
        self.moments = {one: moment_of(scene) for one, scene in scenes.items()}
        self.read: list[tuple[Seen, Bounds, int]] = []

    def __call__(self, seen: Seen, core: Bounds, buffer: int, bands: Sequence[str]) -> xr.DataTree | None:
        found = cut_moment(self.moments[seen], core.buffered(buffer), core)
        for node in found.children.values():
            lacking = [name for name in node.data_vars if str(name)[0] == "b" and str(name).upper() not in bands]
            node.dataset = node.to_dataset(inherit=False).drop_vars(lacking)
        self.read.append((seen, core, sum(node.to_dataset(inherit=False).nbytes for node in found.children.values())))
        return found


def slow(
    scenes: dict[Seen, Scene], name: str, method: str, clear: dict[Seen, NDArray[np.bool_]] | None
) -> dict[str, NDArray[Any]]:
    """All layers at once, pixel by pixel, at every 7th row and 11th column."""
    layers = []
    for one in SEEN:
        layer = spectral_index(scenes[one], name)
        if clear is not None:
            factor = len(layer) // len(clear[one])
            layer = np.where(np.kron(clear[one], np.ones((factor, factor), np.bool_)), layer, np.int16(NODATA))
        layers.append(layer)
    shape = layers[0].shape
    values, count, source = np.full(shape, NODATA, np.int16), np.zeros(shape, np.uint16), np.full(shape, -1, np.int16)
    for row in range(0, shape[0], 7):
        for column in range(0, shape[1], 11):
            some = sorted(int(layer[row, column]) for layer in layers if layer[row, column] != NODATA)
            count[row, column] = len(some)
            if some:
                values[row, column] = wanted = some[-1] if method == "max" else some[(len(some) - 1) // 2]
                source[row, column] = next(n for n, layer in enumerate(layers) if layer[row, column] == wanted)
    return {name: values, f"{name}_count": count, f"{name}_source": source}


def made(reader: Reader, moments: Sequence[Seen] = SEEN, params: dict[str, object] = PARAMS) -> dict[str, NDArray[Any]]:
    """The composite, put together from its pieces."""
    whole = bounds(CORE)
    blocks = list(BlockRange.around(whole))
    values = workflow("composite").params(params)
    found: dict[str, NDArray[Any]] = {}
    for part in composite.composites(moments, blocks, values, reader):
        for path, variable in part.variables.items():
            name, size = path.rpartition("/")[2], int(abs(float(variable["y"][1] - variable["y"][0])))
            array = found.setdefault(name, np.zeros(whole.shape(size), variable.dtype))
            array[whole.slices(part.core, size)] = variable.to_numpy()
    return found


@pytest.mark.parametrize(("method", "mask"), [("median", "clouds"), ("max", "clouds"), ("median", "none")])
def test_a_composite_is_that_of_all_layers_at_once(
    scenes: dict[Seen, Scene], clear: dict[Seen, NDArray[np.bool_]], method: str, mask: str
) -> None:
    found = made(Reader(scenes), params={**PARAMS, "method": method, "mask": mask})
    assert set(found) == {f"{name}{end}" for name in ("ndvi", "ndmi") for end in ("", "_count", "_source")}
    for name in ("ndvi", "ndmi"):
        for path, truth in slow(scenes, name, method, clear if mask == "clouds" else None).items():
            assert found[path].dtype == truth.dtype
            assert (found[path][::7, ::11] == truth[::7, ::11]).all()
    counts = np.bincount(found["ndvi_count"].ravel(), minlength=5)
    assert (counts > 0).sum() > (2 if mask == "clouds" else 1), "pixels differ in how often they were seen"


def test_neither_order_nor_pieces_change_a_byte(scenes: dict[Seen, Scene], monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = Reader(scenes), Reader(scenes)
    truth = made(one)
    monkeypatch.setattr(composite, "CLOUD_BLOCKS", 1)
    monkeypatch.setattr(composite, "LAYER_BYTES", 1)
    found = made(other, SEEN[::-1])
    assert {name: array.tobytes() for name, array in found.items()} == {
        name: array.tobytes() for name, array in truth.items()
    }
    assert len(other.read) == 2 * len(one.read)


def test_what_is_in_memory_at_once_does_not_grow_with_the_ground(
    scenes: dict[Seen, Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(composite, "CLOUD_BLOCKS", 1)
    monkeypatch.setattr(composite, "LAYER_BYTES", 1)
    reader = Reader(scenes)
    made(reader)
    blocks = {core for _, core, _ in reader.read}
    assert {core.width for core in blocks} == {BLOCK}
    window = ((BLOCK + 2 * RADIUS) // 10) ** 2
    assert max(size for _, _, size in reader.read) < 2 * 2 * 4 * window
    for core in blocks:
        assert [seen for seen, some, _ in reader.read if some == core] == [*SEEN, *SEEN], "once clouds, once indices"


@pytest.mark.parametrize("moments", [1, 3, 12, 40, 1_000])
def test_layers_of_a_piece_take_as_much_memory_whatever_their_number(moments: int) -> None:
    side = composite.side_for(moments)
    assert side >= 1
    assert side == 1 or 8 * moments * (960 * side) ** 2 <= composite.LAYER_BYTES


def test_one_moment_is_the_layer_of_a_composite(scenes: dict[Seen, Scene]) -> None:
    only = {SEEN[0]: scenes[SEEN[0]]}
    layer = workflow("composite").compute(moment_of(only[SEEN[0]]), PARAMS)
    found = made(Reader(only), SEEN[:1])
    for name, path in (("ndvi", "r10m/ndvi"), ("ndmi", "r20m/ndmi")):
        assert (layer[path].to_numpy() == found[name]).all()
        assert (found[f"{name}_source"] == np.where(found[name] == NODATA, -1, 0)).all()


def test_the_composite_of_an_archive_is_that_of_its_moments(modern_archive: Archive, tmp_path: Path) -> None:
    """Of one moment: its index where `clouds` says that ground is clear."""
    url, place = modern_archive.store.url, tile("32TNT")
    connection = abut.connect(url)
    (product,) = [one for one in map(modern_archive.product, plan_products(connection)) if one.tile == place]
    block = sorted(product.record.valid)[len(product.record.valid) // 2].bounds
    ran = run_tiles(url, workflow("composite"), [place], None, tmp_path / "a.zarr", within=block, workers=0)
    assert (ran.failed, ran.steps) == ((), 1)
    found = xr.open_zarr(tmp_path / "a.zarr", mask_and_scale=False, chunks=None)
    core = block.buffered(-60)
    part = found.sel(x=slice(core.left, core.right), y=slice(core.top, core.bottom)).isel(time=0)
    (index,) = run(Task(workflow=workflow("index"), window=core), connection)
    (sky,) = run(Task(workflow=workflow("clouds"), window=core), connection)
    clear = np.kron(sky.variables["classes"].to_numpy() == clouds.CLEAR, np.ones((6, 6), np.bool_))
    truth = np.where(clear, index.variables["ndvi"].to_numpy(), np.int16(NODATA))
    assert (part["ndvi"].to_numpy() == truth).all()
    assert (part["ndvi_count"].to_numpy() == (truth != NODATA)).all()
    assert (truth != NODATA).any()
    assert str(found["time"].to_numpy()[0])[8:19] == "01T00:00:00"


@pytest.mark.parametrize("method", ["median", "max"])
def test_the_composite_of_a_month_is_that_of_the_safes(two_dates: Path, tmp_path: Path, method: Method) -> None:
    """The moments of the truth are read by rasterio; which of them come first does not matter."""
    core = NORTH.part(-9_600, 0, 0, 9_600)
    safes = sorted(two_dates.glob("*.SAFE"))
    days = {safe.name[11:26]: safe.stem for safe in safes if f"_T{NORTH.tile.id}_" in safe.name}
    assert len(days) == 2
    layers, moments = [], []
    for day, name in sorted(days.items(), reverse=True):
        some = [safe for safe in safes if day in safe.name]
        moment = safe_moment(some, product=name, bands=["B04", "B08"], core=core, alone=False)
        layers.append(spectral_index(scene_of(moment), "ndvi"))
        moments.append(composites.Moment(datetime.fromisoformat(moment.attrs["datetime"]), moment.attrs["datatake"]))
    truth = composites.composite(layers, moments, method)
    given = {"method": method, "mask": "none"}
    url = str(two_dates / "archive")
    ran = run_tiles(
        url, workflow("composite"), [NORTH.tile], "2025-07", tmp_path / "a.zarr", within=core, workers=0, params=given
    )
    assert (ran.failed, ran.steps) == ((), 1)
    found = xr.open_zarr(tmp_path / "a.zarr", mask_and_scale=False, chunks=None)
    part = found.sel(x=slice(core.left, core.right), y=slice(core.top, core.bottom)).isel(time=0)
    assert np.array_equal(part["ndvi"], truth.values)
    assert np.array_equal(part["ndvi_count"], truth.count)
    assert np.array_equal(part["ndvi_source"], truth.source)
    assert (truth.count == 2).mean() > 0.5
    assert set(np.unique(truth.source)) >= {0, 1}


def plan_products(connection: Connection) -> list[str]:
    (moment,) = plan_moments(connection, tile="32TNT", bands=["B04"])
    return list(moment.products)
