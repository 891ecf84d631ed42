"""What one zone has for a wish: whose objects show each block, and which products the overviews are read of.

Planned over the whole zone at once, as far as the products that were found reach, so that no plan depends on a picture.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from abut.errors import MissingObjectError
from abut.finding import Foreseen, Query
from abut.ground import outline_in, project
from abut.holdings import hull_of, in_threads
from abut.lattice import BlockRange, Bounds
from abut.newcomers import read_item
from abut.planning import overlay
from abut.versions import one_version
from abut.view import select
from abut.zone_layout import zone_blocks
from services.tiles.frame import system_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from abut.archive import Archive
    from abut.blocks import Slot
    from abut.finding import Filter, Finder, Found
    from abut.holders import HeldBlock
    from abut.holdings import Held
    from abut.lattice import Block, Zone
    from abut.strips import Layer
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
    view: View = field(compare=False, repr=False)
    """The plan of the archive."""
    offsets: Mapping[str, tuple[int, ...]] = field(compare=False, repr=False)
    """Offsets in DN that the products have, by band, the least first."""
    _hulls: NDArray[np.int64] = field(compare=False, repr=False)
    _rank: Rank | None = field(compare=False, repr=False)
    _order: tuple[int, ...] = field(repr=False)
    _parts: dict[Block, tuple[HeldBlock, ...]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Steps in time."""
        return self.view.slots

    @property
    def size(self) -> int:
        """How much is kept: about bytes."""
        return 10_000 + 8 * len(self.blocks) * len(self.view.slots) + 2_000 * len(self.overlays)

    def parts(self, block: Block) -> tuple[HeldBlock, ...]:
        """Return whose objects show a block at all steps, the one that is shown first, first."""
        found = self._parts.get(block)
        if found is None:
            some = [part for slot in self._order for part in self.view.parts(slot, block)]
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
    found, _ = one_version(everything, product=wish.item)
    if not found:
        return None
    try:
        view = _view(archive, wish, found)
        broken: list[Held] = []
    except MissingObjectError:
        if wish.item is not None:
            raise
        found, broken = _without_broken(archive, wish, found)
        if not found:
            return None
        view = _view(archive, wish, found)
    if not view.slots:
        return None
    overlays = _overlays(view, found)
    rank = _rank_of(archive, wish, overlays)
    order = tuple(range(len(view.slots)))
    steps = order if wish.order == "earliest" else order[::-1]
    listed = [one for step in steps for one in overlays[step]]
    if rank is not None:
        listed.sort(key=lambda one: rank(one.product, one.layer))
    lost = tuple((one.product, one.tile.footprint) for one in broken)
    return ZonePlan(
        zone=zone,
        blocks=view.blocks,
        overlays=tuple(listed),
        broken=lost,
        degrees=_degrees(listed),
        made=made,
        view=view,
        offsets=_offsets(listed),
        _hulls=np.array([(one.hull.p0, one.hull.q0, one.hull.p1, one.hull.q1) for one in listed]).T,
        _rank=rank,
        _order=steps,
    )


def _view(archive: Archive, wish: Wish, found: Sequence[Found]) -> View:
    window = _around([hull_of(held.tile) for one in found for held in one.chosen])
    return select(archive, Foreseen({window: tuple(found)}), window, wish.time, product=wish.item)


def _around(hulls: Iterable[BlockRange]) -> Bounds:
    some = [hull.bounds for hull in hulls]
    return Bounds(
        some[0].zone,
        min(one.left for one in some),
        min(one.bottom for one in some),
        max(one.right for one in some),
        max(one.top for one in some),
    )


def _without_broken(archive: Archive, wish: Wish, found: Sequence[Found]) -> tuple[list[Found], list[Held]]:
    """Return what was found without the products whose blocks their holders have no more, and those products."""
    kept: list[Found] = []
    broken: list[Held] = []
    for one in found:
        whole = []
        for held in one.chosen:
            try:
                _view(archive, wish, [replace(one, chosen=(held,))])
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


def _rank_of(archive: Archive, wish: Wish, overlays: Sequence[Sequence[Overlay]]) -> Rank | None:
    """Return what comes before time in the order of products, if anything does."""
    if wish.order == "given":
        place = {name: float(number) for number, name in enumerate(wish.ids)}
        return lambda product, _: (place[product],)
    if wish.order == "least-cloudy":
        clouds = _clouds(archive, [one.product for some in overlays for one in some])
        return lambda product, _: (clouds[product],)
    return None


def _clouds(archive: Archive, products: Sequence[str]) -> Mapping[str, float]:
    """Return the cloud cover of products in percent; 101 of one that states none."""

    def cloud(product: str) -> float:
        item = read_item(archive.store, product)
        cover = None if item is None else item["properties"].get("eo:cloud_cover")
        return 101.0 if cover is None else float(cover)

    return dict(zip(products, in_threads(archive.store, cloud, products), strict=True))


def _degrees(overlays: Sequence[Overlay]) -> tuple[float, float, float, float]:
    """Return west, south, east and north of the hulls of products."""
    edges = [_degrees_of(bounds) for bounds in {one.hull.bounds for one in overlays}]
    lon, lat = np.concatenate([one[0] for one in edges]), np.concatenate([one[1] for one in edges])
    centre = float(overlays[0].hull.zone.number * 6 - 183)
    apart = (lon - centre + 180) % 360 - 180
    west, east = (_wrapped(centre + float(edge)) for edge in (apart.min(), apart.max()))
    return west, float(lat.min()), east, float(lat.max())


def _wrapped(degrees: float) -> float:
    return degrees if abs(degrees) <= 180 else math.fmod(degrees + 540, 360) - 180


def _degrees_of(bounds: Bounds) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = outline_in(bounds.zone, bounds)
    return project(system_of(str(bounds.zone)), system_of("EPSG:4326"), x, y)
