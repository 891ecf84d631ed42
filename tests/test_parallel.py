"""Many products at once: in this process, on a cluster of threads with toys, and on real worker processes."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from distributed import LocalCluster

from abut import cluster
from abut.archive import Archive, create_archive
from abut.errors import ConflictError, InvalidArchiveError, InvalidSafeError
from ingest.check import check
from ingest.ingest import Outcome, store_product
from ingest.job import Failure, find_safes
from ingest.parallel import TRIES, Progress, ingest_many
from tests import safe_builder as builder
from tests.toy import TILES, ToySource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingest.source import Source

STORES = "ingest.job.store_product"


@dataclass(frozen=True)
class Toy(ToySource):
    """A toy as the ingest of many finds it."""

    profile: str = "default"


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return create_archive(tmp_path / "archive")


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of four toy SAFEs, one of two granules; reading them gives toys."""
    folder = tmp_path / "toys"
    for name in ("32TNP", "32TNQ+32TPQ", "32TPP"):
        (folder / f"{name}.SAFE").mkdir(parents=True)

    def sources(path: str) -> list[Toy]:
        if "broken" in path:
            raise InvalidSafeError(f"{path}: no product")
        return [Toy(name) for name in Path(path).stem.split("+")]

    monkeypatch.setattr("ingest.job.safe_sources", sources)
    monkeypatch.setattr("ingest.parallel.safe_sources", sources)
    return folder


@pytest.fixture
def scheduler() -> Iterator[str]:
    """Address of a scheduler whose two workers are threads of this process."""
    with cluster.quiet():
        made: Any = LocalCluster
        with made(
            n_workers=2, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=None
        ) as running:
            yield running.scheduler_address


def ids(results: list[Outcome | Failure]) -> list[str | None]:
    return [result.product for result in results]


def test_paths_are_safes_zips_and_folders_of_them(tmp_path: Path) -> None:
    for name in ("b.SAFE", "a.safe", "deeper/c.SAFE", "other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "manifest.safe").touch()
    for name in ("d.zip", "notes.txt", "e.ZIP"):
        (tmp_path / name).touch()

    found = find_safes([tmp_path, tmp_path / "bare", tmp_path / "b.SAFE", tmp_path / "deeper"])

    names = [str(Path(path).relative_to(tmp_path)) for path in found]
    assert names == ["a.safe", "b.SAFE", "d.zip", "e.ZIP", "bare", "deeper/c.SAFE"]


def test_the_same_product_named_twice_is_ingested_once(tmp_path: Path) -> None:
    (tmp_path / "a.SAFE").mkdir()
    (tmp_path / "link.SAFE").symlink_to(tmp_path / "a.SAFE")

    assert find_safes([tmp_path / "a.SAFE", tmp_path / "link.SAFE", tmp_path]) == [str(tmp_path / "a.SAFE")]


@pytest.mark.parametrize("name", ["nothing", "other"])
def test_paths_without_products_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "other").mkdir()

    with pytest.raises(InvalidSafeError, match=name):
        find_safes([tmp_path / name])


def test_there_must_be_an_archive(tmp_path: Path, toys: Path) -> None:
    with pytest.raises(InvalidArchiveError, match="not an archive"):
        ingest_many(tmp_path, [toys])


def test_all_products_are_stored_and_registered_in_this_process(archive: Archive, toys: Path) -> None:
    events: list[Progress] = []

    results = ingest_many(archive.store.url, [toys], workers=0, on_progress=events.append)

    assert ids(results) == [ToySource(name).id for name in ("32TNP", "32TNQ", "32TPQ", "32TPP")]
    assert all(isinstance(result, Outcome) and result.status == "ingested" for result in results)
    assert check(archive, deep=True) == []
    assert events[0] == Progress("begun", 3)
    assert [event.kind for event in events].count("band") == 4 * 2
    assert [event.result for event in events if event.kind == "finished"] == results
    assert events[-1].total == 4


