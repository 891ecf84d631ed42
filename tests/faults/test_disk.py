"""A disk that is full: while products are stored, listed, made into cubes of jobs, and into files for clients."""

from __future__ import annotations

import os
import subprocess
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
import xarray as xr
from starlette.testclient import TestClient

from abut.archive import create_archive
from abut.connection import connect
from abut.errors import CatalogueError
from abut.legacy import read_bands
from abut.messages import describe, is_expected
from catalog.sqlite import open_catalogue
from ingest.check import check
from ingest.ingest import ingest
from services.app import create_app
from services.cubes.results import zarr_store
from services.cubes.worker import Task, attempt, read
from services.settings import load_settings
from tests.shots import Shot
from tests.toy import CORNER, TILES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from abut.archive import Archive
    from services.cubes.jobs import Ask

PAGE: Final = 4096
"""A file takes as much, however small it is."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A small disk."""

    folder: Path
    """Where it is mounted."""

    def fill(self, but: int = 0) -> None:
        """Leave no more than so many bytes free."""
        self.clear()
        with (self.folder / "filler").open("wb", buffering=0) as file:
            free = os.statvfs(self.folder).f_bavail * PAGE
            while free > but:
                try:
                    free -= file.write(bytes(min(1 << 20, free - but)))
                except OSError:  # what the file system keeps for itself is not free
                    return

    def clear(self) -> None:
        """Make room again."""
        (self.folder / "filler").unlink(missing_ok=True)


@pytest.fixture(name="disk")
def _disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = f"no small disk can be mounted here: {done.stderr.strip()}"
        if os.environ.get("ABUT_REQUIRE_TMPFS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def assert_whole(archive: Archive, *sources: Shot) -> None:
    """The archive has these products and no others, and nothing is wrong with it."""
    assert check(archive, deep=True) == []
    assert archive.product_ids() == sorted(source.id for source in sources)
    for source in sources:
        for band, pixels in read_bands(archive, archive.product(source.id)):
            assert np.array_equal(pixels, source.arrays[band.name])


def problem_of(archive: Archive, source: Shot) -> Exception | None:
    """What storing a product fails with."""
    try:
        ingest(archive, source, threads=1)
    except Exception as error:  # noqa: BLE001 - what it is, is looked at
        return error
    return None


def test_ingest_on_a_full_disk_says_so_and_goes_on_when_there_is_room(disk: Disk, tmp_path: Path) -> None:
    """At whatever byte the room ends: what is stored stays whole, and what is not is not there."""
    archive = create_archive(disk.folder / "archive", catalogue=str(tmp_path / "catalog.sqlite"))
    first, second = Shot(TILES[0]), Shot(TILES[1])
    ingest(archive, first, threads=1)
    failed, room = 0, 0
    while True:
        disk.fill(but=room)
        error = problem_of(archive, second)
        if error is None:
            break
        assert is_expected(error), repr(error)
        assert "No space left" in describe(error), repr(error)
        failed += 1
        assert archive.product_ids() == [first.id]
        assert [finding for finding in check(archive) if finding.kind == "damage"] == []
        room = room + PAGE if room < 4 * PAGE else room * 2
    assert failed > 3
    disk.clear()
    assert ingest(archive, second, threads=1).status == "unchanged"
    check(archive, repair=True)
    assert_whole(archive, first, second)


def test_a_catalogue_on_a_full_disk_loses_nothing(disk: Disk, tmp_path: Path) -> None:
    archive = create_archive(tmp_path / "archive", catalogue=str(disk.folder / "catalog.sqlite"))
    first, second = Shot(TILES[0]), Shot(TILES[1])
    ingest(archive, first, threads=1)
    disk.fill()
    with pytest.raises(CatalogueError, match="the archive is as it should be, and `abut check --repair` brings"):
        ingest(archive, second, threads=1)
    disk.clear()
    with closing(open_catalogue(disk.folder / "catalog.sqlite")) as catalogue:
        assert catalogue.ids() == {first.id}
    assert all(finding.repaired for finding in check(archive, repair=True))
    with closing(open_catalogue(disk.folder / "catalog.sqlite")) as catalogue:
        assert catalogue.ids() == {first.id, second.id}
    assert_whole(archive, first, second)


@pytest.fixture(name="archive")
def _archive(tmp_path: Path) -> Archive:
    archive = create_archive(tmp_path / "archive")
    ingest(archive, Shot(TILES[0]), threads=1)
    return archive


def test_a_jobs_cube_on_a_full_disk_fails_and_succeeds_when_there_is_room(disk: Disk, archive: Archive) -> None:
    ask: Ask = {"tile": TILES[0], "options": {"bands": ["B01"], "resolution": 60}}
    results = str(disk.folder / "results")
    task = Task(archive=archive.store.url, results=results, key="job/0.a.zarr", ask=ask, token="a", topic="a")  # noqa: S106 - no password
    (disk.folder / "results").mkdir()
    disk.fill(but=8 * PAGE)
    problem = attempt(task)
    assert problem.problem is not None
    assert "No space left" in problem.problem
    assert problem.again
    disk.clear()
    task = replace(task, key="job/0.b.zarr")  # as each try has one of its own
    assert attempt(task).problem is None
    with xr.open_zarr(zarr_store(results, task.key), mask_and_scale=False, decode_coords="all", chunks=None) as found:
        xr.testing.assert_equal(found, read(connect(archive.store.url), ask))


def test_a_file_that_has_no_room_is_refused_and_leaves_nothing(
    disk: Disk, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("ABUT_")]:
        monkeypatch.delenv(name)
    box = ",".join(str(side) for side in (CORNER.left, CORNER.bottom, CORNER.right, CORNER.top))
    asked: dict[str, Any] = {"bbox": box, "crs": "EPSG:32632", "bands": "B01", "resolution": 60, "format": "netcdf"}
    app = create_app(load_settings(archive=archive.store.url, scratch=str(disk.folder)))
    with TestClient(app) as client:
        whole = client.get("/cubes/cube", params=asked)
        assert whole.status_code == 200
        kept = sorted(path.name for path in disk.folder.rglob("*"))
        disk.fill()
        refused = client.get("/cubes/cube", params=asked)
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        assert str(disk.folder) not in refused.text
        disk.clear()
        assert sorted(path.name for path in disk.folder.rglob("*")) == kept
        assert client.get("/cubes/cube", params=asked).content == whole.content
