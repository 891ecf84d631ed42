"""What the notebooks look at: made-up SAFE products and an archive of them; or products of your own.

`ABUT_NOTEBOOK_DATA` names a folder of SAFE products of one datatake or several, a tile and its neighbours. An archive
is made beside them, ``archive``, if there is none. Unless it is set, products are made once, in the user's cache.
"""

from __future__ import annotations

import os
import shutil
import warnings
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pyproj import Proj, Transformer

import abut
from abut.lattice import Bounds
from abut.testing import Landscape, Scene, Swath, make_safe
from abut.testing.angles import sun_angles
from abut.tiling import tile
from workflows.runs.compare import Subject
from workflows.runs.subjects import around, given_products, store

if TYPE_CHECKING:
    from abut.connection import Connection
    from workflows.runs.subjects import Given

warnings.filterwarnings("ignore", "IProgress not found")  # tqdm, which s2cloudless brings along: no bars are shown

NAME = "ABUT_NOTEBOOK_DATA"
"""Environment variable that names a folder of SAFE products."""
TILE = tile("32VNR")
"""The tile whose south-eastern corner is looked at."""
CORNER = TILE.footprint.right, TILE.footprint.bottom
"""Easting and northing of that corner. There four tiles meet, and the sun stands in the south."""


def first_date() -> Scene:
    """Return what was seen on 26 July: a coast with clouds, ending 3 km east of the corner at the edge of the swath."""
    return _seen(datetime(2025, 7, 26, 10, 10, 59, 24_000, tzinfo=UTC), sky=0)


def second_date() -> Scene:
    """Return what was seen ten days before: the same ground under other clouds; of it there is one tile only."""
    return _seen(datetime(2025, 7, 16, 10, 10, 59, 24_000, tzinfo=UTC), sky=1)


def _seen(start: datetime, sky: int) -> Scene:
    x, y = CORNER
    swath = Swath(zone=TILE.zone, easting=x - 18_000, northing=y, width=42_000)
    frame = Bounds(TILE.zone, x - 15_600, y - 9_600, x + 9_600, y + 12_000)
    scene = Scene(swath=swath, datatake_start=start, frame=frame, clouds=False)
    zenith, azimuth = (float(angle) for angle in sun_angles(scene, TILE).mean((1, 2)))
    degrees = Transformer.from_crs(TILE.zone.epsg, 4326, always_xy=True).transform(x, y)
    from_grid = azimuth - Proj(TILE.zone.epsg).get_factors(*degrees).meridian_convergence
    land = Landscape(zone=TILE.zone, coast=x - 600, sun=(zenith, from_grid), offset=scene.offset, seed=5, sky=sky)
    return replace(scene, texture=land)


@dataclass(frozen=True, slots=True)
class Data:
    """SAFE products, and an archive of them in which no ground is stored twice."""

    archive: Connection
    """The archive."""
    dates: tuple[tuple[Given, ...], ...]
    """Products of each datatake, that with the most neighbours first; the first of each is the tile in the middle."""

    def product(self, date: int = 0) -> str:
        """Return the id of the tile in the middle."""
        return self.dates[date][0].metadata.id

    def safes(self, date: int = 0) -> tuple[str, ...]:
        """Return the SAFEs of a datatake."""
        return tuple(one.safe for one in self.dates[date])

    def tile(self) -> Bounds:
        """Return the ground of the tile in the middle."""
        return self.dates[0][0].metadata.tile.footprint

    def corner(self, side: int, inward: int = 0) -> Bounds:
        """Return a square of the tile at the corner where most neighbours meet, or some metres inward from it."""
        box = self.tile()
        others = [one.metadata.tile.footprint for one in self.dates[0][1:]]
        corners = [(x, y) for x in (box.left, box.right) for y in (box.bottom, box.top)]
        x, y = max(corners, key=lambda at: sum(_holds(one, *at) for one in others))
        left = x + inward if x == box.left else x - inward - side
        bottom = y + inward if y == box.bottom else y - inward - side
        return Bounds(box.zone, left, bottom, left + side, bottom + side)

    def subject(self, core: Bounds, date: int = 0) -> Subject:
        """Return what `workflows.runs.compare.compare` compares."""
        return Subject(
            connection=self.archive,
            safes=self.safes(date),
            product=self.product(date),
            core=core,
            in_pieces=False,
        )


def _holds(box: Bounds, x: int, y: int) -> bool:
    return box.left <= x <= box.right and box.bottom <= y <= box.top


def load() -> Data:
    """Return the products of `ABUT_NOTEBOOK_DATA`; by default made-up ones, which takes a minute the first time."""
    named = os.environ.get(NAME)
    folder = Path(named) if named else _cache() / "abut" / "notebooks"
    if not named and not folder.exists():
        unfinished = folder.with_name("notebooks-unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        for scene, tiles in ((first_date(), ("32VNR", "32VPR", "32VNQ", "32VPQ")), (second_date(), ("32VNR",))):
            for name in tiles:
                make_safe(scene, name, unfinished)
        unfinished.rename(folder)
    products = given_products(sorted(folder.glob("*.SAFE")))
    archive = folder / "archive"
    if not archive.exists():
        unfinished = folder / "archive-unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        store(unfinished, [one.safe for one in products])
        unfinished.rename(archive)
    return Data(abut.connect(str(archive)), _dates(products))


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _dates(products: list[Given]) -> tuple[tuple[Given, ...], ...]:
    """Return the products of a tile, each with its neighbours: the one that has the most, then by time."""

    def tries(one: Given) -> tuple[int, int]:
        dates = sum(other.metadata.tile == one.metadata.tile for other in products)
        return len(around(products, one)), dates

    middle = max(products, key=tries)
    same = [one for one in products if one.metadata.tile == middle.metadata.tile]
    same.sort(key=lambda one: (one is not middle, one.metadata.datatake_start))
    found: dict[datetime, tuple[Given, ...]] = {}
    for one in same:
        others = [other for other in around(products, one) if other is not one]
        found.setdefault(one.metadata.datatake_start, (one, *others))
    return tuple(found.values())
