"""Settling, purging and withdrawing on toy products: quick, and with every kind of trouble."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from abut.archive import Archive, create_archive
from abut.codec import encode_block
from abut.errors import DigestMismatchError, DuplicateProductError, MissingObjectError, ProductNotFoundError
from abut.lattice import Bounds
from abut.ledger import Ledger, load
from abut.legacy import read_band
from abut.tiling import tile
from ingest.check import check
from ingest.ingest import ingest
from ingest.purge import purge
from ingest.settle import settle
from ingest.withdraw import withdraw
from tests.toy import CORNER, START, TILES, ToySource

if TYPE_CHECKING:
    from pathlib import Path

NOW = timedelta(0)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return create_archive(tmp_path)


def put(archive: Archive, *sources: ToySource) -> None:
    for source in sources:
        ingest(archive, source, threads=1)


def ledger(archive: Archive, source: ToySource) -> Ledger:
    return load(archive.store, archive.product(source.id).layer)[0]


def assert_recreates(archive: Archive, *sources: ToySource) -> None:
    for source in sources:
        product = archive.product(source.id)
        for band, truth in source.arrays.items():
            assert np.array_equal(read_band(archive, product, band), truth)


def object_of(archive: Archive, source: ToySource, row: int, column: int, band: str = "b01") -> str:
    return f"products/{archive.product(source.id).prefix}/measurements/reflectance/r60m/{band}/c/{row}/{column}"


def test_a_full_3_x_3_lattice_stores_each_block_exactly_once(archive: Archive) -> None:
    names = [f"32T{column}{row}" for row in "NPQ" for column in "NPQ"]
    everything = Bounds.around(tile(name).footprint for name in names)
    sources = [ToySource(name, place=everything, band_names=("B01",)) for name in names]
    put(archive, *sources)
    [settled] = settle(archive)
    purge(archive, grace=NOW)
    members = ledger(archive, sources[0]).members.values()
    stored = sum(len(member.held) for member in members)
    distinct = len({block for member in members for block in member.valid})
    assert settled.unequal == 0
    assert stored == distinct
    assert_recreates(archive, *sources)
    assert check(archive, deep=True) == []


def test_a_better_ranked_latecomer_takes_over_and_releases_are_re_pointed(archive: Archive) -> None:
    sources = [ToySource(name) for name in TILES]
    put(archive, *sources[:3])
    settle(archive)
    purge(archive, grace=NOW)
    put(archive, sources[3])
    [settled] = settle(archive)
    assert settled.repointed > 0
    purge(archive, grace=NOW)
    assert_recreates(archive, *sources)


def test_purge_waits_for_the_grace_period(archive: Archive) -> None:
    put(archive, *(ToySource(name) for name in TILES))
    settle(archive)
    assert sum(purged.objects for purged in purge(archive)) == 0
    assert sum(purged.objects for purged in purge(archive, grace=NOW)) > 0
    assert sum(purged.objects for purged in purge(archive, grace=NOW)) == 0


@pytest.mark.parametrize("damage", ["missing", "other pixels", "no block"])
def test_purge_looks_at_the_holder_before_it_deletes_and_takes_a_release_back(archive: Archive, damage: str) -> None:
    sources = [ToySource(name) for name in TILES]
    put(archive, *sources)
    settle(archive)
    found = ledger(archive, sources[0])
    member = next(m for m in found.members.values() if m.released)
    block, release = next(iter(member.released.items()))
    holder = found.members[release.to]
    row, column = holder.tile.hull.position(block)
    key = f"products/{holder.prefix}/measurements/reflectance/r60m/b09/c/{row}/{column}"
    archive.store.delete([key])
    if damage != "missing":
        archive.store.put_new(key, b"noise" if damage == "no block" else encode_block(np.ones((160, 160), "<u2")))
    taken_back = [entry for purged in purge(archive, grace=NOW) for entry in purged.taken_back]
    assert f"{member.product} {block}" in taken_back
    assert block in ledger(archive, sources[0]).members[member.product].held
    source = next(source for source in sources if source.id == member.product)
    assert_recreates(archive, source)
    assert [finding.where for finding in check(archive, deep=True) if finding.kind == "damage"] == [key]


def test_a_withdrawn_product_stays_while_another_relies_on_it_and_goes_when_none_does(archive: Archive) -> None:
    sources = [ToySource(name) for name in TILES]
    put(archive, *sources)
    settle(archive)
    purge(archive, grace=NOW)
    needed = {r.to for m in ledger(archive, sources[0]).members.values() for r in m.released.values()}
    first = next(source for source in sources if source.id in needed)
    assert withdraw(archive, first.id)
    assert not withdraw(archive, first.id)
    purge(archive, grace=NOW)
    others = [source for source in sources if source is not first]
    assert_recreates(archive, *others)
    for source in others:
        withdraw(archive, source.id)
    removed = [name for purged in purge(archive, grace=NOW) for name in purged.removed]
    assert sorted(removed) == sorted(source.id for source in sources)
    with pytest.raises(ProductNotFoundError, match=first.id):
        archive.product(first.id)
    assert list(archive.store.entries("products")) != [], "a tombstone stays for each"
    assert check(archive) == []


def test_no_new_release_names_a_withdrawn_product(archive: Archive) -> None:
    sources = [ToySource(name) for name in TILES]
    put(archive, *sources)
    withdraw(archive, sources[0].id)
    settle(archive)
    for member in ledger(archive, sources[1]).members.values():
        assert sources[0].id not in {release.to for release in member.released.values()}


def test_a_withdrawn_product_is_reinstated_by_ingesting_it_again(archive: Archive) -> None:
    sources = [ToySource(name) for name in TILES]
    put(archive, *sources)
    settle(archive)
    purge(archive, grace=NOW)
    before = archive.product(sources[0].id).prefix
    withdraw(archive, sources[0].id)
    assert ingest(archive, sources[0], threads=1).status == "reinstated"
    assert archive.product(sources[0].id).prefix == before
    for source in sources:
        withdraw(archive, source.id)
    purge(archive, grace=NOW)
    assert ingest(archive, sources[0], threads=1).status == "ingested"
    assert archive.product(sources[0].id).prefix != before
    assert_recreates(archive, sources[0])


def test_the_same_pixels_under_another_id_are_refused(archive: Archive) -> None:
    put(archive, ToySource(TILES[0]))
    with pytest.raises(DuplicateProductError, match="the same pixels as"):
        ingest(archive, ToySource(TILES[0], label="again"), threads=1)
    assert archive.product_ids() == [ToySource(TILES[0]).id]
    assert check(archive) == []


def test_other_pixels_of_the_same_tile_and_datastrip_open_a_layer_of_their_own(archive: Archive) -> None:
    first, second = ToySource(TILES[0]), ToySource(TILES[0], label="X", added={"B09": 1})
    put(archive, first, second, ToySource(TILES[1]))
    settle(archive)
    assert archive.product(first.id).layer != archive.product(second.id).layer
    assert_recreates(archive, first, second)


def test_a_committed_product_with_other_pixels_is_an_error_and_changes_nothing(archive: Archive) -> None:
    source = ToySource(TILES[0])
    put(archive, source)
    changed = ToySource(TILES[0], added={"B01": 1})
    assert changed.id == source.id
    with pytest.raises(DigestMismatchError, match="B01: the archive has this product with other pixels"):
        ingest(archive, changed, threads=1)
    assert_recreates(archive, source)


def test_a_block_that_is_empty_in_one_band_is_stored_in_all(archive: Archive) -> None:
    hole = replace(CORNER, right=CORNER.left + 9_600)
    source = ToySource(TILES[0], hole=hole)
    put(archive, source)
    record = archive.product(source.id).record
    assert record.bands["B01"].blocks.keys() == record.bands["B09"].blocks.keys()
    assert_recreates(archive, source)


def test_a_missing_object_of_a_held_block_is_an_error_never_fill(archive: Archive) -> None:
    source = ToySource(TILES[0])
    put(archive, source)
    block = min(archive.product(source.id).record.valid)
    archive.store.delete([object_of(archive, source, *source.tile.hull.position(block))])
    with pytest.raises(MissingObjectError, match="no such object"):
        read_band(archive, archive.product(source.id), "B01")


def test_a_product_whose_holder_lost_an_object_reads_its_own_until_that_is_dropped(archive: Archive) -> None:
    sources = [ToySource(name) for name in TILES]
    put(archive, *sources)
    settle(archive)
    found = ledger(archive, sources[0])
    member = next(m for m in found.members.values() if m.released)
    block, release = next(iter(member.released.items()))
    holder = found.members[release.to]
    row, column = holder.tile.hull.position(block)
    archive.store.delete([f"products/{holder.prefix}/measurements/reflectance/r60m/b01/c/{row}/{column}"])
    assert_recreates(archive, next(source for source in sources if source.id == member.product))
    with pytest.raises(MissingObjectError):
        read_band(archive, archive.product(holder.product), "B01")


def test_damage_in_one_layer_does_not_keep_others_from_settling(archive: Archive) -> None:
    damaged = [ToySource(name) for name in TILES]
    sound = [replace(source, datastrip_start=START.replace(second=1), label="Y") for source in damaged]
    put(archive, *damaged, *sound)
    cut = next(
        block
        for block in sorted(archive.product(damaged[0].id).record.valid)
        if not damaged[0].tile.footprint.contains(block.bounds)
    )
    archive.store.delete([object_of(archive, damaged[0], *damaged[0].tile.hull.position(cut))])
    with pytest.raises(MissingObjectError, match="no such object"):
        settle(archive)
    assert any(member.released for member in ledger(archive, sound[0]).members.values())
    assert_recreates(archive, *sound)


def test_a_changed_pixel_in_the_store_is_an_error(archive: Archive) -> None:
    source = ToySource(TILES[0])
    put(archive, source)
    block = min(archive.product(source.id).record.valid)
    key = object_of(archive, source, *source.tile.hull.position(block))
    archive.store.delete([key])
    archive.store.put_new(key, encode_block(np.ones((160, 160), "<u2")))
    with pytest.raises(DigestMismatchError, match="B01: SHA-256 of the re-created tile is"):
        read_band(archive, archive.product(source.id), "B01")
