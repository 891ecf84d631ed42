"""Toy archives and frames of the tests of pixels, and what they are compared with."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from abut.archive import create_archive
from abut.lattice import Bounds, Zone
from ingest.ingest import ingest
from services.tiles.frame import Frame
from services.tiles.scenes import Scenes
from services.tiles.wish import Wish
from tests.shots import Shot, shot_days_later
from tests.tiles.reference import picture
from tests.toy import CORNER, TILES

if TYPE_CHECKING:
    from pathlib import Path

    from abut.archive import Archive
    from tests.tiles.reference import Groups

EDGE = 20_037_508.342789244
FOUR = [Shot(name) for name in TILES]
BORDER_WEST = Bounds(Zone(32732), 766_200, 6_278_380, 793_200, 6_303_580)
BORDER_EAST = Bounds(Zone(32733), 207_000, 6_278_380, 249_000, 6_303_580)
BORDER = [Shot("32HQH", BORDER_WEST), Shot("33HTC", BORDER_EAST)]
"""Both see beyond 12 degrees east."""
NORTH = Bounds(Zone(32633), 489_600, 0, 510_000, 9_600)
SOUTH = Bounds(Zone(32733), 489_600, 9_990_400, 510_000, 10_000_000)
EQUATOR = [Shot("33NVA", NORTH), Shot("33MVV", SOUTH)]

DATE_LINE = [
    Shot("60KYG", Bounds(Zone(32760), 807_420, 8_106_040, 831_420, 8_130_040)),
    Shot("01KAB", Bounds(Zone(32701), 168_540, 8_106_040, 192_540, 8_130_040)),
]
"""Both see across 180 degrees."""


def archive_of(where: Path, *sources: Shot) -> Archive:
    archive = create_archive(where)
    for source in sources:
        ingest(archive, source, threads=1)
    return archive


def tile_at(zoom: int, lon: float, lat: float, size: int = 256) -> Frame:
    """The tile of the usual scheme that holds a place."""
    count = 2**zoom
    column = int((lon + 180) / 360 * count)
    row = int((1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * count)
    side = 2 * EDGE / count
    return Frame(
        "EPSG:3857",
        (-EDGE + column * side, EDGE - (row + 1) * side, -EDGE + (column + 1) * side, EDGE - row * side),
        size,
        size,
    )


def frame_of(place: Bounds, pixel: float = 60) -> Frame:
    """A frame on a zone's own grid."""
    bounds = float(place.left), float(place.bottom), float(place.right), float(place.top)
    return Frame(str(place.zone), bounds, int(place.width / pixel), int(place.height / pixel))


def shown(archive: Archive, frame: Frame, wish: Wish | None = None, band: str = "B01") -> np.ndarray:
    """DN plus offset of a picture, NaN where nothing is."""
    found = Scenes(archive).open(wish or Wish()).read(frame, [band])
    values = np.rint(found.data[0].astype(np.float64) * 10_000)
    return np.where(found.nodata[0], np.nan, values)


def assert_shows(found: np.ndarray, groups: Groups, frame: Frame, reduction: int = 1, slack: float = 0.01) -> None:
    """Assert that a picture is what the reference shows, but for pixels too near to an edge to tell."""
    expected = picture(groups, frame, "B01", reduction, slack=slack)
    assert np.isfinite(expected.dn).any()
    assert expected.certain.mean() > 1 - 9 * slack
    unlike = ~((found == expected.dn) | (np.isnan(found) & np.isnan(expected.dn)))
    assert not (unlike & expected.certain).any()


def dates() -> list[list[Shot]]:
    """Three datatakes that each see a part, of two baselines; the last is shown first."""
    north = replace(CORNER, bottom=CORNER.bottom + 9_600)
    west = replace(CORNER, right=CORNER.right - 15_000)
    later = [shot_days_later(5, name, place=north, added={"B01": 100}, cloud=20.0) for name in TILES[:2]]
    newest = [
        shot_days_later(10, name, place=west, added={"B01": 200}, cloud=80.0, offset=0, baseline="03.01")
        for name in TILES
    ]
    return [newest, later, [replace(one, cloud=50.0) for one in FOUR]]
