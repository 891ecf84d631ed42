"""Views by sets of blocks, one product after the other: slow, and obvious.

A step shows the chosen products' own pixels of each block, one product over the other. Where one released the block,
its pixels are read from the holder: as they are if that was chosen too, else cropped to the footprint of the one that
released it, which keeps its place in the order.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pyproj import Transformer

from abut.lattice import Block, BlockRange, Bounds
from abut.layout import BAND, block_key
from abut.ledger import Ledger, Member, load
from abut.tiling import rank_key, tile
from catalog.item import valid_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from abut.archive import Archive
    from abut.view import View

type Shown = tuple[str, str, Bounds | None]
"""Id of a chosen product, key of the object of band B01 that shows it in a block, and how that is cropped."""

type Read = dict[str, dict[Block, list[Shown]]]
"""What is shown by block, in the order of the overlay, by datatakes of a step."""


@dataclass(frozen=True)
class Candidate:
    """A product that may be read."""

    item: dict[str, Any]
    member: Member
    ledger: Ledger

    @property
    def datatake(self) -> str:
        return str(self.item["properties"]["s2:datatake_id"]).rpartition("_N")[0]

    @property
    def start(self) -> datetime:
        return datetime.fromisoformat(self.item["properties"]["datetime"])

    @property
    def strip(self) -> tuple[str, str]:
        return self.datatake, self.item["properties"]["abut:datastrip_start"]

    @property
    def version(self) -> tuple[tuple[int, ...], str]:
        baseline = self.item["properties"]["processing:version"]
        made = self.item["properties"]["s2:datastrip_id"].split("_")[6]
        return tuple(map(int, baseline.split("."))), made

    def holders(self, block: Block) -> list[Member]:
        """Who holds a block for it: nobody or one."""
        name = self.member.holder(block)
        if name is None:
            return []
        return [self.member if name == self.member.product else self.ledger.members[name]]


def candidates(archive: Archive) -> list[Candidate]:
    """All live products: what the ledger says of them, or all their blocks if it does not know them."""
    found = []
    for name in archive.item_ids():
        item = json.loads(archive.store.get(f"products/{name}.json"))
        if "abut:removed" in item["properties"]:
            continue
        prefix, where = item["properties"]["abut:store"], tile(item["properties"]["grid:code"])
        ledger, _ = load(archive.store, item["properties"]["abut:layer"])
        member = ledger.members.get(name)
        if member is None or member.prefix != prefix:
            blocks = frozenset(where.hull.block(row, column) for row, column in valid_of(item))
            member = Member(name, prefix, where, blocks)
        if member.live:
            found.append(Candidate(item, member, ledger))
    return found


def reference(
    everything: list[Candidate],
    window: Bounds,
    *,
    chosen: Callable[[dict[str, Any]], bool] = lambda _: True,
    product: str | None = None,
    baseline: str | None = None,
    by_day: bool = False,
) -> Read:
    """Return what a view of some candidates has to read."""
    blocks = list(BlockRange.around(window))
    near = [one for one in everything if chosen(one.item) and any(block in one.member.tile.hull for block in blocks)]
    if baseline is not None:
        near = [one for one in near if one.item["properties"]["processing:version"] == baseline]
    kept = [one for one in near if is_taken(one, near, product)]
    own = next((one.strip for one in kept if one.item["id"] == product), None)
    kept_prefixes = {one.member.prefix for one in kept}

    def order(one: Candidate) -> tuple[Any, ...]:
        return one.strip != own, first(one, kept), one.strip, rank_key(block, one.member.tile), one.member.product

    read: Read = {}
    for block in blocks:
        for one in sorted((one for one in kept if block in one.member.tile.hull), key=order):
            for holder in one.holders(block):
                if holder.prefix == one.member.prefix or holder.prefix not in kept_prefixes:
                    when = step(one, kept, window, by_day=by_day)
                    read.setdefault(when, {}).setdefault(block, []).append(shown(one.member, holder, block))
    return dict(sorted(read.items()))


def shown(chosen: Member, holder: Member, block: Block) -> Shown:
    """What of a holder's object is shown for a chosen product."""
    row, column = holder.tile.hull.position(block)
    part = chosen.tile.footprint.intersection(block.bounds)
    is_whole = part == block.bounds or holder.tile == chosen.tile
    key = f"products/{holder.prefix}/{block_key(BAND['B01'].path, row, column)}"
    return chosen.product, key, None if is_whole else part


def is_taken(one: Candidate, others: list[Candidate], product: str | None) -> bool:
    """Whether a product is of the version that is read of its strip."""
    versions = [other for other in others if other.strip == one.strip]
    own = [other for other in versions if other.item["id"] == product]
    best = own[0].version if own else max(other.version for other in versions)
    twins = [other.item["id"] for other in versions if other.version == best and other.member.tile == one.member.tile]
    return one.version == best and one.item["id"] == (product if product in twins else max(twins))


def first(one: Candidate, others: list[Candidate]) -> datetime:
    """Start of a product's datatake."""
    return min(other.start for other in others if other.datatake == one.datatake)


def step(one: Candidate, others: list[Candidate], window: Bounds, *, by_day: bool) -> str:
    """Name of the step in time that a product is of; names are in the order of time."""
    if not by_day:
        return f"{first(one, others).isoformat()} {one.datatake}"
    transformer = Transformer.from_crs(window.zone.epsg, 4326, always_xy=True)
    longitude, _ = transformer.transform((window.left + window.right) / 2, (window.bottom + window.top) / 2)
    return str((first(one, others) + timedelta(seconds=int(longitude / 15) * 3600)).date())


def read_by(view: View) -> list[dict[Block, list[Shown]]]:
    """Return what a view shows, by block, for each step."""
    found: list[dict[Block, list[Shown]]] = []
    for slot in range(len(view.slots)):
        parts = {
            block: [(part.whose, part.key(BAND["B01"]), part.crop) for part in view.parts(slot, block)]
            for block in view.blocks
        }
        found.append({block: some for block, some in parts.items() if some})
    return found
