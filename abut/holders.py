"""Holders: products as a view reads them, each with the blocks whose objects are read of it, and for whom.

What a view shows is the legacy arrays of the chosen products, one over the other. A block that a chosen product
released is read from its holder. If that was chosen too, its own pixels are there, better ranked, and equal to those
that were released. If it was not, they are shown for the one that released them: in its place of the overlay, and
cropped to its legacy footprint. So nothing of what is shown depends on who holds which block.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from abut.errors import MissingObjectError
from abut.holdings import Held, hull_of
from abut.layout import block_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from abut.lattice import BlockRange, Bounds
    from abut.layout import Band
    from abut.strips import Layer
    from abut.tiling import Tile


@dataclass(frozen=True, slots=True)
class Holder:
    """A product that supplies blocks, for itself or for a chosen product that released them to it."""

    product: str
    """Product id."""
    folder: str
    """Key of its store folder in the archive: ``products/<id>.<attempt>.zarr``."""
    tile: Tile
    """Its tile."""
    layer: Layer
    """Datatake, strip, version and offsets, which it shares with its layer."""
    bits: bytes
    """A byte for each block of its hull: 1 if the view reads the block of it."""
    whose: str
    """Id of the chosen product whose pixels are shown: its own, or that of one which released the blocks to it."""
    shown: Tile
    """Tile of that product: nothing beyond its legacy footprint is shown."""

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Blocks that the view reads of it, of the shape of its hull; row 0 in the north. Not to be written."""
        return np.frombuffer(self.bits, np.bool_).reshape(hull_of(self.tile).shape)


@dataclass(frozen=True, slots=True)
class HeldBlock:
    """One block of a holder: a `abut.blocks.Part`."""

    holder: Holder
    """Whose it is."""
    row: int
    """Row of the block in the holder's arrays."""
    column: int
    """Column of the block there."""

    @property
    def product(self) -> str:
        """Id of the product that holds it."""
        return self.holder.product

    @property
    def tile(self) -> Tile:
        """Tile of the product that holds it."""
        return self.holder.tile

    @property
    def whose(self) -> str:
        """Id of the chosen product whose pixels these are; masks and angles are that one's."""
        return self.holder.whose

    @property
    def crop(self) -> Bounds | None:
        """Ground within the block beyond which nothing of the object is shown; None: all of it is."""
        if self.holder.shown == self.holder.tile:
            return None
        block = hull_of(self.tile).block(self.row, self.column).bounds
        part = block.intersection(self.holder.shown.footprint)
        return None if part == block else part

    @property
    def folder(self) -> str:
        """Key of the store folder of the product that holds it."""
        return self.holder.folder

    def key(self, band: Band) -> str:
        """Key of the object of a band in the store."""
        return f"{self.holder.folder}/{block_key(band.path, self.row, self.column)}"


def holders_of(
    layer: Layer, chosen: Iterable[Held], members: Iterable[Held], blocks: BlockRange, url: str
) -> tuple[list[Holder], set[str]]:
    """Return who supplies the blocks of chosen products of a layer: they, and who holds what they released.

    Parameters
    ----------
    layer : Layer
        The layer.
    chosen : iterable of Held
        Live products of it.
    members : iterable of Held
        All members as the ledger says, the chosen ones among them (but for those that it does not know yet).
    blocks : BlockRange
        Blocks of the window; what was released elsewhere does not matter.
    url : str
        The archive, for messages.

    Returns
    -------
    holders : list of Holder
        The chosen products, with all blocks that they hold; and for each of them the products that were not chosen,
        with the blocks of the window that they hold for it.
    released : set of str
        Ids of the chosen products that released a block of the window, to whomever.

    Raises
    ------
    MissingObjectError
        If a block was released to a product that does not hold it.
    """
    mine = list(chosen)
    own = [_holder(one, layer, one.bits, one) for one in mine]
    lent, released = _lent(mine, {one.product: one for one in members}, blocks, url)
    return own + [_holder(taker, layer, mask.tobytes(), giver) for giver, taker, mask in lent], released


def _holder(held: Held, layer: Layer, bits: bytes, shown: Held) -> Holder:
    return Holder(held.product, f"products/{held.prefix}", held.tile, layer, bits, shown.product, shown.tile)


def _lent(
    chosen: list[Held], members: dict[str, Held], blocks: BlockRange, url: str
) -> tuple[Iterable[tuple[Held, Held, NDArray[np.bool_]]], set[str]]:
    """Return who released blocks of the window to whom that was not chosen, and which of the holder's.

    And the ids of all that released any; all of a layer at once.
    """
    groups = [(one, members.get(to), numbers, to) for one in chosen for to, numbers in one.released]
    if not groups:
        return [], set()
    everyone = list({held.prefix: held for group in groups for held in group[:2] if held is not None}.values())
    index = {held.prefix: number for number, held in enumerate(everyone)}
    shape = np.array([(*_corner(one), *hull_of(one.tile).shape) for one in everyone])
    counts = [len(group[2]) for group in groups]
    giver = np.repeat([index[group[0].prefix] for group in groups], counts)
    taker = np.repeat([index[group[1].prefix] if group[1] else -1 for group in groups], counts)
    number = np.fromiter(chain.from_iterable(group[2] for group in groups), np.int64, sum(counts))
    p = shape[giver, 0] + number % shape[giver, 3]
    q = shape[giver, 1] - number // shape[giver, 3]
    needed = (p >= blocks.p0) & (p < blocks.p1) & (q >= blocks.q0) & (q < blocks.q1)
    row, column = shape[taker, 1] - q, p - shape[taker, 0]
    inside = (taker >= 0) & (row >= 0) & (row < shape[taker, 2]) & (column >= 0) & (column < shape[taker, 3])
    start = np.concatenate(([0], np.cumsum(shape[:, 2] * shape[:, 3])))
    held = np.frombuffer(b"".join(one.bits for one in everyone), np.bool_)
    local = row * shape[taker, 3] + column
    lost = np.flatnonzero(needed & ~(inside & held[np.where(inside, start[taker] + local, 0)]))
    ends = np.cumsum(counts)
    if len(lost):
        first = int(lost[0])
        group = groups[int(np.searchsorted(ends, first, side="right"))]
        where = f"{blocks.zone.epsg}/{p[first]}/{q[first]}"
        raise MissingObjectError(
            f"{url}: block {where} of {group[0].product} is held by {group[3]}, which has it no more"
        )

    prefixes = {one.prefix for one in chosen}

    def lent() -> Iterator[tuple[Held, Held, NDArray[np.bool_]]]:
        for (one, to, _, _), end, count in zip(groups, ends.tolist(), counts, strict=True):
            if to is None or to.prefix in prefixes:
                continue
            some = local[end - count : end][needed[end - count : end]]
            if len(some):
                mask = np.zeros(len(to.bits), np.bool_)
                mask[some] = True
                yield one, to, mask

    gave = np.zeros(len(everyone), np.bool_)
    gave[giver[needed]] = True
    return lent(), {one.product for one, is_giver in zip(everyone, gave.tolist(), strict=True) if is_giver}


def _corner(held: Held) -> tuple[int, int]:
    """Return p and q of the block in the north-west of a product's hull."""
    hull = hull_of(held.tile)
    return hull.p0, hull.q1 - 1
