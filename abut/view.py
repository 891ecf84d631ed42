"""Views: all products of a zone in a window and a period, read as one array of blocks with a time axis.

A view says who holds each block at each step, and in which order holders are overlaid: own strip first if a product
was asked for, then datatakes by their start, strips by theirs, the rank of the holder's tile, and the id. It reads no
pixels. It stays right while the archive changes: `View.renewed` plans again from the ledgers as they are then.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from abut.errors import BadRequestError, OlderVersionWarning
from abut.finding import Filter, Found, Query
from abut.holdings import load_all, unsettled
from abut.lattice import BlockRange
from abut.newcomers import read_item
from abut.planning import Plan, planned
from abut.product import item_key
from abut.steps import products_of, slot_of, steps_of
from abut.versions import one_version

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from abut.archive import Archive
    from abut.blocks import Slot
    from abut.finding import Finder
    from abut.holders import HeldBlock, Holder
    from abut.holdings import Held, Holdings
    from abut.lattice import Block, Bounds, Zone
    from abut.period import Period
    from abut.steps import Grouping
    from abut.store import Store
    from abut.strips import Layer, Strip

_EVERYTHING: Final = Filter()


def select(
    archive: Archive,
    finder: Finder,
    window: Bounds,
    period: Period | None = None,
    *,
    wanted: Filter = _EVERYTHING,
    product: str | None = None,
    baseline: str | None = None,
    group: Grouping = "datatake",
) -> View:
    """Plan what a window of a zone is read from.

    Parameters
    ----------
    archive : Archive
        Where the objects are.
    finder : Finder
        What finds the products, see `abut.finding.locate`.
    window : Bounds
        The ground.
    period : Period, optional
        Datatakes that start in it; None: all.
    wanted : Filter
        Further conditions. Blocks that a chosen product released are read from their holders.
    product : str, optional
        Product whose strip is overlaid first, in its own version.
    baseline : str, optional
        Processing baseline such as ``05.11``. By default the newest of each strip that has a product in the window.
    group : {"datatake", "solar_day"}
        What makes a step in time. The solar day is that of the window's centre, as odc-stac counts it: UTC plus the
        whole hours of longitude / 15 degrees; within a day, datatakes are overlaid by their start.

    Returns
    -------
    View
        The plan. It has no slots if nothing was found.

    Raises
    ------
    MixedBaselinesError
        If products of one step differ in offset or quantification value.
    MissingObjectError
        If a block was released to a product that does not hold it.
    InvalidArchiveError
        If a ledger or an item can't be understood.
    BadRequestError
        If the grouping or the baseline is none.

    Warns
    -----
    OlderVersionWarning
        If an older version of a strip has tiles in the window that the chosen one lacks, see `View.notes`.
    """
    if group not in ("datatake", "solar_day"):
        raise BadRequestError(f"group {group!r} is neither 'datatake' nor 'solar_day'")
    asked = None if product is None else product.removesuffix(".SAFE")
    found, notes = one_version(finder.find(archive, Query(window, period, wanted)), product=asked, baseline=baseline)
    if notes:
        more = f" (and {len(notes) - 1} more, see View.notes)" if len(notes) > 1 else ""
        warnings.warn(f"{notes[0]}{more}", OlderVersionWarning, stacklevel=2)
    own = next((one.layer.strip for one in found if any(held.product == asked for held in one.chosen)), None)
    steps = steps_of(found, window, group)
    slots, plans, requests = [], [], []
    for step in steps:
        plan = planned(archive.store, step, window, own)
        if plan.holders:
            slots.append(slot_of(plan.holders))
            plans.append(plan)
            requests.append(tuple(_request(one) for one in step))
    return View(archive, window, tuple(slots), notes, tuple(plans), tuple(requests), own)


@dataclass(frozen=True, slots=True)
class View:
    """Who holds the blocks of a window over some time; get one with `select`. It is an `abut.blocks.BlockSource`."""

    archive: Archive
    """Where the objects are."""
    window: Bounds
    """The ground that was asked for."""
    slots: tuple[Slot, ...]
    """Steps in time, in their order."""
    notes: tuple[str, ...]
    """What other versions have in the window and the chosen ones have not; empty if nothing."""
    _plans: tuple[Plan, ...] = field(repr=False)
    _requests: tuple[tuple[_Request, ...], ...] = field(repr=False)
    _own: Strip | None = field(repr=False)

    @property
    def store(self) -> Store:
        """Where the objects are."""
        return self.archive.store

    @property
    def profile(self) -> str:
        """How they are encoded, see `abut.codec`."""
        return self.archive.profile

    @property
    def zone(self) -> Zone:
        """The zone."""
        return self.window.zone

    @property
    def blocks(self) -> BlockRange:
        """All blocks that touch the window: those that `parts` knows."""
        return BlockRange.around(self.window)

    def holders(self, slot: int) -> tuple[Holder, ...]:
        """Return the products that supply blocks at a step, in the order of strips, then ids."""
        return self._plans[slot].holders

    def counts(self, slot: int) -> NDArray[np.intp]:
        """Return how many holders each block of `blocks` has at a step; row 0 in the north."""
        return np.diff(self._plans[slot].start).reshape(self.blocks.shape)

    def parts(self, slot: int, block: Block) -> tuple[HeldBlock, ...]:
        """Holders of a block at a step, in the order in which they are overlaid: the first DN > 0 wins.

        Raises
        ------
        KeyError
            If the block does not touch the window.
        IndexError
            If there is no such step.
        """
        return self._plans[slot].parts(block)

    @property
    def chosen(self) -> tuple[tuple[str, ...], ...]:
        """For each step the stores of the products that were chosen: ``<id>.<attempt>.zarr``, sorted.

        They, and what others hold for them, decide each pixel; who holds which block may change without any of that.
        """
        return tuple(
            tuple(sorted(prefix for request in requests for prefix in request.prefixes)) for requests in self._requests
        )

    def gone(self) -> tuple[str, ...]:
        """Return the ids of products that were chosen and have been withdrawn since, sorted."""
        requests = [request for requests in self._requests for request in requests]
        found = _found_again(self.store, requests)
        live = {held.product for some in found.values() for one in some for held in one.chosen}
        return tuple(sorted({name for request in requests for name in request.products} - live))

    def renewed(self) -> View:
        """Plan again from the ledgers as they are now, for the products that were chosen then.

        Products that were withdrawn meanwhile are left out, products that came are not added. Steps and their order
        stay the same, and so does all but `Slot.products`. The answer equals this one if nothing changed.

        Raises
        ------
        MissingObjectError
            If a block was released to a product that does not hold it.
        """
        found = _found_again(self.store, [request for requests in self._requests for request in requests])
        plans = tuple(
            planned(self.store, [one for request in requests for one in found[request]], self.window, self._own)
            for requests in self._requests
        )
        slots = tuple(
            replace(slot, products=products_of(plan.holders)) for slot, plan in zip(self.slots, plans, strict=True)
        )
        return replace(self, slots=slots, _plans=plans)


@dataclass(frozen=True, slots=True)
class _Request:
    """Products of a layer that were chosen."""

    layer: Layer
    products: tuple[str, ...]
    prefixes: tuple[str, ...]


def _request(found: Found) -> _Request:
    return _Request(
        found.layer, tuple(held.product for held in found.chosen), tuple(held.prefix for held in found.chosen)
    )


def _found_again(store: Store, requests: list[_Request]) -> dict[_Request, list[Found]]:
    """Look for products that were chosen, as ledgers and items have them now."""
    known = load_all(store, {request.layer.name: None for request in requests})
    return {request: _again(store, request, known) for request in requests}


def _again(store: Store, request: _Request, known: dict[str, Holdings]) -> list[Found]:
    chosen: dict[str, list[Held]] = {}
    for product in request.products:
        member = known[request.layer.name].members.get(product)
        if member is not None and member.live:
            chosen.setdefault(request.layer.name, []).append(member)
            continue
        item = read_item(store, product)
        if item is None:
            continue
        layer = item["properties"]["abut:layer"]
        if layer not in known:  # it was given a layer of its own
            known |= load_all(store, [layer])
        listed = known[layer].members.get(product)
        if listed is None or listed.prefix != item["properties"]["abut:store"]:
            chosen.setdefault(layer, []).append(unsettled(item, f"{store.url}/{item_key(product)}"))
        elif listed.live:
            chosen.setdefault(layer, []).append(listed)
    return [
        Found(replace(request.layer, name=layer), known[layer], tuple(members)) for layer, members in chosen.items()
    ]
