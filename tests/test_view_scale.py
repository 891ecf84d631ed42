"""Planning at the scale of Europe: a month of 2,484 tiles, by ledgers without pixels. Work is counted, not timed."""

from __future__ import annotations

import csv
import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from abut import ledger as ledgers
from abut.archive import Archive
from abut.finding import ArchiveFinder, Filter
from abut.lattice import BLOCK_SIZE, BlockRange, Bounds
from abut.ledger import Member
from abut.period import Period
from abut.store import Entry, Store, Versioned
from abut.tiling import Tile, tile
from abut.view import View, select
from tests.conftest import shared_data
from tests.shots import Shot, commit, empty_archive

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACKS, PASSES = 10, 6
"""Tracks of a zone from west to east; passes of each in the month."""
FIRST = datetime(2025, 7, 1, 10, tzinfo=UTC)
JULY = Period(datetime(2025, 7, 1, tzinfo=UTC), datetime(2025, 8, 1, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class CountingStore(Store):
    """A store that counts reads by folder, and listings."""

    reads: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str) -> None:
        with self.lock:
            self.reads[what] = self.reads.get(what, 0) + 1

    def read(self, key: str) -> Versioned | None:
        self.count(key.partition("/")[0])
        return Store.read(self, key)

    def children(self, prefix: str) -> tuple[list[str], list[Entry]]:
        self.count(f"{prefix}/")
        return Store.children(self, prefix)


def europe() -> dict[int, list[Tile]]:
    """The tiles of Europe by zone, west to east."""
    with (shared_data() / "grid" / "europe_tiles.csv").open() as file:
        tiles = [tile(row["tile"]) for row in csv.DictReader(file)]
    zones: dict[int, list[Tile]] = {}
    for one in sorted(tiles, key=lambda one: (one.ulx, one.id)):
        zones.setdefault(one.zone.epsg, []).append(one)
    return zones


def settled(tiles: list[Tile], name_of: dict[Tile, str]) -> list[dict[str, Any]]:
    """Members of a layer without overlap: the first tile that has a block whole holds it, else all that touch it.

    As the ledger's JSON has them; sets of blocks would take ten times as long.
    """
    owner: dict[tuple[int, int], Tile] = {}
    for one in tiles:
        for p, q in blocks_within(one):
            owner.setdefault((p, q), one)
    members = []
    for one in tiles:
        hull = one.hull
        held: list[int] = []
        released: dict[str, list[int]] = {}
        for number in range(len(hull)):
            row, column = divmod(number, hull.shape[1])
            to = owner.get((hull.p0 + column, hull.q1 - 1 - row), one)
            (held if to == one else released.setdefault(name_of[to], [])).append(number)
        groups = [
            {"to": to, "since": "2025-08-02T00:00:00+00:00", "dropped": True, "blocks": blocks}
            for to, blocks in released.items()
        ]
        state = {"withdrawn": None, "removed": False, "held": held, "released": groups}
        members.append({"product": name_of[one], "prefix": f"{name_of[one]}.a1.zarr", "tile": one.id, **state})
    return members


def blocks_within(one: Tile) -> Iterator[tuple[int, int]]:
    """Blocks that a tile's footprint contains, as p and q."""
    foot, equator = one.footprint, one.zone.equator
    for p in range(-(-foot.left // BLOCK_SIZE), foot.right // BLOCK_SIZE):
        for q in range(-(-(foot.bottom - equator) // BLOCK_SIZE), (foot.top - equator) // BLOCK_SIZE):
            yield p, q


def fill(archive: Archive, tiles: list[Tile]) -> tuple[int, int]:
    """Put a month of one zone into an archive; return the numbers of layers and products.

    Of each layer only the first item can be read: they would take a hundred times the space of all else.
    """
    store, layers, products = archive.store, 0, 0
    for track in range(TRACKS):
        seen = tiles[track * len(tiles) // TRACKS : (track + 1) * len(tiles) // TRACKS + len(tiles) // 60]
        if not seen:
            continue
        start = FIRST + timedelta(minutes=track)
        shots = {one: Shot(one.id, datatake=start, datastrip_start=start, orbit=1 + track) for one in seen}
        first = shots[seen[0]]
        members = settled(seen, {one: shot.id for one, shot in shots.items()})
        commit(archive, first, Member(first.id, f"{first.id}.a1.zarr", first.tile, frozenset()))
        item = store.get(f"products/{first.id}.json").decode()
        ledger = json.dumps({"abut:ledger": 1, "layer": first.layer, "revision": 3, "members": members})
        names = [shot.id for shot in shots.values()]
        for number in range(PASSES):
            moment = start + timedelta(days=number * 30 / PASSES)
            compact, long = "%Y%m%dT%H%M%S", "%Y-%m-%dT%H:%M:%S"
            made, copied, listed = (
                text.replace(f"{start:{compact}}", f"{moment:{compact}}").replace(f"{start:{long}}", f"{moment:{long}}")
                for text in (ledger, item, "\n".join(names))
            )
            names_now = listed.splitlines()
            store.put_new(ledgers.key(first.layer.replace(f"{start:{compact}}", f"{moment:{compact}}")), made.encode())
            for name in names_now:
                store.put_new(f"products/{name}.json", copied.encode() if name == names_now[0] else b"not read")
            layers, products = layers + 1, products + len(names)
    return layers, products


def counting(archive: Archive) -> tuple[Archive, dict[str, int]]:
    """The same archive, with a store that counts."""
    store = CountingStore(archive.store.url, archive.store.backend, archive.store.root)
    return Archive(store, archive.profile, archive.catalogue), store.reads


def ground_of(tiles: list[Tile]) -> Bounds:
    """The ground of all tiles of a zone."""
    return Bounds.around(one.footprint for one in tiles)


def test_a_month_of_europe_is_planned_from_its_ledgers_and_one_item_of_each() -> None:
    zones = europe()
    assert sum(map(len, zones.values())) == 2_484
    archive = empty_archive()
    totals = np.array([fill(archive, tiles) for tiles in zones.values()])
    layers, products = totals.sum(axis=0)
    assert layers >= 1_000
    assert products >= 15_000
    counted, reads = counting(archive)
    finder = ArchiveFinder()
    views = [select(counted, finder, ground_of(tiles), JULY) for tiles in zones.values()]
    assert reads.pop("products/") < len(zones)  # the list of all products is kept for some seconds
    assert reads == {"layers": layers, "products": layers, "layers/": len(zones)}
    assert sum(len(view.slots) for view in views) == layers
    assert sum(len(slot.products) for view in views for slot in view.slots) == products
    for view in views[::5]:
        assert_abuts(view)


def test_half_of_the_tiles_show_all_that_they_released_cropped_where_their_rims_are() -> None:
    """A chosen tile's blocks are all there, each once, whoever holds them."""
    tiles = europe()[32632]
    archive = empty_archive()
    fill(archive, tiles)
    firsts = [tiles[track * len(tiles) // TRACKS] for track in range(TRACKS)]  # whose items can be read
    half = frozenset(one.id for one in (*tiles[::2], *firsts))
    view = select(archive, ArchiveFinder(), ground_of(tiles), JULY, wanted=Filter(tiles=half))
    everything = select(archive, ArchiveFinder(), ground_of(tiles), JULY)
    assert len(view.slots) == len(everything.slots)
    for slot in range(0, len(view.slots), 7):
        expected = {holder.whose: 0 for holder in view.holders(slot)}
        for holder in view.holders(slot):
            expected[holder.whose] += int(holder.mask.sum())
            assert holder.shown.id in half
            assert holder.tile.id not in half or holder.whose == holder.product
        chosen = [one for one in tiles if one.id in half and any(f"_T{one.id}_" in name for name in expected)]
        taken = {holder.product for holder in view.holders(slot)}
        assert len(taken) > len(expected) == len(chosen)
        rows, columns = np.nonzero(view.counts(slot))
        for row, column in list(zip(rows.tolist(), columns.tolist(), strict=True))[::31]:
            block = view.blocks.block(row, column)
            for part in view.parts(slot, block):
                part_of = part.holder.shown.footprint.intersection(block.bounds)
                is_own = part.product == part.whose
                assert part.crop == (None if is_own or part_of == block.bounds else part_of)


def test_a_small_window_of_a_large_zone_reads_no_item_of_layers_elsewhere() -> None:
    tiles = europe()[32632]
    archive = empty_archive()
    layers, _ = fill(archive, tiles)
    counted, reads = counting(archive)
    where = tiles[0]
    view = select(counted, ArchiveFinder(), where.footprint, Period(FIRST, FIRST + timedelta(days=1)))
    assert reads["layers"] == TRACKS
    assert reads["products"] == len(view.slots) < TRACKS
    assert layers == TRACKS * PASSES


def assert_abuts(view: View) -> None:
    """Each block has one holder where a tile holds it whole, and each holder's blocks are found by their place."""
    slot = len(view.slots) // 2
    counts = view.counts(slot)
    total = sum(int(holder.mask.sum()) for holder in view.holders(slot))
    assert counts.sum() == total
    rows, columns = np.nonzero(counts)
    blocks: BlockRange = view.blocks
    for row, column in list(zip(rows.tolist(), columns.tolist(), strict=True))[::97]:
        parts = view.parts(slot, blocks.block(row, column))
        assert len(parts) == counts[row, column]
        for part in parts:
            assert part.tile.hull.block(part.row, part.column) == blocks.block(row, column)
            assert part.holder.mask[part.row, part.column]
