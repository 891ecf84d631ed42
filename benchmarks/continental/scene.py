"""What the satellite saw: realistic texture over tiles of two zones, some dates of each of five months."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, override

import numpy as np

from abut.lattice import BLOCK_SIZE, Bounds
from abut.testing import Scene, Swath
from abut.tiling import tile
from benchmarks.continental.scale import BANDS, MONTHS
from benchmarks.cubes.scene import ground
from tests.shots import Shot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from abut.layout import Band
    from benchmarks.continental.scale import Scale

_STRIP = 960
_SHIFT = 600
"""Metres that the pattern moves on with each date."""


@dataclass(frozen=True)
class Date(Shot):
    """A product whose pixels are `seen_on` of its date, wherever it sees the ground."""

    __hash__ = Shot.__hash__

    @override
    def strips(self, band: Band) -> Iterator[NDArray[np.uint16]]:
        """Yield a band's rows: strips of full width, zero outside of `place`."""
        foot, size = self.tile.footprint, band.resolution
        for top in range(foot.top, foot.bottom, -_STRIP * size):
            strip = Bounds(foot.zone, foot.left, max(top - _STRIP * size, foot.bottom), foot.right, top)
            rows = np.zeros(strip.shape(size), np.uint16)
            seen = strip.intersection(self.place)
            if seen is not None:
                rows[strip.slices(seen, size)] = seen_on(self.datatake, band, seen)
            yield rows


@dataclass(frozen=True, slots=True)
class Seen:
    """The texture of a date, as a SAFE is made of it."""

    when: datetime

    def __call__(self, band: Band, bounds: Bounds) -> NDArray[np.uint16]:
        """Return DN, (y, x)."""
        return seen_on(self.when, band, bounds)


def seen_on(when: datetime, band: Band, part: Bounds) -> NDArray[np.uint16]:
    """Return DN of some ground on a date, (y, x): a function of place and date alone."""
    east = _SHIFT * (when.month * 31 + when.day)
    moved = Bounds(part.zone, part.left + east, part.bottom, part.right + east, part.top)
    return ground(band, moved)


def dates(scale: Scale, month: str) -> list[datetime]:
    """Return when a month's products were taken."""
    year, number = map(int, month.split("-"))
    first = datetime(year, number, 3, 10, 15, 59, tzinfo=UTC)
    return [first + timedelta(days=5 * step) for step in range(scale.dates)]


def places(scale: Scale) -> dict[str, Bounds]:
    """Return the ground that products see, by tile."""
    found = {}
    for name in scale.tiles:
        foot = tile(name).footprint
        if not scale.blocks:
            found[name] = foot
            continue
        left, bottom = (
            -(-(low + high) // 2 // BLOCK_SIZE) * BLOCK_SIZE
            for low, high in ((foot.left, foot.right), (foot.bottom, foot.top))
        )
        side = scale.blocks * BLOCK_SIZE
        found[name] = Bounds(foot.zone, left, bottom, left + side, bottom + side)
    return found


def scenes(scale: Scale) -> list[tuple[str, Scene]]:
    """Return tile and scene of what is made as SAFE."""
    made = []
    for when in dates(scale, MONTHS[0])[: scale.safes]:
        for name, place in places(scale).items():
            foot = tile(name).footprint
            swath = Swath(
                zone=foot.zone,
                easting=(foot.left + foot.right) // 2,
                northing=(foot.bottom + foot.top) // 2,
                width=900_000,
            )
            scene = Scene(swath=swath, clouds=False, frame=place, datatake_start=when, texture=Seen(when))
            made.append((name, scene))
    return made


def others(scale: Scale) -> list[Date]:
    """Return the products that have the needed bands alone, and are no SAFE."""
    made = []
    for month in MONTHS:
        for number, when in enumerate(dates(scale, month)):
            if month == MONTHS[0] and number < scale.safes:
                continue
            for name, place in places(scale).items():
                made.append(
                    Date(name, place=place, band_names=BANDS, datatake=when, datastrip_start=when, offset=-1000)
                )
    return made
