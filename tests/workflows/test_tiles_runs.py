"""Many tiles as one Zarr: the bytes of one run over all of the ground, whoever dies, fails or comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
import xarray as xr
import zarr
from distributed import LocalCluster
from zarr.storage import MemoryStore

import abut
from abut.archive import create_archive, open_archive
from abut.errors import ConflictError
from abut.lattice import BLOCK_SIZE, BlockRange
from abut.tiling import tile, tiles_touching
from abut.zone_layout import zone_blocks
from ingest.ingest import ingest
from ingest.purge import purge
from ingest.settle import settle
from ingest.withdraw import withdraw
from tests.shots import Shot
from tests.toy import CORNER, START, TILES
from workflows.errors import WorkflowError
from workflows.runs.registry import user_workflow
from workflows.runs.running import Task, run
from workflows.runs.tiles import run_tiles
from workflows.runs.zone_plan import core_of, owned_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
LATER = START + timedelta(days=10)
STRIP = START + timedelta(seconds=30)
NORTH = replace(CORNER, bottom=CORNER.bottom + 8_040)
SOUTH = replace(CORNER, top=NORTH.bottom + 1_200)
WITHIN = replace(CORNER, left=CORNER.left - BLOCK_SIZE, bottom=CORNER.bottom - 600, right=CORNER.right - 60)
"""Cuts blocks, and has some without data."""
FUNCTION = "tests.workflows.mine:highest"


@dataclass(frozen=True)
class Seen(Shot):
    """A toy product with a sun of its own."""

    def __hash__(self) -> int:
        return hash(self.id)

    def extras(self, masks: dict[str, str], profile: str) -> Iterator[tuple[str, bytes]]:
        yield from super().extras(masks, profile)
        memory: dict[str, Any] = {}
        store = MemoryStore(memory)
        sun = np.array([40.0 + TILES.index(self.tile_id), 160.0])
        for name, values in (("sun", sun), ("viewing_incidence", np.full((13, 2), 5.0))):
            zarr.create_array(store, name=f"conditions/geometry/mean_{name}_angles", data=values)
        yield from ((key, data.to_bytes()) for key, data in memory.items() if key != "zarr.json")


SHOTS = (
    *(Seen(name, NORTH, added={"B01": 7} if name == "32TPP" else {}) for name in TILES),
    *(Seen(name, SOUTH, {"B01": 5}, "S", STRIP) for name in ("32TNP", "32TPP")),
    *(Seen(name, datatake=LATER, datastrip_start=LATER, offset=0, baseline="03.01") for name in TILES[:2]),
)
"""Four tiles at a corner, two datastrips; some days later two of them, of an older baseline."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> str:
    made = create_archive(tmp_path_factory.mktemp("corner") / "archive")
    for shot in SHOTS:
        ingest(made, shot)
    assert sum(one.released for one in settle(made)) > 0
    assert sum(one.objects for one in purge(made, grace=timedelta(0))) > 0
    return made.store.url


@pytest.fixture(scope="module")
def truth(archive: str) -> xr.Dataset:
    """One run over all blocks that touch the ground, without a Zarr."""
    whole = Task(workflow=highest(), window=BlockRange.around(WITHIN).bounds)
    steps = list(run(whole, abut.connect(archive)))
    assert len(steps) == 2
    found = xr.concat([xr.Dataset(dict(step.variables)) for step in steps], "time", join="exact")
    assert all(np.unique(found["sun"][0]).size > size for size in (2, 3))
    return found


def highest() -> Any:
    return user_workflow(FUNCTION, 1_200, ["B01"])


def computed(archive: str, out: Path, *tiles: str, **more: Any) -> Any:
    return run_tiles(archive, highest(), tiles or TILES, None, out, **{"within": WITHIN, "workers": 0, **more})


def opened(out: Path) -> xr.Dataset:
    found: xr.Dataset = xr.open_zarr(out, mask_and_scale=False, chunks=None)
    return found


def part(found: xr.Dataset, truth: xr.Dataset) -> xr.Dataset:
    return found.sel(x=truth["x"], y=truth["y"])


