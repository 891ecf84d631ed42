"""Making what is looked at, once: the archive, and the same pixels as COGs."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

from abut.archive import create_archive
from benchmarks.cubes.make import COG_BLOCK, in_two, ingest_one, make_absent, require_same_scene, write_cogs
from benchmarks.cubes.scene import DATES, SEEN
from ingest.purge import purge
from ingest.settle import settle

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.tiles.scene import Size


def make(size: Size, out: Path) -> dict[str, float]:
    """Make what is absent; return the seconds that each part took.

    Raises
    ------
    ConflictError
        If there is something that was made of another scene.
    """
    require_same_scene(out, [asdict(size)["rgb"], DATES, SEEN, COG_BLOCK])
    return make_absent(out, {"archive": lambda folder: _archive(size, folder), "cog": lambda to: _cogs(size, to)})


def _archive(size: Size, folder: Path) -> None:
    archive = create_archive(folder)
    in_two(ingest_one, [(folder, product) for product in size.products])
    settle(archive)
    purge(archive, grace=timedelta(0))


def _cogs(size: Size, folder: Path) -> None:
    in_two(write_cogs, [(folder, name, size.rgb) for name in size.places])
