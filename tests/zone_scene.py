"""A month of a zone, of toys: two datatakes, two strips, the corner of four tiles, and overlaps that differ."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from abut.archive import create_archive, open_archive
from abut.lattice import BlockRange, Bounds
from abut.layout import BAND
from abut.tiling import tile
from ingest.ingest import ingest
from ingest.purge import purge
from ingest.settle import settle
from tests.pasted import Delivered
from tests.shots import Shot, shot_days_later
from tests.toy import CORNER, START, TILES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from abut.archive import Archive

B01, B09 = BAND["B01"], BAND["B09"]
PERIOD = "2023-08-20/2023-09-19"
NORTH = replace(CORNER, bottom=CORNER.bottom + 8_040)
SOUTH = replace(CORNER, top=NORTH.bottom + 1_200)
"""Two strips overlap by 1,200 m."""
SECOND = START + timedelta(seconds=30)
WINDOW = Bounds(CORNER.zone, CORNER.left - 1_200, CORNER.bottom + 3_000, CORNER.right - 4_260, CORNER.top + 9_600)
"""Cuts blocks, and reaches beyond what is held."""
STATES = ("unsettled", "settled", "purged")
SHOTS: tuple[tuple[Shot, ...], ...] = (
    (
        *(Shot(name, NORTH, added={"B09": 3} if name == "32TPP" else {}) for name in TILES),
        *(Shot(name, SOUTH, {"B01": 5}, "S", SECOND) for name in ("32TNP", "32TPP")),
    ),
    tuple(shot_days_later(10, name, offset=0, baseline="03.01") for name in ("32TNP", "32TPQ")),
)
"""Products by step."""
BETWEEN = shot_days_later(5, "32TNQ")
"""Of a datatake between the two."""


RIM = ("32TNQ", "32TPQ")
"""Tiles of the products that `rim_shots` gives."""


def rim_shots() -> tuple[Shot, ...]:
    """Two products that see but a part of a block of both, so that one of them holds nothing once it is settled."""
    left, right = (tile(name).footprint for name in RIM)
    both = left.intersection(right)
    assert both is not None
    seen = both.intersection(BlockRange.around(both).block(2, 1).bounds)
    assert seen is not None
    return tuple(Shot(name, seen) for name in RIM)


def truth(shots: Sequence[Shot]) -> list[Delivered]:
    """Products as they were delivered."""

    def made(shot: Shot) -> Delivered:
        return Delivered(shot.id, shot.tile, lambda band: shot.arrays[band.name], str(shot.datastrip_start))

    return [made(shot) for shot in shots]


def make_archive(folder: Path, state: str) -> Archive:
    """Ingest all products; then settle and purge them, if the state is that."""
    archive = create_archive(folder / "archive")
    for shots in SHOTS:
        for shot in shots:
            ingest(archive, shot, threads=1)
    return _brought(archive, state)


def copied(archive: Archive, folder: Path, state: str = "unsettled") -> Archive:
    """Copy an unsettled archive; then settle and purge the copy, if the state is that."""
    assert archive.store.root is not None
    return _brought(open_archive(shutil.copytree(archive.store.root, folder / "archive")), state)


def _brought(archive: Archive, state: str) -> Archive:
    if state != "unsettled":
        assert sum(one.released for one in settle(archive)) > 0
    if state == "purged":
        assert sum(one.objects for one in purge(archive, grace=timedelta(0))) > 0
    return archive
