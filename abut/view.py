"""Views: all products of a zone in a window and a period, read as one array of blocks with a time axis.

A view says who holds each block at each step, and in which order holders are overlaid: own strip first if a product
was asked for, then datatakes by their start, strips by theirs, the rank of the tile, and the id. What it shows are the
legacy arrays of the chosen products, one over the other, whoever holds their blocks (`abut.holders`). It reads no
pixels. It stays right while the archive changes: `View.renewed` plans again from the ledgers as they are then. What was
to be seen of a product that was withdrawn since the view was planned is an error then, never nodata.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from abut.errors import BadRequestError, MissingObjectError, MixedBaselinesWarning, OlderVersionWarning
from abut.finding import Filter, Found, Query
from abut.holdings import load_all, unsettled
from abut.lattice import BlockRange
from abut.newcomers import read_item
from abut.planning import Plan, planned, torn
from abut.product import item_key
from abut.steps import slot_of, solar_shift, split_notes, steps_of
from abut.versions import one_version

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

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
    from abut.versions import Version

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
    shift: timedelta | None = None,
    versions: Mapping[Strip, Version] | None = None,
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
        Further conditions. Blocks that a chosen product released are read from their holders, and cropped to its
        legacy footprint if those were not chosen.
    product : str, optional
        Product whose strip is overlaid first, in its own version.
    baseline : str, optional
        Processing baseline such as ``05.11``. By default the newest of each strip that has a product in the window.
    group : {"datatake", "solar_day"}
        What makes a step in time. The solar day is that of the window's centre, as odc-stac counts it: UTC plus the
        whole hours of longitude / 15 degrees; within a day, datatakes are overlaid by their start.
    shift : timedelta, optional
        Solar time less UTC, for solar days that are not those of the window's centre: where several windows take part
        in one request, their days have to be the same.
    versions : mapping of Strip, optional
        Versions of strips that were chosen elsewhere (`View.versions`): of these strips no other one is taken.

    Returns
    -------
    View
        The plan. It has no slots if nothing was found.

    Raises
    ------
    MissingObjectError
        If a block was released to a product that does not hold it.
    InvalidArchiveError
        If a ledger or an item can't be understood.
    BadRequestError
        If the grouping or the baseline is none.

    Warns
    -----
    OlderVersionWarning
        If another version of a strip has tiles in the window that the chosen one lacks, see `View.notes`.
    MixedBaselinesWarning
        If products of a datatake (or solar day) differ in offset or quantification value: they are several steps.
    """
    if group not in ("datatake", "solar_day"):
        raise BadRequestError(f"group {group!r} is neither 'datatake' nor 'solar_day'")
    asked = None if product is None else product.removesuffix(".SAFE")
    found, notes = one_version(
        finder.find(archive, Query(window, period, wanted)), product=asked, baseline=baseline, versions=versions
    )
    if notes:
        more = f" (and {len(notes) - 1} more, see View.notes)" if len(notes) > 1 else ""
        warnings.warn(f"{notes[0]}{more}", OlderVersionWarning, stacklevel=2)
    own = next((one.layer.strip for one in found if any(held.product == asked for held in one.chosen)), None)
    if group == "solar_day" and shift is None:
        shift = solar_shift(window)
    steps = steps_of(found, shift if group == "solar_day" else None)
    slots, plans, requests = [], [], []
    for step in steps:
        plan = planned(archive.store, step, window, own)
        if plan.holders:
            slots.append(slot_of(plan))
            plans.append(plan)
            requests.append(tuple(_request(one) for one in step))
    split = split_notes(slots, shift if group == "solar_day" else None)
    if split:
        warnings.warn("; ".join(split), MixedBaselinesWarning, stacklevel=2)
    return View(archive, window, tuple(slots), notes + split, tuple(plans), tuple(requests), own)


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
    """What other versions have in the window and the chosen ones have not, and which datatakes are several steps."""
    _plans: tuple[Plan, ...] = field(repr=False)
    _requests: tuple[tuple[_Request, ...], ...] = field(repr=False)
    _own: Strip | None = field(repr=False)
    _first: tuple[Plan, ...] = field(default=(), repr=False, compare=False)
    """What was planned at first, if this is a newer plan."""
    _torn: tuple[Mapping[int, str], ...] = field(default=(), repr=False, compare=False)
    """For each step the numbers of blocks that showed a product at first that was withdrawn since."""

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
        """Return who supplies blocks at a step, for itself or for a chosen product that released them to it.

        In the order of strips, then of the ids of the chosen products.
        """
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
        MissingObjectError
            If this is a newer plan, and a product that was to be seen there at first was withdrawn since.
        """
        if self._torn and self._torn[slot]:
            row, column = self.blocks.position(block)
            lost = self._torn[slot].get(row * self.blocks.shape[1] + column)
            if lost is not None:
                where = f"{self.zone.epsg}/{block.p}/{block.q}"
                raise MissingObjectError(
                    f"{self.store.url}: {lost}, of which block {where} was to be read, was withdrawn since; ask again"
                )
        return self._plans[slot].parts(block)

    @property
    def chosen(self) -> tuple[tuple[str, ...], ...]:
        """For each step the stores of the products that were chosen: ``<id>.<attempt>.zarr``, sorted.

        They decide each pixel; who holds which block may change without any of that.
        """
        return tuple(
            tuple(sorted(prefix for request in requests for prefix in request.prefixes)) for requests in self._requests
        )

    @property
    def named(self) -> tuple[tuple[str, ...], ...]:
        """For each step the ids of the chosen products that have data in the window, sorted: those of the slots."""
        return tuple(slot.products for slot in self.slots)

    @property
    def versions(self) -> dict[Strip, Version]:
        """Which version of each strip was chosen."""
        layers = (request.layer for requests in self._requests for request in requests)
        return {layer.strip: layer.version for layer in layers}

    def gone(self) -> tuple[str, ...]:
        """Return the ids of products that were chosen and have been withdrawn since, sorted."""
        requests = [request for requests in self._requests for request in requests]
        return tuple(sorted(_lost(_found_again(self.store, requests))))

    def renewed(self) -> View:
        """Plan again from the ledgers as they are now, for the products that were chosen then.

        Products that were withdrawn meanwhile are left out, and `parts` of a block that showed them is an error from
        then on. Products that came are not added. Steps and their order stay the same, and so does all but
        `Slot.products`. The answer equals this one if nothing changed.

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
        slots = tuple(replace(slot, products=plan.shown) for slot, plan in zip(self.slots, plans, strict=True))
        first, lost = self._first or self._plans, _lost(found)
        holes = tuple(torn(then, lost) for then in first)
        return replace(self, slots=slots, _plans=plans, _first=first, _torn=holes)


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


def _lost(found: Mapping[_Request, list[Found]]) -> set[str]:
    """Return the ids of products that were asked for and are live no more."""
    live = {held.product for some in found.values() for one in some for held in one.chosen}
    return {name for request in found for name in request.products} - live


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
