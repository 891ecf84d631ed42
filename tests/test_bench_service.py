"""Parts that the benchmark of services relies on: starts are real, and figures are held against their targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from abut.archive import create_archive
from benchmarks.measure import Cost
from benchmarks.service.replicas import Rate
from benchmarks.service.run import rate_rows, start_rows, store_rows
from benchmarks.service.start import NotReadyError, Start, imports, start
from benchmarks.service.store import Comparison
from ingest.ingest import ingest
from tests.toy import TILES, ToySource

if TYPE_CHECKING:
    from pathlib import Path


def test_a_start_is_measured_until_the_service_is_ready(tmp_path: Path) -> None:
    archive = create_archive(tmp_path / "archive")
    ingest(archive, ToySource(TILES[0]), threads=1)
    found = start(archive.store.url, ("zarr",))
    assert found.cpu > 0
    assert 0 < found.seconds < 120
    assert found.memory > 20
    with pytest.raises(NotReadyError, match="ended at its start"):
        start(str(tmp_path / "nothing"), ("zarr",))


def test_imports_are_counted_by_package() -> None:
    found = imports()
    assert {"services", "starlette", "numpy", "abut"} <= set(found)
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_figures_are_held_against_their_targets() -> None:
    (quick,), (slow,) = (start_rows({"zarr": [Start(seconds, 1, 90)]}) for seconds in (4, 6))
    assert (quick.verdict, slow.verdict) == ("met", "missed")
    enough, _ = rate_rows([Rate(1, 100, 5), Rate(2, 181, 5)])
    little, shown = rate_rows([Rate(1, 100, 5), Rate(2, 150, 9)])
    assert (enough.verdict, little.verdict, shown.figure) == ("met", "missed", 1.5)
    local, s3 = Cost(10, 20, 500, None), Cost(12, 30, 500, None)
    cpu, server, wall = store_rows(Comparison(local, s3, 5))
    assert (cpu.figure, server.figure, wall.figure) == (1.2, 0.5, 1.25)
