"""Blocks in memory: the smallest source that pixels can be read from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import obstore
from obstore.store import MemoryStore

from abut.blocks import Slot
from abut.codec import encode_block
from abut.lattice import Block, Bounds, Zone
from abut.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from abut.layout import Band

ZONE = Zone(32632)
START = datetime(2025, 7, 1, 10, 15, 59, 24_000, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class MemoryPart:
    product: str
    slot: int
    block: Block
    crop: Bounds | None = None

    @property
    def whose(self) -> str:
        return self.product

    def key(self, band: Band) -> str:
        return f"{self.slot}/{self.product}/{self.block.p}/{self.block.q}/{band.key}"


@dataclass(frozen=True)
class MemoryBlocks:
    """A source of blocks in memory; holders of a block in the order in which they were put."""

    slots: tuple[Slot, ...]
    zone: Zone = ZONE
    profile: str = "default"
    store: Store = field(default_factory=lambda: Store("memory://", MemoryStore(), None), compare=False)
    held: Mapping[tuple[int, Block], tuple[MemoryPart, ...]] = field(default_factory=dict)
    later: tuple[MemoryBlocks, ...] = field(default=(), compare=False)
    """What planning again finds, one after the other; without any, the same."""

    def parts(self, slot: int, block: Block) -> tuple[MemoryPart, ...]:
        return self.held.get((slot, block), ())

    def renewed(self) -> MemoryBlocks:
        return replace(self.later[0], later=self.later[1:]) if self.later else self

    def put(self, slot: int, product: str, block: Block, pixels: Mapping[Band, NDArray[np.uint16]]) -> MemoryBlocks:
        """Return the source with one more holder of a block."""
        part = MemoryPart(product, slot, block)
        for band, data in pixels.items():
            obstore.put(self.store.backend, part.key(band), encode_block(data))
        return replace(self, held={**self.held, (slot, block): (*self.parts(slot, block), part)})


def empty(slots: int = 1, offset: int = -1000) -> MemoryBlocks:
    """Return a source of some steps, ten days apart, without blocks."""
    return MemoryBlocks(
        tuple(
            Slot(START + timedelta(days=10 * n), (f"GS2A_{n}",), ("a", "b"), 10_000, {"B01": offset, "B10": offset})
            for n in range(slots)
        )
    )


def noise(band: Band, seed: int, share: float = 0.7) -> NDArray[np.uint16]:
    """Return a block of random DN, a part of which is nodata."""
    chance = np.random.default_rng(seed)
    side = (band.block_pixels,) * 2
    return (chance.integers(1, 32_768, side) * (chance.random(side) < share)).astype(np.uint16)


def overlaid(held: Mapping[Block, Sequence[NDArray[np.uint16]]], window: Bounds, resolution: int) -> NDArray[np.uint16]:
    """Return a window by the slow, obvious way: pixel after pixel, the first DN > 0 of the holders."""
    whole: NDArray[np.uint16] = np.zeros(window.shape(resolution), np.uint16)
    for (row, column), _ in np.ndenumerate(whole):
        x, y = window.left + column * resolution, window.top - (row + 1) * resolution
        block = Block(window.zone, x // 9600, (y - window.zone.equator) // 9600)
        inside = (block.bounds.top - y) // resolution - 1, (x - block.bounds.left) // resolution
        values = [int(pixels[inside]) for pixels in held.get(block, ())]
        whole[row, column] = next((value for value in values if value), 0)
    return whole
