"""What several test modules share: real data where there is any, and SAFE products that are made once a run."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from abut.archive import create_archive, open_archive
from abut.testing import Scene, Swath, make_safe
from abut.tiling import tile
from ingest.ingest import ingest
from ingest.purge import purge
from ingest.safe_source import safe_sources
from ingest.settle import settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from abut.archive import Archive
    from abut.testing.images import Alter


pytest_plugins = ["tests.corners", "tests.postgres"]

LONGEST = (
    "test_archive_lattice.py",
    "test_servers.py",
    "test_workers.py",
    "test_demo.py",
    "test_verify.py",
    "test_equality.py",
    "test_identity.py",
    "test_archive_families.py",
    "test_protocol_model.py",
    "test_schemathesis.py",
    "test_stac_api_validator.py",
    "test_viewer_browser.py",
    "test_cube_safe.py",
    "test_program.py",
    "test_compare.py",
    "test_export.py",
    "test_killed.py",
    "test_parallel.py",
    "test_s3.py",
    "test_fuzz.py",
    "test_service_killed.py",
    "test_serve.py",
    "test_stac_links.py",
    "test_cube_runner.py",
    "test_legacy_http.py",
    "test_service_workers.py",
    "test_zone_safe.py",
    "test_stock_clients.py",
)
"""Files that take minutes; two workers are busy to the end if they start with these."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first, then those of many tests."""
    counts = Counter(item.path for item in items)
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (place.get(item.path.name, len(place)), -counts[item.path], str(item.path)))


def shared_data() -> Path:
    """Folder of real data beside the checkout; skips the test where it is absent."""
    folder = Path(__file__).parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real data (../shared/data) is absent")
    return folder


def old_scene() -> Scene:
    """A narrow swath along the overlap of the tiles 32TMT and 32TNT; baseline 02.04, which is quick to read."""
    west, east = tile("32TMT"), tile("32TNT")
    shared = west.footprint.intersection(east.footprint)
    assert shared is not None
    swath = Swath(zone=west.zone, easting=shared.left + 5_000, northing=shared.bottom + 50_000, width=4_000)
    return Scene(swath=swath, baseline="02.04")


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Folder that the first of the processes that run tests fills, while the others wait; not to be changed."""
    base = factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "made_once"
    shared.mkdir(exist_ok=True)
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder := shared / name).exists():
            shutil.rmtree(unfinished := shared / f"{name}_unfinished", ignore_errors=True)
            make(unfinished)
            unfinished.rename(folder)
    return folder


@pytest.fixture(scope="session")
def neighbours(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """SAFE products of the neighbours 32TMT and 32TNT, which agree on their overlap; not to be changed."""
    return _both(once(tmp_path_factory, "neighbours", lambda folder: _make_both(old_scene(), folder)))


@pytest.fixture(scope="session")
def dark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SAFE product without a single valid pixel; not to be changed."""
    nothing: Alter = lambda _band, pixels, _bounds: pixels * 0  # noqa: E731 - typed
    return make_safe(old_scene(), "32TMT", tmp_path_factory.mktemp("dark"), alter=nothing)


@pytest.fixture(scope="session")
def old_archive(neighbours: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """An archive with both neighbours, not settled; not to be changed."""
    made = once(tmp_path_factory, "old_archive", lambda folder: _fill(folder, neighbours))
    return own(made, tmp_path_factory)


@pytest.fixture(scope="session")
def modern_neighbours(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same neighbours as delivered today: raster masks and an offset; not to be changed."""
    scene = replace(old_scene(), baseline="05.11")
    return _both(once(tmp_path_factory, "modern_neighbours", lambda folder: _make_both(scene, folder)))


@pytest.fixture(scope="session")
def modern_archive(modern_neighbours: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """An archive with both, settled and purged: no block of their overlap is stored twice; not to be changed."""

    def make(folder: Path) -> None:
        archive = _fill(folder, modern_neighbours)
        (settled,) = settle(archive)
        (purged,) = purge(archive, grace=timedelta(0))
        assert purged.objects == 13 * settled.released > 0

    return own(once(tmp_path_factory, "modern_archive", make), tmp_path_factory)


def _make_both(scene: Scene, folder: Path) -> None:
    for name in ("32TMT", "32TNT"):
        make_safe(scene, name, folder)


def _both(folder: Path) -> tuple[Path, Path]:
    (west,), (east,) = folder.glob("*_T32TMT_*.SAFE"), folder.glob("*_T32TNT_*.SAFE")
    return west, east


def _fill(folder: Path, products: tuple[Path, Path]) -> Archive:
    archive = create_archive(folder)
    for path in products:
        for source in safe_sources(path):
            ingest(archive, source)
    return archive


def own(made: Path, factory: pytest.TempPathFactory) -> Archive:
    """A copy of this process's own: SQLite comes and goes with files beside a catalogue that somebody reads."""
    return open_archive(shutil.copytree(made, factory.mktemp("own") / "archive"))


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """Commands that a test runs in this process set up its logs, to a stream that is closed with the test."""
    root = logging.getLogger()
    level = root.level
    yield
    for handler in [one for one in root.handlers if type(one.formatter).__module__ == "services.logs"]:
        root.removeHandler(handler)
        root.setLevel(level)
