"""Parts of jobs on one worker process: results, progress, dismissal, death, restart, and what is deleted when."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import threading
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import xarray as xr
from distributed import Client, LocalCluster

import abut
from abut.archive import create_archive
from abut.cluster import local_cluster, quiet
from abut.errors import UnsupportedStoreError
from ingest.ingest import ingest
from services.cubes.jobs import TRIES, new_job
from services.cubes.opening import jobs_url, open_jobs
from services.cubes.results import open_results, results_url, zarr_store
from services.cubes.retention import STOP_TIME, STRAY_AGE, sweep
from services.cubes.runner import Running, running
from services.cubes.worker import Task, attempt, read
from tests.shots import Shot, shot_days_later
from tests.test_cube_jobs import KEEP, Watch
from tests.toy import CORNER, TILES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from abut.archive import Archive
    from abut.store import Store
    from services.cubes.jobs import Ask, Job, JobStore

EDGES = (CORNER.left, CORNER.bottom, CORNER.right, CORNER.top)
WEST: Ask = {
    "bbox": [CORNER.left, CORNER.bottom, CORNER.left + 19_200, CORNER.top],
    "crs": "EPSG:32632",
    "options": {"bands": ["B01", "B09"], "resolution": 60, "across": False},
}
ALL: Ask = {**WEST, "bbox": EDGES}


@pytest.fixture(name="archive", scope="module")
def _archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    archive = create_archive(tmp_path_factory.mktemp("jobs") / "archive")
    for shot in (*map(Shot, TILES), *(shot_days_later(10, name) for name in TILES[:2])):
        ingest(archive, shot)
    return archive


@pytest.fixture(name="scheduler", scope="module")
def _scheduler() -> Iterator[str]:
    """Address of a scheduler with one worker process, which is replaced when it dies."""
    with local_cluster(1, tries=1) as client:
        yield client.scheduler.address


@pytest.fixture(name="jobs")
def _jobs(tmp_path: Path) -> Iterator[JobStore]:
    with closing(open_jobs(str(tmp_path / "jobs.sqlite"), KEEP)) as jobs:
        yield jobs


@pytest.fixture(name="how")
def _how(archive: Archive, scheduler: str, tmp_path: Path) -> Running:
    results = str(tmp_path / "results")
    return Running(archive=archive.store.url, results=results, scheduler=scheduler, poll_seconds=0.1)


@pytest.fixture(name="results")
def _results(how: Running) -> Store:
    return open_results(how.results)


def add(jobs: JobStore, **asks: Ask) -> Job:
    job, parts = new_job("ann", {}, asks, datetime.now(UTC))
    jobs.create(job, parts)
    return job


def until(jobs: JobStore, job: Job, wanted: Callable[[Job], bool]) -> Job:
    """Wait for a job to be as it is wanted."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = jobs.get(job.id)
        assert found is not None
        if wanted(found):
            return found
        time.sleep(0.02)
    raise AssertionError(found)


def over(job: Job) -> bool:
    return job.finished is not None


def opened(how: Running, key: str, group: str = "/") -> xr.Dataset:
    """Open a result as anybody would."""
    store = zarr_store(how.results, key)
    found: xr.Dataset = xr.open_zarr(
        store, group=group, consolidated=True, mask_and_scale=False, decode_coords="all", chunks=None
    )
    return found


def assert_result(how: Running, jobs: JobStore, job: Job, number: int, ask: Ask) -> None:
    """The result of a part is what the library reads, and lies where the job says."""
    key = jobs.parts(job.id)[number].result
    assert key is not None
    found = opened(how, key)
    wanted: Any = read(abut.connect(how.archive), ask)
    xr.testing.assert_equal(found, wanted)
    assert found.b01.attrs == wanted.b01.attrs
    assert how.archive not in str(found.attrs)


