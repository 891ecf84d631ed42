"""Who holds the blocks of a window at one step in time: holders by block, in arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from abut.holders import HeldBlock, Holder, holders_of
from abut.holdings import hull_of
from abut.lattice import BlockRange
from abut.tiling import rank_key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from numpy.typing import NDArray

    from abut.finding import Found
    from abut.lattice import Block, Bounds
    from abut.store import Store
    from abut.strips import Layer, Strip


@dataclass(frozen=True, slots=True)
class Plan:
    """Who holds the blocks at one step. Holders of a block lie in `which` from its `start` on."""

    blocks: BlockRange
    """Blocks that touch the window."""
    holders: tuple[Holder, ...]
    """Products that supply blocks, in the order of strips, then of the ids of the chosen products that are shown."""
    strips: tuple[int, ...]
    """Place of each holder's strip in the overlay."""
    shown: tuple[str, ...]
    """Ids of the chosen products that have data in these blocks, whoever holds them; sorted."""
    start: NDArray[np.intp] = field(compare=False)
    """Blocks + 1 numbers."""
    which: NDArray[np.intp] = field(compare=False)
    """Indexes into `holders`."""

    def parts(self, block: Block) -> tuple[HeldBlock, ...]:
        """Holders of a block in the order in which they are overlaid; KeyError if it is outside of the window."""
        row, column = self.blocks.position(block)
        number = row * self.blocks.shape[1] + column
        some = self.which[self.start[number] : self.start[number + 1]].tolist()
        if len(some) > 1:
            some.sort(key=lambda i: (self.strips[i], rank_key(block, self.holders[i].shown), i))
        return tuple(HeldBlock(self.holders[i], *hull_of(self.holders[i].tile).position(block)) for i in some)


def planned(store: Store, step: Iterable[Found], window: Bounds, own: Strip | None) -> Plan:
    """Return who holds the blocks of a window at one step; MissingObjectError if a holder does not hold a block."""
    blocks = BlockRange.around(window)
    found = [holders_of(one.layer, one.chosen, one.holdings.members.values(), blocks, store.url) for one in step]
    supply = [holder for holders, _ in found for holder in holders]
    rows = [_numbers(holder, blocks) for holder in supply]
    kept = sorted(
        ((holder, numbers) for holder, numbers in zip(supply, rows, strict=True) if len(numbers)),
        key=lambda pair: (overlay(pair[0].layer, own), pair[0].whose, pair[0].folder),
    )
    ranks = {order: number for number, order in enumerate(sorted({overlay(h.layer, own) for h, _ in kept}))}
    number = np.concatenate([numbers for _, numbers in kept]) if kept else np.zeros(0, np.intp)
    which = np.repeat(np.arange(len(kept)), [len(numbers) for _, numbers in kept])
    order = np.argsort(number, kind="stable")
    return Plan(
        blocks,
        tuple(holder for holder, _ in kept),
        tuple(ranks[overlay(holder.layer, own)] for holder, _ in kept),
        tuple(sorted({holder.whose for holder, _ in kept}.union(*(released for _, released in found)))),
        np.searchsorted(number[order], np.arange(len(blocks) + 1)),
        which[order],
    )


def torn(first: Plan, lost: Collection[str]) -> dict[int, str]:
    """Return which blocks showed pixels of products that were withdrawn since.

    Parameters
    ----------
    first : Plan
        What was planned for a step.
    lost : collection of str
        Ids of products that were chosen then and are live no more.

    Returns
    -------
    dict of int to str
        By number of the block, row by row: the product that it lacks. Others may still hold what they released to it,
        but show no more than their own footprint of it.
    """
    if not lost:
        return {}
    gone = np.array([holder.whose in lost for holder in first.holders], np.bool_)
    numbers = np.repeat(np.arange(len(first.blocks)), np.diff(first.start))
    missed = gone[first.which]
    return {
        number: first.holders[which].whose
        for number, which in zip(numbers[missed].tolist(), first.which[missed].tolist(), strict=True)
    }


def overlay(layer: Layer, own: Strip | None) -> tuple[bool, datetime, str, datetime]:
    """Sort key of the strips of a step."""
    return layer.strip != own, layer.time, layer.strip.datatake, layer.strip.start


def _numbers(holder: Holder, blocks: BlockRange) -> NDArray[np.intp]:
    """Return the numbers, in a range of blocks row by row, of those that a view reads of a holder."""
    hull = hull_of(holder.tile)
    p0, p1 = max(hull.p0, blocks.p0), min(hull.p1, blocks.p1)
    q0, q1 = max(hull.q0, blocks.q0), min(hull.q1, blocks.q1)
    if p0 >= p1 or q0 >= q1:
        return np.zeros(0, np.intp)
    part = holder.mask[hull.q1 - q1 : hull.q1 - q0, p0 - hull.p0 : p1 - hull.p0]
    rows, columns = np.nonzero(part)
    return (rows + (blocks.q1 - q1)) * blocks.shape[1] + columns + (p0 - blocks.p0)
