"""Sequences of events that a review of the protocol found, and what each must leave behind."""

from __future__ import annotations

import gc
import os
import tempfile
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from abut.archive import Archive, create_archive
from abut.codec import encode_block
from abut.errors import ConflictError, DigestMismatchError, MissingObjectError, ProductNotFoundError
from abut.lattice import Block
from abut.layout import BAND, RECORD, block_key
from abut.ledger import Member, load
from abut.legacy import plan, read_band
from abut.product import Product
from abut.store import Store, open_store
from abut.tiling import tile
from catalog.sqlite import open_catalogue
from ingest import attempt as attempts
from ingest import check as checks
from ingest import claims
from ingest.check import check
from ingest.commit import commit
from ingest.ingest import describe, ingest, store_product
from ingest.purge import purge
from ingest.register import join
from ingest.settle import settle
from ingest.withdraw import withdraw
from tests.toy import CORNER, TILES, ToySource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

NOW = timedelta(0)
ZONE = CORNER.zone


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return create_archive(tmp_path)


def put(archive: Archive, *sources: ToySource) -> None:
    for source in sources:
        ingest(archive, source, threads=1)


def member_of(archive: Archive, source: ToySource) -> Member:
    return load(archive.store, archive.product(source.id).layer)[0].members[source.id]


def assert_recreates(archive: Archive, *sources: ToySource) -> None:
    for source in sources:
        product = archive.product(source.id)
        for band, truth in source.arrays.items():
            assert np.array_equal(read_band(archive, product, band), truth)


@dataclass(frozen=True, slots=True)
class WatchedStore(Store):
    """A store that tells of each change before and after it is made; who listens may raise."""

    told: Callable[[str, str], None] = field(default=lambda _what, _key: None)

    def put_new(self, key: str, data: bytes) -> bool:
        self.told("before put", key)
        created = Store.put_new(self, key, data)
        self.told("after put", key)
        return created

    def swap(self, key: str, data: bytes, version: str | None) -> str | None:
        self.told("before swap", key)
        new = Store.swap(self, key, data, version)
        self.told("after swap", key)
        return new

    def delete(self, keys: Iterable[str]) -> None:
        for key in list(keys):
            self.told("before delete", key)
            Store.delete(self, [key])
            self.told("after delete", key)


def watched(archive: Archive, told: Callable[[str, str], None]) -> Archive:
    store = archive.store
    return replace(archive, store=WatchedStore(store.url, store.backend, store.root, told))


# Errors (a lost answer, a time-out) are not crashes: the worker lives on, and cleans up.


@pytest.mark.parametrize(
    ("when", "key", "nth"),
    [
        ("after swap", "products/", 1),  # the item was created, but the answer was lost
        ("before delete", "claims/", 1),  # the item is there, its claim can't be deleted
        ("after delete", "claims/", 1),
        ("after swap", "claims/", 4),  # the claim was sealed, but the answer was lost
    ],
)
def test_an_error_at_the_commit_never_destroys_what_was_committed(
    archive: Archive, when: str, key: str, nth: int
) -> None:
    source = ToySource(TILES[0])
    seen = 0

    def fail(what: str, where: str) -> None:
        nonlocal seen
        if what == when and where.startswith(key):
            seen += 1
            if seen == nth:
                raise TimeoutError("no answer")

    with pytest.raises(TimeoutError):
        ingest(watched(archive, fail), source, threads=1)
    if archive.product_ids():
        assert_recreates(archive, source)
    check(archive, repair=True)
    assert_recreates(archive, source)
    assert ingest(archive, source, threads=1).status == "unchanged"
    assert check(archive, deep=True) == []


def test_a_worker_that_was_overtaken_can_not_go_on(archive: Archive) -> None:
    mine = claims.begin(archive.store, "product", "source", None)
    theirs = claims.take_over(archive.store, mine)
    with pytest.raises(ConflictError, match="another run has taken this attempt over"):
        claims.renew(archive.store, replace(mine, bands={"B01": {}}))
    claims.renew(archive.store, theirs)


@pytest.mark.parametrize("then", ["live", "removed"])
def test_an_attempt_that_wakes_up_late_replaces_nothing(archive: Archive, then: str) -> None:
    source = ToySource(TILES[0])
    late = claims.begin(archive.store, source.id, source.digest, None)
    put(archive, source)
    committed = archive.product(source.id)
    item = {"id": source.id, "properties": {"abut:store": late.prefix}}
    if then == "removed":
        withdraw(archive, source.id)
        purge(archive, grace=NOW)
    assert not commit(archive, late, item)
    if then == "live":
        assert archive.product(source.id) == committed
        assert_recreates(archive, source)
    else:
        assert archive.product_ids() == []