def require_equal(out: Path, truth: xr.Dataset) -> None:
    found = part(opened(out), truth)
    for name in ("highest", "sun"):
        assert found[name].dtype == truth[name].dtype
        assert found[name].to_numpy().tobytes() == truth[name].to_numpy().tobytes()


def objects(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_each_block_belongs_to_one_of_the_tiles_that_touch_it() -> None:
    tiles = tiles_touching(replace(CORNER, left=CORNER.left - 150_000, top=CORNER.top + 100_000))
    assert len(tiles) > 6
    owners = Counter(block for one in tiles for block in owned_blocks(one, tiles))
    assert set(owners) == {block for one in tiles for block in one.hull}
    assert set(owners.values()) == {1}


def test_four_tiles_are_one_run_over_all_of_their_ground(archive: str, truth: xr.Dataset, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    ran = computed(archive, tmp_path / "a.zarr", done=lambda _, count, total: told.append((count, total)))
    assert (ran.steps, ran.earlier, ran.failed) == (2, 0, ())
    assert told == [(number + 1, ran.tasks) for number in range(ran.tasks)]
    assert ran.tasks > 4
    require_equal(tmp_path / "a.zarr", truth)


@pytest.mark.parametrize("pair", [("32TNP", "32TPP"), ("32TPQ", "32TNP")])
def test_two_tiles_beside_or_aslant_give_the_values_of_the_whole(
    archive: str, truth: xr.Dataset, tmp_path: Path, pair: tuple[str, str]
) -> None:
    computed(archive, tmp_path / "a.zarr", *pair)
    found, blocks = opened(tmp_path / "a.zarr"), BlockRange.around(WITHIN)
    mine = {block for name in pair for block in tile(name).hull}
    assert 0 < len(mine & set(blocks)) < len(blocks) or pair == ("32TPQ", "32TNP")
    for block in blocks:
        edges = block.bounds
        place = {"x": slice(edges.left, edges.right), "y": slice(edges.top, edges.bottom)}
        if block in mine:
            assert found["highest"].sel(place).identical(found["highest"].sel(place))
            assert (found["highest"].sel(place).to_numpy() == truth["highest"].sel(place).to_numpy()).all()
        else:
            assert not found["highest"].sel(place).any()


def test_no_object_is_written_twice_and_none_is_empty(
    archive: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: Counter[str] = Counter()
    store = zarr.storage.ObjectStore
    put = store.set

    async def counted(self: Any, key: str, value: Any) -> None:
        written[key] += 1
        await put(self, key, value)

    monkeypatch.setattr(store, "set", counted)
    ran = computed(archive, tmp_path / "a.zarr")
    chunks = {key for key in objects(tmp_path / "a.zarr") if "/c/" in key and key.split("/")[0] in ("highest", "sun")}
    assert {key for key in written if "/c/" in key} == chunks
    assert set(written.values()) == {1}
    assert len({key.split("/", 1)[1] for key in chunks}) == ran.blocks


def test_a_block_has_the_chunk_key_that_it_has_in_every_array_of_the_zone(archive: str, tmp_path: Path) -> None:
    computed(archive, tmp_path / "a.zarr")
    blocks = zone_blocks(CORNER.zone)
    rows = {tuple(map(int, key.split("/")[2:])) for key in objects(tmp_path / "a.zarr") if key.startswith("sun/c/")}
    expected = {(step, *blocks.position(block)) for block in BlockRange.around(WITHIN) for step in (0, 1)}
    assert rows < expected
    array = zarr.open_array(tmp_path / "a.zarr" / "highest", mode="r")
    assert array.chunks == (1, 160, 160)
    assert array.shape == (2, *blocks.bounds.shape(60))


def test_readers_know_where_and_when_it_is(archive: str, tmp_path: Path) -> None:
    computed(archive, tmp_path / "a.zarr")
    found = xr.open_zarr(tmp_path / "a.zarr", chunks=None)
    assert [str(time)[:19] for time in found["time"].to_numpy()] == ["2023-08-23T09:55:59", "2023-09-02T09:55:59"]
    assert str(found["products"][1].to_numpy()).split() == sorted(shot.id for shot in SHOTS[6:])
    assert found["spatial_ref"].attrs["grid_mapping_name"] == "transverse_mercator"
    assert found["highest"].attrs["proj:code"] == "EPSG:32632"
    assert found.attrs["workflow"] == FUNCTION
    assert found.attrs["tiles"] == "32TNP 32TNQ 32TPP 32TPQ"
    assert np.isnan(found["highest"][0, 0, 0])
    bounds = zone_blocks(CORNER.zone).bounds
    assert (float(found["x"][0]), float(found["y"][0])) == (bounds.left + 30, bounds.top - 30)
    with rasterio.open(tmp_path / "a.zarr" / "highest") as image:
        assert image.crs.to_epsg() == 32632
        assert tuple(image.bounds) == (bounds.left, bounds.bottom, bounds.right, bounds.top)


def test_a_task_that_fails_is_told_and_the_same_run_does_it_later(
    archive: str, truth: xr.Dataset, tmp_path: Path
) -> None:
    out, log, fails = tmp_path / "a.zarr", tmp_path / "log", tmp_path / "fails"
    params = {"log": str(log), "fails": str(fails)}
    east = core_of(owned_blocks(tile("32TPP"), tuple(map(tile, TILES)), WITHIN))
    fails.write_text(str(east.left))
    ran = computed(archive, out, params=params)
    assert {one.tile for one in ran.failed} >= {"32TPP"}
    assert {one.tile for one in ran.failed} <= {"32TPP", "32TPQ"}
    assert {one.problem for one in ran.failed} == {f"{FUNCTION} raised ValueError: no snow here"}
    assert ran.computed == ran.tasks - len(ran.failed) > 0
    found = part(opened(out), truth)["highest"].to_numpy()
    there = found > 0
    assert 0 < there.sum() < (truth["highest"].to_numpy() > 0).sum()
    assert (found[there] == truth["highest"].to_numpy()[there]).all()
    fails.unlink()
    log.unlink()
    again = computed(archive, out, params=params)
    assert (again.earlier, again.computed, again.failed) == (ran.computed, len(ran.failed), ())
    assert len(log.read_text().splitlines()) == len(ran.failed)
    require_equal(out, truth)
    log.unlink()
    assert computed(archive, out, params=params).computed == 0
    assert not log.exists()


HALF = """
import sys, time
from dataclasses import replace
from pathlib import Path
from workflows.runs import zone_task
from tests.workflows.test_tiles_runs import computed
write, calls = zone_task.write_blocks, []

def half(out, plan, number, part, about):
    calls.append(part)
    if len(calls) < 2:
        return write(out, plan, number, part, about)
    write(out, plan, number, replace(part, blocks=part.blocks[: len(part.blocks) // 2]), about)
    print("half", flush=True)
    time.sleep(600)

zone_task.write_blocks = half
computed(sys.argv[1], Path(sys.argv[2]), params={"log": sys.argv[3]})
"""


def test_a_run_that_is_killed_goes_on_where_it_was(archive: str, truth: xr.Dataset, tmp_path: Path) -> None:
    out, log = tmp_path / "a.zarr", tmp_path / "log"
    process = subprocess.Popen(
        [sys.executable, "-c", HALF, archive, str(out), str(log)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert (part(opened(out), truth)["highest"] > 0).any(), "it can be read meanwhile"
    (stale := out / "highest" / "c" / "0" / "0#1").write_bytes(b"half an object")
    before = log.read_text().splitlines()
    assert len(before) == 2
    ran = computed(archive, out, params={"log": str(log)})
    assert (ran.earlier, ran.failed) == (1, ())
    after = log.read_text().splitlines()[2:]
    assert len(after) == ran.computed == ran.tasks - 1
    assert before[0] not in after
    assert before[1] in after
    assert not stale.exists()
    require_equal(out, truth)
    computed(archive, tmp_path / "b.zarr", params={"log": str(log)})
    assert objects(out) == objects(tmp_path / "b.zarr")


def test_workers_of_a_scheduler_do_it(archive: str, truth: xr.Dataset, tmp_path: Path) -> None:
    cluster_of: Any = LocalCluster  # distributed has no types
    with cluster_of(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster:
        ran = computed(archive, tmp_path / "a.zarr", scheduler=cluster.scheduler_address)
    assert ran.failed == ()
    require_equal(tmp_path / "a.zarr", truth)
    with pytest.raises(OSError, match=r"scheduler tcp://127\.0\.0\.1:9"):
        computed(archive, tmp_path / "b.zarr", scheduler="tcp://127.0.0.1:9")


def test_processes_of_this_machine_do_it(archive: str, truth: xr.Dataset, tmp_path: Path) -> None:
    assert computed(archive, tmp_path / "a.zarr", workers=1).failed == ()
    require_equal(tmp_path / "a.zarr", truth)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"params": {"log": "x"}}, "parameters"),
        ({"tiles": TILES[:3]}, "tiles"),
        ({"datetime": "2023-08"}, "datetime"),
        ({"within": CORNER}, "within"),
        ({"options": {"baseline": "03.01"}}, "options"),
        ({"workflow": user_workflow("tests.workflows.mine:fickle", 0, ["B01"])}, "workflow"),
        ({"workflow": user_workflow(FUNCTION, 600, ["B01"])}, "radius"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_there_is_not_mixed_with_something_else(
    archive: str, tmp_path: Path, changed: dict[str, Any], text: str
) -> None:
    out = tmp_path / "a.zarr"
    first = {"workflow": highest(), "tiles": TILES[:2], "datetime": None, "within": CORNER.buffered(-19_000)}
    run_tiles(archive, out=out, workers=0, **first)
    before = objects(out)
    with pytest.raises(ConflictError, match=f"was begun with another {text}"):
        run_tiles(archive, out=out, workers=0, **{**first, **changed})
    assert objects(out) == before


def test_a_folder_of_something_else_is_left_alone(archive: str, tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear")
    with pytest.raises(ConflictError, match="letter is there, of no run over tiles"):
        computed(archive, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter"]


def test_tiles_of_two_zones_are_refused(archive: str, tmp_path: Path) -> None:
    for tiles, text in ((("32TNP", "33TUJ"), "of one zone"), ((), "no tile")):
        with pytest.raises(WorkflowError, match=text):
            run_tiles(archive, highest(), tiles, None, tmp_path / "a.zarr", workers=0)
    assert not list((tmp_path / "a.zarr").iterdir())


def test_blocks_that_have_other_variables_or_no_whole_pixels_fail_alone(archive: str, tmp_path: Path) -> None:
    fickle = user_workflow("tests.workflows.mine:fickle", 0, ["B01"])
    ran = run_tiles(archive, fickle, TILES[:2], "2023-08", tmp_path / "a.zarr", workers=0)
    (failed,) = ran.failed
    assert failed.tile == "32TPP"
    assert failed.problem == "dn of the result has dtype int32; in the blocks that are there it is uint16"
    odd = user_workflow("tests.workflows.mine:odd", 0, ["B01"])
    ran = run_tiles(archive, odd, TILES[:1], "2023-08", tmp_path / "b.zarr", workers=0)
    assert "pixels of 420 m that do not fit into blocks of 9600 m" in ran.failed[0].problem


def test_a_product_that_is_withdrawn_meanwhile_is_no_hole(tmp_path: Path) -> None:
    made = create_archive(tmp_path / "archive")
    for shot in SHOTS[:4]:
        ingest(made, shot)
    out, fails = tmp_path / "a.zarr", tmp_path / "fails"
    fails.write_text(str(core_of(owned_blocks(tile("32TNP"), tuple(map(tile, TILES)), WITHIN)).left))
    assert computed(made.store.url, out, params={"fails": str(fails)}).failed
    withdraw(open_archive(made.store.url), SHOTS[0].id)
    fails.unlink()
    ran = computed(made.store.url, out, params={"fails": str(fails)})
    assert {one.problem.partition(": ")[2] for one in ran.failed} == {
        f"{SHOTS[0].id} was withdrawn since the run was begun; begin another one"
    }
