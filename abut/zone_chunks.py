"""The chunks of a zone view: objects of products where one product holds a block, made on demand else."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from abut.blocks import BlockSource
from abut.codec import encode_block, encode_values
from abut.errors import MissingObjectError
from abut.lattice import BLOCK_SIZE
from abut.pixels import block_pixels, with_plans
from abut.unusable import explained
from abut.view_masks import supplied
from abut.zone_layout import AXIS_BLOCKS, AxisChunk, BandChunk, MaskChunk, SourceChunk, zone_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from abut.blocks import Part, Slot
    from abut.lattice import Block, Zone
    from abut.store import Store
    from abut.zone_layout import Chunk, ZoneLayout


@dataclass(frozen=True, slots=True)
class Counts:
    """What was asked of a zone view so far."""

    passed: int = 0
    """Blocks of a band that are one object: its bytes as they are."""
    merged: int = 0
    """Blocks of a band that are merged of several, or cropped, and encoded anew."""
    absent: int = 0
    """Blocks that nobody holds."""
    masks: int = 0
    """Blocks of masks, encoded anew."""


class ZoneSource(BlockSource, Protocol):
    """The blocks of a whole zone over some time: a view of `abut.zone_layout.zone_blocks`, or a zone-wide Zarr."""

    def counts(self, slot: int) -> NDArray[np.intp]:
        """Return how many holders each block of the zone has at a step; row 0 in the north."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What other versions of products have and the chosen ones have not, see `abut.view.View.notes`."""
        ...

    @property
    def named(self) -> tuple[tuple[str, ...], ...]:
        """Ids of the products of each step, for the coordinate ``product``."""
        ...


class Current:
    """The newest plan of a source, which all readers share: one of them plans again, the others get what it found.

    Parameters
    ----------
    source : ZoneSource
        The newest plan.
    first : ZoneSource
        What was planned at first.
    """

    def __init__(self, source: ZoneSource, first: ZoneSource) -> None:
        self.first = first
        self._source = source
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Current], tuple[ZoneSource, ZoneSource]]:
        """Pickle the plans without the lock."""
        return Current, (self._source, self.first)

    @property
    def source(self) -> Planned:
        """The newest plan; planning it again plans for all."""
        return Planned(self._source, self)

    def renew(self, stale: ZoneSource) -> ZoneSource:
        """Return a newer plan than one by which an object was missing; the same if nothing changed."""
        with self._lock:
            if self._source is stale:
                renewed = stale.renewed()
                if renewed != stale:
                    self._source = cast("ZoneSource", renewed)  # of the same kind
            return self._source


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan that is shared; it is an `abut.blocks.BlockSource`."""

    plan: ZoneSource
    """The plan itself."""
    current: Current = field(compare=False, repr=False)
    """Who has the newest one."""

    @property
    def store(self) -> Store:
        """Where the objects are."""
        return self.plan.store

    @property
    def profile(self) -> str:
        """How they are encoded, see `abut.codec`."""
        return self.plan.profile

    @property
    def zone(self) -> Zone:
        """The zone."""
        return self.plan.zone

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Steps in time, in their order."""
        return self.plan.slots

    def parts(self, slot: int, block: Block) -> tuple[Part, ...]:
        """Holders of a block at a step, in the order in which they are overlaid: the first DN > 0 wins.

        Raises
        ------
        MissingObjectError
            If a product that held the block when the zone was opened was withdrawn since, or nobody holds it any more.
        """
        parts, first = self.plan.parts(slot, block), self.current.first
        if not parts and self.plan is not first and (held := first.parts(slot, block)):
            where = f"{block.zone.epsg}/{block.p}/{block.q}"
            names = ", ".join(part.product for part in held)
            raise MissingObjectError(
                f"{self.store.url}: block {where} of {names} is held by nobody any more; open again"
            )
        return parts

    def renewed(self) -> Planned:
        """Plan again, for all who share it."""
        return Planned(self.current.renew(self.plan), self.current)