def test_repair_spares_old_objects_of_an_attempt_whose_claim_is_renewed(archive: Archive) -> None:
    source = ToySource(TILES[0])
    claim = claims.begin(archive.store, source.id, source.digest, None)
    claim, record = attempts.write(archive, source, claim, threads=1, done=lambda _: None)
    written = list(archive.store.entries(f"products/{claim.prefix}"))
    for entry in written:
        assert archive.store.root is not None
        os.utime(archive.store.root / entry.key, (0, 0))
    assert check(archive, repair=True) == []
    assert len(list(archive.store.entries(f"products/{claim.prefix}"))) == len(written)
    assert commit(archive, claim, source.item(describe(archive, claim.prefix, source, record)))
    assert_recreates(archive, source)


def test_a_product_is_in_one_layer_though_two_processes_join_it(archive: Archive) -> None:
    """The other process has loaded the product; then it got a layer of its own, and the occupant of its tile left."""
    occupant, source = ToySource(TILES[0]), ToySource(TILES[0], label="X", added={"B09": 1})
    put(archive, occupant)
    store_product(archive, source, threads=1)
    loaded = archive.product(source.id)
    put(archive, source)
    withdraw(archive, occupant.id)
    purge(archive, grace=NOW)
    joined = join(archive, loaded)
    assert joined.layer == archive.product(source.id).layer != loaded.layer
    assert source.id not in load(archive.store, loaded.layer)[0].members


