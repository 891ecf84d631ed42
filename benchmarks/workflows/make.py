"""Making what is read, once: the SAFEs, and the archive of them, without overlap."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

from abut.archive import create_archive, open_archive
from abut.testing import make_safe
from benchmarks.cubes.make import in_two, make_absent, require_same_scene
from benchmarks.workflows.scene import DATES, SEEN, Size, products, seen
from ingest.ingest import ingest
from ingest.purge import purge
from ingest.safe_source import safe_sources
from ingest.settle import settle

if TYPE_CHECKING:
    from pathlib import Path


def make(size: Size, out: Path) -> dict[str, float]:
    """Make what is absent; return the seconds that each part took.

    Raises
    ------
    ConflictError
        If there is something that was made of another scene.
    """
    scene = {name: value for name, value in asdict(size).items() if name != "rounds"}
    require_same_scene(out, [scene, DATES, SEEN])
    return make_absent(
        out,
        {
            "safes": lambda folder: in_two(_safe, [(folder, size, *one) for one in products(size)]),
            "archive": lambda folder: fill(folder, sorted((out / "safes").iterdir())),
        },
    )


def _safe(folder: Path, size: Size, name: str, number: int) -> None:
    make_safe(seen(size, number), name, folder)


def fill(folder: Path, safes: list[Path]) -> None:
    """Make an archive of SAFEs in a folder: ingested, settled and purged, so that nothing is stored twice."""
    archive = create_archive(folder)
    in_two(ingest_safe, [(folder, safe) for safe in safes])
    settle(archive)
    purge(archive, grace=timedelta(0))


def ingest_safe(folder: Path, safe: Path) -> None:
    """Ingest a SAFE into the archive of a folder."""
    for source in safe_sources(safe):
        ingest(open_archive(folder), source, threads=1)
