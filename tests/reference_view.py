"""Views by sets of blocks, one product after the other: slow, and obvious."""

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

type Read = dict[str, dict[Block, list[str]]]
"""Keys of the objects of band B01 by block, in the order of the overlay, by datatakes of a step."""


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
    read: Read = {}
    for block in blocks:
        holding = {
            (step(one, kept, window, by_day=by_day), one.strip != own, first(one, kept), one.strip, holder.prefix):
                holder
            for one in kept
            for holder in one.holders(block)
        }  # fmt: skip
        order = sorted(
            holding, key=lambda key: (*key[:4], rank_key(block, holding[key].tile), holding[key].product, key[4])
        )
        for key in order:
            row, column = holding[key].tile.hull.position(block)
            name = f"products/{key[4]}/{block_key(BAND['B01'].path, row, column)}"
            read.setdefault(key[0], {}).setdefault(block, []).append(name)
    return dict(sorted(read.items()))


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


def read_by(view: View) -> list[dict[Block, list[str]]]:
    """Return what a view reads: keys of band B01 by block, for each step."""
    found: list[dict[Block, list[str]]] = []
    for slot in range(len(view.slots)):
        parts = {block: [part.key(BAND["B01"]) for part in view.parts(slot, block)] for block in view.blocks}
        found.append({block: keys for block, keys in parts.items() if keys})
    return found
