"""A lattice of 3 x 3 tiles and the next zone: SAFE in, overlap out, every legacy tile back bit for bit."""

from __future__ import annotations

import hashlib
import random
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from abut.archive import open_archive
from abut.layout import BAND
from abut.ledger import load
from abut.masks import read_mask
from abut.store import Store
from abut.tiling import ranked
from catalog.sqlite import open_catalogue
from ingest.check import check
from ingest.ingest import ingest
from ingest.purge import purge
from ingest.safe_source import safe_sources
from ingest.settle import settle
from tests.base_archive import Base, assert_recreates, copied, copy, ledger_of, make_base, shares
from tests.products import LATTICE, NEXT_ZONE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from abut.lattice import Block
    from abut.product import Product
    from abut.tiling import Tile


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return make_base([LATTICE, NEXT_ZONE], tmp_path_factory.mktemp("lattice"))


def test_ingested_products_recreate_before_anything_is_settled(base: Base) -> None:
    assert set(base.archive.product_ids()) == set(base.made)
    for name in base.made:
        assert_recreates(base, base.archive, name)
    assert check(base.archive) == []


ORDERS = [("as listed", 0), ("reversed", 0), ("shuffled", 1)]


@pytest.mark.parametrize(("order", "seed"), ORDERS)
def test_every_tile_of_a_3_x_3_lattice_comes_back_in_every_order_of_arrival(
    base: Base, tmp_path: Path, order: str, seed: int
) -> None:
    ids = base.ids(*LATTICE.tiles)
    if order == "reversed":
        ids.reverse()
    if order == "shuffled":
        random.Random(seed).shuffle(ids)  # noqa: S311
    for archive, _name in copied(base, tmp_path / "arrivals", ids):
        settle(archive)
        purge(archive, grace=timedelta(0))
    at_once = copy(base, tmp_path / "at once", sorted(ids))
    settle(at_once)
    one_by_one, together = ledger_of(archive, ids[0]), ledger_of(at_once, ids[0])
    assert {name: m.held for name, m in one_by_one.members.items()} == {
        name: m.held for name, m in together.members.items()
    }
    assert {n: {b: r.to for b, r in m.released.items()} for n, m in one_by_one.members.items()} == {
        n: {b: r.to for b, r in m.released.items()} for n, m in together.members.items()
    }
    for name in ids:
        assert_recreates(base, archive, name)
    assert check(archive) == []


def test_unequal_overlaps_stay_stored_for_both_and_equal_ones_once(base: Base, tmp_path: Path) -> None:
    archive = copy(base, tmp_path / "a", base.ids(*LATTICE.tiles))
    [settled] = settle(archive)
    distinct, stored = shares(ledger_of(archive, base.ids("32TPP")[0]))
    assert settled.unequal > 0
    assert stored == distinct + settled.unequal
    without = copy(base, tmp_path / "b", [n for n in base.ids(*LATTICE.tiles) if base.made[n].tile != "32TPP"])
    assert settle(without)[0].unequal == 0


def test_a_missing_owner_costs_nothing_but_the_corner_that_no_tile_covers(base: Base, tmp_path: Path) -> None:
    ids = [name for name in base.ids(*LATTICE.tiles) if base.made[name].tile != "32TPP"]
    archive = copy(base, tmp_path, ids)
    settle(archive)
    purge(archive, grace=timedelta(0))
    members = list(ledger_of(archive, ids[0]).members.values())
    for block in {block for member in members for block in member.valid}:
        here = [member.tile for member in members if block in member.valid]
        holders = sorted(member.tile for member in members if block in member.held)
        assert holders == keepers(block, here)
    for name in ids:
        assert_recreates(base, archive, name)


def keepers(block: Block, here: list[Tile]) -> list[Tile]:
    """Tiles that must keep a block whose pixels are all equal: no better-ranked keeper covers all that they cover."""
    found: list[Tile] = []
    for candidate in ranked(block, here):
        part = candidate.footprint.intersection(block.bounds)
        assert part is not None
        if not any(keeper.footprint.contains(part) for keeper in found):
            found.append(candidate)
    return sorted(found)


def test_zones_do_not_touch_each_others_blocks(base: Base, tmp_path: Path) -> None:
    archive = copy(base, tmp_path)
    settle(archive)
    purge(archive, grace=timedelta(0))
    for layer in archive.layers():
        ledger, _ = load(archive.store, layer)
        assert len({member.tile.zone for member in ledger.members.values()}) == 1
    for name in base.made:
        assert_recreates(base, archive, name)
    assert check(archive, deep=True) == []


def test_masks_never_settle_and_come_back_after_purge(base: Base, tmp_path: Path) -> None:
    ids = base.ids("32TPP", "32TQP")
    archive = copy(base, tmp_path, ids)
    settle(archive)
    purge(archive, grace=timedelta(0))
    for name in ids:
        product = archive.product(name)
        assert len(product.record.masks) == 27
        for mask in product.record.masks:
            assert hashlib.sha256(read_mask(archive, product, mask)).hexdigest() == product.record.masks[mask]


def test_a_settle_reads_pixels_only_of_blocks_that_a_footprint_cuts_and_each_once(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = copy(base, tmp_path, base.ids(*LATTICE.tiles))
    reads: list[str] = []
    plain = Store.get

    def counting(self: Store, key: str) -> bytes:
        if "/measurements/" in key:
            reads.append(key)
        return plain(self, key)

    monkeypatch.setattr(Store, "get", counting)
    settle(archive)
    monkeypatch.undo()
    assert len(reads) == len(set(reads)) > 0
    cut = _keys_of_cut_blocks([archive.product(name) for name in base.ids(*LATTICE.tiles)])
    assert set(reads) <= cut


def _keys_of_cut_blocks(products: Iterable[Product]) -> set[str]:
    """Objects of blocks that lie in some product's valid set and that a footprint of the layer cuts."""
    products = list(products)
    keys = set()
    for product in products:
        for block in product.record.valid:
            touching = [other.tile.footprint for other in products if block in other.record.valid]
            if any(not footprint.contains(block.bounds) for footprint in touching):
                row, column = product.tile.hull.position(block)
                keys |= {f"{product.folder}/{BAND[name].path}/c/{row}/{column}" for name in product.record.bands}
    return keys


def test_ingesting_again_changes_nothing(base: Base, tmp_path: Path) -> None:
    name = base.ids("33TUJ")[0]
    archive = copy(base, tmp_path, [name])
    assert archive.store.root is not None
    before = {path: path.stat().st_mtime_ns for path in archive.store.root.rglob("*") if path.is_file()}
    [source] = [s for s in safe_sources(base.made[name].safe) if s.id == name]
    assert ingest(archive, source).status == "unchanged"
    after = {path: path.stat().st_mtime_ns for path in archive.store.root.rglob("*") if path.is_file()}
    changed = {path.name for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert not {entry for entry in changed if not entry.startswith("catalog.sqlite")}


def test_the_catalogue_lists_every_product_with_what_the_ledger_says(base: Base, tmp_path: Path) -> None:
    archive = copy(base, tmp_path, base.ids(*LATTICE.tiles))
    settle(archive)
    assert archive.catalogue_path is not None
    with closing(open_catalogue(archive.catalogue_path)) as catalogue:
        items = {item["id"]: item for item in catalogue.search()}
    assert set(items) == set(base.ids(*LATTICE.tiles))
    again = open_archive(archive.store.url)
    assert check(again) == []