@pytest.mark.parametrize("damage", ["empty", "gone", "other pixels"])
def test_what_a_power_failure_took_from_a_claimed_band_is_noticed_when_it_is_resumed(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    source = ToySource(TILES[0])

    def dies(*_: object) -> bool:
        raise SystemExit

    monkeypatch.setattr("ingest.ingest.commit", dies)
    with pytest.raises(SystemExit):
        ingest(archive, source, threads=1)
    monkeypatch.undo()
    [claim] = archive.store.children("claims")[1]
    found = claims.read(archive.store, claim.key)
    assert found is not None
    assert set(found.bands) == {"B01", "B09"}
    key = next(e.key for e in archive.store.entries(f"products/{found.prefix}") if "/r60m/b09/c/" in e.key)
    archive.store.delete([key])
    if damage != "gone":
        archive.store.put_new(key, b"" if damage == "empty" else encode_block(np.ones((160, 160), "<u2")))
    monkeypatch.setattr(claims, "STALE", NOW)
    assert ingest(archive, source, threads=1).status == "ingested"
    assert_recreates(archive, source)
    assert check(archive, deep=True) == []


def test_a_folder_that_a_delete_took_away_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(tmp_path)
    make, calls = tempfile.mkstemp, 0

    def late(*, prefix: str, dir: Path) -> Any:  # noqa: A002 - the name of the argument
        nonlocal calls
        calls += 1
        if calls == 1:
            dir.rmdir()  # obstore's local store does so when the last object of a folder is deleted
        return make(prefix=prefix, dir=dir)

    monkeypatch.setattr("abut.files.tempfile.mkstemp", late)
    assert store.swap("claims/a.json", b"1", None) is not None
    assert store.get("claims/a.json") == b"1"


# Holders that are gone

# PQ has one block, which PP releases to it; NP has one block, which it releases to PP.
SHARED = ToySource("32TPQ", place=Block(ZONE, 62, 510).bounds)
RELIES = ToySource("32TPP")
NEEDS = ToySource("32TNP", place=Block(ZONE, 63, 509).bounds)


@pytest.fixture
def holder_gone(archive: Archive) -> Archive:
    """An archive where PP, withdrawn and kept for NP, had released a block to PQ, which was removed."""
    put(archive, SHARED, RELIES, NEEDS)
    settle(archive)
    purge(archive, grace=NOW)
    assert {release.to for release in member_of(archive, RELIES).released.values()} == {SHARED.id}
    assert {release.to for release in member_of(archive, NEEDS).released.values()} == {RELIES.id}
    withdraw(archive, SHARED.id)
    withdraw(archive, RELIES.id)
    assert [name for purged in purge(archive, grace=NOW) for name in purged.removed] == [SHARED.id]
    return archive


def test_settling_goes_on_though_the_holder_of_a_withdrawn_product_is_gone(holder_gone: Archive) -> None:
    latecomer = ToySource("32TNQ")
    put(holder_gone, latecomer)
    settle(holder_gone)
    purge(holder_gone, grace=NOW)
    assert_recreates(holder_gone, latecomer, NEEDS)
    put(holder_gone, RELIES)
    assert_recreates(holder_gone, latecomer, NEEDS, RELIES)


def test_a_product_is_not_reinstated_on_other_pixels_of_a_holder_that_came_back(holder_gone: Archive) -> None:
    other = replace(SHARED, added={"B01": 1})
    assert other.id == SHARED.id
    put(holder_gone, other)
    assert ingest(holder_gone, RELIES, threads=1).status == "ingested"
    assert_recreates(holder_gone, other, RELIES, NEEDS)


def test_a_withdrawn_product_follows_when_its_holder_releases_and_can_be_reinstated(archive: Archive) -> None:
    put(archive, SHARED, RELIES, NEEDS)
    settle(archive)
    purge(archive, grace=NOW)
    withdraw(archive, RELIES.id)
    put(archive, ToySource("32TNQ"))
    settle(archive)
    purge(archive, grace=NOW)
    assert {release.to for release in member_of(archive, RELIES).released.values()} == {ToySource("32TNQ").id}
    assert ingest(archive, RELIES, threads=1).status == "reinstated"
    assert_recreates(archive, RELIES, SHARED, NEEDS)


def test_a_holder_covers_all_that_is_released_to_it_even_where_there_is_no_data(archive: Archive) -> None:
    """PQ covers the east of the block only; NP sees nothing but that; zeros outside of PQ's footprint prove nothing."""
    block = Block(ZONE, 62, 510)
    east = block.bounds.intersection(tile("32TPQ").footprint)
    assert east is not None
    west = ToySource("32TNP", place=east)
    put(archive, ToySource("32TPQ", place=east), west)
    settle(archive)
    for held in (member_of(archive, west), member_of(archive, ToySource("32TPQ"))):
        assert block in held.held
    assert_recreates(archive, west)


# Damage


def test_purge_takes_a_release_back_whose_holder_lost_its_record(archive: Archive) -> None:
    put(archive, SHARED, RELIES)
    settle(archive)
    archive.store.delete([f"{archive.product(SHARED.id).folder}/{RECORD}"])
    [purged] = purge(archive, grace=NOW)
    assert purged.taken_back == (f"{RELIES.id} {Block(ZONE, 62, 510)}",)
    assert_recreates(archive, RELIES)


@pytest.mark.parametrize("part", ["overviews", "zarr.json"])
def test_a_damaged_object_beside_the_blocks_is_mended_though_others_rely_on_the_product(
    archive: Archive, part: str
) -> None:
    """Withdrawn and ingested again, which is what docs/operations.md says."""
    put(archive, RELIES, NEEDS)
    settle(archive)
    purge(archive, grace=NOW)
    assert {release.to for release in member_of(archive, NEEDS).released.values()} == {RELIES.id}
    product = archive.product(RELIES.id)
    key = next(f"{product.folder}/{key}" for key in sorted(product.record.objects) if part in key)
    archive.store.delete([key])
    archive.store.put_new(key, b"damaged")
    withdraw(archive, RELIES.id)
    assert [name for purged in purge(archive, grace=NOW) for name in purged.removed] == []
    assert ingest(archive, RELIES, threads=1).status == "ingested"
    settle(archive)
    purge(archive, grace=NOW)
    assert [finding for finding in check(archive, deep=True) if finding.kind == "damage"] == []
    assert_recreates(archive, RELIES, NEEDS)


def test_settling_names_the_object_that_is_no_block(archive: Archive) -> None:
    put(archive, SHARED, RELIES)
    row, column = SHARED.tile.hull.position(Block(ZONE, 62, 510))
    key = f"{archive.product(SHARED.id).folder}/{block_key(BAND['B01'].path, row, column)}"
    archive.store.delete([key])
    archive.store.put_new(key, b"noise")
    with pytest.raises(DigestMismatchError, match=key):
        settle(archive)


# Readers


def test_a_reader_with_a_plan_from_before_settling_reads_on_after_the_purge(archive: Archive) -> None:
    sources = [ToySource(name) for name in TILES]
    put(archive, *sources)
    plans = {source.id: plan(archive, archive.product(source.id)) for source in sources}
    settle(archive)
    purge(archive, grace=NOW)
    for source in sources:
        product = archive.product(source.id)
        assert plan(archive, product) != plans[source.id]
        assert np.array_equal(read_band(archive, product, "B01", sources=plans[source.id]), source.arrays["B01"])


# Checks while others work


@pytest.mark.parametrize("step", ["_check_membership", "_check_prefixes", "_check_catalogue"])
def test_a_check_does_not_harm_or_report_what_was_ingested_meanwhile(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    first, second = ToySource(TILES[0]), ToySource(TILES[1])
    put(archive, first)
    real = getattr(checks, step)

    def meanwhile(*arguments: Any) -> Any:
        put(archive, second)
        return real(*arguments)

    monkeypatch.setattr(checks, step, meanwhile)
    assert check(archive, repair=True) == []
    assert archive.catalogue_path is not None
    with closing(open_catalogue(archive.catalogue_path)) as catalogue:
        assert catalogue.ids() == {first.id, second.id}


def test_a_check_does_not_report_what_was_purged_meanwhile(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [ToySource(name) for name in TILES]
    put(archive, *sources)
    settle(archive)
    real, calls = checks._check_objects, 0

    def meanwhile(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            purge(archive, grace=NOW)
        return real(*arguments, **options)

    monkeypatch.setattr(checks, "_check_objects", meanwhile)
    assert check(archive) == []


def test_a_check_keeps_no_more_than_a_product_or_two_in_memory(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(archive, *(ToySource(name) for name in TILES))
    real, most = checks._check_objects, 0
    others = [one for one in gc.get_objects() if type(one) is Product]  # of tests before this one

    def count(*arguments: Any, **options: Any) -> Any:
        nonlocal most
        gc.collect()
        most = max(most, sum(type(one) is Product for one in gc.get_objects()) - len(others))
        return real(*arguments, **options)

    monkeypatch.setattr(checks, "_check_objects", count)
    check(archive)
    assert 1 <= most <= 2


# A product is removed while another process is reading it


@dataclass(frozen=True, slots=True)
class HeldUpStore(Store):
    """A store in which something happens between the reading of a product's item and of its record."""

    meanwhile: list[Callable[[], object]] = field(default_factory=list)

    def get(self, key: str) -> bytes:
        if key.endswith(RECORD) and self.meanwhile:
            self.meanwhile.pop()()
        return Store.get(self, key)


def held_up(archive: Archive, meanwhile: Callable[[], object]) -> Archive:
    store = archive.store
    return replace(archive, store=HeldUpStore(store.url, store.backend, store.root, [meanwhile]))


def test_a_product_that_is_removed_while_it_is_loaded_was_not_found_rather_than_damaged(archive: Archive) -> None:
    source = ToySource("32TNP")
    put(archive, source)
    withdraw(archive, source.id)
    with pytest.raises(ProductNotFoundError, match=source.id):
        held_up(archive, lambda: purge(archive, grace=NOW)).product(source.id)


def test_settle_passes_over_a_product_that_purge_removes_at_that_moment(archive: Archive) -> None:
    gone, stays = ToySource("32TNP"), ToySource("32TPP")
    put(archive, gone, stays)
    withdraw(archive, gone.id)
    settle(held_up(archive, lambda: purge(archive, grace=NOW)))
    assert archive.product_ids() == [stays.id]
    assert_recreates(archive, stays)


def test_a_product_that_is_replaced_while_it_is_loaded_is_the_new_one(archive: Archive) -> None:
    source = ToySource("32TNP")
    put(archive, source)
    before = archive.product(source.id)
    withdraw(archive, source.id)

    def replaced() -> None:
        purge(archive, grace=NOW)
        put(archive, source)

    found = held_up(archive, replaced).product(source.id)
    assert found.prefix != before.prefix
    assert found == archive.product(source.id)


def test_a_lost_record_of_a_committed_product_is_damage(archive: Archive) -> None:
    source = ToySource("32TNP")
    put(archive, source)
    product = archive.product(source.id)
    archive.store.delete([f"{product.folder}/{RECORD}"])
    with pytest.raises(MissingObjectError, match=RECORD):
        archive.product(source.id)


def test_ingest_of_a_withdrawn_product_that_purge_removes_at_that_moment_stores_it_anew(archive: Archive) -> None:
    source = ToySource("32TNP")
    put(archive, source)
    withdraw(archive, source.id)
    outcome = ingest(held_up(archive, lambda: purge(archive, grace=NOW)), source, threads=1)
    assert outcome.status == "ingested"
    assert_recreates(archive, source)
    assert check(archive, deep=True) == []
