"""A service that is killed while it makes a cube for a job, and one for a client: the next finishes, and tidies up.

A block of the archive is a named pipe while the first service runs, so that it can't be read to its end.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import psutil  # type: ignore[import-untyped] # distributed brings it
import pytest
import xarray as xr

import abut
from abut.archive import create_archive
from abut.lattice import BlockRange
from abut.layout import BAND
from abut.window import bbox_window
from ingest.ingest import ingest
from services.cubes.opening import open_jobs
from services.cubes.results import open_results, zarr_store
from services.cubes.retention import sweep
from tests.postgres import new_database
from tests.serving import serving
from tests.shots import Shot, shot_days_later
from tests.toy import CORNER, TILES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from abut.archive import Archive
    from tests.serving import Served

BOX = [CORNER.left, CORNER.bottom, CORNER.right, CORNER.top]
OPTIONS: Any = {"bands": ["B01", "B09"], "resolution": 60, "across": False}
ASKED: Any = {"crs": "EPSG:32632", "bands": "B01,B09", "resolution": 60, "across": False}


@pytest.fixture(name="archive")
def _archive(tmp_path: Path) -> Archive:
    archive = create_archive(tmp_path / "archive")
    for shot in (*map(Shot, TILES), shot_days_later(10, TILES[0])):
        ingest(archive, shot, threads=1)
    return archive


@pytest.fixture(name="jobs", params=["sqlite", "postgresql"])
def _jobs(request: pytest.FixtureRequest, archive: Archive) -> Iterator[str]:
    """Where jobs are kept."""
    assert archive.store.root is not None
    if request.param == "sqlite":
        yield str(archive.store.root / "jobs.sqlite")
        return
    with new_database(request.getfixturevalue("postgres"), "template1") as url:
        yield url


class Gate:
    """A block of the last step: a pipe until it is opened. Cubes are written step by step, so one is half written."""

    def __init__(self, archive: Archive) -> None:
        window = bbox_window(BOX, "EPSG:32632")
        source = abut.connect(archive.store.url).plan(window).source
        part = next(parts[0] for block in BlockRange.around(window) if (parts := source.parts(1, block)))
        assert archive.store.root is not None
        self.path = archive.store.root / part.key(BAND["B09"])
        self.kept = self.path.with_name("kept")
        self.path.rename(self.kept)
        os.mkfifo(self.path)

    def open(self) -> None:
        """Make it a block again."""
        self.kept.replace(self.path)


def until[T](found: Callable[[], T | None]) -> T:
    """Wait until something is so."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.05)
    raise AssertionError("it never came")


def children(served: Served) -> list[psutil.Process]:
    """Processes that a service started."""
    return list(psutil.Process(served.process.pid).children(recursive=True))


def ask_for_a_file(served: Served) -> threading.Thread:
    """Ask for the same cube as a file, which can't be answered."""

    def ask() -> None:
        with contextlib.suppress(httpx.HTTPError):
            httpx.get(f"{served.url}/cubes/cube", params={**ASKED, "bbox": ",".join(map(str, BOX))}, timeout=100)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def test_a_killed_services_job_is_finished_by_the_next_and_nothing_is_left(
    archive: Archive, jobs: str, tmp_path: Path
) -> None:
    gate, scratch, results = Gate(archive), tmp_path / "scratch", tmp_path / "results"
    settings: Any = {
        "jobs": jobs,
        "scratch": str(scratch),
        "results": str(results),
        "cube_lease_seconds": "3",
    }
    has_replicas = "://" in jobs
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(serving(archive.store.url, **settings)) for _ in range(1 + has_replicas)]
        accepted = httpx.post(
            f"{running[-1].url}/cubes/processes/cube/execution",
            json={"inputs": {**ASKED, "bbox": BOX}},
            headers={"prefer": "respond-async"},
        )
        assert accepted.status_code == 201, accepted.text
        job = accepted.headers["location"].rpartition("/")[2]
        until(lambda: list(results.glob(f"{job}/*/b01/c/*/*/*")))
        victim = next(served for served in running if children(served))
        waiting = ask_for_a_file(victim)
        until(lambda: list(scratch.glob("*/abut-cube-*")))
        workers = children(victim)
        victim.process.kill()
        victim.process.wait()
        waiting.join()
        _, alive = psutil.wait_procs(workers, timeout=60)
        assert alive == []
        (half,) = (results / job).iterdir()
        gate.open()

        rest = [served for served in running if served is not victim]
        (served,) = rest or [stack.enter_context(serving(archive.store.url, **settings))]
        status = until(lambda: over(httpx.get(f"{served.url}/cubes/jobs/{job}").json()))
        assert status["status"] == "successful", status
        (href,) = [httpx.get(f"{served.url}/cubes/jobs/{job}/results").json()["cube"]["href"]]
        until(lambda: not half.exists())
        (whole,) = (results / job).iterdir()
        with xr.open_zarr(
            zarr_store(str(results), f"{job}/{whole.name}"), mask_and_scale=False, decode_coords="all", chunks=None
        ) as found:
            wanted = abut.connect(archive.store.url).cube(window=bbox_window(BOX, "EPSG:32632"), **OPTIONS)
            xr.testing.assert_equal(found, wanted)
            assert (wanted.b09 > 0).any()
        assert httpx.get(f"{href}/zarr.json").status_code == 200
        if not has_replicas:
            assert len(list(scratch.iterdir())) == 1, "that of the service that runs"
        later = datetime.now(UTC) + timedelta(days=8)
        with closing(open_jobs(jobs, timedelta(days=7), lambda: later)) as kept:
            assert sweep(kept, open_results(str(results)), later) == 1
        assert list(results.iterdir()) == []
        assert httpx.get(f"{served.url}/cubes/jobs/{job}").status_code == 404


def over(job: dict[str, Any]) -> dict[str, Any] | None:
    return job if job["status"] not in ("accepted", "running") else None
