"""Holders: products as a view reads them, each with the blocks whose objects are read of it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from abut.errors import MissingObjectError
from abut.holdings import Held, hull_of
from abut.layout import block_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from abut.lattice import BlockRange
    from abut.layout import Band
    from abut.strips import Layer
    from abut.tiling import Tile


@dataclass(frozen=True, slots=True)
class Holder:
    """A product that supplies blocks."""

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
    def folder(self) -> str:
        """Key of the store folder of the product that holds it."""
        return self.holder.folder

    def key(self, band: Band) -> str:
        """Key of the object of a band in the store."""
        return f"{self.holder.folder}/{block_key(band.path, self.row, self.column)}"


def holders_of(
    layer: Layer, chosen: Iterable[Held], members: Iterable[Held], blocks: BlockRange, url: str
) -> list[Holder]:
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

    Raises
    ------
    MissingObjectError
        If a block was released to a product that does not hold it.
    """
    mine = list(chosen)
    borrowed = _borrowed(mine, {one.product: one for one in members}, blocks, url)
    borrowed = {prefix: found for prefix, found in borrowed.items() if not any(one.prefix == prefix for one in mine)}
    return [_holder(one, layer, one.bits) for one in mine] + [
        _holder(holder, layer, mask.tobytes()) for holder, mask in borrowed.values()
    ]


def _holder(held: Held, layer: Layer, bits: bytes) -> Holder:
    return Holder(held.product, f"products/{held.prefix}", held.tile, layer, bits)


def _borrowed(
    chosen: list[Held], members: dict[str, Held], blocks: BlockRange, url: str
) -> dict[str, tuple[Held, NDArray[np.bool_]]]:
    """Return the holders of what products released, by prefix, and which blocks; all of a layer at once."""
    groups = [(one, members.get(to), numbers, to) for one in chosen for to, numbers in one.released]
    if not groups:
        return {}
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
    sizes = shape[:, 2] * shape[:, 3]
    start = np.concatenate(([0], np.cumsum(sizes)))
    held = np.frombuffer(b"".join(one.bits for one in everyone), np.bool_)
    place = np.where(inside, start[taker] + row * shape[taker, 3] + column, 0)
    lost = np.flatnonzero(needed & ~(inside & held[place]))
    if len(lost):
        first = int(lost[0])
        group = groups[int(np.searchsorted(np.cumsum(counts), first, side="right"))]
        where = f"{blocks.zone.epsg}/{p[first]}/{q[first]}"
        raise MissingObjectError(
            f"{url}: block {where} of {group[0].product} is held by {group[3]}, which has it no more"
        )
    used = np.zeros(len(held), np.bool_)
    used[place[needed]] = True
    return {
        one.prefix: (one, mask)
        for number, one in enumerate(everyone)
        if (mask := used[start[number] : start[number + 1]]).any()
    }


def _corner(held: Held) -> tuple[int, int]:
    """Return p and q of the block in the north-west of a product's hull."""
    hull = hull_of(held.tile)
    return hull.p0, hull.q1 - 1
