"""What one zone has for a wish: whose objects show each block, and which products the overviews are read of.

Planned over the whole zone at once, as far as the products that were found reach, so that no plan depends on a picture.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from abut.errors import MissingObjectError
from abut.finding import Foreseen, Query
from abut.holdings import hull_of
from abut.lattice import BlockRange, Bounds
from abut.planning import overlay
from abut.versions import one_version
from abut.view import select
from abut.zone_layout import zone_blocks
from services.tiles.clouds import clouds_of
from services.tiles.degrees import degrees_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from abut.archive import Archive
    from abut.blocks import Slot
    from abut.finding import Filter, Finder, Found
    from abut.holders import HeldBlock
    from abut.holdings import Held
    from abut.lattice import Block, Zone
    from abut.strips import Layer, Strip
    from abut.view import View
    from services.tiles.wish import Wish

    type Rank = Callable[[str, Layer], tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Overlay:
    """A product whose overviews are read: whole, whatever blocks it released."""

    product: str
    """Product id."""
    folder: str
    """Key of its store folder in the archive."""
    hull: BlockRange
    """Blocks that its overviews span."""
    layer: Layer
    """Datatake, strip, version and offsets."""
    valid: NDArray[np.bool_] = field(compare=False, repr=False)
    """Blocks that are not empty in it, of the shape of its hull."""


@dataclass(frozen=True, slots=True)
class ZonePlan:
    """What a zone has for a wish; get one with `plan_zone`."""

    zone: Zone
    """The zone."""
    blocks: BlockRange
    """Blocks around all products that were found."""
    overlays: tuple[Overlay, ...]
    """Products that were found, the one that is shown first, first."""
    broken: tuple[tuple[str, Bounds], ...]
    """Products of which the archive lost blocks, so that they can't be shown, and their footprints."""
    degrees: tuple[float, float, float, float]
    """West, south, east and north of all products; west is more than east across the antimeridian."""
    made: float
    """When planning began, on the monotonic clock."""
    steps: tuple[tuple[View, int], ...] = field(compare=False, repr=False)
    """Plans of the archive and steps of theirs, the one that is shown first, first."""
    offsets: Mapping[str, tuple[int, ...]] = field(compare=False, repr=False)
    """Offsets in DN that the products have, by band, the least first."""
    _hulls: NDArray[np.int64] = field(compare=False, repr=False)
    _rank: Rank | None = field(compare=False, repr=False)
    _parts: dict[Block, tuple[HeldBlock, ...]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Steps in time."""
        return tuple(view.slots[step] for view, step in self.steps)

    @property
    def size(self) -> int:
        """How much is kept: about bytes."""
        return 10_000 + 8 * len(self.blocks) * len(self.steps) + 2_000 * len(self.overlays)

    def parts(self, block: Block) -> tuple[HeldBlock, ...]:
        """Return whose objects show a block at all steps, the one that is shown first, first."""
        found = self._parts.get(block)
        if found is None:
            some = [part for view, step in self.steps for part in view.parts(step, block)]
            rank = self._rank
            if rank is not None:
                some.sort(key=lambda part: rank(part.whose, part.holder.layer))
            found = self._parts[block] = tuple(some)
        return found

    def overlays_on(self, blocks: tuple[int, int, int, int]) -> list[Overlay]:
        """Return the products whose hulls touch blocks (p0, q0, p1, q1), the one that is shown first, first."""
        p0, q0, p1, q1 = self._hulls
        near = (p0 < blocks[2]) & (p1 > blocks[0]) & (q0 < blocks[3]) & (q1 > blocks[1])
        return [self.overlays[number] for number in np.flatnonzero(near).tolist()]


def plan_zone(archive: Archive, finder: Finder, wish: Wish, wanted: Filter, zone: Zone) -> ZonePlan | None:
    """Plan a zone.

    Parameters
    ----------
    archive : Archive
        The archive.
    finder : Finder
        What finds products in it.
    wish : Wish
        What is asked for.
    wanted : Filter
        The same as a filter of products.
    zone : Zone
        The zone.

    Returns
    -------
    ZonePlan or None
        None if nothing was found.

    Raises
    ------
    MixedBaselinesError
        If products of one datatake differ in offset or quantification value.
    InvalidArchiveError, UnsupportedStoreError
        If the archive can't be read.
    MissingObjectError
        If the archive lost blocks of the one product that is asked for.
    """
    made = time.monotonic()
    everything = finder.find(archive, Query(zone_blocks(zone).bounds, wish.time, wanted))
    versions = _versions(everything, wish)
    if not versions:
        return None
    window = _window([one for some in versions for one in some])
    broken: list[Held] = []
    shown: list[tuple[int, View, int, list[Overlay]]] = []
    for age, found in enumerate(versions):
        view, whole = _readable(archive, wish, found, window, broken)
        if view is not None:
            shown += [(age, view, step, some) for step, some in enumerate(_overlays(view, whole))]
    if not shown:
        return None
    # those of one time are versions of each other, of which the newer one comes first whatever the order
    latest, way = wish.order != "earliest", -1 if wish.order != "earliest" else 1
    shown.sort(key=lambda one: (one[1].slots[one[2]].time, way * one[0], one[2]), reverse=latest)
    listed = [one for *_, some in shown for one in some]
    rank = _rank_of(archive, wish, listed)
    if rank is not None:
        listed.sort(key=lambda one: rank(one.product, one.layer))
    lost = tuple((one.product, one.tile.footprint) for one in broken)
    return ZonePlan(
        zone=zone,
        blocks=shown[0][1].blocks,
        overlays=tuple(listed),
        broken=lost,
        degrees=degrees_of([one.hull for one in listed]),
        made=made,
        steps=tuple((view, step) for _, view, step, _ in shown),
        offsets=_offsets(listed),
        _hulls=np.array([(one.hull.p0, one.hull.q0, one.hull.p1, one.hull.q1) for one in listed]).T,
        _rank=rank,
    )


def _versions(everything: Sequence[Found], wish: Wish) -> list[list[Found]]:
    """Return what was found by rank of version: the newest of each strip, then what tiles only older ones have.

    A version is shown whole before the next one, so versions are never mixed where a newer one has the tile. Of ids in
    their given order all are shown.
    """
    rest, ranked = list(everything), []
    seen: dict[Strip, set[str]] = {}
    while rest:
        found, _ = one_version(rest, product=wish.item)
        if not found:
            break
        ranked.append(found)
        if wish.item is not None:
            break
        by_name = wish.order == "given"
        for one in found:
            seen.setdefault(one.layer.strip, set()).update(
                held.product if by_name else held.tile.id for held in one.chosen
            )
        kept = (
            replace(
                one,
                chosen=tuple(
                    held
                    for held in one.chosen
                    if (held.product if by_name else held.tile.id) not in seen.get(one.layer.strip, ())
                ),
            )
            for one in rest
        )
        rest = [one for one in kept if one.chosen]
    return ranked


def _readable(
    archive: Archive, wish: Wish, found: list[Found], window: Bounds, broken: list[Held]
) -> tuple[View | None, list[Found]]:
    """Return the plan of what was found without broken products, which are noted, and what it is of."""
    try:
        view = _view(archive, wish, found, window)
    except MissingObjectError:
        if wish.item is not None:
            raise
        found, lost = _without_broken(archive, wish, found, window)
        broken += lost
        if not found:
            return None, found
        view = _view(archive, wish, found, window)
    return view if view.slots else None, found


def _window(found: Sequence[Found]) -> Bounds:
    return Bounds.around(hull_of(held.tile).bounds for one in found for held in one.chosen)


def _view(archive: Archive, wish: Wish, found: Sequence[Found], window: Bounds) -> View:
    return select(archive, Foreseen({window: tuple(found)}), window, wish.time, product=wish.item)


def _without_broken(
    archive: Archive, wish: Wish, found: Sequence[Found], window: Bounds
) -> tuple[list[Found], list[Held]]:
    """Return what was found without the products whose blocks their holders have no more, and those products."""
    kept: list[Found] = []
    broken: list[Held] = []
    for one in found:
        whole = []
        for held in one.chosen:
            try:
                _view(archive, wish, [replace(one, chosen=(held,))], window)
            except MissingObjectError:
                broken.append(held)
            else:
                whole.append(held)
        if whole:
            kept.append(replace(one, chosen=tuple(whole)))
    return kept, broken


def _overlays(view: View, found: Sequence[Found]) -> list[list[Overlay]]:
    """Return the chosen products of each step, in the order in which they are overlaid."""
    known = {held.prefix: (one.layer, held) for one in found for held in one.chosen}
    steps = []
    for prefixes in view.chosen:
        some = sorted((known[prefix] for prefix in prefixes), key=lambda one: (overlay(one[0], None), one[1].product))
        steps.append([_overlay(layer, held) for layer, held in some])
    return steps


def _overlay(layer: Layer, held: Held) -> Overlay:
    hull = hull_of(held.tile)
    valid = held.mask.copy()
    numbers = [number for _, some in held.released for number in some]
    valid.reshape(-1)[numbers] = True
    return Overlay(held.product, f"products/{held.prefix}", hull, layer, valid)


def _offsets(overlays: Iterable[Overlay]) -> dict[str, tuple[int, ...]]:
    found: dict[str, set[int]] = {}
    for layer in {one.layer for one in overlays}:
        for band, offset in layer.radio_add_offset:
            found.setdefault(band, set()).add(offset)
    return {band: tuple(sorted(some)) for band, some in found.items()}


def _rank_of(archive: Archive, wish: Wish, overlays: Sequence[Overlay]) -> Rank | None:
    """Return what comes before time in the order of products, if anything does."""
    if wish.order == "given":
        place = {name: float(number) for number, name in enumerate(wish.ids)}
        return lambda product, _: (place[product],)
    if wish.order == "least-cloudy":
        clouds = clouds_of(archive, overlays)
        return lambda product, _: (clouds[product],)
    return None
