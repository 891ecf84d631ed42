"""Making what is asked for, once: the archive in its bucket, and SAFEs as zips to be downloaded."""

from __future__ import annotations

import os
import tempfile
import zipfile
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from abut.archive import create_archive, open_archive
from abut.testing import make_safe
from benchmarks.continental import bucket
from benchmarks.continental.network import Place
from benchmarks.continental.scale import BANDS, MONTHS
from benchmarks.continental.scene import others, scenes
from benchmarks.cubes.make import in_two, make_absent, require_same_scene
from ingest.ingest import ingest
from ingest.purge import purge
from ingest.safe_source import safe_sources
from ingest.settle import settle

if TYPE_CHECKING:
    from abut.testing import Scene
    from benchmarks.continental.scale import Scale
    from benchmarks.continental.scene import Date


def make(scale: Scale, out: Path) -> dict[str, float]:
    """Make what is absent; return the seconds that each part took.

    Raises
    ------
    ConflictError
        If there is something that was made of another scale.
    """
    told = {name: value for name, value in asdict(scale).items() if name not in ("users", "workers", "profiles")}
    require_same_scene(out, [told, BANDS, MONTHS])
    return make_absent(
        out,
        {
            "zips": lambda folder: in_two(_zip, [(folder, *one) for one in scenes(scale)]),
            "store": lambda folder: _archive(scale, sorted((out / "zips").iterdir()), out / "catalog.sqlite", folder),
        },
    )


def _zip(folder: Path, name: str, scene: Scene) -> None:
    """Make a SAFE, packed as providers do: its images can't be compressed again."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        safe = make_safe(scene, name, Path(scratch))
        with zipfile.ZipFile(folder / f"{safe.name}.zip", "w", zipfile.ZIP_STORED) as packed:
            for path in sorted(safe.rglob("*")):
                if path.is_file():
                    packed.write(path, path.relative_to(safe.parent).as_posix())


def _archive(scale: Scale, safes: list[Path], catalogue: Path, folder: Path) -> None:
    """Ingest everything into the bucket of a server, settle and purge."""
    with bucket.served(Place(), folder) as server:
        endpoint = f"http://127.0.0.1:{server.port}"
        bucket.wait_until_it_answers(endpoint)
        os.environ.update(bucket.environment(endpoint))
        catalogue.unlink(missing_ok=True)
        archive = create_archive(bucket.ARCHIVE, catalogue=str(catalogue.absolute()))
        in_two(_ingest_safe, [(safe,) for safe in safes])
        in_two(_ingest, [(product,) for product in others(scale)])
        settle(archive)
        purge(archive, grace=timedelta(0))


def _ingest_safe(safe: Path) -> None:
    for source in safe_sources(safe):
        ingest(open_archive(bucket.ARCHIVE), source, threads=1)


def _ingest(product: Date) -> None:
    ingest(open_archive(bucket.ARCHIVE), product, threads=1)