class ZoneChunks:
    """Makes the chunks of a zone view.

    Parameters
    ----------
    source : ZoneSource
        Who holds the blocks; of the whole zone.
    layout : ZoneLayout
        Which arrays there are.
    store : Store
        The archive that the products are in, for masks.
    first : ZoneSource, optional
        The plan that the hierarchy tells of, where the source is a newer one: who holds blocks may change, not what
        the arrays `product` and `source` say. Default: the source.

    Raises
    ------
    ValueError
        If the source is not one of the whole zone.
    """

    def __init__(self, source: ZoneSource, layout: ZoneLayout, store: Store, first: ZoneSource | None = None) -> None:
        if source.slots and source.counts(0).shape != layout.blocks.shape:
            raise ValueError(f"a source of {source.counts(0).shape} blocks is not one of all of {layout.zone}")
        self.layout = layout
        self.store = store
        self.current = Current(source, source if first is None else first)
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[ZoneChunks], tuple[Any, ...]]:
        """Pickle without lock and counts."""
        return ZoneChunks, (self.current.source.plan, self.layout, self.store, self.current.first)

    @property
    def counts(self) -> Counts:
        """What was asked of it so far."""
        with self._lock:
            return Counts(**self._counts)

    def passing(self, chunk: BandChunk) -> tuple[ZoneSource, str] | None:
        """Return the plan and the key of the object that is a chunk; None if it is not one object as it is.

        None too if a product was withdrawn: `make` then looks whether it came back, or says so.
        """
        source = self.current.source
        try:
            parts = source.parts(chunk.slot, chunk.block)
        except MissingObjectError:
            return None
        return (source.plan, parts[0].key(chunk.band)) if _is_object(parts) else None

    def held(self, chunk: Chunk) -> bool:
        """Whether a chunk is there: axes are, blocks that somebody held when the zone was opened, and their masks."""
        if isinstance(chunk, AxisChunk | SourceChunk):
            return True
        return bool(self.current.first.parts(chunk.slot, chunk.block))

    def count(self, what: str) -> None:
        """Count a chunk: passed, merged, absent or masks."""
        with self._lock:
            self._counts[what] += 1

    def read(self, chunk: Chunk) -> bytes | None:
        """Return any chunk: the object's bytes where the block is one object; None if nobody holds it.

        Raises
        ------
        MissingObjectError, DigestMismatchError, UnsupportedStoreError
            As `abut.pixels.read_bands`.
        """

        def passed(plan: BlockSource) -> bytes | None:
            parts = plan.parts(chunk.slot, chunk.block) if isinstance(chunk, BandChunk) else ()
            if not isinstance(chunk, BandChunk) or not _is_object(parts):
                return None
            key = parts[0].key(chunk.band)
            with explained(f"{plan.store.url}/{key}"):
                return plan.store.get(key)

        data = with_plans(self.current.source, passed)
        if data is None:
            return self.make(chunk)
        self.count("passed")
        return data

    def make(self, chunk: Chunk) -> bytes | None:
        """Return a chunk that is no object; None if nobody holds the block.

        Raises
        ------
        MissingObjectError, DigestMismatchError, UnsupportedStoreError
            As `abut.pixels.read_bands`.
        """
        if isinstance(chunk, AxisChunk):
            return self._axis(chunk)
        if isinstance(chunk, SourceChunk):
            return self._source(chunk)
        source = self.current.source
        if isinstance(chunk, MaskChunk):
            if not self.held(chunk):
                self.count("absent")
                return None
            self.count("masks")
            found = supplied(source, self.store, chunk.mask, chunk.slot, chunk.block, chunk.block.bounds)
            return encode_values(found[0])
        pixels = block_pixels(source, chunk.slot, chunk.band, chunk.block)
        self.count("absent" if pixels is None else "merged")
        return None if pixels is None else encode_block(pixels, source.profile)

    def _axis(self, chunk: AxisChunk) -> bytes:
        bounds, size = self.layout.blocks.bounds, chunk.resolution
        side = AXIS_BLOCKS * BLOCK_SIZE // size
        centres = size * (np.arange(chunk.number * side, (chunk.number + 1) * side, dtype=np.float64) + 0.5)
        return encode_values(bounds.left + centres if chunk.axis == "x" else bounds.top - centres)

    def held_blocks(self, slot: int) -> Iterator[Block]:
        """List the blocks that somebody held at a step when the zone was opened, row by row from the north."""
        return held_blocks(self.current.first, slot)

    def _source(self, chunk: SourceChunk) -> bytes:
        plan, blocks = self.current.first, self.layout.blocks
        start = sum(len(some) for some in plan.named[: chunk.slot])
        names = {name: start + index for index, name in enumerate(plan.named[chunk.slot])}
        table: NDArray[np.int32] = np.full((1, *blocks.shape), -1, np.int32)
        for block in held_blocks(plan, chunk.slot):
            table[0][blocks.position(block)] = names[plan.parts(chunk.slot, block)[0].whose]
        return encode_values(table)


def _is_object(parts: Sequence[Part]) -> bool:
    """Whether a block is one object as it is."""
    return len(parts) == 1 and parts[0].crop is None


def held_blocks(source: ZoneSource, slot: int) -> Iterator[Block]:
    """List the blocks of a zone that somebody holds at a step, row by row from the north."""
    blocks = zone_blocks(source.zone)
    return (blocks.block(row, column) for row, column in np.argwhere(source.counts(slot)).tolist())