def test_a_product_that_fails_stops_none_of_the_others(
    archive: Archive, toys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (toys / "broken.SAFE").mkdir()

    def store(where: Archive, source: Source, **options: Any) -> Outcome:
        if source.tile.id == "32TNQ":
            raise RuntimeError("a defect\nof two lines")
        return store_product(where, source, **options)

    monkeypatch.setattr(STORES, store)
    results = ingest_many(archive.store.url, [toys], workers=0)

    failures = [result for result in results if isinstance(result, Failure)]
    assert len(results) == 5
    assert archive.product_ids() == sorted(ToySource(name).id for name in ("32TNP", "32TPP", "32TPQ"))
    assert (failures[0].path, failures[0].product) == (str(toys / "32TNQ+32TPQ.SAFE"), ToySource("32TNQ").id)
    assert failures[0].error.endswith("RuntimeError: a defect of two lines")
    assert "Traceback" in failures[0].trace
    assert (failures[1].path, failures[1].product) == (str(toys / "broken.SAFE"), None)
    assert failures[1].error == f"{toys / 'broken.SAFE'}: no product"
    assert check(archive) == []


def conflicting(monkeypatch: pytest.MonkeyPatch, times: int) -> list[str]:
    """Let registering the tile 32TPP fail some times as if others had withdrawn and purged it meanwhile."""
    from ingest.ingest import register  # noqa: PLC0415 - before it is replaced

    tried: list[str] = []

    def fail(where: Archive, outcome: Outcome) -> Any:
        if "32TPP" in outcome.product:
            tried.append(outcome.product)
            if len(tried) <= times:
                raise ConflictError(f"{outcome.product}: blocks that it relied on are gone")
        return register(where, outcome)

    monkeypatch.setattr("ingest.parallel.register", fail)
    return tried


def test_a_product_that_others_purged_meanwhile_is_stored_again(
    archive: Archive, toys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = conflicting(monkeypatch, 2)

    results = ingest_many(archive.store.url, [toys], workers=0)

    assert len(tried) == 3
    assert ids(results)[-1] == ToySource("32TPP").id
    assert all(isinstance(result, Outcome) for result in results)
    assert check(archive) == []


def test_a_product_that_others_keep_changing_is_given_up(
    archive: Archive, toys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = conflicting(monkeypatch, 99)

    results = ingest_many(archive.store.url, [toys], workers=0)

    assert len(tried) == TRIES
    assert [type(result) for result in results] == [Outcome, Outcome, Outcome, Failure]


# distributed closes its sockets when it likes, which may be after the test.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_scheduler_s_workers_store_and_this_process_registers(
    archive: Archive, toys: Path, scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (toys / "broken.SAFE").mkdir()
    tried = conflicting(monkeypatch, 1)
    stored_by: set[int] = set()

    def store(where: Archive, source: Source, **options: Any) -> Outcome:
        stored_by.add(threading.get_ident())
        return store_product(where, source, **options)

    monkeypatch.setattr(STORES, store)
    bands: list[tuple[str, str]] = []

    def note(progress: Progress) -> None:
        if progress.kind == "band":
            bands.append((progress.product, progress.band))

    results = ingest_many(archive.store.url, [toys], scheduler=scheduler, on_progress=note)

    assert [type(result) for result in results] == [Outcome, Outcome, Outcome, Outcome, Failure]
    assert archive.product_ids() == sorted(ToySource(name).id for name in TILES)
    assert len(tried) == 2
    assert threading.get_ident() not in stored_by
    assert {product for product, _ in bands} <= set(archive.product_ids())
    assert check(archive, deep=True) == []


def test_a_scheduler_that_does_not_answer_is_named(
    archive: Archive, toys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)

    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        with pytest.raises(OSError, match=f"scheduler {address}: "):
            ingest_many(archive.store.url, [toys], scheduler=address)

    assert archive.product_ids() == []


def test_one_product_needs_no_cluster(archive: Archive, toys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "local_cluster", None)

    assert len(ingest_many(archive.store.url, [toys / "32TPP.SAFE"], workers=8)) == 1


def test_workers_are_as_many_as_cores_and_memory_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CPU_COUNT", 8)
    monkeypatch.setattr(cluster, "MEMORY_LIMIT", 64 * 2**30)
    assert cluster.suggested_workers() == 8
    monkeypatch.setattr(cluster, "MEMORY_LIMIT", 2_000_000_000)
    assert cluster.suggested_workers() == 3
    monkeypatch.setattr(cluster, "MEMORY_LIMIT", 1)
    assert cluster.suggested_workers() == 1


def test_worker_processes_finish_although_one_is_killed(
    archive: Archive, neighbours: tuple[Path, Path], tmp_path: Path
) -> None:
    """Two good and two bad products; the worker of the first one is killed half-way, as by a kernel out of memory."""
    folder = tmp_path / "downloads"
    builder.write(builder.multi_granule("53HNA", "53HPA"), folder, f"{builder.OLD_NAME}.SAFE")
    for safe in neighbours:
        (folder / safe.name).symlink_to(safe)
    lock, killed, bands = threading.Lock(), list[int](), list[tuple[str, str]]()

    def note(progress: Progress) -> None:
        with lock:
            if progress.kind == "band":
                bands.append((progress.product, progress.band))
                if not killed:
                    killed.append(worker_of(archive, progress.product))
                    os.kill(killed[0], signal.SIGKILL)

    with socket.socket() as taken:
        with contextlib.suppress(OSError):
            taken.bind(("127.0.0.1", 8787))  # where Dask would like to have its dashboard, and complains if it can't
            taken.listen()
        results = ingest_many(archive.store.url, [folder], workers=2, on_progress=note)

    assert [type(result) for result in results] == [Failure, Failure, Outcome, Outcome]
    assert all("IMG_DATA" in result.error for result in results if isinstance(result, Failure))
    assert archive.product_ids() == [safe.stem for safe in neighbours]
    with pytest.raises(ProcessLookupError):
        os.kill(killed[0], 0)
    assert {name for _, name in bands} == set(archive.product(neighbours[0].stem).record.bands)
    assert check(archive) == []
    assert multiprocessing.active_children() == []


def worker_of(archive: Archive, product: str) -> int:
    """Process id of the worker that has the claim of a product."""
    (entry,) = [entry for entry in archive.store.entries("claims") if entry.key.startswith(f"claims/{product}.")]
    return int(json.loads(archive.store.get(entry.key))["worker"].split("/")[1])
