"""SAFE products over the made-up landscape, for whole paths: four tiles that meet, in the north and in the south.

Data lie in a patch of 25 km around the corner, most of it within reach of a core at the corner of one tile. There
the sea begins, and clouds that this tile does not see throw their shadows into it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

import workflows.scene
from abut.archive import create_archive
from abut.lattice import Bounds
from abut.layout import BANDS
from abut.testing import Landscape, Scene, Swath, make_safe
from abut.testing.angles import sun_angles
from abut.tiling import Tile, tile
from ingest.ingest import ingest
from ingest.purge import purge
from ingest.safe_source import safe_sources
from ingest.settle import settle

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from abut.archive import Archive
    from abut.layout import Band
    from abut.testing.images import Alter


@dataclass(frozen=True, slots=True, kw_only=True)
class Corner:
    """Tiles that meet, and what one datatake saw there."""

    name: str
    tile: Tile
    """The tile whose corner it is."""
    at: tuple[int, int]
    """Easting and northing of that corner."""
    scene: Scene
    """What was seen; its texture is `land`."""
    land: Landscape
    """Ground and sky."""
    delivered: tuple[tuple[str, int], ...]
    """Tile and index of the datastrip of each product."""

    def part(self, west: int, south: int, east: int, north: int) -> Bounds:
        """Return ground by its edges, in metres from the corner."""
        x, y = self.at
        return Bounds(self.tile.zone, x + west, y + south, x + east, y + north)


def _seen(where: Tile, at: tuple[int, int], scene: Scene, frame: Bounds, seed: int) -> tuple[Scene, Landscape]:
    zenith, azimuth = (float(angle) for angle in sun_angles(scene, where).mean((1, 2)))
    land = Landscape(zone=where.zone, coast=at[0] - 600, sun=(zenith, azimuth), offset=scene.offset, seed=seed)
    return replace(scene, texture=land, frame=frame, clouds=False), land


def _north() -> Corner:
    """The sun stands in the south: the corner in the south-east is where shadows fall in."""
    where = tile("32TNP")
    x, y = at = where.footprint.right, where.footprint.bottom
    swath = Swath(zone=where.zone, easting=x - 18_000, northing=y, width=42_000)  # ends 3 km east of the corner
    scene = Scene(swath=swath, datatake_start=datetime(2025, 9, 26, 10, 10, 59, 24_000, tzinfo=UTC))
    scene, land = _seen(where, at, scene, Bounds(where.zone, x - 15_600, y - 9_600, x + 9_600, y + 15_600), 3)
    delivered = (("32TNP", 0), ("32TPP", 0), ("32TNN", 0), ("32TPN", 0))
    return Corner(name="north", tile=where, at=at, scene=scene, land=land, delivered=delivered)


def _south() -> Corner:
    """The sun stands in the north: the corner in the north-east. Two datastrips, of an old baseline."""
    where = tile("53HNA")
    x, y = at = where.footprint.right, where.footprint.top
    swath = Swath(zone=where.zone, easting=x - 3_000, northing=y - 5_000, width=60_000)
    scene = Scene(swath=swath, baseline="02.04", datatake_start=datetime(2017, 9, 14, 1, 0, 31, 26_000, tzinfo=UTC))
    scene, land = _seen(where, at, scene, Bounds(where.zone, x - 15_600, y - 15_600, x + 9_600, y + 9_600), 7)
    delivered = (("53HNA", 0), ("53HNA", 1), ("53HPA", 1), ("53HNB", 0), ("53HPB", 0))
    return Corner(name="south", tile=where, at=at, scene=scene.split(y - 5_000), land=land, delivered=delivered)


NORTH, SOUTH = _north(), _south()
"""Baseline 05.11 with offset -1000, beside the eastern edge of the swath; and 02.04, without offset, in datastrips
of which the southern begins some kilometres south of the corner."""


@dataclass(frozen=True)
class Made:
    """The products of a corner, and an archive with all of them in which no ground is stored twice."""

    corner: Corner = field(repr=False)
    safes: dict[tuple[str, int], Path]
    """The SAFE of each tile and datastrip."""
    archive: Archive
    """Settled and purged."""

    def safe(self, tile_id: str, strip: int = 0) -> Path:
        """Return a product's SAFE."""
        return self.safes[tile_id, strip]


def make_safes(corner: Corner, folder: Path, *, alter: Alter | None = None) -> None:
    """Make the SAFEs of a corner."""
    for name, strip in corner.delivered:
        make_safe(corner.scene, name, folder / f"{name}.{strip}", strip=strip, alter=alter)


def safes_in(corner: Corner, folder: Path) -> dict[tuple[str, int], Path]:
    """Return the SAFEs that `make_safes` made."""
    return {(name, strip): next((folder / f"{name}.{strip}").glob("*.SAFE")) for name, strip in corner.delivered}


def make_archive(safes: dict[tuple[str, int], Path], folder: Path) -> None:
    """Ingest products, settle and purge."""
    archive = create_archive(folder)
    for safe in safes.values():
        for source in safe_sources(safe):
            ingest(archive, source)
    assert sum(one.released for one in settle(archive)) > 0
    assert sum(one.objects for one in purge(archive, grace=timedelta(0))) > 0


def one_pixel(where: Bounds, band_name: str, step: int) -> Alter:
    """Return a change of one pixel of a band: the one that has some ground."""

    def alter(band: Band, image: NDArray[np.uint16], bounds: Bounds) -> NDArray[np.uint16]:
        if band.name == band_name and bounds.contains(where):
            inside = bounds.slices(where, band.resolution)
            assert image[inside].shape == (1, 1)
            assert image[inside].all()
            image[inside] += np.uint16(step)
        return image

    return alter


def scene_of(corner: Corner, box: Bounds, core: Bounds, bands: Iterable[Band] = BANDS) -> workflows.scene.Scene:
    """Return what a workflow would be given, straight from what was seen: no SAFE, no archive."""
    arrays = {band.name: corner.scene.pixels(band, box) for band in bands}
    whole, part = _box(box), _box(core)
    return workflows.scene.Scene(
        box=whole,
        core=part,
        bands=arrays,
        offsets=dict.fromkeys(arrays, corner.scene.offset),
        geometry=workflows.scene.Geometry.constant(whole, corner.land.sun),
    )


def _box(bounds: Bounds) -> workflows.scene.Box:
    equator = bounds.zone.equator
    return workflows.scene.Box(bounds.left, bounds.bottom - equator, bounds.right, bounds.top - equator)
