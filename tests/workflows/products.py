"""SAFE products over the made-up landscape, for whole paths: four tiles that meet, in the north and in the south.

Data lie in a patch of 25 km around the corner, most of it within reach of a core at the corner of one tile. There
the sea begins, and clouds that this tile does not see throw their shadows into it.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
from pyproj import Proj, Transformer

import abut
import workflows.scene
from abut.archive import create_archive
from abut.lattice import Bounds
from abut.layout import BANDS
from abut.testing import Landscape, Scene, Swath, make_safe, safe_pixels
from abut.testing.angles import sun_angles
from abut.testing.images import BLOCK
from abut.testing.jp2 import write_jp2
from abut.tiling import Tile, tile
from ingest.ingest import ingest
from ingest.purge import purge
from ingest.safe_source import safe_sources
from ingest.settle import settle

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from abut.archive import Archive
    from abut.connection import Connection
    from abut.layout import Band


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

    @property
    def sun(self) -> tuple[float, float]:
        """Mean zenith and azimuth of the sun over the tile, from true north, in degrees."""
        return _sun(self.scene, self.tile)

    def core(self, side: int = 7_200) -> Bounds:
        """Return the square of the tile at its corner."""
        below = self.at[1] == self.tile.footprint.bottom
        return self.part(-side, 0, 0, side) if below else self.part(-side, -side, 0, 0)

    def part(self, west: int, south: int, east: int, north: int) -> Bounds:
        """Return ground by its edges, in metres from the corner."""
        x, y = self.at
        return Bounds(self.tile.zone, x + west, y + south, x + east, y + north)


def _sun(scene: Scene, where: Tile) -> tuple[float, float]:
    """Return what the tile's XML says."""
    zenith, azimuth = (float(angle) for angle in sun_angles(scene, where).mean((1, 2)))
    return zenith, azimuth


def _seen(where: Tile, at: tuple[int, int], scene: Scene, frame: Bounds, seed: int) -> tuple[Scene, Landscape]:
    zenith, azimuth = _sun(scene, where)
    degrees = Transformer.from_crs(where.zone.epsg, 4326, always_xy=True).transform(*at)
    convergence = Proj(where.zone.epsg).get_factors(*degrees).meridian_convergence  # from true north to the grid's
    land = Landscape(
        zone=where.zone,
        coast=at[0] - 600,
        sun=(zenith, azimuth - convergence),
        offset=scene.offset,
        seed=seed,
    )
    return replace(scene, texture=land, frame=frame, clouds=False), land


def _north() -> Corner:
    """The sun stands in the south: the corner in the south-east is where shadows fall in. The next zone is near."""
    where = tile("32VNR")
    x, y = at = where.footprint.right, where.footprint.bottom
    swath = Swath(zone=where.zone, easting=x - 18_000, northing=y, width=42_000)  # ends 3 km east of the corner
    scene = Scene(swath=swath, datatake_start=datetime(2025, 7, 26, 10, 10, 59, 24_000, tzinfo=UTC))
    scene, land = _seen(where, at, scene, Bounds(where.zone, x - 15_600, y - 9_600, x + 9_600, y + 12_000), 5)
    delivered = (("32VNR", 0), ("32VPR", 0), ("32VNQ", 0), ("32VPQ", 0))
    return Corner(name="north", tile=where, at=at, scene=scene, land=land, delivered=delivered)


def _next_zone(corner: Corner) -> Corner:
    """What a tile of the next zone saw in the north of the corner: ground that it has to itself."""
    where = tile("33VUL")
    x, y = corner.at
    to_zone = Transformer.from_crs(corner.tile.zone.epsg, where.zone.epsg, always_xy=True)
    left, bottom = (round(value / 60) * 60 for value in to_zone.transform(x - 4_000, y + 8_000))
    frame = Bounds(where.zone, left, bottom, left + 9_000, bottom + 9_000)
    scene, land = _seen(where, (left + 6_000, bottom), corner.scene, frame, 5)
    return Corner(name="next", tile=where, at=(left, bottom), scene=scene, land=land, delivered=((where.id, 0),))


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
NEXT_ZONE = _next_zone(NORTH)
"""A product of the zone beside `NORTH`, of the same datatake."""


@dataclass(frozen=True)
class Made:
    """The products of a corner, and an archive with all of them in which no ground is stored twice."""

    corner: Corner = field(repr=False)
    safes: dict[tuple[str, int], Path]
    """The SAFE of each tile and datastrip."""
    archive: Archive
    """Settled and purged; it may have products of another zone, too."""

    @property
    def connection(self) -> Connection:
        """The archive, as users get it."""
        return abut.connect(self.archive.store.url)


def make_safes(corner: Corner, folder: Path) -> None:
    """Make the SAFEs of a corner."""
    for name, strip in corner.delivered:
        make_safe(corner.scene, name, folder / f"{name}.{strip}", strip=strip)


def safes_in(corner: Corner, folder: Path) -> dict[tuple[str, int], Path]:
    """Return the SAFEs that `make_safes` made."""
    return {(name, strip): next((folder / f"{name}.{strip}").glob("*.SAFE")) for name, strip in corner.delivered}


def make_archive(safes: Iterable[Path], folder: Path) -> None:
    """Ingest products, settle and purge."""
    archive = create_archive(folder)
    for safe in safes:
        for source in safe_sources(safe):
            ingest(archive, source)
    assert sum(one.released for one in settle(archive)) > 0
    assert sum(one.objects for one in purge(archive, grace=timedelta(0))) > 0


def with_wrong_pixel(safe: Path, where: Bounds, band: Band, folder: Path) -> Path:
    """Copy a SAFE into a folder; one pixel of one JP2, the one that has some ground, is 10,000 more."""
    copy = shutil.copytree(safe, folder / safe.name)
    (image,) = copy.glob(f"GRANULE/*/IMG_DATA/*_{band.name}.jp2")
    footprint = tile(safe.name.split("_T")[1][:5]).footprint
    pixels = safe_pixels(safe, band)
    wrong = pixels[footprint.slices(where, band.resolution)]
    assert wrong.shape == (1, 1)
    assert wrong.all()
    wrong += np.uint16(10_000)
    write_jp2(image, pixels, footprint, BLOCK[band.resolution])
    return copy


def scene_of(corner: Corner, box: Bounds, core: Bounds, bands: Iterable[Band] = BANDS) -> workflows.scene.Scene:
    """Return what a workflow would be given, straight from what was seen: no SAFE, no archive."""
    arrays = {band.name: corner.scene.pixels(band, box) for band in bands}
    whole, part = _box(box), _box(core)
    return workflows.scene.Scene(
        box=whole,
        core=part,
        bands=arrays,
        offsets=dict.fromkeys(arrays, corner.scene.offset),
        geometry=workflows.scene.Geometry.constant(whole, corner.sun),
    )


def _box(bounds: Bounds) -> workflows.scene.Box:
    equator = bounds.zone.equator
    return workflows.scene.Box(bounds.left, bounds.bottom - equator, bounds.right, bounds.top - equator)
