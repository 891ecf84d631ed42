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
    """Products that supply blocks, in the order of strips, then ids."""
    strips: tuple[int, ...]
    """Place of each holder's strip in the overlay."""
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
            some.sort(key=lambda i: (self.strips[i], rank_key(block, self.holders[i].tile), i))
        return tuple(HeldBlock(self.holders[i], *hull_of(self.holders[i].tile).position(block)) for i in some)


def planned(store: Store, step: Iterable[Found], window: Bounds, own: Strip | None) -> Plan:
    """Return who holds the blocks of a window at one step; MissingObjectError if a holder does not hold a block."""
    blocks = BlockRange.around(window)
    supply = [
        holder
        for one in step
        for holder in holders_of(one.layer, one.chosen, one.holdings.members.values(), blocks, store.url)
    ]
    rows = [_numbers(holder, blocks) for holder in supply]
    kept = sorted(
        ((holder, numbers) for holder, numbers in zip(supply, rows, strict=True) if len(numbers)),
        key=lambda pair: (overlay(pair[0].layer, own), pair[0].product, pair[0].folder),
    )
    ranks = {order: number for number, order in enumerate(sorted({overlay(h.layer, own) for h, _ in kept}))}
    number = np.concatenate([numbers for _, numbers in kept]) if kept else np.zeros(0, np.intp)
    which = np.repeat(np.arange(len(kept)), [len(numbers) for _, numbers in kept])
    order = np.argsort(number, kind="stable")
    return Plan(
        blocks,
        tuple(holder for holder, _ in kept),
        tuple(ranks[overlay(holder.layer, own)] for holder, _ in kept),
        np.searchsorted(number[order], np.arange(len(blocks) + 1)),
        which[order],
    )


def torn(first: Plan, now: Plan, chosen: Collection[str], lost: Collection[str]) -> dict[int, str]:
    """Return which blocks lack something that a plan had, because chosen products were withdrawn since.

    Parameters
    ----------
    first, now : Plan
        What was planned for a step, and what can be read by now; of the same window.
    chosen : collection of str
        Ids of the products that were chosen.
    lost : collection of str
        Those of them that are live no more.

    Returns
    -------
    dict of int to str
        By number of the block, row by row: the product that it lacks. A block that a lost product held is whole as
        long as that one still holds it for others. A product that was not chosen held it for a chosen one, so it is
        missed too.
    """
    if not lost:
        return {}
    names = sorted({holder.product for plan in (first, now) for holder in plan.holders})
    index = {name: number for number, name in enumerate(names)}
    before, after = (_pairs(plan, index) for plan in (first, now))
    some = min(lost)
    return {
        number: names[product] if names[product] in lost else some
        for number, product in (divmod(int(pair), len(names)) for pair in np.setdiff1d(before, after))
        if names[product] in lost or names[product] not in chosen
    }


def _pairs(plan: Plan, index: dict[str, int]) -> NDArray[np.int64]:
    """Return a number for each block and holder: the block's number times the products, plus that of the product."""
    products = np.array([index[holder.product] for holder in plan.holders], np.int64)
    numbers = np.repeat(np.arange(len(plan.blocks), dtype=np.int64), np.diff(plan.start))
    found: NDArray[np.int64] = numbers * len(index) + products[plan.which]
    return found


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
