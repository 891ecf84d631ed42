"""Zones that need no archive: blocks are made on demand from a function of the place, as far as given tiles reach."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from pyproj import CRS, Transformer

from abut.blocks import Slot
from abut.codec import encode_block
from abut.lattice import Block, Bounds, Zone
from abut.layout import BAND, Band
from abut.tiling import tile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from abut.blocks import BlockSource, Part

    type Ground = Callable[[Zone, NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]

START = datetime(2025, 7, 3, 10, 15, 59, tzinfo=UTC)


def waves(zone: Zone, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """A smooth ground that is the same in all zones: a function of longitude and latitude."""
    lon, lat = Transformer.from_crs(CRS.from_epsg(zone.epsg), CRS.from_epsg(4326), always_xy=True).transform(x, y)
    return np.asarray(2500 + 900 * np.sin(lon * 180) + 700 * np.cos(lat * 230))


def noise(zone: Zone, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """A ground on which each pixel is unlike the next, so that no displacement goes unseen."""
    value = x.astype(np.int64) * 7919 + y.astype(np.int64) * 104_729 + zone.epsg * 15_485_863
    return 1 + (value * value // 97) % 9999.0


def slot(day: int = 0, *, offset: int = -1000) -> Slot:
    """A step: the datatake of a day."""
    time = START + timedelta(days=day)
    name = f"GS2B_{time:%Y%m%dT%H%M%S}_{100 + day:06d}"
    return Slot(time, (name,), (), 10_000, dict.fromkeys(BAND, offset))


@dataclass(frozen=True)
class ToyPart:
    """The one holder of a block."""

    slot: int
    block: Block
    product: str = "toy"
    whose: str = "toy"
    crop: Bounds | None = None

    def key(self, band: Band) -> str:
        return f"{band.name}/{self.slot}/{self.block.p}/{self.block.q}"


@dataclass(frozen=True)
class ToyZone:
    """A zone in which some tiles have data; its own store too."""

    tiles: tuple[str, ...]
    ground: Ground = noise
    slots: tuple[Slot, ...] = field(default_factory=lambda: (slot(),))
    hole: Bounds | None = None
    """Ground without data in B09."""
    speckled: bool = False
    """Whether one of 29 pixels has no data."""
    reads: list[str] = field(default_factory=list)
    """Keys that were read."""
    profile: str = "default"
    root: str = "toy"
    url: str = "toy"

    @property
    def store(self) -> Any:
        return self

    @property
    def zone(self) -> Zone:
        return tile(self.tiles[0]).zone

    def parts(self, step: int, block: Block) -> tuple[Part, ...]:
        held = any(tile(name).footprint.intersection(block.bounds) for name in self.tiles)
        return (ToyPart(step, block),) if held else ()

    def renewed(self) -> BlockSource:
        return self

    def get(self, key: str) -> bytes:
        self.reads.append(key)
        band, step, p, q = key.split("/")
        return encode_block(self.pixels(BAND[band], Block(self.zone, int(p), int(q)).bounds, int(step)))

    def pixels(self, band: Band, window: Bounds, step: int = 0) -> NDArray[np.uint16]:
        """DN of a window: the truth."""
        size = band.resolution
        rows, columns = window.shape(size)
        x = np.broadcast_to(window.left + size * (np.arange(columns) + 0.5), (rows, columns))
        y = np.broadcast_to((window.top - size * (np.arange(rows) + 0.5))[:, None], (rows, columns))
        values = np.rint(self.ground(self.zone, x, y)) + band.index + 20 * step
        seen = np.zeros((rows, columns), bool)
        for part in self._seen(window):
            seen[window.slices(part, size)] = True
        if self.hole is not None and band.name == "B09" and (lost := window.intersection(self.hole)):
            seen[window.slices(lost, size)] = False
        if self.speckled:
            seen &= values % 29 > 0
        return np.where(seen, values, 0).astype("<u2")

    def _seen(self, window: Bounds) -> Iterable[Bounds]:
        parts = (tile(name).footprint.intersection(window) for name in self.tiles)
        return (part for part in parts if part is not None)
