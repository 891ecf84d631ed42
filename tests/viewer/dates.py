"""An archive to look at: real texture in a small place, at several dates, in tiles that overlap and of two zones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np
from pyproj import Transformer

from abut.archive import create_archive
from abut.lattice import Bounds, Zone
from abut.layout import BANDS, Band
from cli.demonstration.products import mirrored, plan, sample
from ingest.ingest import ingest
from ingest.purge import purge
from ingest.settle import settle
from tests.shots import Shot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from abut.archive import Archive

FIRST = datetime(2017, 2, 16, 10, 21, 1, tzinfo=UTC)
DATES = (FIRST, FIRST + timedelta(days=10), FIRST + timedelta(days=30))
"""Starts of the datatakes."""
CLOUDS = (0.0, 38.0, 4.0)
"""Percent of clouds, as the products say."""
GROWTH = (1.0, 1.1, 1.5)
"""How much brighter the near infrared is."""
TILES = ("32UPC", "32UQC")
NEXT_ZONE = "33UUU"
HOME = Zone(32632)
"""Zone in which the sample lies."""
WIDTH = 14_400

_STRIP = 960
_PLAN = plan(width=WIDTH)
"""Around the corner where the demonstration's products meet."""


@cache
def texture(band: str) -> NDArray[np.uint16]:
    """The sample of a real product, so that it repeats without seams."""
    return {name: mirrored(image) for name, image in _sample()}[band]


@cache
def _sample() -> list[tuple[str, NDArray[np.uint16]]]:
    return list(sample())


@dataclass(frozen=True)
class View(Shot):
    """A product of one date with all bands at their own pixel size."""

    band_names: tuple[str, ...] = tuple(band.name for band in BANDS)
    number: int = 0
    """Which of `DATES`."""

    def __hash__(self) -> int:
        return hash(self.id)

    @cached_property
    def seen(self) -> Bounds:
        """Ground with data, of the tile's own zone."""
        zone, half = self.tile.zone, _PLAN.width // 2
        place = _between(zone, HOME).transform(_PLAN.easting, _PLAN.northing, direction="INVERSE")
        x, y = (round(value / 60) * 60 for value in place)
        return Bounds(zone, x - half, y - half, x + half, y + half)

    def strips(self, band: Band) -> Iterator[NDArray[np.uint16]]:
        size, footprint = band.resolution, self.tile.footprint
        rows, columns = footprint.shape(size)
        part = footprint.intersection(self.seen)
        assert part is not None
        where, pixels = footprint.slices(part, size), self.dn(band, part)
        for start in range(0, rows, _STRIP):
            strip = np.zeros((min(_STRIP, rows - start), columns), "<u2")
            first, last = max(where[0].start - start, 0), min(where[0].stop - start, len(strip))
            if first < last:
                taken = start + first - where[0].start
                strip[first:last, where[1]] = pixels[taken : taken + last - first]
            yield strip

    def dn(self, band: Band, part: Bounds) -> NDArray[np.uint16]:
        """What the satellite saw: the sample, greener with the seasons, under a few clouds."""
        image, size = texture(band.name), band.resolution
        rows, columns = part.shape(size)
        x, y = np.meshgrid(part.left + size * (np.arange(columns) + 0.5), part.top - size * (np.arange(rows) + 0.5))
        if part.zone != HOME:
            x, y = _between(part.zone, HOME).transform(x, y)
        at = (-y // size).astype(int) % image.shape[0], (x // size).astype(int) % image.shape[1]
        values = image[at].astype(np.float64)
        if band.name in {"B07", "B08", "B8A"}:
            values *= GROWTH[self.number]
        if CLOUDS[self.number] > 20:
            thick = _clouds(x / 1_000, y / 1_000)
            values = values * (1 - thick) + 7_000 * thick
        found: NDArray[np.uint16] = np.clip(values - self.offset, 1, 32_767).astype("<u2")
        return found


def _clouds(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """How thick clouds are, 0 to 1: a function of place in kilometres."""
    waves = np.sin(x * 1.1) + np.sin(y * 0.9 + x * 0.4) + 0.5 * np.sin(2.7 * x - 1.9 * y) + 0.3 * np.sin(5 * x + 6 * y)
    thick: NDArray[np.float64] = np.clip(waves - 0.9, 0, 1)
    return thick


@cache
def _between(zone: Zone, other: Zone) -> Transformer:
    return Transformer.from_crs(zone.epsg, other.epsg, always_xy=True)


def views(dates: int = len(DATES)) -> list[View]:
    """The products of the first dates: two tiles at each, and one of the next zone at the first."""
    return [
        View(
            name,
            number=number,
            datatake=start,
            datastrip_start=start,
            cloud=CLOUDS[number],
            offset=0,
            baseline="02.04",
        )
        for number, start in enumerate(DATES[:dates])
        for name in (*TILES, *([] if number else [NEXT_ZONE]))
    ]


def make_archive(folder: Path, dates: int = len(DATES)) -> Archive:
    """Make the archive, settled and purged."""
    archive = create_archive(folder)
    for view in views(dates):
        ingest(archive, view)
    settle(archive)
    purge(archive, grace=timedelta(0))
    return archive