class Gate:
    """Holds the worker back at a file, in the middle of a part."""

    def __init__(self, folder: Path) -> None:
        self.shut = folder / "shut"
        self.reached = folder / "reached"
        self.shut.touch()

    def install(self, client: Any) -> None:
        shut, reached = str(self.shut), str(self.reached)

        def hold() -> None:
            module: Any = importlib.import_module("services.cubes.worker")
            plain = module.write_zarr

            def held(cube: Any, store: Any, done: Any, **more: Any) -> None:
                def told(count: int, total: int) -> None:
                    with open(reached, "w") as file:  # noqa: PTH123 - a function that is pickled
                        file.write(str(os.getpid()))
                    while count == 1 and os.path.exists(shut):  # noqa: PTH110 - as above
                        done(count, total)
                        time.sleep(0.02)
                    done(count, total)

                plain(cube, store, told, **more)

            module.write_zarr = held

        client.run(hold)

    def wait(self) -> int:
        """Wait until the worker is there; return its process."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if self.reached.exists() and (text := self.reached.read_text()):
                return int(text)
            time.sleep(0.02)
        raise AssertionError("the worker does not come")


@pytest.fixture(name="gate")
def _gate(scheduler: str, tmp_path: Path) -> Iterator[Gate]:
    def restore() -> None:
        module: Any = importlib.import_module("services.cubes.worker")
        module.write_zarr = importlib.import_module("abut.export.cube_zarr").write_zarr

    gate = Gate(tmp_path)
    client_of: Any = Client  # distributed has no types
    with client_of(scheduler) as client:
        gate.install(client)
        yield gate
        gate.shut.unlink(missing_ok=True)
        client.run(restore)


def test_each_part_of_a_job_is_what_the_library_reads(jobs: JobStore, how: Running, results: Store) -> None:
    native: Ask = {"tile": "32TNP", "options": {"bands": "B01,B09"}}
    projected: Ask = {
        "bbox": [10.2, 44.2, 10.4, 44.4],
        "to": "EPSG:3035",
        "pixel": 100,
        "options": {"bands": "B01,B09"},
    }
    with running(jobs, how) as runner:
        job = add(jobs, west=WEST, whole=ALL, native=native, projected=projected)
        runner.wake()
        done = until(jobs, job, over)
    assert (done.status, done.message, done.progress, done.parts_done) == ("successful", "", 100, 4)
    assert_result(how, jobs, job, 0, WEST)
    assert_result(how, jobs, job, 1, ALL)
    assert_result(how, jobs, job, 3, projected)
    key = jobs.parts(job.id)[2].result
    assert key is not None
    wanted: Any = read(abut.connect(how.archive), native)
    xr.testing.assert_equal(opened(how, key, "r60m"), wanted["r60m"].to_dataset())
    assert {entry.key.split("/")[1] for entry in results.entries(job.id)} == {
        str(part.result).split("/")[1] for part in jobs.parts(job.id)
    }


def test_progress_is_told_while_a_part_runs(jobs: JobStore, how: Running, gate: Gate) -> None:
    with running(jobs, how):
        job = add(jobs, whole=ALL)
        half = until(jobs, job, lambda job: job.progress > 0)
        assert (half.status, half.progress) == ("running", 50)
        gate.shut.unlink()
        assert until(jobs, job, over).status == "successful"


def test_a_dismissed_job_stops_and_leaves_nothing(jobs: JobStore, how: Running, results: Store, gate: Gate) -> None:
    with running(jobs, how) as runner:
        job, other = add(jobs, whole=ALL), add(jobs, west=WEST)
        gate.wait()
        assert list(results.entries(job.id)) != []
        jobs.dismiss(job.id)
        runner.wake()
        # The worker stops although the gate stays shut: it goes on with the next job.
        until(jobs, other, lambda job: job.progress > 0)
        gate.shut.unlink()
        assert until(jobs, other, over).status == "successful"
    ended = jobs.get(job.id)
    assert ended is not None
    assert ended.status == "dismissed"
    assert list(results.entries(job.id)) == []


def test_a_part_is_tried_again_when_its_worker_is_killed(
    jobs: JobStore, how: Running, results: Store, gate: Gate
) -> None:
    with running(jobs, how):
        job = add(jobs, whole=ALL)
        os.kill(gate.wait(), signal.SIGKILL)
        done = until(jobs, job, over)
    assert done.status == "successful"
    (part,) = jobs.parts(job.id)
    assert part.tries == 2
    assert_result(how, jobs, job, 0, ALL)
    assert {entry.key.split("/")[1] for entry in results.entries(job.id)} == {str(part.result).split("/")[1]}


def test_a_service_that_ends_gives_its_parts_to_the_next(
    jobs: JobStore, how: Running, results: Store, gate: Gate
) -> None:
    with running(jobs, how):
        job = add(jobs, whole=ALL, west=WEST)
        gate.wait()
    given_back = jobs.get(job.id)
    assert given_back is not None
    assert (given_back.status, [part.tries for part in jobs.parts(job.id)]) == ("running", [0, 0])
    gate.shut.unlink()
    with running(jobs, how):
        assert until(jobs, job, over).status == "successful"
    assert_result(how, jobs, job, 0, ALL)
    assert_result(how, jobs, job, 1, WEST)
    assert len({entry.key.split("/")[1] for entry in results.entries(job.id)}) == 2


def test_parts_of_a_service_that_died_are_done_by_the_next(jobs: JobStore, how: Running) -> None:
    job = add(jobs, whole=ALL, west=WEST)
    dead = jobs.claim("dead", 1, at_once=9, per_user=9)
    assert dead is not None
    with running(jobs, how):
        assert until(jobs, job, over).status == "successful"
    assert [part.tries for part in jobs.parts(job.id)] == [2, 1]
    assert not jobs.finish(dead, "late")
    assert_result(how, jobs, job, 0, ALL)


def test_what_can_never_be_read_fails_at_once_and_says_why(jobs: JobStore, how: Running, results: Store) -> None:
    with running(jobs, how):
        job = add(jobs, wrong={"tile": "32TNP", "options": {"datetime": "1999-01"}}, west=WEST)
        failed = until(jobs, job, over)
    assert failed.status == "failed"
    assert failed.message.startswith("wrong: ")
    assert "no product in 1999-01" in failed.message
    assert jobs.parts(job.id)[0].tries == 1
    assert [entry for entry in results.entries(job.id) if "/0." in entry.key] == []


def test_what_may_be_read_later_is_tried_so_often(jobs: JobStore, how: Running, tmp_path: Path) -> None:
    gone = Running(archive=how.archive, results=how.results, scheduler=how.scheduler, poll_seconds=0.1)
    blocked = tmp_path / "results"
    blocked.mkdir(exist_ok=True)
    with running(jobs, gone):
        job, parts = new_job("ann", {}, {"west": WEST}, datetime.now(UTC))
        (blocked / job.id).touch()  # a file where results are to be written
        jobs.create(job, parts)
        failed = until(jobs, job, over)
    assert failed.status == "failed"
    assert failed.message.endswith(f"at the last of {TRIES} tries")


def test_without_a_scheduler_parts_wait(jobs: JobStore, how: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("abut.cluster.CONNECT_SECONDS", 1)
    nowhere = Running(archive=how.archive, results=how.results, scheduler="tcp://127.0.0.1:9", poll_seconds=0.1)
    job = add(jobs, west=WEST)
    with running(jobs, nowhere):
        until(jobs, job, lambda job: jobs.parts(job.id)[0].message == "there is nobody to do it")
    assert jobs.parts(job.id)[0].tries == 0
    with running(jobs, how):
        assert until(jobs, job, over).status == "successful"


def test_a_part_waits_for_a_scheduler_that_is_gone(
    jobs: JobStore, how: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, held = threading.Event(), threading.Event()

    def hold(*_: Any, **__: Any) -> None:
        begun.set()
        held.wait(60)

    monkeypatch.setattr("abut.cluster.CONNECT_SECONDS", 1)
    monkeypatch.setattr("services.cubes.worker.write_zarr", hold)
    cluster_of: Any = LocalCluster  # distributed has no types
    threads = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "protocol": "tcp"}
    with quiet(), cluster_of(**threads, dashboard_address=None) as cluster:
        with running(jobs, replace(how, scheduler=cluster.scheduler_address)):
            job = add(jobs, west=WEST)
            assert begun.wait(60)
            cluster.sync(cluster.scheduler.close)
            until(jobs, job, lambda job: jobs.parts(job.id)[0].message == "the scheduler is gone")
        held.set()
    assert jobs.parts(job.id)[0].tries == 0


def test_worker_processes_are_started_with_the_first_part_and_end_with_the_service(
    jobs: JobStore, how: Running
) -> None:
    here = replace(how, scheduler=None)
    before = set(multiprocessing.active_children())
    with running(jobs, here):
        assert set(multiprocessing.active_children()) == before
        job = add(jobs, west=WEST)
        assert until(jobs, job, over).status == "successful"
        assert len(set(multiprocessing.active_children()) - before) == here.workers
    assert set(multiprocessing.active_children()) == before
    assert_result(how, jobs, job, 0, WEST)


def test_worker_processes_that_have_nothing_to_do_end_and_are_started_again(jobs: JobStore, how: Running) -> None:
    before = set(multiprocessing.active_children())
    with running(jobs, replace(how, scheduler=None, idle_seconds=0.1)):
        for _ in range(2):
            job = add(jobs, west=WEST)
            assert until(jobs, job, over).status == "successful"
            until(jobs, job, lambda _: set(multiprocessing.active_children()) == before)


def test_a_try_can_be_made_here(how: Running) -> None:
    told: list[tuple[int, int]] = []
    task = Task(archive=how.archive, results=how.results, key="x/0.zarr", ask=ALL, token="t", topic="t")  # noqa: S106
    assert attempt(task, lambda *counts: told.append(counts)).problem is None
    assert told[-1][0] == told[-1][1]
    both: Ask = {**WEST, "tile": "32TNP"}
    wrong = attempt(Task(archive=how.archive, results=how.results, key="y/0.zarr", ask=both, token="t", topic="t"))  # noqa: S106
    assert wrong.problem == "one of tile, bbox and geometry has to be given, not 2"
    assert not wrong.again


def test_results_are_kept_as_long_as_was_said_and_no_longer(results: Store, tmp_path: Path) -> None:
    watch = Watch()
    watch.time = datetime.now(UTC)
    with closing(open_jobs(str(tmp_path / "kept.sqlite"), KEEP, watch)) as jobs:
        made = {}
        for name in ("kept", "dismissed", "waiting"):
            made[name] = add(jobs, west=WEST)
            results.put_new(f"{made[name].id}/0.a.zarr/zarr.json", b"{}")
        held = jobs.claim("me", 60, at_once=9, per_user=9)
        assert held is not None
        assert jobs.finish(held, f"{held.part.job}/0.a.zarr")
        jobs.dismiss(made["dismissed"].id)
        results.put_new(f"{'0' * 32}/0.a.zarr/zarr.json", b"{}")
        results.put_new("somebody/else", b"{}")

        def left() -> set[str]:
            names = {job.id: name for name, job in made.items()}
            return {names.get(key, key[:4]) for key in (entry.key.split("/")[0] for entry in results.entries(""))}

        assert sweep(jobs, results, watch()) == 0
        assert left() == {"kept", "dismissed", "waiting", "0000", "some"}
        watch.wait(STOP_TIME.total_seconds() + 1)
        assert sweep(jobs, results, watch()) == 1
        assert left() == {"kept", "waiting", "0000", "some"}
        watch.wait(STRAY_AGE.total_seconds())
        assert sweep(jobs, results, watch()) == 1
        assert left() == {"kept", "waiting", "some"}
        watch.wait(KEEP.total_seconds())
        assert sweep(jobs, results, watch()) == 2
        assert left() == {"waiting", "some"}
        assert jobs.get(made["kept"].id) is None
        assert jobs.get(made["waiting"].id) is not None


def test_a_service_deletes_what_has_expired(
    how: Running, results: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.cubes.runner.SWEEP_SECONDS", 0.05)
    keep = timedelta(seconds=1)
    with closing(open_jobs(str(tmp_path / "short.sqlite"), keep)) as jobs, running(jobs, how):
        job = add(jobs, west=WEST)
        done = until(jobs, job, over)
        assert done.status == "successful"
        assert done.expires == done.updated + keep
        end = time.monotonic() + 60
        while jobs.get(job.id) is not None:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert list(results.entries("")) == []


def test_jobs_and_results_lie_beside_the_catalogue_unless_told_otherwise(archive: Archive) -> None:
    assert jobs_url(archive).endswith("/archive/jobs.sqlite")
    assert jobs_url(archive, "postgresql://host/jobs") == "postgresql://host/jobs"
    assert results_url(archive).endswith("/archive/results")
    with pytest.raises(UnsupportedStoreError, match="results can't be written to a web server"):
        open_results("http://127.0.0.1:1/results")
