"""A worker of a Dask scheduler is killed while it stores a product: another stores it, byte for byte the same."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from abut.archive import create_archive
from ingest.check import check
from ingest.ingest import Outcome
from ingest.parallel import ingest_many
from tests.serving import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from abut.archive import Archive
    from ingest.parallel import Progress

_ATTEMPT = re.compile(r"\.[0-9a-f]+\.zarr/")


@pytest.fixture(name="scheduler")
def _scheduler(tmp_path: Path) -> Iterator[str]:
    """A scheduler with two workers, each a process that nobody starts again."""
    file = tmp_path / "scheduler.json"
    plain = ["--no-dashboard", "--host", "127.0.0.1"]
    commands = [
        ["scheduler", "--port", "0", "--scheduler-file", str(file), *plain],
        *[["worker", "--scheduler-file", str(file), "--no-nanny", "--nthreads", "1", *plain]] * 2,
    ]
    with contextlib.ExitStack() as stack:
        for command in commands:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *command],
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
        deadline = time.monotonic() + 60
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        yield json.loads(file.read_text())["address"]


def blocks(archive: Archive) -> dict[str, bytes]:
    """Blocks and masks of an archive, by key without the name of the attempt."""
    found = [entry.key for entry in archive.store.entries("products") if "/c/" in entry.key]
    return {_ATTEMPT.sub("/", key): archive.store.get(key) for key in found}


# distributed closes its sockets when it likes, which may be after the test.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_another_worker_stores_what_a_killed_one_began(
    neighbours: tuple[Path, Path], old_archive: Archive, tmp_path: Path, scheduler: str
) -> None:
    archive = create_archive(tmp_path / "archive")
    lock, killed = threading.Lock(), list[int]()

    def note(progress: Progress) -> None:
        with lock:
            if progress.kind == "band" and not killed:
                (claim,) = [entry for entry in archive.store.entries("claims") if f"/{progress.product}." in entry.key]
                killed.append(int(json.loads(archive.store.get(claim.key))["worker"].split("/")[1]))
                os.kill(killed[0], signal.SIGKILL)

    results = ingest_many(archive.store.url, list(neighbours), scheduler=scheduler, on_progress=note)

    assert [type(result) for result in results] == [Outcome, Outcome], results
    assert len(killed) == 1
    assert archive.product_ids() == [safe.stem for safe in neighbours]
    assert len(blocks(old_archive)) > 100
    assert blocks(archive) == blocks(old_archive)
    assert check(archive, deep=True) == []
